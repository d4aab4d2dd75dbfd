"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const told = (row) => row.cells[place].dataset.value ?? row.cells[place].textContent;
      const missing = (value) => value === "";
      body.append(...[...body.rows].sort((one, other) => {
        const a = told(one), b = told(other);
        if (missing(a) || missing(b)) return missing(a) - missing(b);
        return sign * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
      }));
    });
  });
}
function reveal() {
  const found = location.hash && document.getElementById(location.hash.slice(1));
  if (found && found.closest("details")) { found.closest("details").open = true; found.scrollIntoView(); }
}
addEventListener("hashchange", reveal);
reveal();
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const one of closed) one.open = true;
});
addEventListener("afterprint", () => { for (const one of closed) one.open = false; });
