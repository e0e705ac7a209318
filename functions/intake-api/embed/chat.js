// A chat with the company on its page. What it needs of a page, and what may be
// set: docs/channels.md; what it speaks: the chat service's HTTP contract there.
//
// Each message has a number, and is sent with the same number and text until it
// is answered, over lost connections and reloads; so it is taken in once. An
// answer is shown as it comes, and told to screen readers once, when it is whole.
(() => {
  "use strict";

  const script = document.currentScript;
  const option = (name, otherwise) => script.getAttribute("data-" + name) || otherwise;
  const texts = {
    button: "Chat with us",
    title: "Chat",
    close: "Close chat",
    message: "Your message",
    send: "Send",
    log: "Conversation",
    you: "You:",
    company: "Answer:",
    connecting: "Connecting …",
    thinking: "Writing an answer …",
    lost: "The connection was lost. Trying again …",
    offline: "You are offline. Your message is sent as soon as you are back.",
    failed: "Your message could not be sent. Nothing is lost: press Send to try again.",
  };
  const text = (name) => option("text-" + name, texts[name]);
  const tenant = option("tenant-id", ""), base = option("chat", "").replace(/\/$/, "");
  if (!tenant || !base) return console.error("ingestion chat: the script needs data-tenant-id and data-chat");

  // Important on the host: that goes before whatever the page says of it. Sizes
  // follow the visitor's own text size and not the page's.
  const style = `
    :host { all: initial !important; display: flex !important; flex-direction: column-reverse !important; align-items: flex-end !important; gap: .5em !important;
      position: fixed !important; right: 1em !important; bottom: 1em !important; z-index: 2147483000 !important;
      font: medium/1.5 system-ui, sans-serif !important; color: #1b1b1b !important; --accent: var(--ingestion-chat-accent, #0b4f8a); }
    * { box-sizing: border-box; font: inherit; }
    [hidden] { display: none !important; }
    button { padding: .6em 1.1em; color: #fff; background: var(--accent); border: 2px solid transparent; border-radius: 1.5em; cursor: pointer; }
    :focus-visible { outline: 3px solid #b35900; outline-offset: 2px; }
    section { display: flex; flex-direction: column; width: min(24em, calc(100vw - 2em)); height: min(30em, calc(100vh - 6em));
      background: #fff; border: 1px solid #6b6b6b; border-radius: .75em; overflow: hidden; }
    .head { display: flex; align-items: center; justify-content: space-between; gap: .5em; padding: .5em .5em .5em 1em; border-bottom: 1px solid #c8c8c8; }
    h2 { margin: 0; font-weight: 600; }
    .head button { color: #1b1b1b; background: #fff; border-color: #6b6b6b; padding: .2em .8em; }
    .scroll { flex: 1; overflow-y: auto; padding: .75em 1em; outline-offset: -3px; }
    .scroll p { margin: 0 0 .6em; padding: .5em .75em; border-radius: .6em; background: #eef1f4; white-space: pre-wrap; overflow-wrap: anywhere; width: fit-content; max-width: 90%; }
    .scroll p.you { background: #dcebf8; margin-left: auto; }
    .name { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
    .status { margin: 0; padding: 0 1em; color: #4a4a4a; }
    form { padding: .5em 1em 1em; border-top: 1px solid #c8c8c8; }
    label { display: block; font-weight: 600; }
    textarea { width: 100%; padding: .4em; margin: .2em 0 .5em; color: inherit; background: #fff; border: 1px solid #6b6b6b; border-radius: .3em; resize: vertical; }
    @media (prefers-reduced-motion: no-preference) { .scroll { scroll-behavior: smooth; } }`;

  // --- What is kept for this tab, over reloads.

  const storeKey = "ingestion-chat:" + tenant;
  const fresh = () => ({ session: null, outbox: [], open: false });
  let kept = fresh(); // session: the answer to POST sessions; outbox: [{number, text}]
  try { kept = { ...kept, ...JSON.parse(sessionStorage.getItem(storeKey)) }; } catch { /* not readable: a new chat */ }
  function keep() {
    // What was heard of an answer so far is not kept: after a reload it is heard again.
    const outbox = kept.outbox.map(({ number, text }) => ({ number, text }));
    try { sessionStorage.setItem(storeKey, JSON.stringify({ ...kept, outbox })); } catch { /* the chat lasts as long as the page */ }
  }
  const first = () => kept.session ? kept.session.expected_number : 1;
  // Messages that wait are numbered on from what the service expects.
  function renumber(from) {
    kept.outbox.forEach((m, i) => { if (m.number !== from + i) Object.assign(m, { number: from + i, last: "", draft: "" }); });
    keep();
  }

  // --- What is seen.

  function element(name, attributes = {}, ...children) {
    const e = document.createElement(name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    e.append(...children);
    return e;
  }
  const host = document.createElement("ingestion-chat");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet(); // allowed by every style-src
  sheet.replaceSync(style);
  root.adoptedStyleSheets = [sheet];

  const toggle = element("button", { type: "button", "aria-expanded": "false", "aria-controls": "panel" }, text("button"));
  const close = element("button", { type: "button" }, text("close"));
  const log = element("div", { role: "log", "aria-live": "polite", "aria-label": text("log") });
  // An answer that grows is for the eyes only: it is in no live region.
  const draft = element("p", { "aria-hidden": "true", hidden: "" });
  const scroll = element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": text("log") }, log, draft);
  const status = element("p", { class: "status", role: "status", "aria-live": "polite" });
  const input = element("textarea", { id: "message", rows: "2", autocomplete: "off" });
  const form = element("form", {}, element("label", { for: "message" }, text("message")), input, element("button", {}, text("send")));
  const panel = element("section", { id: "panel", role: "dialog", "aria-labelledby": "title", hidden: "" },
    element("div", { class: "head" }, element("h2", { id: "title" }, text("title")), close), scroll, status, form);
  root.append(toggle, panel);

  const say = (message) => { if (status.textContent !== message) status.textContent = message; };
  const down = () => { scroll.scrollTop = scroll.scrollHeight; };

  // show puts a whole message into the conversation.
  function show(who, message, before) {
    if (!message) return;
    const p = element("p", { class: who }, element("span", { class: "name" }, text(who) + " "), message);
    if (before) log.prepend(p);
    else log.append(p);
    down();
  }
  function showDraft(message) {
    draft.hidden = !message;
    draft.textContent = message;
    if (message) down();
  }

  function open(focus) {
    panel.hidden = false;
    toggle.setAttribute("aria-expanded", "true");
    kept.open = true;
    keep();
    if (focus) input.focus();
    pump();
  }
  function shut() {
    panel.hidden = true;
    toggle.setAttribute("aria-expanded", "false");
    kept.open = false;
    keep();
    toggle.focus();
  }
  toggle.addEventListener("click", () => panel.hidden ? open(true) : shut());
  close.addEventListener("click", shut);
  root.addEventListener("keydown", (e) => { if (e.key === "Escape" && !panel.hidden && !e.isComposing) { e.preventDefault(); shut(); } });
  input.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); form.requestSubmit(); }
  });
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    const message = input.value.trim();
    if (message) {
      kept.outbox.push({ number: first() + kept.outbox.length, text: message });
      keep();
      show("you", message);
      input.value = "";
    }
    input.focus();
    pump();
  });

  // --- What is sent.

  // Refused is an answer that another try would not change.
  class Refused extends Error {
    constructor(status, problem) { super(problem.detail || ""); Object.assign(this, { status, problem }); }
  }
  const maxTries = 6; // without any success between; then the visitor decides
  const silence = 30; // seconds after which a connection that says nothing is lost

  function pause(seconds) {
    return new Promise((done) => {
      const timer = setTimeout(end, seconds * 1000);
      function end() { clearTimeout(timer); window.removeEventListener("online", end); done(); }
      window.addEventListener("online", end);
    });
  }
  const online = () => navigator.onLine ? null : new Promise((done) => window.addEventListener("online", done, { once: true }));

  // call sends one request. What is temporary is thrown as an Error with the
  // seconds to wait in retry, what is not as Refused.
  async function call(path, { body, accept = "application/json", last, read }) {
    const abort = new AbortController();
    let timer;
    const alive = () => { clearTimeout(timer); timer = setTimeout(() => abort.abort(), silence * 1000); };
    alive();
    try {
      const headers = { Accept: accept };
      if (body) headers["Content-Type"] = "application/json";
      if (kept.session) headers["Chat-Token"] = kept.session.token;
      if (last) headers["Last-Event-ID"] = last;
      const response = await fetch(base + path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), credentials: "omit", cache: "no-store", signal: abort.signal });
      if (!response.ok) {
        const problem = await response.json().catch(() => ({}));
        if (response.status !== 429 && response.status < 500) throw new Refused(response.status, problem);
        throw Object.assign(new Error(problem.detail || response.status), { retry: Number(response.headers.get("Retry-After")) });
      }
      if (read && (response.headers.get("Content-Type") || "").startsWith("text/event-stream")) return await events(response, read, alive);
      return await response.json();
    } finally {
      clearTimeout(timer);
      abort.abort(); // of what was not read to its end
    }
  }

  // events reads server-sent events: a token is in a header, which EventSource
  // cannot send. https://html.spec.whatwg.org/multipage/server-sent-events.html
  async function events(response, read, alive) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", event = { id: "", name: "", data: "" };
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      alive();
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          const whole = event.data && read(event.name, JSON.parse(event.data), event.id);
          event = { id: "", name: "", data: "" };
          if (whole) return whole;
        } else {
          const [, field, content] = /^([^:]*):? ?(.*)$/.exec(line);
          if (field === "id") event.id = content;
          else if (field === "event") event.name = content;
          else if (field === "data") event.data += (event.data && "\n") + content;
        }
      }
    }
  }

  // answerTo sends the message until its answer is whole, once.
  async function answerTo(m) {
    const path = `/api/v1/chat/sessions/${encodeURIComponent(kept.session.session_id)}/messages`;
    const whole = await call(path, {
      body: { number: m.number, text: m.text },
      accept: kept.session.streams ? "text/event-stream" : "application/json",
      last: m.last,
      read(name, data, id) {
        if (name === "delta") {
          m.draft = (m.draft || "") + data.text;
          m.last = id;
          showDraft(m.draft);
        }
        if (name === "problem") throw new Error(data.detail || data.title);
        return name === "done" ? data : null;
      },
    });
    if (!whole) throw new Error("the answer broke off");
    return whole.answer;
  }

  // conversation shows what the service knows, and leaves in the outbox what it
  // does not have, or has not answered.
  async function conversation() {
    const known = await call(`/api/v1/chat/sessions/${encodeURIComponent(kept.session.session_id)}/messages`, {});
    const mine = kept.outbox;
    kept.session = { ...kept.session, expected_number: known.expected_number, streams: known.streams };
    kept.outbox = [];
    log.setAttribute("aria-live", "off"); // it was told before
    log.replaceChildren();
    show("company", known.greeting);
    greeted = true;
    for (const m of known.messages) {
      show("you", m.text);
      if (m.answer.state === "done") show("company", m.answer.text);
      else kept.outbox.push({ number: m.number, text: m.text });
    }
    const have = (m) => known.messages.some((k) => k.number === m.number && k.text === m.text);
    mine.filter((m) => !have(m)).forEach((m, i) => {
      kept.outbox.push({ number: known.expected_number + i, text: m.text });
      show("you", m.text);
    });
    keep();
    requestAnimationFrame(() => log.setAttribute("aria-live", "polite"));
  }

  let current = !kept.session; // what is shown is what the service knows
  let greeted = false;
  // step does the next thing that is to be done, and returns false when all is.
  async function step() {
    if (!kept.session) {
      say(text("connecting"));
      kept.session = await call("/api/v1/chat/sessions", { body: { tenant_id: tenant, page: location.href.split(/[?#]/)[0], ...(option("office-id") && { office_id: option("office-id") }) } });
      if (!greeted) show("company", kept.session.greeting, true);
      greeted = true;
      renumber(kept.session.expected_number);
      current = true;
      return true;
    }
    if (!current) {
      await conversation();
      current = true;
      return true;
    }
    input.maxLength = kept.session.max_message_chars || 2000;
    const m = kept.outbox[0];
    if (!m) return false;
    say(text("thinking"));
    try {
      const answer = await answerTo(m);
      kept.outbox.shift();
      kept.session.expected_number = Math.max(kept.session.expected_number, m.number + 1);
      keep();
      showDraft("");
      show("company", answer.text);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      await refused(m, error);
    }
    return true;
  }

  // refused mends the order of messages where that is what is wrong; another
  // tab may have sent some. Otherwise the visitor gets the text back.
  async function refused(m, error) {
    if (error.status === 401) throw error; // the session is gone
    if (error.status === 409 || error.status === 422) {
      const number = m.number;
      await conversation();
      if (kept.outbox[0] && kept.outbox[0].number !== number) return;
    }
    kept.outbox.shift();
    renumber(first());
    if (log.lastElementChild && log.lastElementChild.className === "you") log.lastElementChild.remove();
    input.value ||= m.text;
    throw error;
  }

  let running = false;
  async function pump() {
    if (running) return;
    running = true;
    let renewed = false;
    for (let tries = 1; ; tries++) {
      try {
        if (!navigator.onLine) { say(text("offline")); await online(); }
        const outbox = kept.outbox.length;
        if (!await step()) { say(""); break; }
        if (kept.outbox.length < outbox) tries = 0;
      } catch (error) {
        if (error instanceof Refused) {
          if (error.status === 401 && kept.session && !renewed) {
            // The session has ended: the visitor goes on in a new one.
            renewed = true;
            kept.session = null;
            if (!current) kept.outbox.forEach((m) => show("you", m.text));
            current = true;
            continue;
          }
          say(error.message || text("failed"));
          break;
        }
        if (tries >= maxTries) { say(text("failed")); console.error("ingestion chat:", error); break; }
        say(text("lost"));
        await pause(error.retry || Math.min(2 ** (tries - 1), 30));
      }
    }
    running = false;
  }

  function start() {
    document.body.append(host);
    if (kept.open) open(false); // as before the reload, without taking the focus
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
