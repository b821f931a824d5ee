"use strict";
(() => {
  const box = document.querySelector("[data-events]");
  if (!box) return;
  const source = new EventSource(box.dataset.events);
  source.addEventListener("message", (event) => {
    for (const [name, text] of Object.entries(JSON.parse(event.data))) {
      const place = document.getElementById(name);
      // Markup of this server, escaped there as on the page's first load; no place means a study that is new.
      if (place) place.innerHTML = text;
      else location.reload();
    }
  });
  addEventListener("pagehide", () => source.close());
})();
