// The foremost metric against costs: points that lead to their trials, the seeds beside them, the front.

for (const figure of document.querySelectorAll(".chart.costs")) {
  const plot = figure.querySelector(".plot"), legend = figure.querySelector(".legend");
  let chart = null;
  const readout = figure.querySelector(".readout");
  const buttons = [...figure.querySelectorAll("[data-cost]")];
  const cost = () => buttons.find((b) => b.getAttribute("aria-pressed") === "true").dataset.cost;

  function words(point) {
    const seeds = point.values.map(([seed, v]) => `seed ${seed}: ${number(v, 4)}`).join(", ");
    const counts = `${count(point.parameters)} parameters, ${count(point.macs)} MACs`;
    return `${point.label}: ${chart.metric} ${number(point.mean, 4)} (${seeds}); ${counts}`;
  }

  function tell(point) {
    readout.textContent = words(point);
    readout.title = `${point.parameters.toLocaleString("en")} parameters, ${point.macs.toLocaleString("en")} MACs`;
  }

  function draw() {
    const name = cost(), front = chart.fronts[name];
    const xs = chart.points.map((p) => p[name]), ys = chart.points.flatMap((p) => p.values.map((v) => v[1]));
    const wide = (Math.max(...xs) - Math.min(...xs) || Math.max(...xs)) * 0.06;
    const tall = (Math.max(...ys) - Math.min(...ys) || 0.01) * 0.08;
    const x = [Math.max(0, Math.min(...xs) - wide), Math.max(...xs) + wide];
    const y = [Math.min(...ys) - tall, Math.max(...ys) + tall];
    const height = plot.clientWidth < 500 ? 270 : 350;
    const { root, sx, sy, width } = frame(plot, { x, y, xLabel: name === "macs" ? "MACs" : name, yLabel: `${chart.metric}, ${chart.words}`, xFormat: tick, xUnit: Math.max(...x) < DATA.million ? 1 : DATA.million, height });
    root.removeAttribute("aria-hidden");
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", `${chart.title} against ${name}, study ${figure.dataset.study}`);
    const line = front.map((i) => `${sx(xs[i]).toFixed(1)},${sy(chart.points[i].mean).toFixed(1)}`).join(" ");
    root.append(svg("polyline", { class: "front", points: line }));
    const order = chart.points.map((_, i) => i).sort((a, b) => xs[a] - xs[b] || b - a);
    for (const i of order) {
      const point = chart.points[i], style = look(point.colour);
      const link = svg("a", { href: `#${point.target}`, "aria-label": words(point), "data-label": point.label });
      for (const [, v] of point.values) {
        const dot = svg("circle", { cx: sx(xs[i]), cy: sy(v), r: 1.8, opacity: 0.55 });
        dot.style.fill = style.colour;
        link.append(dot);
      }
      const spot = { cx: sx(xs[i]), cy: sy(point.mean), r: 6 };
      const mark = svg("circle", style.dashes ? { ...spot, r: 5, "stroke-width": 2.5 } : spot);
      mark.style.fill = style.dashes ? "var(--bg)" : style.colour;
      if (style.dashes) mark.style.stroke = style.colour;
      link.append(svg("circle", { ...spot, r: 13, fill: "transparent" }), mark, svg("title", {}, words(point)));
      for (const event of ["mouseenter", "focus"]) link.addEventListener(event, () => tell(point));
      root.append(link);
      if (width > 560 && front.includes(i)) {
        const right = sx(xs[i]) > width * 0.7, next = front[front.indexOf(i) + 1];
        const rise = next === undefined ? 0 : (sy(point.mean) - sy(chart.points[next].mean)) / (sx(xs[next]) - sx(xs[i]) || 1);
        const below = !right && rise > 0.1;  // out of the way of the line
        const place = { class: "label", x: sx(xs[i]) + (right ? -11 : 11), y: sy(point.mean) + (below ? 17 : -9), "text-anchor": right ? "end" : "start" };
        root.append(svg("text", place, point.label));
      }
    }
    plot.replaceChildren(root);
  }

  // The names of the colours: links too, and pointing at one picks out its point.
  function named(point) {
    const style = look(point.colour);
    const mark = svg("circle", { cx: 6, cy: 6, r: style.dashes ? 4 : 5, "stroke-width": 2.5 });
    mark.style.fill = style.dashes ? "none" : style.colour;
    if (style.dashes) mark.style.stroke = style.colour;
    const link = Object.assign(document.createElement("a"), { href: `#${point.target}` });
    link.append(svg("svg", { width: 12, height: 12, "aria-hidden": "true" }, mark), point.label);
    for (const [event, on] of [["mouseenter", true], ["focus", true], ["mouseleave", false], ["blur", false]]) {
      link.addEventListener(event, () => {
        if (on) tell(point);
        for (const other of plot.querySelectorAll("a")) {
          other.classList.toggle("faded", on && other.dataset.label !== point.label);
        }
      });
    }
    return link;
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      buttons.forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
      draw();
    });
  }
  chosen(figure, DATA.costs, (study) => {
    chart = DATA.costs[study];
    figure.dataset.study = study;
    legend.replaceChildren(...chart.points.map(named));
    readout.textContent = "\u00a0";
    draw();
  });
  onWidth(plot, draw);
}
