// The review page: Enter sends what is open, and the next item is loaded ahead, so that a verdict shows it at once.
// The response to that verdict brings the item after it: one request per item.
// Without this file the forms of the page do the same, one page after the other.
"use strict";

const PART = { "HX-Request": "true", "HX-Request-Type": "partial" };
let sending = false;
let waiting = null; // what was submitted while a verdict was on its way
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
  ahead = { after: slot, item: null };
  const response = await post(document.getElementById("ahead").getAttribute("action"));
  if (!response.ok || ahead.after !== slot) return;
  const item = parsed(await response.text()).querySelector("#_item");
  // That nothing is left is said after the last verdict, with the numbers that hold then.
  if (item.dataset.slot) ahead.item = item;
}

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

function show(item) {
  // The timer that renews its lease ends while the item is out of the page, and starts with a new element.
  const renewal = item.querySelector("[hx-post$='/renew']");
  renewal.replaceWith(renewal.cloneNode());
  document.getElementById("_item").replaceWith(item);
  htmx.process(item);
  window.scrollTo(0, 0);
}

function tell(html) {
  document.getElementById("messages").innerHTML = html;
}

async function sendAndShow(form) {
  const before = document.getElementById("_item");
  const address = location.href;
  const body = new URLSearchParams(new FormData(form));
  const next = ahead.item;
  sending = true;
  show(next);
  history.pushState(null, "", `/review/${next.dataset.slot}`);
  const { problem, after } = await answer(form, body, next.dataset.slot);
  sending = false;
  if (problem !== undefined) {
    // Back to what was not stored, with all that was typed; the next item keeps what was typed there.
    waiting = null;
    ahead = { after: before.dataset.slot, item: next };
    show(before);
    history.replaceState(null, "", address);
    tell(problem);
    return;
  }
  ahead = { after: next.dataset.slot, item: after.querySelector("#_item") };
  for (const id of ["_own_progress", "_last"]) update(after.querySelector(`#_after > #${id}`));
  tell("");
  const then = waiting;
  waiting = null;
  if (then) then();
}

// Send the verdict. Returns what is wrong, as HTML, or else what comes after: the progress, the verdict, another item.
async function answer(form, body, shown) {
  try {
    const response = await post(`${form.getAttribute("action")}?ahead=${shown}`, body);
    const html = await response.text();
    return response.ok ? { after: parsed(html) } : { problem: html };
  } catch {
    return { problem: "<p class=problem>The verdict could not be sent. Check the connection and send it again.</p>" };
  }
}

function update(part) {
  document.getElementById(part.id).replaceWith(part);
  htmx.process(part);
}

// Nothing else is sent before a verdict is stored: the server would hand out its item again as one that is still held.
function sendLater(form) {
  const isUndo = form.closest("#_last") !== null; // undoes the verdict that is on its way, which has no form yet
  waiting ??= () => (isUndo ? document.querySelector("#_last form") : form)?.requestSubmit();
}

document.addEventListener(
  "submit",
  (event) => {
    if (!event.target.closest("#_item")) return;
    const isReady = event.target.id === "verdict" && ahead?.item && ahead.after === shownSlot();
    if (!sending && !isReady) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (sending) sendLater(event.target);
    else sendAndShow(event.target);
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
