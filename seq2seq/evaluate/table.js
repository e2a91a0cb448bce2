// Tables that can be sorted by each column: the best values first, then the other way round.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const values = cell => (cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value));
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const first = head.dataset.first || "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = head.ariaSort === first ? other : first;
      for (const each of heads) each.ariaSort = null;
      head.ariaSort = order;
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...body.rows].sort((one, two) => {
        const [a, b] = [one, two].map(row => row.cells[column]);
        const absent = (a.dataset.absent !== undefined) - (b.dataset.absent !== undefined);
        if (absent) return absent;
        const [x, y] = [values(a), values(b)];
        if (typeof x === "number" && typeof y === "number") return sign * (x - y);
        if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
        return sign * x.localeCompare(y, "en", { numeric: true });
      });
      body.append(...rows);
    });
  });
  if (!table.dataset.filter || body.rows.length < 6) continue;
  const label = document.createElement("label");
  const input = document.createElement("input");
  label.className = "filter";
  input.type = "search";
  label.append(`Show only ${table.dataset.filter} with `, input);
  table.parentElement.before(label);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
