"use strict";
(() => {
  const $ = (query) => document.querySelector(query);
  const main = $("#main"), log = $("#log"), question = $("#question"), keys = $("#keys");
  const words = JSON.parse(main.dataset.words);
  const MEMORY = "assay-chat";
  // A turn: {question, answers: [{by, text, notes: [...], whole, failed}]}; an answer of each model that was asked.
  let turns = [];
  let answered = 0;      // answers so far: each takes the next seed
  let stopper = null;    // ends the answers under way

  const word = (name, parts = {}) => words[name].replace(/\{(\w+)\}/g, (_, part) => String(parts[part]));
  const made = (tag, name, text) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const models = () => [...new Set(["#model", "#beside"].map((id) => $(id).value.trim()))].filter(Boolean);

  // What is shown: text only ever enters by textContent.
  const card = (answer) => {
    const element = made("section", "answer");
    const said = made("p", "said"), notes = made("p", "notes");
    element.append(made("h2", "by", answer.by), said, notes);
    element.show = () => {
      said.textContent = answer.text;
      notes.textContent = answer.notes.join(" · ");
      notes.classList.toggle("problem", Boolean(answer.failed));
      element.setAttribute("aria-busy", String(!answer.whole));
    };
    element.show();
    return element;
  };
  const row = (turn) => {
    const element = made("li", "turn"), answers = made("div", "answers");
    element.append(made("p", "by", words.you), made("p", "said asked", turn.question), answers);
    answers.append(...turn.answers.map(card));
    return element;
  };
  const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
  const toEnd = () => scrollTo(0, document.documentElement.scrollHeight);
  const ready = () => {
    const busy = stopper !== null;
    $("#stop").hidden = !busy;
    $("#send").hidden = busy;
    for (const name of ["retry", "undo", "new", "save"]) $(`#${name}`).disabled = busy || !turns.length;
    const settings = ["system", "temperature", "length", "seed"].map((name) => [name, $(`#${name}`).value]);
    sessionStorage.setItem(MEMORY, JSON.stringify({ turns, answered, settings }));
  };
  const show = () => { log.replaceChildren(...turns.map(row)); ready(); toEnd(); };

  // What a model is told: the turns that it has answered (or another did in its place), then the question.
  const messages = (by, turn) => {
    const told = [], system = $("#system").value.trim();
    if (system) told.push({ role: "system", content: system });
    for (const past of turns.slice(0, turns.indexOf(turn))) {
      const answer = past.answers.find((one) => one.by === by) || past.answers[0];
      if (!answer.text) continue;
      told.push({ role: "user", content: past.question }, { role: "assistant", content: answer.text });
    }
    return [...told, { role: "user", content: turn.question }];
  };

  const events = async function* (response) {
    const reader = response.body.getReader(), decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = parts.pop();
      for (const part of parts) if (part.startsWith("data: {")) yield JSON.parse(part.slice(6));
    }
  };
  const fail = (answer, problem) => { answer.failed = true; answer.notes.push(word("failed", { problem })); };
  const take = (answer, event) => {
    if (event.error) { fail(answer, event.error.message); return; }
    if (event.dropped_turns) answer.notes.push(word("dropped", { n: event.dropped_turns }));
    if (event.usage) answer.notes.push(word("tokens", { n: event.usage.completion_tokens }));
    for (const choice of event.choices) {
      answer.text += choice.delta.content || "";
      if (choice.finish_reason === "length") answer.notes.push(words.cut);
    }
  };
  const ask = async (answer, turn, seed, signal, shown) => {
    const body = {
      model: answer.by, messages: messages(answer.by, turn), seed, stream: true, truncation: "auto",
      stream_options: { include_usage: true },
      temperature: Number($("#temperature").value), max_tokens: Number($("#length").value),
    };
    const headers = { "content-type": "application/json", "x-csrf-token": main.dataset.csrf };
    try {
      const response = await fetch("/v1/chat/completions", { method: "POST", headers, signal, body: JSON.stringify(body) });
      if (response.ok) {
        for await (const event of events(response)) { take(answer, event); shown(); }
      } else {
        const told = await response.json().catch(() => ({ error: { message: String(response.status) } }));
        fail(answer, told.error.message);
      }
    } catch (error) {
      if (error.name === "AbortError") answer.notes.push(words.stopped); else fail(answer, words.unreachable);
    }
    answer.whole = true;
    shown();
  };
  // Ask all chosen models the question of a turn, which is the last.
  const answerAll = async (turn) => {
    turn.answers = models().map((by) => ({ by, text: "", notes: [], whole: false }));
    stopper = new AbortController();
    show();
    const cards = log.lastElementChild.querySelectorAll(".answer");
    const seed = Number($("#seed").value) + answered;
    answered += 1;
    await Promise.all(turn.answers.map((answer, index) => ask(answer, turn, seed, stopper.signal, () => {
      const follow = atEnd();
      cards[index].show();
      if (follow) toEnd();
    })));
    stopper = null;
    ready();
  };
  const valid = () => {
    const wrong = document.querySelector(".settings :invalid");
    if (wrong) { $(".settings").open = true; wrong.focus(); wrong.reportValidity(); }
    return !wrong;
  };

  const deeds = {
    send: () => {
      const text = question.value.trim();
      if (!text || stopper || !models().length || !valid()) return;
      question.value = "";
      const turn = { question: text, answers: [] };
      turns.push(turn);
      answerAll(turn);
    },
    stop: () => stopper?.abort(),
    retry: () => { if (turns.length && !stopper && valid()) answerAll(turns.at(-1)); },
    undo: () => {
      if (!turns.length || stopper) return;
      question.value = turns.pop().question;
      show();
      question.focus();
    },
    new: () => { if (!stopper) { turns = []; answered = 0; show(); question.focus(); } },
    save: () => {
      if (!turns.length || stopper) return;
      const system = $("#system").value.trim(), last = turns.at(-1);
      const lines = last.answers.map(({ by, text }) => JSON.stringify({
        messages: [...messages(by, last), { role: "assistant", content: text }], source: `chat:${by}`,
      }) + "\n");
      const link = made("a");
      link.href = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
      link.download = "chat.jsonl";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    },
    keys: () => (keys.open ? keys.close() : keys.showModal()),
    question: () => question.focus(),
    model: () => $("#model").focus(),
    beside: () => $("#beside").focus(),
  };
  const letters = { "?": "keys", e: "question", r: "retry", u: "undo", n: "new", s: "save", m: "model", b: "beside" };

  document.addEventListener("keydown", (event) => {
    // Keys that an input method takes are not ours: Enter chooses a Chinese word before it sends.
    if (event.isComposing || event.keyCode === 229) return;
    const writes = event.target.matches("textarea, select, input");
    if (event.key === "Escape" && !keys.open) {
      if (stopper) deeds.stop(); else event.target.blur();
    } else if (event.key === "Enter" && event.target === question && !event.shiftKey) {
      event.preventDefault();
      deeds.send();
    } else if (!writes && !event.ctrlKey && !event.metaKey && !event.altKey && Object.hasOwn(letters, event.key)) {
      event.preventDefault();
      deeds[letters[event.key]]();
    }
  });
  for (const name of ["stop", "retry", "undo", "new", "save"]) $(`#${name}`).addEventListener("click", deeds[name]);
  $("#show-keys").addEventListener("click", deeds.keys);
  $("#ask").addEventListener("submit", (event) => { event.preventDefault(); deeds.send(); });
  for (const field of document.querySelectorAll(".settings :is(input, textarea)")) field.addEventListener("change", ready);
  addEventListener("pagehide", ready);

  const memory = JSON.parse(sessionStorage.getItem(MEMORY) || "null");
  if (memory) {
    ({ turns, answered } = memory);
    for (const turn of turns) for (const answer of turn.answers) answer.whole = true;
    for (const [name, value] of memory.settings) $(`#${name}`).value = value;
  }
  show();
})();
