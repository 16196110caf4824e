// The theme that a person has chosen in this browser; without a choice it follows the system.
"use strict";

const THEME = "neuron-audit-theme";
const THEMES = ["light dark", "light", "dark"];
const NAMES = { "light dark": "system", light: "light", dark: "dark" };

function chosenTheme() {
  const stored = localStorage.getItem(THEME);
  return THEMES.includes(stored) ? stored : THEMES[0];
}

document.documentElement.style.colorScheme = chosenTheme(); // before the first paint: this script is not deferred

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  const show = () => {
    button.textContent = `Theme: ${NAMES[chosenTheme()]}`;
    document.documentElement.style.colorScheme = chosenTheme();
  };
  button.addEventListener("click", () => {
    localStorage.setItem(THEME, THEMES[(THEMES.indexOf(chosenTheme()) + 1) % THEMES.length]);
    show();
  });
  show();
});
