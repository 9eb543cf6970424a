// What both kinds of charts need: SVG, scales, axes.

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A trial's colour and dashes by its number in the study: 0 is grey, then seven colours, then the same dashed.
function look(number) {
  const round = number ? Math.floor((number - 1) / 7) : 0;
  const dashes = ["", "7 3", "2 3", "9 3 2 3"][round % 4];
  return { colour: `var(--c${number ? ((number - 1) % 7) + 1 : 0})`, dashes };
}

function ticks(low, high, count) {
  const raw = (high - low) / Math.max(1, count);
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * size).find((s) => s >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / size === 2.5 ? 1 : 0)) };
}

// A count in the page's own words: "12.26 M", as `count_text` has it; ticks without needless zeros.
function count(value) {
  const million = DATA.million;
  if (value < million / 10) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  const [size, letter] = value < 1000 * million ? [million, "M"] : [1000 * million, "G"];
  const shown = value / size;
  return `${shown.toFixed(Math.max(0, 3 - Math.floor(Math.log10(shown))))} ${letter}`;
}
const tick = (value) => (value ? count(value).replace(/\.?0+(?= )/, "") : "0");

const number = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−"));

// Draws grid and axes; returns the SVG, its size and the two scales.
// `xUnit`: of which ticks are to be round numbers.
function frame(plot, { x, y, xLabel, yLabel, xFormat, height, xUnit = 1 }) {
  const width = Math.max(260, plot.clientWidth);
  const box = { left: 52, right: 14, top: yLabel ? 28 : 12, bottom: 40 };
  const sx = (v) => box.left + ((v - x[0]) / (x[1] - x[0] || 1)) * (width - box.left - box.right);
  const sy = (v) => height - box.bottom - ((v - y[0]) / (y[1] - y[0] || 1)) * (height - box.top - box.bottom);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" });
  const up = ticks(y[0], y[1], height < 300 ? 5 : 7);
  for (const v of up.found) {
    root.append(svg("line", { class: "grid", x1: box.left, x2: width - box.right, y1: sy(v), y2: sy(v) }));
    root.append(svg("text", { x: box.left - 8, y: sy(v) + 4, "text-anchor": "end" }, number(v, up.digits)));
  }
  for (const v of ticks(x[0] / xUnit, x[1] / xUnit, width < 500 ? 4 : 8).found.map((each) => each * xUnit)) {
    const last = sx(v) > width - box.right - 18;  // its words would stand out of the picture
    const place = { x: last ? width : sx(v), y: height - box.bottom + 17, "text-anchor": last ? "end" : "middle" };
    root.append(svg("text", place, xFormat(v)));
  }
  if (yLabel) root.append(svg("text", { x: 0, y: 12 }, yLabel));
  const bottom = height - box.bottom;
  root.append(svg("line", { class: "axis", x1: box.left, x2: width - box.right, y1: bottom, y2: bottom }));
  root.append(svg("text", { x: width - box.right, y: height - 5, "text-anchor": "end" }, xLabel));
  return { root, sx, sy, box, width, height };
}

// Draws again when the width changes.
function onWidth(plot, draw) {
  let last = 0;
  new ResizeObserver(() => {
    if (Math.abs(plot.clientWidth - last) < 2) return;
    last = plot.clientWidth;
    draw();
  }).observe(plot);
}

// Fills a figure with the chart of the study that is chosen; of one study there is nothing to choose.
function chosen(figure, charts, fill) {
  const select = figure.querySelector("[data-of=study]");
  const show = () => fill(select ? select.value : Object.keys(charts)[0]);
  if (select) select.addEventListener("change", show);
  show();
}

// The mark of a trial in a legend.
function swatch(style) {
  const line = svg("line", { x1: 0, x2: 22, y1: 5, y2: 5, "stroke-width": 3, "stroke-dasharray": style.dashes });
  line.style.stroke = style.colour;
  return svg("svg", { width: 22, height: 10, "aria-hidden": "true" }, line);
}
