// Keys for frequent actions. An element with data-key="f" is used when f is pressed outside a field: a field is
// focused, a folded part is opened, a link or button is clicked. data-key="[ ," gives two keys to one element: the
// second needs no AltGr on any keyboard. The sheet under ? lists what the page offers.
"use strict";

const OFF = "neuron-audit-keys-off";
const sheet = document.getElementById("keys");

function areOn() {
  return localStorage.getItem(OFF) === null;
}

function keysOf(element) {
  return element.dataset.key.split(" ");
}

function offered() {
  return [...document.querySelectorAll("[data-key]")].filter((element) => element.checkVisibility());
}

// What an element says, without the caps of its keys.
function textOf(element) {
  const copy = element.cloneNode(true);
  copy.querySelectorAll("kbd").forEach((cap) => cap.remove());
  return copy.textContent.trim();
}

function nameOf(element) {
  return element.dataset.keyName || element.getAttribute("aria-label") || element.title || textOf(element);
}

function use(element) {
  if (element.matches("input, textarea, select")) {
    element.focus();
    element.select?.();
    return;
  }
  if (element.matches("summary")) {
    const part = element.parentElement;
    part.open = !(part.open && part.contains(document.activeElement)); // what is open already is gone to first
    const first = part.open ? part.querySelector("input:not([type=hidden]), textarea, select, button") : null;
    (first ?? element).focus();
    return;
  }
  element.click();
}

function rowOfSheet(caps, name) {
  const row = document.createElement("div");
  const keys = document.createElement("dt");
  for (const key of caps) {
    const cap = document.createElement("kbd");
    cap.textContent = key;
    keys.append(cap, " ");
  }
  const said = document.createElement("dd");
  said.textContent = name.replace(/\s+/g, " ");
  row.append(keys, said);
  return row;
}

// All that a key does on this page now, and nothing else.
function showSheet() {
  const rows = offered().map((element) => rowOfSheet(keysOf(element), nameOf(element)));
  const [first] = excerpts();
  if (first) rows.push(rowOfSheet(["j", "k"], `Next and previous ${first.matches("summary") ? "excerpt" : "row"}`));
  if (document.querySelector(".flag-link")) rows.push(rowOfSheet(["f"], "Flag the row that has the focus"));
  const entered = document.querySelector("[data-enter]");
  if (entered) rows.push(rowOfSheet(["Enter"], textOf(entered)));
  rows.push(rowOfSheet(["Ctrl", "K"], "Go to the field in the bar"), rowOfSheet(["?"], "This sheet"));
  sheet.querySelector("dl").replaceChildren(...rows);
  sheet.querySelector("input").checked = areOn();
  sheet.showModal();
}

// j and k go through the rows of evidence or of a list; f flags the row that has the focus.
const ROWS = "details.x > summary, .neurons tbody .place a";

function excerpts() {
  return [...document.querySelectorAll(ROWS)].filter((row) => row.checkVisibility());
}

function flagOfRow() {
  return document.activeElement?.closest(".neurons tbody tr")?.querySelector(".flag-link") ?? null;
}

function step(by) {
  const rows = excerpts();
  const next = rows[rows.indexOf(document.activeElement) + by] ?? (by > 0 ? rows[0] : rows.at(-1));
  next?.focus();
  return next !== undefined;
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    use(document.getElementById("go"));
    return;
  }
  if (event.ctrlKey || event.metaKey || !areOn()) return;
  if (event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "?") {
    event.preventDefault();
    showSheet();
    return;
  }
  const ofRow = event.key === "f" ? flagOfRow() : null;
  const element = ofRow ?? offered().find((one) => keysOf(one).includes(event.key));
  if (element) {
    event.preventDefault();
    use(element);
  } else if (event.key === "j" || event.key === "k") {
    if (step(event.key === "j" ? 1 : -1)) event.preventDefault();
  }
});

document.getElementById("keys-button").addEventListener("click", showSheet);
sheet.querySelector("input").addEventListener("change", (event) => {
  if (event.target.checked) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, "");
});
