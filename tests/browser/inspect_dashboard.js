// Everything the eye meets on one dashboard, with every "one tap deeper" open: what is wrong with it.
// arguments: the language, the selector of the section.
const found = {overflow: [], blank: [], faint: [], visible: [], wide: 0, words: 0};
const page = document.querySelector('.page[lang="' + arguments[0] + '"]');
const section = page.querySelector(arguments[1]);
section.querySelectorAll('details').forEach(one => { one.open = true; });
const named = e => (e.closest('[id]') || e).id + ' ' + e.tagName + '.' + e.className + ' ' +
  (e.textContent || '').trim().slice(0, 40);
const shown = e => e.checkVisibility({checkVisibilityCSS: true, checkOpacity: true});
const box = document.documentElement;
found.wide = box.scrollWidth - box.clientWidth;
found.visible = [...document.querySelectorAll('section')].filter(shown).map(one => one.id);

// Text: every element with words of its own stays inside the screen and is not cut by a parent.
const scrolls = e => e.closest('.scroll, .menu, .choices') !== null;
const secret = e => { const s = getComputedStyle(e); return s.clipPath !== 'none' || s.position === 'absolute' && e.clientWidth <= 1; };
const channel = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
const parse = text => { const m = text.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3])).concat(1);
const ground = e => {
  const layers = [];
  for (let at = e; at; at = at.parentElement) {
    const c = parse(getComputedStyle(at).backgroundColor);
    if (c[3] > 0) { layers.push(c); }
    if (c[3] === 1) { break; }
  }
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
};
const all = [page.querySelector('.top'), page.querySelector('.menu'), section]
  .flatMap(one => [...one.querySelectorAll('*')]);
for (const e of all) {
  if (e.closest('svg') || !shown(e) || secret(e)) { continue; }
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own) { continue; }
  found.words += 1;
  const range = document.createRange();
  range.selectNodeContents(e);
  for (const r of range.getClientRects()) {
    if (!scrolls(e) && (r.left < -0.5 || r.right > box.clientWidth + 0.5)) { found.overflow.push('screen: ' + named(e)); break; }
  }
  // On a desk the statistics of a number float above the page as a box of their own.
  const floats = e.closest('.deep');
  const card = floats && getComputedStyle(floats).position === 'absolute' ? floats : e.closest('.card, .deeper, td, th');
  if (card && !scrolls(e)) {
    const outer = card.getBoundingClientRect();
    const inner = range.getBoundingClientRect();
    if (inner.right > outer.right + 1 || inner.left < outer.left - 1 || inner.bottom > outer.bottom + 1) { found.overflow.push('box: ' + named(e)); }
  }
  const style = getComputedStyle(e);
  const size = parseFloat(style.fontSize), heavy = parseInt(style.fontWeight) >= 700;
  const least = size >= 24 || (size >= 18.66 && heavy) ? 3 : 4.5;
  const back = ground(e), front = over(parse(style.color), back);
  const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < least) { found.faint.push(ratio.toFixed(2) + ' ' + named(e)); }
}

// Charts: every drawing on show has marks, and one of them has a size.
for (const svg of section.querySelectorAll('svg')) {
  if (!shown(svg) || svg.matches('.mark')) { continue; }
  const marks = [...svg.querySelectorAll('rect:not(.track), polyline, path:not(.rule)')];
  const sized = marks.some(one => { const r = one.getBBox(); return r.width > 0 || r.height > 0; });
  const zero = svg.matches('.mini') || svg.closest('.rows, .funnel');
  if (!marks.length || (!sized && !zero)) { found.blank.push(named(svg)); }
}
for (const chart of section.querySelectorAll('.rows, .funnel, .canvas, .measures')) {
  if (!shown(chart)) { continue; }
  const marks = [...chart.querySelectorAll('rect:not(.track), polyline')];
  if (!marks.some(one => one.getBBox().width > 0)) { found.blank.push(named(chart)); }
}
return found;
