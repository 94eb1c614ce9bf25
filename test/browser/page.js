// Opens a page of etl.report and looks at what a reader gets: node page.js FILE TASKS RUNS. One line of TAP per assertion.
'use strict';
const path = require('path');
const fs = require('fs');
const modules = process.env.ETL_TEST_BROWSER_MODULES;
const puppeteer = require(path.join(modules, 'puppeteer-core'));
const axe = fs.readFileSync(path.join(modules, 'axe-core', 'axe.min.js'), 'utf8');
const [file, tasks, runs] = [path.resolve(process.argv[2]), Number(process.argv[3]), Number(process.argv[4])];
const label = path.basename(file, '.html');

function ok(good, name, found) {
	console.log((good ? 'ok' : 'not ok') + ' - ' + name);
	if (!good && found !== undefined)
		console.log('# ' + JSON.stringify(found, null, 1).slice(0, 3000).replace(/\n/g, '\n# '));
}

function is(found, expected, name) {
	ok(found === expected, name, { found, expected });
}

// What stands out of the window although it is not in a box that scrolls by itself.
function overflowing() {
	return [...document.querySelectorAll('body *')].filter(e => !e.closest('.wide') && !e.closest('.skip') && !e.closest('svg')
		&& e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
		.map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40));
}

// Texts with too little contrast to what lies behind them, in drawings and in cells, where axe does not look.
function lowContrast() {
	const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
	const known = new Map();
	const rgb = color => known.get(color) || known.set(color, measure(color)).get(color);
	const measure = color => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const luminance = c => {
		const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const contrast = (a, b) => {
		const [x, y] = [luminance(rgb(a)), luminance(rgb(b))].sort((p, q) => q - p);
		return (x + 0.05) / (y + 0.05);
	};
	const behind = e => {
		for (; e; e = e.parentElement) {
			const color = getComputedStyle(e).backgroundColor;
			if (rgb(color)[3] === 255)
				return color;
		}
		return getComputedStyle(document.body).backgroundColor;
	};
	const bad = [];
	const check = (what, color, ground) => {
		const c = contrast(color, ground);
		if (c < 4.5)
			bad.push([what, color, ground, c.toFixed(2)]);
	};
	for (const t of document.querySelectorAll('.node .g'))
		if (t.textContent !== '')
			check('sign of a node', getComputedStyle(t).fill, getComputedStyle(t.parentNode.querySelector('.b')).fill);
	for (const t of document.querySelectorAll('.node .name, .node .dim'))
		check('text of a node', getComputedStyle(t).fill, getComputedStyle(t.closest('.node').querySelector('.box')).fill);
	for (const t of document.querySelectorAll('#gantt text')) {
		const bar = t.classList.contains('bl') ? t.previousElementSibling : null;
		check('text of a bar', getComputedStyle(t).fill, bar ? getComputedStyle(bar).fill : behind(t));
	}
	for (const t of document.querySelectorAll('#cost-days text'))
		check('text of the cost', getComputedStyle(t).fill, behind(t));
	for (const t of document.querySelectorAll('.grid td, .state, .key, .wide td, .wide th'))
		if (t.textContent.trim() !== '')
			check('cell ' + t.className, getComputedStyle(t).color, behind(t));
	return bad.slice(0, 20);
}

// One way to look at the page.
async function combination(browser, width, scheme, script) {
	const started = Date.now();
	const name = `${label}, ${width} px, ${scheme}, ${script ? 'with' : 'without'} script: `;
	const page = await browser.newPage();
	const requests = [], complaints = [], dialogs = [];
	page.on('request', r => r.url().startsWith('data:') || requests.push(r.url()));
	page.on('console', m => complaints.push(m.text()));
	page.on('pageerror', e => complaints.push(String(e)));
	page.on('dialog', d => { dialogs.push(d.message()); d.dismiss(); });
	await page.setViewport({ width, height: 900, isMobile: width < 600, hasTouch: width < 600 });
	await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
	await page.setJavaScriptEnabled(script);
	await page.goto('file://' + file, { waitUntil: 'load' });
	if (process.env.SHOTS)
		await page.screenshot({ path: path.join(process.env.SHOTS, `${label}-${width}-${scheme}${script ? '' : '-noscript'}.png`), fullPage: true });
	is(requests.length, 1, name + 'nothing but the page is asked for');
	ok(complaints.length === 0, name + 'no complaint in the console', complaints);
	is(dialogs.length, 0, name + 'no name is executed');
	is(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0, name + 'the page does not scroll sideways');
	const out = await page.evaluate(overflowing);
	ok(out.length === 0, name + 'nothing stands out', out);
	is(await page.evaluate(() => document.querySelectorAll('#dag .node').length), tasks, name + 'every task is in the graph');
	const lie = await page.evaluate(() => {
		const boxes = [...document.querySelectorAll('#dag .box')].map(b => b.getBoundingClientRect());
		return boxes.filter((a, i) => boxes.some((b, k) => k > i && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)).length;
	});
	is(lie, 0, name + 'no task lies on another');
	is(await page.evaluate(() => [...document.querySelectorAll('#dag .ed')].filter(e => e.getPointAtLength(0).x >= e.getPointAtLength(e.getTotalLength()).x).length),
		0, name + 'edges lead to the right');
	is(await page.evaluate(() => document.querySelectorAll('.grid td').length), runs ? (tasks + 1) * runs : 0, name + 'the cells of the grid');
	is(await page.evaluate(() => document.querySelectorAll('script').length + document.querySelectorAll('img, iframe, object').length), 1,
		name + 'one script, and nothing else that is active');
	const low = await page.evaluate(lowContrast);
	ok(low.length === 0, name + 'contrast', low);
	if (runs > 20)
		ok(await page.evaluate(() => { const b = document.querySelector('#history .wide'); const l = b.querySelector('.runs').lastElementChild;
			return l.getBoundingClientRect().right <= b.getBoundingClientRect().right + 1; }), name + 'the grid shows the latest run');
	if (script) {
		// Rows that are like those before them are left out: they would take axe a minute.
		await page.evaluate(axe);
		const found = await page.evaluate(async () => (await axe.run({ exclude: [['.grid tbody tr:nth-child(n+5)'], ['#tasks tbody tr:nth-child(n+9)']] }, { resultTypes: ['violations'] })).violations
			.map(v => [v.id, v.impact, v.help, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))]));
		ok(found.length === 0, name + 'axe finds nothing', found);
	}
	console.log(`# ${name}${Date.now() - started} ms`);
	await page.close();
}

// The page by keyboard alone.
async function keyboard(browser) {
	const page = await browser.newPage();
	const active = () => page.evaluate(() => document.activeElement.className + ' ' + document.activeElement.getAttribute('href'));
	await page.goto('file://' + file);
	await page.keyboard.press('Tab');
	is(await active(), 'skip #main', label + ': the first stop leads to the content');
	await page.evaluate(() => document.querySelector('#dag a').focus());
	const target = await page.evaluate(() => document.activeElement.getAttribute('href'));
	await page.keyboard.press('Enter');
	is(await page.evaluate(() => location.hash), target, label + ': a node leads to its row');
	ok(await page.evaluate(h => document.querySelector(h) && document.querySelector(h).tagName === 'TR', target), label + ': which is there');
	if (runs > 1) {
		await page.focus('.grid td[tabindex="0"]');
		await page.keyboard.press('ArrowLeft');
		await page.keyboard.press('ArrowDown');
		const tip = await page.evaluate(() => document.querySelector('#tip').textContent);
		ok(/ in run \d+, \d{4}-\d\d-\d\d .*: ./.test(tip), label + ': arrow keys move through the grid and say what is there', tip);
	}
	await page.close();
}

(async () => {
	const browser = await puppeteer.launch({ executablePath: process.env.ETL_TEST_BROWSER,
		args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
	for (const width of [360, 1280])
		for (const scheme of ['light', 'dark'])
			for (const script of [true, false])
				await combination(browser, width, scheme, script);
	await keyboard(browser);
	await browser.close();
	console.log('# done');
})().catch(e => { console.log('not ok - ' + label + ': ' + e.message.split('\n')[0]); process.exitCode = 1; });
