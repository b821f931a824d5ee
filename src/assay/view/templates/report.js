"use strict";
(() => {
  const root = document.documentElement;
  const all = (query, from = document) => [...from.querySelectorAll(query)];

  const theme = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const say = () => theme.setAttribute("aria-pressed", String(isDark()));
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; say(); });
  dark.addEventListener("change", say);
  theme.hidden = false;
  say();

  const select = (panel) => {
    const box = panel.parentElement;
    const panels = all(":scope > [data-tab]", box);
    panels.forEach((p) => p.classList.toggle("off", p !== panel));
    all(":scope > .tabs > button", box).forEach((b, i) => b.setAttribute("aria-pressed", String(panels[i] === panel)));
  };
  for (const box of all("[data-tabs]")) {
    const panels = all(":scope > [data-tab]", box);
    if (panels.length < 2) continue;
    const group = document.createElement("div");
    group.className = "tabs";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", box.dataset.tabs);
    for (const panel of panels) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = panel.dataset.tab;
      button.addEventListener("click", () => select(panel));
      group.append(button);
    }
    box.prepend(group);
    select(panels[0]);
  }

  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") at.open = true;
      if (at.hasAttribute("data-tab")) select(at);
      at.classList.remove("folded", "gone");
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
