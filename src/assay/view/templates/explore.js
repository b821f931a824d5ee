"use strict";
(() => {
  const all = (query, from = document) => [...from.querySelectorAll(query)];
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const lang = document.documentElement.lang;
  // English counts agree, as in _agreement.py: what is counted here are items and answers.
  const one = (text) => text.replace(/(^|[^\d.,])1 (more )?(item|answer)s\b/g, (_, before, more, noun) => `${before}1 ${more ?? ""}${noun}`);
  const t = (key, parts = {}) => one(data.words[key].replace(/{(\w+)}/g, (_, name) => parts[name]));
  const whole = (n) => Math.round(n).toLocaleString("en-US");
  const fixed = (value, digits = 3) => (Math.abs(value) < 100 ? value.toFixed(digits) : value.toFixed(1)).replace("-", "\u2212");
  const el = (tag, props = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (value === null || value === undefined || value === false) continue;
      if (name in made && typeof value !== "string") made[name] = value;
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  };
  const button = (text, act, props = {}) => {
    const made = el("button", { type: "button", ...props }, text);
    made.addEventListener("click", act);
    return made;
  };
  const BASE = data.arms.findIndex(([name]) => name === "base");
  const armName = (arm) => data.arms[arm][1];
  const runName = (arm, n, seed) => (arm === BASE || !n ? armName(arm) : t("run", { arm: armName(arm), n: whole(n), seed }));
  const missing = (reason) => el("span", { class: "missing", title: t(reason) }, "–", el("span", { class: "sr" }, ` ${t(reason)}`));

  // Every number: built when it is asked for, since nobody reads thousands of rows unasked.
  const cell = (value, show = whole, reason = "missing.value") => el("td", { class: "num" }, value === null || value === undefined ? missing(reason) : show(value));
  const head = (names, figures) => el("thead", {}, el("tr", {}, ...names.map((name) => el("th", { scope: "col", class: figures.has(name) ? "num" : null }, t(`col.${name}`)))));
  const boxed = (table, label) => el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label }, table);
  const toRun = (arm, n, seed, key) => {
    const name = el("bdi", {}, runName(arm, n, seed));
    return book.runs.length ? button(name, () => explore({ arm, n, seed }), { class: "link", title: key ?? "" }) : name;
  };
  const runsTable = (box) => {
    const figures = new Set(["n", "seed", "trained", "alone", "tokens", "seconds"]);
    const why = data.imported ? "missing.imported" : "missing.untrained";
    const rows = data.runs.map(([arm, n, seed, key, trained, alone, tokens, seconds]) => el("tr", {},
      el("th", { scope: "row" }, toRun(arm, n, seed, key)), el("td", {}, el("bdi", {}, armName(arm))), cell(n), cell(seed),
      ...[trained, alone, tokens].map((value) => cell(value, whole, why)), cell(seconds, (s) => s.toFixed(1), why),
      el("td", { class: "key" }, key.slice(0, 12))));
    const caption = t("runs.caption");
    box.append(boxed(el("table", { class: "dense" }, el("caption", {}, caption), head(["run", "arm", "n", "seed", "trained", "alone", "tokens", "seconds", "key"], figures), el("tbody", {}, ...rows)), caption));
  };
  const pointsTable = (box, metric) => {
    const [name, shown, note] = data.metrics[metric];
    const figures = new Set(["n", "seed", "value", "se", "items"]);
    const rows = data.points[name].map(([type, arm, n, seed, value, se, items]) => el("tr", {},
      el("td", {}, el("bdi", {}, data.types[type][1])), el("td", {}, toRun(arm, n, seed)), cell(n), cell(seed),
      cell(value, fixed), cell(se, fixed, "missing.se"), cell(items)));
    const caption = t("points.caption", { metric: shown, note });
    box.append(boxed(el("table", { class: "dense" }, el("caption", {}, caption), head(["type", "run", "n", "seed", "value", "se", "items"], figures), el("tbody", {}, ...rows)), caption));
  };
  const pairsTable = (box, metric, a, b) => {
    const figures = new Set(["n", "difference", "low", "high", "seeds"]);
    const signed = (value) => `${value > 0 ? "+" : ""}${fixed(value)}`;
    const rows = data.pairs.filter((pair) => pair[0] === metric && pair[1] === a && pair[2] === b).map(([, , , type, n, word, difference, low, high, seeds]) => el("tr", {},
      el("th", { scope: "row" }, el("bdi", {}, data.types[type][1])), cell(n), el("td", {}, word), cell(difference, signed), cell(low, signed), cell(high, signed), cell(seeds)));
    const caption = t("pairs.caption", { metric: data.metrics[metric][1] });
    box.append(boxed(el("table", { class: "dense" }, el("caption", {}, caption), head(["type", "n", "word", "difference", "low", "high", "seeds"], figures), el("tbody", {}, ...rows)), caption));
  };
  for (const box of all("details[data-table]")) {
    box.addEventListener("toggle", () => {
      if (!box.open || box.dataset.made) return;
      box.dataset.made = "yes";
      if (box.dataset.table === "runs") runsTable(box);
      else if (box.dataset.table.startsWith("pairs")) pairsTable(box, ...box.dataset.table.split(" ").slice(1).map(Number));
      else pointsTable(box, Number(box.dataset.table));
    });
  }

  // All answers: by type, language, arm, size, seed and score, with a search.
  const book = data.book;
  const place = document.getElementById("explorer");
  const PAGE = 10, FEW = 12;
  const state = { type: "", language: "", arm: "", n: "", seed: "", score: "", text: "", page: 0 };
  const controls = {};
  let timer = 0;
  const scored = {
    full: (s) => s !== null && s >= 1, most: (s) => s !== null && s >= 0.5, few: (s) => s !== null && s < 0.5,
    zero: (s) => s === 0, none: (s) => s === null,
  };
  const unique = (values) => [...new Set(values)];
  const choices = (name, pairs) => {
    const select = el("select", { id: `by-${name}` }, el("option", { value: "" }, t("all")), ...pairs.map(([value, text]) => el("option", { value: String(value) }, text)));
    select.addEventListener("change", () => { clearTimeout(timer); state[name] = select.value; state.text = controls.text.value; state.page = 0; show(); });
    controls[name] = select;
    return el("p", {}, el("label", { for: `by-${name}` }, t(`by.${name}`)), " ", select);
  };
  const wanted = (run) => {
    const [arm, n, seed] = run;
    const own = arm === BASE;
    return (state.arm === "" || String(arm) === state.arm || own) && (state.n === "" || String(n) === state.n || (own && state.n !== "0"))
      && (state.seed === "" || String(seed) === state.seed || own);
  };
  const answersOf = (item, places) => {
    const [, , , , , answers, scores] = item;
    return places.filter((p) => {
      if (answers[p] === null) return false;
      if (state.score === "empty") return !book.texts[answers[p]].trim();
      return state.score === "" || scored[state.score](scores[p]);
    });
  };
  const found = () => {
    const places = book.runs.map((run, p) => [run, p]).filter(([run]) => wanted(run)).map(([, p]) => p);
    const text = state.text.trim().toLowerCase();
    const holds = (value) => value !== null && value !== undefined && value.toLowerCase().includes(text);
    const items = [];
    for (const item of book.items) {
      if (state.type !== "" && String(item[1]) !== state.type) continue;
      if (state.language !== "" && String(item[2]) !== state.language) continue;
      let rows = answersOf(item, places);
      if (text && !(holds(item[3]) || holds(item[4]) || holds(item[0]))) {
        rows = rows.filter((p) => holds(book.texts[item[5][p]]) || (item[7] && item[7][p] !== null && holds(book.texts[item[7][p]])));
      }
      if (rows.some((p) => book.runs[p][0] !== BASE) || (rows.length && state.score === "" && !text && book.runs.every((run) => run[0] === BASE)) || (rows.length && (state.score || text))) items.push([item, rows]);
    }
    return items;
  };
  const said = (text, empty) => {
    const long = text.length > 1200;
    return text.trim() ? el("div", { class: long ? "text long" : "text", dir: "auto", tabindex: long ? "0" : null, role: long ? "region" : null, "aria-label": long ? t("long") : null }, text) : el("span", { class: "missing" }, empty);
  };
  const sheetRow = (item, p) => {
    const [arm, n, seed, , key] = book.runs[p];
    const reason = item[7] && item[7][p] !== null ? book.texts[item[7][p]] : null;
    const score = item[6][p];
    return el("tr", {},
      el("th", { scope: "row", title: key }, el("bdi", {}, runName(arm, n, seed))),
      el("td", {}, said(book.texts[item[5][p]], t("empty")), ...(reason ? [el("details", { class: "said-of" }, el("summary", {}, t("said")), said(reason, ""))] : [])),
      el("td", { class: "num" }, score === null ? missing("missing.score") : score.toFixed(2)));
  };
  const sheet = ([item, rows]) => {
    const [id, type, language, prompt, reference] = item;
    const body = el("tbody", {}, ...rows.slice(0, FEW).map((p) => sheetRow(item, p)));
    const label = t("sheet", { item: id.slice(0, 12) });
    const table = el("table", { class: "ladder" }, el("caption", { class: "sr" }, label),
      el("thead", {}, el("tr", {}, ...["model", "answer", "score"].map((name) => el("th", { scope: "col", class: name === "score" ? "num" : null }, t(`col.${name}`))))), body);
    const made = el("article", { class: "sheet", "aria-label": label },
      el("p", { class: "who" }, el("strong", {}, el("bdi", {}, book.types[type][1])), ` · ${book.languages[language][1]} · `, el("span", { class: "key", title: id }, id.slice(0, 12))),
      el("dl", {}, el("dt", {}, t("prompt")), el("dd", {}, said(prompt, "–")), el("dt", {}, t("reference")), el("dd", {}, reference === null ? missing("missing.reference") : said(reference, "–"))),
      boxed(table, label));
    if (rows.length > FEW) {
      const more = button(t("more", { n: rows.length - FEW }), () => { body.append(...rows.slice(FEW).map((p) => sheetRow(item, p))); more.remove(); });
      made.append(more);
    }
    return made;
  };
  let list, count, previous, next;
  const summarised = (items) => {
    let answers = 0, n = 0, sum = 0;
    for (const [item, rows] of items) for (const p of rows) {
      if (book.runs[p][0] === BASE) continue;
      answers += 1;
      if (item[6][p] !== null) { n += 1; sum += item[6][p]; }
    }
    const parts = { items: whole(items.length), answers: whole(answers) };
    return n ? t("found.scored", { ...parts, mean: (sum / n).toFixed(2), n: whole(n) }) : t("found", parts);
  };
  const show = () => {
    // What is being typed is never written over: only a new question sets the search.
    for (const [name, control] of Object.entries(controls)) if (name !== "text") control.value = state[name];
    const items = found();
    const pages = Math.max(1, Math.ceil(items.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    count.textContent = summarised(items) + t("space") + t("page", { page: state.page + 1, pages });
    list.replaceChildren(...items.slice(state.page * PAGE, (state.page + 1) * PAGE).map(sheet));
    if (!items.length) list.append(el("p", { class: "empty" }, t("nothing")));
    previous.disabled = state.page === 0;
    next.disabled = state.page >= pages - 1;
  };
  const turn = (by) => { state.page += by; show(); place.scrollIntoView(); };
  const explore = (wish) => {
    Object.assign(state, { type: "", language: "", arm: "", n: "", seed: "", score: "", text: "", page: 0 });
    for (const [name, value] of Object.entries(wish)) state[name] = value === null || value === undefined ? "" : String(value);
    controls.text.value = state.text;
    show();
    place.scrollIntoView();
    controls.type.focus({ preventScroll: true });
  };
  if (place) {
    const sorted = (values) => unique(values).sort((a, b) => a - b);
    const trained = book.runs.filter(([arm]) => arm !== BASE);
    const search = el("input", { id: "by-text", type: "search", dir: "auto" });
    search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => { state.text = search.value; state.page = 0; show(); }, 150); });
    controls.text = search;
    count = el("p", { class: "muted", role: "status" });
    list = el("div", { class: "sheets" });
    previous = button(t("previous"), () => turn(-1));
    next = button(t("next"), () => turn(1));
    place.append(
      ...(book.items.length < book.all ? [el("p", { class: "note" }, t("part", { n: whole(book.items.length), all: whole(book.all) }))] : []),
      el("div", { class: "filters", role: "group", "aria-label": t("filters") },
        choices("type", book.types.map(([, shown], p) => [p, shown])),
        ...(book.languages.length > 1 ? [choices("language", book.languages.map(([, shown], p) => [p, shown]))] : []),
        choices("arm", unique(trained.map(([arm]) => arm)).map((arm) => [arm, armName(arm)])),
        choices("n", sorted(trained.map(([, n]) => n)).map((n) => [n, whole(n)])),
        choices("seed", sorted(trained.map(([, , seed]) => seed)).map((seed) => [seed, String(seed)])),
        choices("score", ["full", "most", "few", "zero", "none", "empty"].map((name) => [name, t(`score.${name}`)])),
        el("p", { class: "wide" }, el("label", { for: "by-text" }, t("by.text")), " ", search)),
      count, list, el("p", { class: "turn" }, previous, " ", next));
    if (trained.length) {
      state.seed = String(sorted(trained.map(([, , seed]) => seed))[0]);
      state.n = String(Math.max(...trained.map(([, n]) => n)));
    }
    place.hidden = false;
    show();
  }

  // Charts: what a mark is, the way to its answers, and files of the chart.
  const tip = el("div", { class: "tip", hidden: true });
  document.body.append(tip);
  const scale = (text) => {
    const [low, high, start, end] = text.split(" ").map(Number);
    return { low, high, start, end };
  };
  const placed = (s, value, log) => {
    const [low, high, at] = log ? [s.low, s.high, value].map(Math.log10) : [s.low, s.high, value];
    return s.start + Math.min(1, Math.max(0, high > low ? (at - low) / (high - low) : 0.5)) * (s.end - s.start);
  };
  const nearest = (svg, event) => {
    const [type, metric] = svg.dataset.panel.split(" ").map(Number);
    const [x, y] = [scale(svg.dataset.x), scale(svg.dataset.y)];
    const box = svg.getBoundingClientRect(), zoom = svg.viewBox.baseVal.width / box.width;
    const [px, py] = [(event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom];
    const middle = (data.arms.length - 2) / 2;
    let best = null, least = 14 ** 2;
    for (const point of data.points[data.metrics[metric][0]]) {
      if (point[0] !== type) continue;
      const [, arm, n, , value] = point;
      const dx = n > 0 && arm !== BASE ? px - (placed(x, n, true) + 4 * (arm - middle)) : 0;
      const far = dx ** 2 + (py - placed(y, value, false)) ** 2 * (n > 0 ? 1 : 6);
      if (far < least) [best, least] = [point, far];
    }
    return best;
  };
  for (const svg of all("svg[data-panel]")) {
    let named = null; // A click is whole pixels, a move is not: what was named is what is meant.
    const leave = () => { named = null; tip.hidden = true; svg.classList.remove("on"); };
    svg.addEventListener("pointermove", (event) => {
      const point = nearest(svg, event);
      if (!point) return leave();
      named = point;
      const [, arm, n, seed, value] = point;
      tip.textContent = t("point", { run: runName(arm, n, seed), value: fixed(value) });
      tip.hidden = false;
      svg.classList.toggle("on", book.items.length > 0);
      tip.style.left = `${Math.min(scrollX + event.clientX + 12, scrollX + document.documentElement.clientWidth - tip.offsetWidth - 8)}px`;
      tip.style.top = `${scrollY + event.clientY + 14}px`;
    });
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("click", (event) => {
      const point = named ?? nearest(svg, event);
      if (point && place) { leave(); explore({ ...typeOf(point[0]), arm: point[1] === BASE ? "" : point[1], n: point[2] || "", seed: point[1] === BASE ? "" : point[3] }); }
    });
  }
  const typeOf = (type) => {
    const p = book.types.findIndex(([name]) => name === data.types[type][0]);
    return { type: p < 0 ? "" : p };
  };
  const save = (blob, name) => {
    const link = el("a", { href: URL.createObjectURL(blob), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "font-size", "font-family", "font-weight", "text-anchor"];
  const drawn = (svg, title) => {
    const copy = svg.cloneNode(true), { width, height } = svg.viewBox.baseVal;
    // What other panels share stands in the first of them.
    const whole = (root) => all("*", root).flatMap((node) => node.localName === "use" ? [node, ...all("*", document.querySelector(node.getAttribute("href")))] : [node]);
    const from = whole(svg);
    for (const use of all("use", copy)) {
      const shared = document.createElementNS("http://www.w3.org/2000/svg", "g");
      shared.append(...document.querySelector(use.getAttribute("href")).cloneNode(true).childNodes);
      use.replaceWith(shared);
    }
    const to = all("*", copy);
    from.forEach((node, i) => {
      const own = getComputedStyle(node);
      for (const name of STYLES) to[i].setAttribute(name, own.getPropertyValue(name).replaceAll('"', "'"));
      to[i].removeAttribute("class");
    });
    for (const name of [...copy.attributes].map((a) => a.name)) if (name !== "viewBox") copy.removeAttribute(name);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("viewBox", `0 -24 ${width} ${height + 24}`);
    copy.setAttribute("width", width * 2);
    copy.setAttribute("height", (height + 24) * 2);
    const NS = "http://www.w3.org/2000/svg", page = getComputedStyle(document.body);
    const ground = document.createElementNS(NS, "rect"), text = document.createElementNS(NS, "text");
    for (const [name, value] of Object.entries({ x: 0, y: -24, width, height: height + 24, fill: page.backgroundColor })) ground.setAttribute(name, value);
    for (const [name, value] of Object.entries({ x: 4, y: -8, fill: page.color, "font-size": 12, "font-weight": 600, "font-family": page.fontFamily.replaceAll('"', "'") })) text.setAttribute(name, value);
    text.textContent = title;
    copy.prepend(ground, text);
    return [new XMLSerializer().serializeToString(copy), width * 2, (height + 24) * 2];
  };
  const safe = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    const held = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(held) ? `"${held.replaceAll('"', '""')}"` : held;
  };
  const table = (svg) => {
    const rows = [["kind", "type", "metric", "arm", "n_train", "seed", "value", "low", "high", "se", "n_eval", "run"]];
    if (svg.dataset.arm !== undefined) {
      rows[0] = ["arm", "n_train", "seed", "sample_passes", "loss", "run"];
      for (const [run, trace] of Object.entries(data.traces)) {
        const [arm, n, seed, key] = data.runs[run];
        if (String(arm) === svg.dataset.arm) for (const [x, y] of trace) rows.push([data.arms[arm][0], n, seed, x, y, key]);
      }
    } else {
      const [type, metric] = svg.dataset.panel.split(" ").map(Number);
      const [kind, measure] = [data.types[type][0], data.metrics[metric][0]];
      for (const [own, arm, n, seed, value, se, items, run] of data.points[measure]) {
        if (own === type) rows.push(["measured", kind, measure, data.arms[arm][0], n, seed, value, null, null, se, items, run === null ? null : data.runs[run][3]]);
      }
      data.arms.forEach(([name], arm) => {
        const band = data.bands[`${type} ${arm} ${metric}`];
        if (band) band[1].forEach((n, i) => rows.push([n > band[0] ? "extrapolated" : "curve", kind, measure, name, n, null, band[2][i], band[3][i], band[4][i], null, null, null]));
      });
    }
    return rows.map((row) => row.map(safe).join(",")).join("\n") + "\n";
  };
  const named = (title, kind) => `${`${data.study}-${title}`.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 80)}.${kind}`;
  const asPicture = (svg, title) => {
    const [text, width, height] = drawn(svg, title), image = new Image();
    image.onload = () => {
      const canvas = el("canvas", { width, height });
      canvas.getContext("2d").drawImage(image, 0, 0);
      canvas.toBlob((blob) => save(blob, named(title, "png")));
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  };
  const seen = (figure) => all("svg.chart", figure).find((svg) => svg.checkVisibility()) ?? figure.querySelector("svg.chart");
  for (const figure of all("figure.panel")) {
    const svg = figure.querySelector("svg.chart"), caption = figure.querySelector("figcaption");
    if (!svg || !caption || !(svg.dataset.panel || svg.dataset.arm)) continue;
    const title = caption.querySelector("h2, h3, h4").textContent.trim();
    const metric = svg.dataset.panel ? data.metrics[Number(svg.dataset.panel.split(" ")[1])][1] : "";
    const full = metric && !figure.classList.contains("first-curve") ? `${title}, ${metric}` : title;
    const tools = el("div", { class: "tools", role: "group", "aria-label": t("tools", { title: full }) });
    if (svg.dataset.panel && place) tools.append(button(t("answers"), () => explore(typeOf(Number(svg.dataset.panel.split(" ")[0]))), { class: "link" }));
    tools.append(
      button("SVG", () => save(new Blob([drawn(seen(figure), full)[0]], { type: "image/svg+xml" }), named(full, "svg")), { class: "link", title: t("save.svg") }),
      button("PNG", () => asPicture(seen(figure), full), { class: "link", title: t("save.png") }),
      button("CSV", () => save(new Blob(["\ufeff", table(svg)], { type: "text/csv" }), named(full, "csv")), { class: "link", title: t("save.csv") }));
    figure.append(tools);
  }

  // Many types: sort, filter, fold.
  const logical = (row, column) => {
    let at = 0;
    for (const one of row.cells) { if (at >= column) return one; at += one.colSpan; }
    return null;
  };
  for (const sheet of all("table.sortable")) {
    const body = sheet.tBodies[0], original = [...body.rows];
    let column = 0;
    for (const th of sheet.tHead.rows[0].cells) {
      const own = column;
      column += th.colSpan;
      if (th.hasAttribute("data-fixed")) continue;
      const act = () => {
        const turned = { none: "descending", descending: "ascending", ascending: "none" }[th.getAttribute("aria-sort") ?? "none"];
        for (const other of sheet.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        if (turned !== "none") th.setAttribute("aria-sort", turned);
        const value = (row) => { const at = logical(row, own); return at?.dataset.v !== undefined ? Number(at.dataset.v) : at?.classList.contains("num") ? null : at?.textContent.trim(); };
        const sign = turned === "ascending" ? 1 : -1;
        const sorted = turned === "none" ? original : [...original].sort((a, b) => {
          if (a.classList.contains("overall") !== b.classList.contains("overall")) return a.classList.contains("overall") ? -1 : 1;
          const [va, vb] = [value(a), value(b)];
          if (va === null || vb === null) return (va === null) - (vb === null);
          return typeof va === "number" ? sign * (va - vb) : -sign * String(va).localeCompare(String(vb), lang);
        });
        body.append(...sorted);
        refold();
      };
      th.replaceChildren(button(th.textContent, act, { class: "sort" }));
    }
  }
  const FOLD = 13;
  const groups = [...all("table.sortable tbody").map((body) => ["tr", body]), ...all(".panels").map((box) => ["figure[data-type]", box])];
  const opened = new Set();
  let filter = () => true, filtered = false;
  const refold = () => {
    for (const [query, box] of groups) {
      const own = all(`:scope > ${query}`, box), kept = own.filter(filter);
      own.forEach((one) => one.classList.toggle("gone", !kept.includes(one)));
      const hidden = opened.has(box) || filtered ? 0 : Math.max(0, kept.length - FOLD);
      kept.forEach((one, i) => one.classList.toggle("folded", hidden > 3 && i >= FOLD));
      const after = query === "tr" ? box.closest(".scroll") : box;
      after.parentElement.querySelector(":scope > .unfold")?.remove();
      if (hidden > 3) after.after(button(t("unfold", { n: kept.length }), () => { opened.add(box); refold(); }, { class: "unfold" }));
    }
  };
  const section = document.getElementById("types");
  if (section && data.types.length > 9) {
    const typed = el("input", { id: "type-filter", type: "search", dir: "auto" });
    const words = unique(all("tr[data-word]").map((row) => row.dataset.word));
    const shown = (word) => section.querySelector(`tr[data-word="${word}"] .chip`)?.lastChild.textContent.trim() ?? word;
    const verdict = el("select", { id: "word-filter" }, el("option", { value: "" }, t("all")), ...words.map((word) => el("option", { value: word }, shown(word))));
    const act = () => {
      const text = typed.value.trim().toLowerCase(), word = verdict.value;
      const ofWord = new Set(all("tr[data-word]").filter((row) => row.dataset.word === word).map((row) => row.dataset.type));
      filtered = Boolean(text || word);
      filter = (one) => data.types[one.dataset.type].some((name) => name.toLowerCase().includes(text)) && (!word || ofWord.has(one.dataset.type));
      refold();
    };
    typed.addEventListener("input", act);
    verdict.addEventListener("change", act);
    section.querySelector(".lead").after(el("div", { class: "filters", role: "group", "aria-label": t("filter.types") },
      el("p", {}, el("label", { for: "type-filter" }, t("filter.type")), " ", typed), el("p", {}, el("label", { for: "word-filter" }, t("filter.word")), " ", verdict)));
  }
  refold();
})();
