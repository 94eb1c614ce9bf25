// Has Mermaid draw a flowchart of etl.graph: node graph.js FILE NAMES, where NAMES is a file with a JSON array of the names of the
// tasks. One line of TAP per assertion.
'use strict';
const path = require('path');
const fs = require('fs');
const modules = process.env.ETL_TEST_BROWSER_MODULES;
const puppeteer = require(path.join(modules, 'puppeteer-core'));
const text = fs.readFileSync(process.argv[2], 'utf8');
const names = JSON.parse(fs.readFileSync(process.argv[3], 'utf8'));
const label = path.basename(process.argv[2], '.mmd');

function ok(good, name, found) {
	console.log((good ? 'ok' : 'not ok') + ' - ' + name);
	if (!good)
		console.log('# ' + JSON.stringify(found, null, 1).slice(0, 3000).replace(/\n/g, '\n# '));
}

(async () => {
	const browser = await puppeteer.launch({ executablePath: process.env.ETL_TEST_BROWSER,
		args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
	const page = await browser.newPage();
	const dialogs = [];
	page.on('dialog', d => { dialogs.push(d.message()); d.dismiss(); });
	await page.setContent('<!DOCTYPE html><body></body>');
	await page.addScriptTag({ path: path.join(modules, 'mermaid.min.js') });
	const drawn = await page.evaluate(async source => {
		mermaid.initialize({ startOnLoad: false, maxEdges: 5000, maxTextSize: 500000 });
		const { svg } = await mermaid.render('g', source);
		document.body.innerHTML = svg;
		return [...document.querySelectorAll('g.node')].map(n => n.textContent);
	}, text);
	ok(drawn.length === names.length, label + ': Mermaid draws every task', drawn);
	// A label is a sign, the name, the kind and the state; control characters have become spaces.
	const missing = names.map(n => n.replace(/[\x00-\x20\x7f]+/g, ' ')).filter(n => !drawn.some(d => d.replace(/\s+/g, ' ').includes(n)));
	ok(missing.length === 0, label + ': Mermaid shows the names as they are', { missing, drawn });
	ok(await page.evaluate(() => document.querySelectorAll('script[src], img').length === 0), label + ': no name became an element', null);
	ok(dialogs.length === 0, label + ': no name is executed', dialogs);
	await browser.close();
	console.log('# done');
})().catch(e => { console.log('not ok - ' + label + ': ' + e.message.split('\n').slice(0, 3).join(' ')); process.exitCode = 1; });
