"use strict";
// The page itself: light and dark, tables that sort, links that open what they lead to.

const DATA = JSON.parse(document.getElementById("data").textContent);

(function theme() {
  const button = document.getElementById("theme");
  const order = ["auto", "light", "dark"];
  const read = () => { try { return localStorage.getItem("harness-theme") || "auto"; } catch { return "auto"; } };
  const write = (name) => { try { localStorage.setItem("harness-theme", name); } catch { /* a file may not store */ } };
  function show(name) {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.firstElementChild.textContent = " " + name;
    button.setAttribute("aria-label", "Colours: " + (name === "auto" ? "as the system" : name));
  }
  let now = order.includes(read()) ? read() : "auto";
  show(now);
  button.addEventListener("click", () => {
    now = order[(order.indexOf(now) + 1) % order.length];
    write(now);
    show(now);
  });
})();

(function sorting() {
  // A heading sorts up, then down, then back to the table's own order. What has no number goes last.
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const own = [...body.rows];
    const by = table.closest("article").querySelector(".by select");
    let at = -1, way = 0;

    function key(row) {
      const cell = row.cells[at];
      if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
      if (!heads[at].classList.contains("n")) return cell.textContent.trim();
      const value = cell.dataset[by ? by.value : "ours"];
      return value === undefined ? null : Number(value);
    }
    function compare(a, b) {
      const x = key(a), y = key(b);
      if (x === null || y === null) return (x === null) - (y === null);
      const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
      return way * order;
    }
    function sort() {
      heads.forEach((head, i) => {
        if (i === at && way) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
      body.append(...(way ? [...own].sort(compare) : own));
      table.dispatchEvent(new Event("sorted"));
    }
    heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
      way = i === at ? (way === 1 ? -1 : way === -1 ? 0 : 1) : 1;
      at = i;
      sort();
    }));
    if (by) by.addEventListener("change", () => { if (way) sort(); });
  }
})();

(function unfolding() {
  // Rows of which nothing was run are folded away; a button shows them.
  for (const button of document.querySelectorAll(".fold")) {
    const table = button.closest("article").querySelector("table");
    button.hidden = false;
    table.classList.add("folded");
    button.addEventListener("click", () => {
      const folded = table.classList.toggle("folded");
      button.setAttribute("aria-expanded", String(!folded));
    });
  }
})();

(function links() {
  function open() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    target.dispatchEvent(new Event("wanted", { bubbles: true }));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target.matches("table.claims tr")) target.querySelector("details").open = true;
    target.scrollIntoView();
    const summary = target.querySelector(":scope > summary, :scope > td > details > summary");
    if (summary) summary.focus({ preventScroll: true });
  }
  addEventListener("hashchange", open);
  document.addEventListener("DOMContentLoaded", open);  // when the others listen
})();
