// A box with data-check="name" ticks all boxes of that name in its form.
"use strict";

document.addEventListener("change", (event) => {
  const name = event.target.dataset.check;
  if (!name) return;
  for (const box of event.target.form.querySelectorAll(`input[name="${CSS.escape(name)}"]`)) {
    box.checked = event.target.checked;
  }
});

// Fields that nobody filled in stay out of the address.
document.addEventListener("htmx:config:request", (event) => {
  const { method, body } = event.detail.ctx.request;
  if (method !== "GET" || !body) return;
  for (const [name, value] of [...body]) {
    if (value === "") body.delete(name);
  }
});
