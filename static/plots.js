// Drag over the squares of a plot to list the neurons of all of them. Without this file each square lists its own.
"use strict";

function within(box, first, last) {
  const middle = { x: box.left + box.width / 2, y: box.top + box.height / 2 };
  const [left, right] = [Math.min(first.clientX, last.clientX), Math.max(first.clientX, last.clientX)];
  const [top, bottom] = [Math.min(first.clientY, last.clientY), Math.max(first.clientY, last.clientY)];
  return middle.x >= left && middle.x <= right && middle.y >= top && middle.y <= bottom;
}

// The filters that hold all of these squares: a bound that one of them lacks is lacking.
function joined(squares) {
  const queries = squares.map((square) => new URL(square.href.baseVal, location.href).searchParams);
  const names = new Set(queries.flatMap((query) => [...query.keys()]));
  const fields = new URLSearchParams();
  for (const name of names) {
    if (!queries.every((query) => query.has(name))) continue;
    const values = queries.map((query) => Number(query.get(name)));
    fields.set(name, name.endsWith("_min") ? Math.min(...values) : Math.max(...values));
  }
  return fields;
}

for (const plot of document.querySelectorAll(".brushed")) {
  const squares = [...plot.querySelectorAll("svg a")];
  const chosen = plot.querySelector(".chosen");
  let from = null;
  let dragged = false;

  plot.querySelector("svg").addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType === "mouse") from = event;
    dragged = false;
  });
  plot.querySelector("svg").addEventListener("dragstart", (event) => event.preventDefault());
  document.addEventListener("pointermove", (event) => {
    if (from === null || (!dragged && Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) < 6)) return;
    dragged = true;
    for (const square of squares) {
      square.classList.toggle("in-brush", within(square.getBoundingClientRect(), from, event));
    }
  });
  document.addEventListener("pointerup", () => {
    from = null;
    const brushed = squares.filter((square) => square.classList.contains("in-brush"));
    if (!dragged || brushed.length === 0) return;
    const n = brushed.reduce((sum, square) => sum + Number(square.dataset.n), 0);
    const link = chosen.querySelector("a");
    link.href = `${plot.dataset.address}?${joined(brushed)}`;
    link.textContent = `List ${n.toLocaleString("en")} neurons of ${brushed.length} squares`;
    chosen.hidden = false;
  });
  // A drag that ends on a square is no click on it.
  plot.querySelector("svg").addEventListener("click", (event) => {
    if (dragged) event.preventDefault();
  });
}
