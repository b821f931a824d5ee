"use strict";
(() => {
  const $ = (query) => document.querySelector(query);
  const work = () => $("#work");
  const keys = $("#keys");
  let busy = false;      // a form of the page is under way
  let waiting = [];      // keys pressed meanwhile, for the page that comes
  let dirty = false;     // something was typed that the server does not have
  let retry = 0;

  const press = (name) => { const button = $(`#work button[value="${name}"]`); if (button) button.click(); };
  const changed = () => work().dispatchEvent(new Event("input", { bubbles: true }));
  const localise = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const at = new Date(time.getAttribute("datetime")), language = document.documentElement.lang;
      time.textContent = time.hasAttribute("data-day") ? at.toLocaleString(language) : at.toLocaleTimeString(language);
    }
  };
  const ready = () => {
    const form = work();
    for (const hidden of document.querySelectorAll("#take, #show-keys")) hidden.hidden = false;
    if (form) document.documentElement.classList.add("scripted");
    localise();
  };
  const show = (view) => {
    const views = $("#views");
    if (!views) return;
    views.dataset.view = view;
    for (const button of views.querySelectorAll("[data-show]")) {
      button.setAttribute("aria-pressed", String(button.dataset.show === view));
    }
  };
  const score = (key) => {
    const radio = $(`#work [data-score="${key}"]`);
    if (!radio) return;
    radio.checked = true;
    changed();
  };
  const take = () => {
    const answer = $("#answer"), other = $("#other");
    if (!$("#take") || !other) return;
    answer.value = other.textContent;
    changed();
  };
  const say = (text) => {
    const line = document.createElement("p");
    line.className = "problem";
    line.textContent = text;
    $("#kept").replaceChildren(line);
  };

  const deeds = {
    "?": () => (keys.open ? keys.close() : keys.showModal()),
    j: () => press("next"),
    k: () => press("previous"),
    u: () => press("undo"),
    t: () => $("#type")?.focus(),
    e: () => $("#answer")?.focus(),
    n: () => $("#note")?.focus(),
    m: take,
    d: () => show($("#views")?.dataset.view === "diff" ? "plain" : "diff"),
    g: () => $("a[data-key=g]").click(),
  };
  const act = (key) => {
    if (/^[0-9]$/.test(key)) score(key);
    else if (key === "save" || key === "stay") press(key);
    else if (Object.hasOwn(deeds, key)) deeds[key]();
    else return false;
    return true;
  };
  document.addEventListener("keydown", (event) => {
    // Keys that an input method takes are not ours.
    if (event.isComposing || event.keyCode === 229) return;
    const command = event.ctrlKey || event.metaKey;
    let key = event.key;
    if (command && work() && key === "Enter") key = "save";
    else if (command && work() && key.toLowerCase() === "s") key = "stay";
    else if (command || event.altKey) return;
    else if (key === "Escape" && event.target !== document.body && !keys?.open) { event.target.blur(); return; }
    else if (event.target.matches("textarea, select, input:not([type=radio])")) return;
    else if (key.length !== 1) return;
    else if (keys?.open && key !== "?") return;
    else key = key.toLowerCase();
    if (event.repeat && (key === "save" || key === "stay" || key === "u")) { event.preventDefault(); return; }
    if (busy) { waiting.push(key); event.preventDefault(); return; }
    if (act(key)) event.preventDefault();
  });

  const flush = async () => {
    const form = work();
    const body = new URLSearchParams(new FormData(form));
    const reply = await fetch(`${form.getAttribute("action")}/draft`, { method: "POST", body, redirect: "error" });
    if (!reply.ok) throw new Error(reply.statusText);
    dirty = false;
  };
  document.addEventListener("input", (event) => {
    if (!work()?.contains(event.target)) return;
    const serial = work().elements.serial;
    serial.value = String(Number(serial.value) + 1);
    dirty = true;
  }, true);
  document.addEventListener("click", async (event) => {
    if (event.target.closest("#show-keys")) keys.showModal();
    if (event.target.closest("#take")) take();
    const view = event.target.closest("[data-show]");
    if (view) show(view.dataset.show);
    const leaving = event.target.closest("a[href], header button:not([type=button])");
    if (leaving?.hasAttribute("data-discard")) dirty = false;
    if (!leaving || !dirty || leaving.getAttribute("href")?.startsWith("#")) return;
    event.preventDefault();
    try { await flush(); leaving.click(); } catch { say(work().dataset.lost); }
  });
  addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });
  addEventListener("pagehide", () => {
    const form = work();
    if (dirty && form) navigator.sendBeacon(`${form.getAttribute("action")}/draft`, new URLSearchParams(new FormData(form)));
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.id === "work") busy = true;
    else event.detail.elt.dataset.sent = work().elements.serial.value;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const address = event.detail.xhr.getResponseHeader("HX-Push-Url");
    // The focus would go to the same field of the next item, and take its keys for text.
    if (address && address !== location.pathname) document.activeElement?.blur();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.requestConfig.elt.id !== "work") return;
    busy = false;
    const now = event.detail.successful ? waiting : [];
    waiting = [];
    for (const key of now) { if (busy) waiting.push(key); else act(key); }
  });
  // Before a redirection, which would ask whether to leave what is not saved.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const draft = event.detail.elt.id === "kept";
    if (event.detail.xhr.status >= 300) return;
    if (!draft || event.detail.elt.dataset.sent === work()?.elements.serial.value) dirty = false;
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    localise();
    if (event.detail.target.id !== "main" && event.detail.elt.id !== "main") return;
    ready();
    if (!document.activeElement || document.activeElement === document.body) $("#main").focus({ preventScroll: true });
  });
  const again = () => {
    clearTimeout(retry);
    retry = setTimeout(() => { if (dirty && work()) htmx.trigger("#kept", "again"); }, 1500);
  };
  document.addEventListener("htmx:sendError", () => { dirty = true; say(work().dataset.lost); again(); });
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status === 409) return;
    if (status === 401 || status === 403) say(work().dataset.refused);
    else if (status === 503) { say(work().dataset.lost); again(); }
    else say(work().dataset.limit);
  });
  ready();
})();
