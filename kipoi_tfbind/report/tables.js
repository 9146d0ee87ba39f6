// Tables whose rows can be sorted by a heading, and searched. Without this script they are as they are.

const valueOf = (cell) => {
  const text = cell.dataset.value ?? cell.textContent;
  const number = Number(
    text
      .replaceAll(",", "")
      .replaceAll("−", "-")
      .replace(/^[<+]\s*/, "")
  );
  return text.trim() === "" || Number.isNaN(number) ? null : number;
};

const compare = (a, b, byNumber) => {
  if (!byNumber) return a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
  return (a.number ?? Infinity) - (b.number ?? Infinity);
};

const makeSortable = (table) => {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, words: row.textContent.toLowerCase() }));
  const status = element("span", { className: "status" });
  status.setAttribute("role", "status");
  const search = element("input", { type: "search" });
  const bar = element("p", { className: "controls" }, element("label", {}, "Search ", search), " ", status);
  table.closest(".wide").before(bar);

  const show = () => {
    const wanted = search.value.toLowerCase().split(/\s+/);
    const found = rows.filter(({ words }) => wanted.every((word) => words.includes(word)));
    body.replaceChildren(...found.map(({ row }) => row));
    say(found);
  };
  const say = (found) => {
    status.textContent = `${found.length} of ${rows.length} ${table.dataset.rows}`;
  };
  search.addEventListener("input", show);

  [...table.tHead.rows[0].cells].forEach((heading, i) => {
    if (heading.classList.contains("unsorted")) return;
    const button = element("button", { type: "button" });
    button.append(...heading.childNodes);
    heading.append(button);
    let direction = -1;
    button.addEventListener("click", () => {
      direction = -direction;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      const keys = rows.map(({ row }) => ({ number: valueOf(row.cells[i]), text: row.cells[i].textContent }));
      const byNumber = keys.some(({ number }) => number !== null);
      const order = rows.map((_, at) => at).sort((a, b) => direction * compare(keys[a], keys[b], byNumber));
      rows.splice(0, rows.length, ...order.map((at) => rows[at]));
      show();
    });
  });
  say(rows);
};
