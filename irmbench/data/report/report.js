// Sorts tables: the head of a column becomes a button, which sorts by it, and the other way round when pressed again.
// Cells without a number stay last.
"use strict";

const order = (row, column) => {
  const cell = row.cells[column];
  return "order" in cell.dataset ? Number(cell.dataset.order) : null;
};

const compare = (a, b, column, numeric) => {
  if (!numeric) return a.cells[column].textContent.localeCompare(b.cells[column].textContent);
  return order(a, column) - order(b, column);
};

const sort = (table, head) => {
  const column = head.cellIndex;
  const numeric = head.classList.contains("number");
  const descending = head.getAttribute("aria-sort") === "ascending";
  const missing = (row) => numeric && order(row, column) === null;
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    return compare(a, b, column, numeric) * (descending ? -1 : 1);
  });
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  table.tBodies[0].append(...rows);
};

for (const table of document.querySelectorAll("table.sortable")) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, head));
    head.append(button);
  }
}
