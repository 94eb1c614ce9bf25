/*
 * style.c
 *		The style sheet and the script of the page. See style.h.
 *
 * The page needs no script: it shows the title of a cell where there is no pointer to hover with, and moves between cells by
 * arrow keys. The policy allows exactly these two texts and no network, so that what slipped through the escaping would still
 * not be executed.
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "report/style.h"

const char etl_style_sheet[] =
	/* Colours: surfaces, text, lines; then fill and text of each state (see mark.c). */
	":root{color-scheme:light dark;--bg:#f3f5f7;--card:#fff;--text:#1b1f24;--dim:#535c67;--line:#d5dae1;--edge:#8a94a0;"
	"--link:#0b5fb0;--accent:#0b5fb0;--code:#eef1f4;--s:#0b7a5b;--st:#fff;--w:#eba900;--wt:#1b1f24;--f:#b53a0a;--ft:#"
	"fff;"
	"--u:#f6cdb8;--ut:#1b1f24;--k:#d5dae1;--kt:#1b1f24;--c:#d39bbf;--ct:#1b1f24;--r:#0b5fb0;--rt:#fff;--y:#8cc8f0;"
	"--yt:#1b1f24;--q:#eef1f4;--qt:#1b1f24;--c1:#0b5fb0;--c2:#d98200;--c3:#0b7a5b;--c4:#a3578a;--c5:#4f9fd0;--c6:#"
	"8a94a0}"
	"@media(prefers-color-scheme:dark){:root{--bg:#12151a;--card:#1b1f26;--text:#e8ebef;--dim:#a5aeb9;--line:#363d48;"
	"--edge:#76808d;--link:#7cbcf5;--accent:#7cbcf5;--code:#262c35;--s:#2bb78b;--st:#0d1512;--w:#f2bd3a;--wt:#1b1f24;"
	"--f:#f47a45;--ft:#1b0e07;--u:#7a3d1f;--ut:#fff;--k:#454d59;--kt:#fff;--c:#d39bbf;--ct:#1b1f24;--r:#5aaef0;--rt:#"
	"0b1520;"
	"--y:#1f5f8d;--yt:#fff;--q:#2a303a;--qt:#e8ebef;--c1:#5aaef0;--c2:#f2a93a;--c3:#2bb78b;--c4:#d39bbf;--c5:#a9d6f5;"
	"--c6:#76808d}}"
	".s{--b:var(--s);--t:var(--st)}.w{--b:var(--w);--t:var(--wt)}.f{--b:var(--f);--t:var(--ft)}.u{--b:var(--u);--t:var("
	"--ut)}"
	".k{--b:var(--k);--t:var(--kt)}.c{--b:var(--c);--t:var(--ct)}.r{--b:var(--r);--t:var(--rt)}.y{--b:var(--y);--t:var("
	"--yt)}"
	".q{--b:var(--q);--t:var(--qt)}.n{--b:transparent;--t:var(--text)}"
	/* Type and page. */
	"*{box-sizing:border-box}html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}"
	"body{margin:0;background:var(--bg);color:var(--text);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,"
	"'Helvetica Neue',Arial,'Noto Sans','DejaVu Sans',sans-serif;overflow-wrap:anywhere}"
	"header,main,footer{max-width:1200px;margin:0 auto;padding:0 16px}header{padding-top:20px}"
	"h1{font-size:1.7rem;line-height:1.2;margin:0;letter-spacing:-.01em}h2{font-size:1.15rem;line-height:1.3;margin:0 "
	"0 12px}"
	"h3{font-size:.95rem;margin:0;line-height:1.35}p{margin:0 0 10px}.lead{margin:6px 0 "
	"0;max-width:75ch}.dim{color:var(--dim)}"
	".small{font-size:.85rem}a{color:var(--link)}code,pre{font:.85rem/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,"
	"'DejaVu Sans Mono',monospace;background:var(--code);border-radius:4px}code{padding:1px 5px}"
	"pre{margin:4px 0 0;padding:8px 10px;white-space:pre-wrap}:focus-visible{outline:3px solid "
	"var(--accent);outline-offset:2px}"
	".vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}"
	".skip:not(:focus){position:absolute;left:-9999px}.skip:focus{position:absolute;left:16px;top:6px;background:var(--"
	"card);"
	"padding:6px 10px;z-index:3}"
	"nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:2px 16px;margin:14px 0 0;padding:0}nav "
	"a{display:inline-block;"
	"padding:4px 0;text-underline-offset:3px}"
	"section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;margin:16px 0}"
	"section>:last-child,section>:last-child p:last-child{margin-bottom:0}"
	"footer{color:var(--dim);font-size:.85rem;padding-bottom:32px}"
	/* Facts: a list of terms and values. */
	".facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px 20px;margin:14px 0 0}"
	".facts div{min-width:0}.facts dt{color:var(--dim);font-size:.8rem}.facts "
	"dd{margin:0;font-variant-numeric:tabular-nums}"
	".big{grid-template-columns:repeat(auto-fill,minmax(160px,1fr))}.big "
	"dd{font-size:1.1rem;font-weight:600;line-height:1.35}"
	".big .small{display:block;font-weight:400;font-size:.85rem}"
	".chip{display:inline-block;background:var(--code);border-radius:99px;padding:0 9px;margin:0 4px 2px "
	"0;font-size:.85rem}"
	".state{display:inline-block;background:var(--b);color:var(--t);border-radius:5px;padding:0 8px;font-size:.85rem;"
	"font-weight:600;white-space:nowrap;line-height:1.6}.state.n,.state.q{box-shadow:inset 0 0 0 1px var(--line)}"
	".legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 16px;margin:12px 0 0;padding:0;font-size:.85rem;"
	"color:var(--dim)}.key{display:inline-block;min-width:18px;height:18px;line-height:18px;border-radius:4px;text-"
	"align:center;"
	"background:var(--b);color:var(--t);font-size:12px;font-weight:700;margin-right:6px}"
	/* What is wide scrolls by itself. */
	".wide{position:relative;overflow-x:auto;max-width:100%;border-radius:6px;-webkit-overflow-scrolling:touch}"
	".end{direction:rtl}.end>*{direction:ltr}"
	"table{border-collapse:collapse;width:100%;font-size:.88rem;overflow-wrap:break-word}caption{text-align:left;color:"
	"var(--dim);font-size:."
	"85rem;"
	"padding:0 0 6px}.wide caption{white-space:nowrap}th,td{text-align:left;padding:6px 14px 6px 0;border-bottom:1px "
	"solid var(--line);"
	"vertical-align:top}thead "
	"th{color:var(--dim);font-weight:500;font-size:.8rem;white-space:nowrap;vertical-align:bottom}"
	"tbody tr:last-child>*{border-bottom:0}tbody th{font-weight:600;min-width:9rem;max-width:22rem}"
	".num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.nb{white-space:nowrap}td.msg{min-"
	"width:14rem}"
	"tr:target>*{background:color-mix(in srgb,var(--accent) 14%,transparent)}"
	/* Failures. */
	".fail{border-left:4px solid var(--f);padding:2px 0 2px 12px;margin:14px 0 "
	"0}.fail.warn{border-color:var(--w)}.fail p{margin:4px 0 0}"
	".todo{margin:14px 0 0}"
	/* Drawings. */
	"svg{display:block}svg text{fill:var(--text);font-size:12px}svg .dim{fill:var(--dim);font-size:11px}"
	".node rect{fill:var(--card);stroke:var(--edge)}.node .b{fill:var(--b);stroke:none}.node.q .b{fill:var(--k)}"
	".node .g{fill:var(--t);font-weight:700;text-anchor:middle}"
	".node .name{font-weight:600;font-size:12.5px}a:hover .box,a:focus-visible "
	".box{stroke:var(--accent);stroke-width:2}"
	"svg a:focus-visible{outline:none}.node.n .box{stroke-dasharray:4 3}"
	".ed{fill:none;stroke:var(--edge);stroke-width:1.4}.gate{stroke-dasharray:4 3}.arrow{fill:var(--edge)}"
	".node .pub{fill:none;stroke:var(--accent);stroke-width:1.4;stroke-dasharray:2 3}"
	".bar{fill:var(--b)}.q.bar,.n.bar{fill:var(--k)}.bar.crit{stroke:var(--text);stroke-width:1.6}.wait{stroke:var(--"
	"edge);"
	"stroke-width:1.4;stroke-dasharray:2 3}.tick{stroke:var(--line)}.stripe{fill:var(--code)}"
	".bl{font-weight:700;font-size:11px}svg .bl{fill:var(--t)}"
	/* The grid: task × run. */
	".grid{width:auto;margin:0 auto 0 0;border-collapse:separate;border-spacing:2px;font-size:.82rem}.grid th,.grid "
	"td{border:0;padding:0}"
	".grid tbody "
	"th{position:sticky;left:0;background:var(--card);z-index:1;font-weight:500;min-width:0;max-width:12.5rem;"
	"padding-right:8px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis;line-height:18px}"
	".grid "
	"td{min-width:16px;width:16px;height:18px;line-height:18px;text-align:center;border-radius:3px;background:var(--b);"
	"color:var(--t);font-size:11px;font-weight:700;cursor:default}.grid td.s{font-weight:400}.grid td.q,.grid "
	"td.n,.grid td:not([class]){background:var(--q)}"
	".grid td:not([class]){background:none;box-shadow:inset 0 0 0 1px var(--line)}"
	".grid thead th{height:44px;vertical-align:bottom}"
	".grid thead i{display:block;width:100%;background:var(--b);border-radius:2px 2px 0 0;min-height:2px}"
	".grid thead "
	"th:first-child{position:sticky;left:0;background:var(--card);z-index:1;padding-right:8px;font-size:.8rem}"
	".h0{height:2px}.h1{height:4px}.h2{height:8px}.h3{height:12px}.h4{height:16px}.h5{height:20px}.h6{height:24px}.h7{"
	"height:28px}"
	".h8{height:32px}.h9{height:36px}.h10{height:40px}.grid .runs>*{border-bottom:4px solid transparent}"
	"@media(max-width:600px){.big{grid-template-columns:1fr 1fr}.grid tbody th{max-width:7.2rem}.grid tbody th,.grid "
	"thead "
	"th{padding-right:4px}section{padding:14px 12px;border-radius:8px}"
	"header,main,footer{padding-left:10px;padding-right:10px}tbody th{min-width:7rem}}"
	"#tip{min-height:1.5em;margin:8px 0 0;font-size:.88rem}"
	/* Checks. */
	".checks{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:14px}"
	".check{border:1px solid var(--line);border-radius:8px;padding:10px 12px;min-width:0}.check "
	"header{display:flex;gap:8px;"
	"justify-content:space-between;align-items:baseline;padding:0;margin:0}.check p{margin:2px 0 6px}.check "
	"svg{width:100%;height:auto}"
	".spark{fill:none;stroke:var(--text);stroke-width:1.3;stroke-linejoin:round}.thw{stroke:var(--w);stroke-dasharray:"
	"5 3;"
	"stroke-width:1.3}.thf{stroke:var(--f);stroke-width:1.3}.dot{fill:var(--b)}.q.dot,.k.dot{stroke:var(--edge)}"
	/* Cost. */
	".c1{--b:var(--c1)}.c2{--b:var(--c2)}.c3{--b:var(--c3)}.c4{--b:var(--c4)}.c5{--b:var(--c5)}.c6{--b:var(--c6)}"
	"meter{width:100%;min-width:80px}"
	".split{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:16px "
	"28px}.split>*{min-width:0}"
	".checks+p{margin-top:10px}.legend+.wide{margin-top:16px}"
	"@media(prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}"
	"@media print{body{background:none}section{break-inside:avoid}nav,.skip{display:none}.wide{overflow:visible}}";

const char etl_style_script[] =
	"(function(){'use strict';var g=document.querySelector('.grid');if(!g)return;var "
	"tip=document.getElementById('tip'),"
	"rows=[].map.call(g.tBodies[0].rows,function(r){return r}),now=null;"
	"function say(c){var i=c.cellIndex,h=g.tHead.rows[0].cells[i],r=c.parentNode.cells[0];"
	"tip.textContent=(r.textContent+' in '+(h.title||'')+': '+(c.dataset.w||word(c))+(c.title?', '+c.title:''));}"
	"function word(c){var l=document.querySelector('.legend .'+(c.className||'n'));"
	"return l&&l.nextSibling?l.nextSibling.textContent:'not in the run';}"
	"function go(c){if(now)now.tabIndex=-1;now=c;c.tabIndex=0;say(c);}"
	"var "
	"last=rows.length?rows[0].cells[rows[0].cells.length-1]:null;if(last&&last.cellIndex>0){last.tabIndex=0;now=last;}"
	"g.tBodies[0].addEventListener('click',function(e){var c=e.target.closest('td');if(c){go(c);}});"
	"g.tBodies[0].addEventListener('mouseover',function(e){var c=e.target.closest('td');if(c)say(c);});"
	"g.tBodies[0].addEventListener('focusin',function(e){var c=e.target.closest('td');if(c)go(c);});"
	"g.tBodies[0].addEventListener('keydown',function(e){var "
	"d={ArrowLeft:[0,-1],ArrowRight:[0,1],ArrowUp:[-1,0],ArrowDown:[1,0]}"
	"[e.key],c=e.target.closest('td');if(!d||!c)return;var "
	"r=rows[rows.indexOf(c.parentNode)+d[0]],n=r&&r.cells[c.cellIndex+d[1]];"
	"if(n&&n.cellIndex>0){e.preventDefault();n.tabIndex=-1;n.focus();}});})();";

/* etl_style_hash computes it. */
char *
etl_style_hash(const char *text)
{
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	char code[PG_SHA256_DIGEST_LENGTH * 2];
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	int length;

	if (pg_cryptohash_init(context) < 0 || pg_cryptohash_update(context, (const uint8 *) text, strlen(text)) < 0 ||
		pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute a hash: %s", pg_cryptohash_error(context));
	pg_cryptohash_free(context);
	length = pg_b64_encode((const char *) digest, sizeof(digest), code, sizeof(code));
	if (length < 0)
		elog(ERROR, "could not encode a hash");
	return psprintf("'sha256-%.*s'", length, code);
}
