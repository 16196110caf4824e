// The review page: Enter sends what is open, and the next item is loaded ahead, so that a verdict shows it at once.
// Without this file the forms of the page do the same, one page after the other.
"use strict";

const PART = { "HX-Request": "true", "HX-Request-Type": "partial" };
let sending = false;
let ahead = null; // the item after the one that is shown, taken and held for us

async function post(address, body) {
  // Sent to the end even if the page is left at once.
  return fetch(address, { method: "POST", headers: PART, body, keepalive: true });
}

function shownSlot() {
  return document.getElementById("_item")?.dataset.slot;
}

async function loadAhead() {
  const slot = shownSlot();
  if (!slot || ahead?.after === slot) return;
  ahead = { after: slot, html: null };
  const response = await post(document.getElementById("ahead").getAttribute("action"));
  if (!response.ok || ahead.after !== slot) return;
  const html = await response.text();
  // That nothing is left is said after the last verdict, with the numbers that hold then.
  if (parsed(html).dataset.slot) ahead.html = html;
}

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.querySelector("#_item");
}

function show(html) {
  const next = parsed(html);
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
  history.pushState(null, "", `/review/${next.dataset.slot}`);
  sending = true;
  let response;
  try {
    response = await post(`${form.getAttribute("action")}?ahead=yes`, body);
  } catch {
    next.replaceWith(before);
    htmx.process(before); // which renews its lease again
    tell("<p class=problem>The verdict could not be sent. Check the connection and send it again.</p>");
    return;
  } finally {
    sending = false;
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
  loadAhead(); // not before the verdict is stored: the item after the next may depend on it
}

document.addEventListener(
  "submit",
  (event) => {
    if (event.target.id !== "verdict" || !ahead?.html || ahead.after !== shownSlot()) return;
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

// Whatever shows another item - a verdict, a skip, an undo - is followed by a look ahead.
new MutationObserver(() => sending || loadAhead()).observe(document.getElementById("main"), { childList: true });
loadAhead();
