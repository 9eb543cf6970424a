// The findings: verdicts that are shown and hidden, a search, and no more rows than can be read at first.

for (const table of document.querySelectorAll("table.claims")) {
  const MOST = innerWidth < 640 ? 15 : 40;
  const section = table.closest("section"), filter = section.querySelector(".filter");
  const chips = [...filter.querySelectorAll("[data-verdict]")];
  const select = filter.querySelector("select"), search = filter.querySelector("input");
  const rest = section.querySelector(".rest"), status = filter.querySelector("[role=status]");
  const all = [...table.tBodies[0].rows];
  let whole = all.length <= MOST, left = [];

  // A new study's page shows everything; of many claims those that have run and stand are shown first.
  if (!whole) {
    for (const chip of chips) {
      const late = ["not run", "withdrawn"].includes(chip.dataset.verdict) && chips.length > 2;
      chip.setAttribute("aria-pressed", String(!late));
    }
  }

  function show() {
    const on = new Set(chips.filter((c) => c.getAttribute("aria-pressed") === "true").map((c) => c.dataset.verdict));
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), place = select ? select.value : "";
    const rows = [...table.tBodies[0].rows];  // as they are sorted
    const fits = rows.filter((row) => on.has(row.dataset.verdict) && (!place || row.cells[3].textContent === place)
      && words.every((word) => row.textContent.toLowerCase().includes(word)));
    const kept = new Set(whole ? fits : fits.slice(0, MOST));
    for (const row of rows) row.hidden = !kept.has(row);
    left = fits.filter((row) => !kept.has(row));
    rest.hidden = !left.length;
    rest.textContent = `Show all ${fits.length}`;
    status.textContent = `${kept.size} of ${all.length} shown`;
  }
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      show();
    });
  }
  if (select) select.addEventListener("change", show);
  search.addEventListener("input", show);
  table.addEventListener("sorted", show);
  rest.addEventListener("click", () => {
    const [first] = left;
    whole = true;
    show();
    first.querySelector("summary").focus();
  });
  // A link to a claim that is not shown shows it.
  table.addEventListener("wanted", (event) => {
    if (!event.target.closest("tr").hidden) return;
    chips.forEach((chip) => chip.setAttribute("aria-pressed", "true"));
    if (select) select.value = "";
    search.value = "";
    whole = true;
    show();
  });
  filter.hidden = false;
  show();
}
