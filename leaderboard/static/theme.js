// Light or dark: what the reader chose, else what the system says. Loaded in the head, so that nothing flashes.
"use strict";
(() => {
  const root = document.documentElement;
  let kept = null;
  try { kept = localStorage.getItem("evalkit-theme"); } catch { /* storage may be closed */ }
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  root.classList.add("scripted");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Show the ${dark() ? "light" : "dark"} colours`); };
    button.hidden = false;
    show();
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try { localStorage.setItem("evalkit-theme", root.dataset.theme); } catch { /* as above */ }
      show();
      document.dispatchEvent(new CustomEvent("theme"));
    });
  });
})();
