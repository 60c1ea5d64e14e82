// What is wrong with the page that is shown, as a list of sentences: what people who cannot see it, cannot see it well, or have a small screen
// would run into.
const wrong = [];
const all = css => [...document.querySelectorAll(css)];
const shown = element => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
const name = element => (element.getAttribute('aria-label') ?? element.textContent).trim();
const where = element => `<${element.localName}> "${name(element).slice(0, 40)}"`;

if (!document.documentElement.lang) wrong.push('no language');
if (!document.title.trim()) wrong.push('no title');
if (!document.querySelector('meta[name=viewport]')) wrong.push('no viewport');
if (all('h1').filter(shown).length !== 1) wrong.push(`${all('h1').length} headings of the first level`);
if (all('main').length !== 1) wrong.push(`${all('main').length} main landmarks`);
let level = 0;
for (const heading of all('h1,h2,h3,h4').filter(shown)) {
  const next = +heading.localName[1];
  if (next > level + 1) wrong.push(`${where(heading)} skips a level`);
  level = next;
}
const ids = all('[id]').map(element => element.id);
for (const id of new Set(ids)) if (ids.filter(other => other === id).length > 1) wrong.push(`two elements called ${id}`);
for (const control of all('input:not([type=hidden]),select,textarea,progress,meter').filter(shown))
  if (!control.labels?.length && !control.getAttribute('aria-label')) wrong.push(`no label: ${control.outerHTML}`);
for (const element of all('button,a').filter(shown)) if (!name(element)) wrong.push(`nameless: ${element.outerHTML}`);
for (const link of all('a')) if (!link.getAttribute('href')) wrong.push(`${where(link)} leads nowhere`);
for (const image of all('img')) if (!image.hasAttribute('alt')) wrong.push(`no text for ${image.outerHTML}`);
for (const drawing of all('svg')) if (!drawing.closest('[aria-hidden=true],[aria-label]')) wrong.push('a drawing that is read out');
for (const element of all('[aria-labelledby],label[for]')) {
  const target = element.getAttribute('aria-labelledby') ?? element.htmlFor;
  if (!document.getElementById(target)) wrong.push(`nothing is called ${target}`);
}

// Nothing sticks out to the side.
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > width) wrong.push(`${document.documentElement.scrollWidth} wide on ${width}`);
for (const element of all('body *').filter(shown)) {
  const box = element.getBoundingClientRect();
  const scrolls = element.closest('.scroll,pre,.skip');
  if (!scrolls && box.width && (box.right > width + 1 || box.left < -1)) wrong.push(`${where(element)} sticks out`);
}

// What can be touched is large enough (WCAG 2.5.8), links in running text aside.
for (const element of all('button,.button,input:not([type=hidden])').filter(shown)) {
  const box = element.getBoundingClientRect();
  if (box.height < 24 || box.width < 24) wrong.push(`${where(element)} is ${box.width} by ${box.height}`);
}

// Text can be told from its ground (WCAG 1.4.3).
const colour = text => {
  const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g).map(Number);
  return [red, green, blue, alpha];
};
const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
const ground = element => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const layer = colour(getComputedStyle(at).backgroundColor);
    layers.push(layer);
    if (layer[3] === 1) break;
  }
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
};
const light = ([...rgb]) => {
  const [red, green, blue] = rgb.map(c => c / 255).map(c => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const contrast = (a, b) => {
  const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !shown(element) || element.closest('script,style,svg')) continue;
  const style = getComputedStyle(element);
  const below = ground(element);
  const size = parseFloat(style.fontSize);
  const needed = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700) ? 3 : 4.5;
  const found = contrast(over(colour(style.color), below), below);
  if (found < needed) wrong.push(`contrast ${found.toFixed(2)}: "${texts.currentNode.data.trim().slice(0, 40)}"`);
  if (size < 12) wrong.push(`${size} pixels: "${texts.currentNode.data.trim().slice(0, 40)}"`);
}
return wrong;
