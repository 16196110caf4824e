// The review page: Enter sends what is open, and the next item is loaded ahead, so that a verdict shows it at once.
// Without this file the forms of the page do the same, one page after the other.
"use strict";

const PART = { "HX-Request": "true", "HX-Request-Type": "partial" };
let ahead = null; // the next item as HTML, taken and held for us

async function post(address, body) {
  return fetch(address, { method: "POST", headers: PART, body });
}

async function loadAhead() {
  ahead = null;
  const form = document.getElementById("ahead");
  if (!form) return;
  const response = await post(form.getAttribute("action"));
  if (response.ok && form.isConnected) ahead = { html: await response.text(), from: form };
}

function show(html) {
  const parsed = document.createElement("template");
  parsed.innerHTML = html;
  const next = parsed.content.querySelector("#_item");
  document.getElementById("_item").replaceWith(next);
  htmx.process(next);
  return next;
}

function tell(html) {
  document.getElementById("messages").innerHTML = html;
}

async function sendAndShow(form) {
  const before = document.getElementById("_item");
  const body = new URLSearchParams(new FormData(form));
  const next = show(ahead.html);
  window.scrollTo(0, 0);
  if (next.dataset.slot) history.pushState(null, "", `/review/${next.dataset.slot}`);
  ahead = null;
  let response;
  try {
    response = await post(`${form.getAttribute("action")}?ahead=yes`, body);
  } catch {
    next.replaceWith(before);
    tell("<p class=problem>The verdict could not be sent. Check the connection and send it again.</p>");
    return;
  }
  const answer = await response.text();
  if (!response.ok) {
    tell(answer); // what was typed is in it where the item was lost
    return;
  }
  tell("");
  const last = document.getElementById("_last");
  if (last) {
    last.outerHTML = answer;
    htmx.process(document.getElementById("_last"));
  }
  loadAhead();
}

document.addEventListener(
  "submit",
  (event) => {
    if (event.target.id !== "verdict" || !ahead || !ahead.from.isConnected) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    sendAndShow(event.target);
  },
  true,
);

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.defaultPrevented || event.altKey || event.metaKey) return;
  const from = event.target;
  if (from.closest("a, button, select, input[type=radio], input[type=checkbox]") && !event.ctrlKey) return;
  if (from.closest("textarea") && !event.ctrlKey) return; // a new line
  if (from.closest("summary") && !document.querySelector("#verdict :checked[name=kind]")) return; // unfolds
  const button = document.querySelector("[data-enter]");
  if (!button || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  button.click();
});

document.addEventListener("htmx:after:swap", loadAhead);
loadAhead();
