// What a person who works by keyboard, hears the page or reads slowly needs of a page that changes by itself.
"use strict";

// 1. Focus stays on the control that was used, when the part of the page around it is replaced.
let used = null;

document.addEventListener("htmx:before:swap", () => {
  const now = document.activeElement;
  used = now && now !== document.body ? { id: now.id, key: now.dataset?.key, value: now.value } : null;
});

function again() {
  if (used.id) return document.getElementById(used.id);
  if (used.key) return document.querySelector(`[data-key="${CSS.escape(used.key)}"]`);
  return null;
}

document.addEventListener("htmx:after:swap", (event) => {
  if (used === null || (document.activeElement !== document.body && document.activeElement !== null)) return;
  const found = again();
  if (found?.checkVisibility()) {
    found.focus({ preventScroll: true });
  } else {
    // The control is gone: what was done stands in its place.
    const id = event.detail?.ctx?.target?.id;
    const place = document.querySelector(".told") ?? (id ? document.getElementById(id) : null);
    if (place) place.tabIndex = -1;
    place?.focus({ preventScroll: true });
  }
  used = null;
});

// 2. What was done is announced: a live region speaks when its text changes, not when the page opens with it, and not
// when it comes with a part that replaces another: its words are repeated in a region that stays.
const spoken = document.getElementById("said");

function announce(words) {
  spoken.textContent = "";
  setTimeout(() => {
    spoken.textContent = words;
  }, 150);
}

document.addEventListener("htmx:after:swap", (event) => {
  const { target, sourceElement } = event.detail?.ctx ?? {};
  const part = target?.id && !isPolling(sourceElement) ? document.getElementById(target.id) : null;
  const status = part?.matches("[role=status]") ? part : part?.querySelector(".told, [role=status]");
  const words = status?.textContent.replace(/\s+/g, " ").trim();
  if (words) announce(words);
});

const told = document.querySelector("#told p");
if (told) {
  const words = told.textContent;
  told.textContent = "";
  setTimeout(() => {
    told.textContent = words;
  }, 150);
}

// 3. Parts that look again by themselves rest while nobody sees the page, and when a person has paused them.
const PAUSED = "neuron-audit-paused";
const pause = document.getElementById("pause");

function isPolling(element) {
  return element?.getAttribute?.("hx-trigger")?.startsWith("every ") ?? false;
}

function isPaused() {
  return sessionStorage.getItem(PAUSED) !== null;
}

document.addEventListener("htmx:config:request", (event) => {
  const source = event.detail.ctx?.sourceElement ?? event.target;
  if (isPolling(source) && (document.hidden || isPaused())) event.preventDefault();
});

function showPause() {
  pause.hidden = document.querySelector('[hx-trigger^="every "]') === null && !isPaused();
  pause.textContent = isPaused() ? "Go on updating" : "Pause updates";
}

pause.addEventListener("click", () => {
  if (isPaused()) sessionStorage.removeItem(PAUSED);
  else sessionStorage.setItem(PAUSED, "");
  showPause();
});
document.addEventListener("htmx:after:swap", showPause);
showPause();

// 4. Commands to copy have a button for it; without scripts one click selects the whole of them.
for (const command of document.querySelectorAll("pre.copied")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent.trim());
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command);
    }
  });
  command.after(button);
}

// 5. The address is all of what is seen: one press copies it.
const share = document.getElementById("share");
share.addEventListener("click", async () => {
  const words = share.textContent;
  try {
    await navigator.clipboard.writeText(location.href);
    share.textContent = "Address copied";
  } catch {
    share.textContent = location.href; // where the browser keeps the clipboard to itself
  }
  setTimeout(() => {
    share.textContent = words;
  }, 4000);
});

// 6. htmx takes a page over some time after it is there: a form that a key sends before then would load a whole page.
htmx.process(document.body);

// A choice made before then has changed nothing yet.
function isChanged(select) {
  const asSent = [...select.options].findIndex((option) => option.defaultSelected);
  return select.selectedIndex !== Math.max(asSent, 0);
}

for (const form of document.querySelectorAll('form[hx-trigger*="change"]')) {
  const chosen = [...form.elements].find((field) => field.matches("select") && isChanged(field));
  chosen?.dispatchEvent(new Event("change", { bubbles: true }));
}
