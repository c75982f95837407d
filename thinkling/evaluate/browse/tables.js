// Tables above: columns that sort, and counts of problems that lead to those problems.

const numeric = (cell) => Number(cell?.dataset.value);

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const label = head.querySelector(".column");
    const button = element("button", { type: "button" }, label.textContent);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const order = (one, other) => numeric(one.cells[column]) - numeric(other.cells[column]);
      body.append(...[...body.rows].sort((one, other) => (down ? order(other, one) : order(one, other))));
    });
    label.replaceChildren(button);
  });
}

function linked(cell) {
  const pair = cell.dataset.better.split(",").map(Number);
  const button = element(
    "button",
    { type: "button", className: "link", title: "show these problems" },
    cell.textContent,
  );
  button.addEventListener("click", () => {
    showBetter(pair);
    document.getElementById("problems").scrollIntoView();
  });
  cell.replaceChildren(button);
}

document.querySelectorAll("table.sortable").forEach(sortable);
start().then(() => {
  document.querySelectorAll("[data-better]").forEach((cell) => {
    if (numeric(cell)) linked(cell);
  });
});
