// Curves while training: the median of a trial's seeds, and all of them as a band; trials shown and hidden by buttons; a
// step is read by mouse, touch or arrow keys.

for (const figure of document.querySelectorAll(".chart.curves")) {
  const plot = figure.querySelector(".plot"), legend = figure.querySelector(".legend");
  const select = figure.querySelector("[data-of=metric]"), end = figure.querySelector("[data-do=end]");
  const FIRST = 8;  // trials that are shown at first
  let chart = null, buttons = [], shown = new Set(), at = null, bright = null, view = null;

  chosen(figure, DATA.curves, (study) => {
    chart = DATA.curves[study];
    figure.dataset.study = study;
    plot.setAttribute("aria-label", `Step, study ${study}`);
    select.replaceChildren(...chart.metrics.map((each) => new Option(each.label, each.id)));
    shown = new Set(chart.trials.map((_, i) => i).filter((i) => i < FIRST));
    at = bright = null;
    buttons = chart.trials.map((trial, i) => {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      const value = Object.assign(document.createElement("span"), { className: "value" });
      button.append(swatch(look(trial.colour)), trial.label, value);
      button.addEventListener("click", () => { if (!shown.delete(i)) shown.add(i); draw(); });
      for (const [event, on] of [["mouseenter", i], ["focus", i], ["mouseleave", null], ["blur", null]]) {
        button.addEventListener(event, () => { bright = on; fade(); });
      }
      return { button, value };
    });
    legend.replaceChildren(...buttons.map((each) => each.button));
    draw();
  });

  // The curves of the chosen metric, by trial: each seed's points; at the steps that all seeds have their least, median
  // and most.
  function lines() {
    return chart.trials.map((trial, i) => {
      const seeds = trial.runs.filter((run) => run.series[select.value]).map((run) => {
        const [index, values] = run.series[select.value];
        return chart.steps[index].map((step, k) => [step, values[k]]).filter((p) => p[1] !== null);
      });
      const known = new Map();
      for (const points of seeds) for (const [step, v] of points) known.set(step, [...(known.get(step) || []), v]);
      const shared = [...known].filter(([, vs]) => vs.length === seeds.length).sort((a, b) => a[0] - b[0]);
      const of = (pick) => shared.map(([step, vs]) => [step, pick(vs)]);
      return { i, seeds, median: of(median), least: of((vs) => Math.min(...vs)), most: of((vs) => Math.max(...vs)) };
    });
  }
  function median(values) {
    const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  function draw() {
    const all = lines();
    const visible = all.filter((l) => shown.has(l.i) && l.median.length);
    const spread = visible.length ? visible : all.filter((l) => l.median.length);
    const points = spread.flatMap((l) => l.seeds.flat());
    const last = Math.max(...points.map((p) => p[0]));
    const late = end.getAttribute("aria-pressed") === "true" ? points.filter((p) => p[0] > last * 0.4) : points;
    const values = late.map((p) => p[1]);
    const low = Math.min(...values), high = Math.max(...values), pad = (high - low || Math.abs(high) || 1) * 0.04;
    const x = [Math.min(...late.map((p) => p[0])), last];
    const height = plot.clientWidth < 500 ? 250 : 330;
    view = frame(plot, { x, y: [low - pad, high + pad], xLabel: "step", xFormat: (v) => v.toLocaleString("en"), height });
    const { root, sx, sy, box, width } = view;
    const area = { x: box.left, y: box.top - 4, width: width - box.left - box.right + 2, height: height - box.top - box.bottom + 4 };
    root.append(svg("clipPath", { id: "clip-curves" }, svg("rect", area)));
    const path = (points) => points.map((p) => `${sx(p[0]).toFixed(1)},${sy(p[1]).toFixed(1)}`).join(" ");
    view.groups = visible.map((l) => {
      const style = look(chart.trials[l.i].colour);
      const group = svg("g", { "clip-path": "url(#clip-curves)", "data-trial": l.i });
      if (l.seeds.length > 1) {
        const band = svg("polygon", { class: "band", points: path([...l.least, ...[...l.most].reverse()]) });
        band.style.fill = style.colour;
        group.append(band);
      }
      for (const [points, name] of [...(l.seeds.length > 1 ? l.seeds.map((s) => [s, "thin"]) : []), [l.median, "thick"]]) {
        const line = svg("polyline", { class: name, points: path(points) });
        line.style.stroke = style.colour;
        if (name === "thick") line.setAttribute("stroke-dasharray", style.dashes);
        group.append(line);
      }
      root.append(group);
      return group;
    });
    view.cross = svg("line", { class: "cross", y1: box.top, y2: height - box.bottom, visibility: "hidden" });
    root.append(view.cross);
    view.all = all;
    view.steps = [...new Set(spread.flatMap((l) => l.median.map((p) => p[0])))].filter((s) => s >= x[0]).sort((a, b) => a - b);
    plot.replaceChildren(root);
    buttons.forEach(({ button }, i) => button.setAttribute("aria-pressed", String(shown.has(i))));
    if (at !== null && view.steps.length) at = nearest(at);
    read();
    fade();
  }

  function nearest(step) {
    return view.steps.reduce((a, b) => (Math.abs(b - step) < Math.abs(a - step) ? b : a));
  }
  function fade() {
    for (const group of view ? view.groups : []) {
      group.classList.toggle("faded", bright !== null && Number(group.dataset.trial) !== bright);
      group.classList.toggle("bright", Number(group.dataset.trial) === bright);
    }
  }

  // Shows the medians at the step `at`: beside the names, and to screen readers.
  function read() {
    const words = [];
    view.all.forEach((l) => {
      const point = at === null ? null : l.median.find((p) => p[0] === at);
      buttons[l.i].value.textContent = point ? point[1].toPrecision(4) : "";
      if (point && shown.has(l.i)) words.push(`${chart.trials[l.i].label} ${point[1].toPrecision(4)}`);
    });
    const known = view.steps.length > 0;
    plot.setAttribute("aria-valuemin", known ? view.steps[0] : 0);
    plot.setAttribute("aria-valuemax", known ? view.steps[view.steps.length - 1] : 0);
    plot.setAttribute("aria-valuenow", at === null ? (known ? view.steps[0] : 0) : at);
    plot.setAttribute("aria-valuetext", at === null ? "no step chosen" : `step ${at}: ${words.join(", ")}`);
    view.cross.setAttribute("visibility", at === null ? "hidden" : "visible");
    if (at !== null) {
      view.cross.setAttribute("x1", view.sx(at));
      view.cross.setAttribute("x2", view.sx(at));
    }
  }

  plot.addEventListener("pointermove", (event) => {
    if (!view.steps.length) return;
    const left = event.clientX - plot.getBoundingClientRect().left;
    at = view.steps.reduce((a, b) => (Math.abs(view.sx(b) - left) < Math.abs(view.sx(a) - left) ? b : a));
    read();
  });
  plot.addEventListener("pointerleave", () => { at = null; read(); });
  plot.addEventListener("blur", () => { at = null; read(); });
  plot.addEventListener("keydown", (event) => {
    const last = view.steps.length - 1, now = at === null ? -1 : view.steps.indexOf(at);
    const to = { ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1, Home: 0, End: last,
      PageUp: now + 10, PageDown: now - 10 }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    at = view.steps[Math.min(last, Math.max(0, to))];
    read();
  });
  select.addEventListener("change", draw);
  figure.querySelector(".set").addEventListener("click", (event) => {
    const what = event.target.dataset.do;
    if (what === "all") chart.trials.forEach((_, i) => shown.add(i));
    if (what === "none") shown.clear();
    if (what === "end") end.setAttribute("aria-pressed", String(end.getAttribute("aria-pressed") !== "true"));
    if (what) draw();
  });
  onWidth(plot, draw);
}
