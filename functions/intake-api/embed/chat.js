// A chat with the company on its page. What it needs of a page, and what may be
// set: docs/channels.md; what it speaks: the chat service's HTTP contract there.
//
// Each message has a number, and is sent with the same number and text until it
// is answered, over lost connections and reloads; so it is taken in once. An
// answer is shown as it comes, and told to screen readers once, when it is whole.
// What is not taken in stays in the conversation, with the reason: no text that a
// visitor wrote is thrown away, and none is sent where it might be there already.
(() => {
  "use strict";

  const script = document.currentScript; // null in a module
  const option = (name, otherwise = "") => script?.getAttribute("data-" + name) || otherwise;
  const texts = {
    button: "Chat with us",
    title: "Chat",
    close: "Close chat",
    end: "End chat",
    message: "Your message",
    send: "Send",
    log: "Conversation",
    you: "You:",
    company: "Answer:",
    connecting: "Connecting …",
    thinking: "Writing an answer …",
    ending: "Ending the chat …",
    ended: "You have ended this chat. Write again to go on with it.",
    renewed: "The conversation so far has ended. A new one begins here.",
    lost: "The connection was lost. Trying again …",
    wait: "Too many messages at once. Trying again in {seconds} seconds.",
    offline: "You are offline. Your message is sent as soon as you are back.",
    failed: "Your message could not be sent. Nothing is lost: press Send to try again.",
    unended: "The chat could not be ended. Please try again.",
    unsent: "Not sent:",
    unsure: "Not sent again, because it may have arrived already.",
    edit: "Edit",
    again: "Send again",
    occupied: "There is another text in the field. Please send or delete it first.",
    intro: "Before we begin: how can we reach you?",
    needed: "Before we begin: please tell us your name, and a phone number or an e-mail address.",
    name: "Name",
    phone: "Phone",
    email: "E-mail",
    begin: "Start chat",
    skip: "Skip",
    nameless: "Please enter your name.",
    unreachable: "Please enter a phone number or an e-mail address.",
  };
  const text = (name) => option("text-" + name, texts[name]);
  const tenant = option("tenant-id"), office = option("office-id"), base = option("chat").replace(/\/$/, "");
  const contact = option("contact"); // "required", anything else to ask, "" not to
  if (!tenant || !base) return console.error("ingestion chat: the script needs data-tenant-id and data-chat, and must not be a module");

  // The same chat once, however often the page loads the script. Another
  // tenant's or office's has its button above.
  const chats = window[Symbol.for("ingestion-chat")] ||= new Map();
  const storeKey = "ingestion-chat:" + [tenant, office].filter(Boolean).join("/");
  if (chats.has(storeKey)) return attach(chats.get(storeKey));
  const below = chats.size * 4; // em
  const host = document.createElement("ingestion-chat");
  chats.set(storeKey, host);
  // A site that puts a new body into its page takes the chat away with the old.
  function attach(host) {
    if (!host.isConnected) document.body?.append(host);
  }

  // Important on the host: that goes before whatever the page says of it. Sizes
  // follow the visitor's own text size and not the page's. The direction of
  // writing is the page's, which "all" leaves alone. Borders that cannot be seen
  // can be in forced colours.
  const style = `
    :host { all: initial !important; display: flex !important; flex-direction: column-reverse !important; align-items: flex-end !important; gap: .5em !important;
      position: fixed !important; inset-inline-end: 1em !important; bottom: ${1 + below}em !important; z-index: 2147483000 !important;
      font: medium/1.5 system-ui, sans-serif !important; color: #1b1b1b !important; --accent: var(--ingestion-chat-accent, #0b4f8a); }
    * { box-sizing: border-box; font: inherit; }
    [hidden] { display: none !important; }
    button { padding: .6em 1.1em; color: #fff; background: var(--accent); border: 2px solid transparent; border-radius: 1.5em; cursor: pointer; }
    button.plain { color: #1b1b1b; background: #fff; border-color: #6b6b6b; padding: .2em .8em; }
    :focus-visible { outline: 3px solid #b35900; outline-offset: 2px; box-shadow: 0 0 0 7px #fff; }
    section { display: flex; flex-direction: column; width: min(24em, calc(100vw - 2em)); height: min(30em, calc(100vh - ${6 + below}em));
      background: #fff; border: 1px solid #6b6b6b; border-radius: .75em; overflow: hidden auto; }
    .head { display: flex; flex-wrap: wrap; align-items: center; gap: .5em; padding: .5em .5em .5em 1em; border-bottom: 1px solid #c8c8c8; }
    h2 { margin: 0; margin-inline-end: auto; font-weight: 600; }
    .scroll { flex: 1 0 8em; overflow-y: auto; padding: .75em 1em; }
    .scroll:focus-visible { outline-offset: -3px; box-shadow: none; }
    .scroll p { position: relative; margin: 0 0 .6em; padding: .5em .75em; border: 1px solid transparent; border-radius: .6em; background: #eef1f4; white-space: pre-wrap; overflow-wrap: anywhere; width: fit-content; max-width: 90%; }
    .scroll p.you { background: #dcebf8; margin-inline-start: auto; }
    .scroll p.note { background: none; max-width: none; color: #4a4a4a; }
    .scroll p.unsent { background: #fff; border-color: #a30000; }
    .words, .why { display: block; }
    .why, .wrong { color: #a30000; }
    .name { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
    @media print { :host { display: none !important } }
    .status { margin: 0; padding: 0 1em; color: #4a4a4a; }
    form { padding: .5em 1em 1em; border-top: 1px solid #c8c8c8; }
    form p { margin: 0 0 .5em; }
    label { display: block; font-weight: 600; }
    input, textarea { width: 100%; padding: .4em; margin: .2em 0 .5em; color: inherit; background: #fff; border: 1px solid #6b6b6b; border-radius: .3em; resize: vertical; }
    [aria-invalid=true] { border: 2px solid #a30000; }`;

  // --- What is kept for this tab, over reloads.

  // A message is {number, text}; what the widget knows of it besides: tried,
  // that it may have been taken in; why, the reason why it was not; p, its place
  // in the conversation; draft and last, what was heard of its answer.
  const fresh = () => ({
    session: null, // the answer to POST sessions
    contact: null, // what the visitor said of themselves; {} for nothing
    outbox: [], // messages that wait for their answers, in order
    unsent: [], // messages that are left to the visitor
    ending: false, // the visitor wants it to end, after what waits
    open: false,
  });
  let kept = fresh();
  try { kept = { ...kept, ...JSON.parse(sessionStorage.getItem(storeKey)) }; } catch { /* not readable: a new chat */ }
  function keep() {
    reflect();
    // What was heard of an answer so far is not kept: after a reload it is heard again.
    const plain = (all) => all.map(({ number, text, tried, why }) => ({ number, text, tried, why }));
    try { sessionStorage.setItem(storeKey, JSON.stringify({ ...kept, outbox: plain(kept.outbox), unsent: plain(kept.unsent) })); } catch { /* the chat lasts as long as the page */ }
  }
  const remove = (all, m) => { if (all.includes(m)) all.splice(all.indexOf(m), 1); };
  let over = false; // the conversation is closed, until something is written
  const first = () => kept.session ? kept.session.expected_number : 1;
  function queue(m) {
    m.number = (kept.outbox.at(-1)?.number ?? first() - 1) + 1;
    kept.outbox.push(m);
    kept.ending = over = false; // it goes on
    keep();
  }
  // Messages that wait, and were not taken in, are numbered on from what the
  // service expects.
  function renumber(waiting, from) {
    waiting.forEach((m, i) => { if (m.number !== from + i) Object.assign(m, { number: from + i, last: "", draft: "" }); });
    keep();
  }

  // --- What is seen.

  function element(name, attributes = {}, ...children) {
    const e = document.createElement(name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    e.append(...children);
    return e;
  }
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet(); // allowed by every style-src
  sheet.replaceSync(style);
  root.adoptedStyleSheets = [sheet];

  const toggle = element("button", { type: "button", "aria-expanded": "false", "aria-controls": "panel" }, text("button"));
  const end = element("button", { type: "button", class: "plain" }, text("end"));
  const close = element("button", { type: "button", class: "plain" }, text("close"));
  const log = element("div", { role: "log", "aria-live": "polite", "aria-label": text("log") });
  // An answer that grows is for the eyes only: it is in no live region.
  const draft = element("p", { "aria-hidden": "true", dir: "auto", hidden: "" });
  const scroll = element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": text("log") }, log, draft);
  const status = element("p", { class: "status", role: "status", "aria-live": "polite" });
  const input = element("textarea", { id: "message", rows: "2", autocomplete: "off", dir: "auto", enterkeyhint: "send" });
  const form = element("form", {}, element("label", { for: "message" }, text("message")), input, element("button", {}, text("send")));
  const panel = element("section", { id: "panel", role: "dialog", "aria-labelledby": "title", hidden: "" },
    element("div", { class: "head" }, element("h2", { id: "title" }, text("title")), end, close), scroll, status, form);
  root.append(toggle, panel);

  // The questions before the first message, where the page wants them.
  const fields = {};
  let questions = null;
  if (contact) {
    questions = element("form", { novalidate: "", "aria-labelledby": "intro" }, element("p", { id: "intro" }, text(contact === "required" ? "needed" : "intro")));
    for (const [name, type, autocomplete] of [["name", "text", "name"], ["phone", "tel", "tel"], ["email", "email", "email"]]) {
      fields[name] = element("input", { id: name, name, type, autocomplete, ...(name === "name" && contact === "required" && { required: "" }) });
      questions.append(element("label", { for: name }, text(name)), fields[name], element("p", { id: "wrong-" + name, class: "wrong", hidden: "" }));
    }
    questions.append(element("button", {}, text("begin")));
    if (contact !== "required") {
      const skip = element("button", { type: "button", class: "plain" }, text("skip"));
      skip.addEventListener("click", () => introduced({}));
      questions.append(" ", skip);
    }
    questions.addEventListener("submit", (e) => {
      e.preventDefault();
      const given = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.value.trim()]).filter(([, value]) => value));
      const missing = {};
      if (contact === "required" && !given.name) missing.name = text("nameless");
      if (contact === "required" && !given.phone && !given.email) missing.phone = missing.email = text("unreachable");
      if (!correct(missing)) introduced(given);
    });
    panel.insertBefore(questions, status);
  }
  const asking = () => questions && !kept.session && !kept.contact;
  function introduced(given) {
    kept.contact = given;
    keep();
    input.focus();
    pump();
  }
  // correct ties what is wrong to the fields that it is about, goes to the first
  // of them, and returns whether there is one.
  function correct(wrong) {
    for (const [name, field] of Object.entries(fields)) {
      const place = root.getElementById("wrong-" + name);
      place.textContent = wrong[name] || "";
      place.hidden = !wrong[name];
      for (const [k, v] of [["aria-invalid", "true"], ["aria-describedby", place.id]]) {
        if (wrong[name]) field.setAttribute(k, v);
        else field.removeAttribute(k);
      }
    }
    const at = Object.keys(fields).find((name) => wrong[name]);
    if (at) fields[at].focus();
    return Boolean(at);
  }

  const said = () => Boolean(kept.session && (kept.session.expected_number > 1 || kept.outbox.length || kept.unsent.length));
  // reflect shows what can be done now.
  function reflect() {
    const ask = asking(), endable = said() && !over;
    if (root.activeElement === end && !endable) input.focus();
    end.hidden = !endable;
    scroll.hidden = form.hidden = ask;
    if (questions) questions.hidden = !ask;
  }

  const say = (message) => { if (status.textContent !== message) status.textContent = message; };
  // Whoever reads what was said before is not taken away from it.
  function follow(change, always) {
    const below = always || scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
    change();
    if (below) scroll.scrollTop = scroll.scrollHeight;
  }

  // show puts a whole message into the conversation and returns its place.
  let shown = 0;
  function show(who, message, before = null) {
    const p = element("p", { class: who }, ...(who === "note" ? [] : [element("span", { class: "name" }, text(who) + " ")]),
      element("span", { class: "words", id: "words-" + shown++, dir: "auto" }, message));
    if (message) follow(() => log.insertBefore(p, before), who === "you");
    return p;
  }
  function showDraft(message = "") {
    follow(() => { draft.hidden = !message; draft.textContent = message; });
  }
  // place puts a message that waits at the conversation's end.
  function place(m) {
    if (m.p) follow(() => log.append(m.p), true);
    else m.p = show("you", m.text);
  }

  // placeAll places what a reload has left out.
  function placeAll() {
    for (const m of kept.unsent.filter((m) => !m.p)) { place(m); mark(m); }
    for (const m of kept.outbox.filter((m) => !m.p)) place(m);
  }

  // setAside leaves a message to the visitor: why is what the service has
  // against it, "" that it may have been taken in.
  let editing = null; // the message that is in the field again
  function setAside(m, why) {
    remove(kept.outbox, m);
    m.why = why;
    kept.unsent.push(m);
    keep();
    showDraft();
    mark(m);
    if (why && !input.value.trim()) edit(m);
  }
  function mark(m) {
    const button = element("button", { type: "button", class: "plain", "aria-describedby": m.p.querySelector(".words").id }, text(m.why ? "edit" : "again"));
    button.addEventListener("click", () => {
      if (m.why && m !== editing && input.value.trim()) say(text("occupied"));
      else if (m.why) edit(m);
      else {
        unmark(m);
        queue(m);
        place(m);
        pump();
      }
      input.focus();
    });
    m.p.classList.add("unsent");
    follow(() => m.p.append(element("span", { class: "why" }, m.why ? text("unsent") + " " + m.why : text("unsure")), button));
  }
  function unmark(m) {
    remove(kept.unsent, m);
    m.p.remove();
    m.p = m.tried = m.why = m.last = m.draft = undefined;
  }
  function edit(m) {
    editing = m;
    input.value = m.text;
  }

  function open(focus) {
    kept.open = true;
    keep();
    panel.hidden = false;
    toggle.setAttribute("aria-expanded", "true");
    follow(() => {}, true);
    if (focus) (asking() ? fields.name : input).focus();
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
  end.addEventListener("click", () => {
    kept.ending = true;
    keep();
    say(text("ending"));
    pump();
  });
  root.addEventListener("keydown", (e) => { if (e.key === "Escape" && !panel.hidden && !e.isComposing) { e.preventDefault(); shut(); } });
  // The page's own shortcuts see no field here, and would take letters for theirs.
  for (const kind of ["keydown", "keypress", "keyup"]) host.addEventListener(kind, (e) => e.stopPropagation());
  input.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); form.requestSubmit(); }
  });
  input.addEventListener("input", () => { if (!input.value) editing = null; });
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    const message = input.value.trim();
    if (message) {
      if (editing) unmark(editing); // this is it, mended
      editing = null;
      const m = { text: message };
      queue(m);
      place(m);
      input.value = "";
    }
    input.focus();
    pump();
  });

  // --- What is sent.

  // Refused is an answer that another try would not change.
  class Refused extends Error {
    constructor(status, problem) { super(problem.detail || problem.title || status); Object.assign(this, { status, full: problem.full }); }
  }
  const temporary = [408, 425, 429];
  const maxTries = 6; // without any success between; then the visitor decides
  const silence = 30; // seconds after which a connection that says nothing is lost
  const doubt = 2; // seconds after which a session that is not known is asked for again

  const online = () => navigator.onLine ? null : new Promise((done) => window.addEventListener("online", done, { once: true }));
  function pause(seconds, untilOnline) {
    return new Promise((done) => {
      const timer = setTimeout(end, seconds * 1000);
      function end() { clearTimeout(timer); window.removeEventListener("online", end); done(); }
      if (untilOnline) window.addEventListener("online", end);
    });
  }

  // call sends one request. What is temporary is thrown as an Error with the
  // seconds to wait in retry, what is not as Refused.
  async function call(path, { body, accept = "application/json", session = kept.session, last, read }) {
    const abort = new AbortController();
    let timer;
    const alive = () => { clearTimeout(timer); timer = setTimeout(stop, silence * 1000); };
    const stop = () => abort.abort();
    alive();
    window.addEventListener("offline", stop);
    try {
      const headers = { Accept: accept };
      if (body) headers["Content-Type"] = "application/json";
      if (session) headers["Chat-Token"] = session.token;
      if (last) headers["Last-Event-ID"] = last;
      const response = await fetch(base + "/api/v1/chat/sessions" + path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), credentials: "omit", cache: "no-store", signal: abort.signal });
      if (!response.ok) {
        const problem = await response.json().catch(() => ({}));
        if (response.status < 500 && !temporary.includes(response.status)) throw new Refused(response.status, problem);
        throw Object.assign(new Error(problem.detail || response.status), { status: response.status, retry: Number(response.headers.get("Retry-After")) || 0 });
      }
      if (read && (response.headers.get("Content-Type") || "").startsWith("text/event-stream")) return await events(response, read, alive);
      return await response.json();
    } finally {
      clearTimeout(timer);
      window.removeEventListener("offline", stop);
      stop(); // what was not read to its end
    }
  }
  const of = (what) => `/${encodeURIComponent(kept.session.session_id)}/${what}`;

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
    m.tried = true; // whatever comes of it: browsers send a POST again by themselves where a connection ended
    keep();
    const whole = await call(of("messages"), {
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

  // conversation adds what the service knows and the page does not, and leaves
  // in the outbox what it does not have, or has not answered.
  let next = 1; // the first number that is not shown
  async function conversation() {
    const known = await call(of("messages"), {});
    kept.session = { ...kept.session, expected_number: known.expected_number, streams: known.streams };
    if (!greeted || known.expected_number > next) quiet(); // it was told before, here or in another tab
    greet(known.greeting);
    const taken = [];
    let waiting = kept.outbox;
    for (const k of known.messages) {
      let m = waiting.find((m) => m.number === k.number && m.text === k.text);
      if (!m && k.number < next) continue; // shown with its answer
      m ||= { number: k.number, text: k.text };
      m.tried = true;
      waiting = waiting.filter((w) => w !== m);
      const before = waiting.find((w) => w.p)?.p;
      m.p ||= show("you", k.text, before);
      if (k.answer.state !== "done") taken.push(m);
      else if (k.answer.text) show("company", k.answer.text, before);
      next = Math.max(next, k.number + 1);
    }
    kept.outbox = [...taken, ...waiting];
    showDraft(kept.outbox[0]?.draft);
    placeAll();
    if (known.state === "closed" && !over && !kept.outbox.length) ended();
    renumber(waiting, known.expected_number);
  }
  // quiet keeps what is shown next from being told.
  function quiet() {
    log.setAttribute("aria-live", "off");
    requestAnimationFrame(() => log.setAttribute("aria-live", "polite"));
  }
  function ended() {
    kept.ending = false;
    over = true;
    keep();
    show("note", text("ended"));
  }
  let greeted = false;
  function greet(greeting, before = log.firstChild) {
    if (greeting && !greeted) show("company", greeting, before);
    greeted = true;
  }

  // begin opens a session. Where there was one it is given up only now that the
  // new one is there: what it may have taken in is not said again by itself.
  async function begin() {
    say(text("connecting"));
    const session = await call("", { session: null, body: { tenant_id: tenant, page: location.href.split(/[?#]/)[0].slice(0, 2048), ...(office && { office_id: office }), ...kept.contact } });
    const old = kept.session, begun = said();
    kept.session = session;
    next = 1;
    placeAll();
    if (old) {
      for (const m of kept.outbox.filter((m) => m.tried)) setAside(m, "");
      if (begun) show("note", text("renewed"));
      greet(session.greeting, null);
      over = false;
      for (const m of kept.outbox) { m.last = m.draft = ""; place(m); }
    }
    greet(session.greeting);
    renumber(kept.outbox, session.expected_number);
  }

  let current = !kept.session; // what is shown is what the service knows
  let gone = false; // the service does not know the session, even asked again
  // step does the next thing that is to be done, and returns false when all is.
  async function step() {
    if (!kept.session || gone) {
      if (asking()) return false;
      await begin();
      gone = false;
      current = true;
      listen();
      return true;
    }
    if (!current) {
      current = true; // unless another tab says more meanwhile
      await conversation().catch((error) => { current = false; throw error; });
      return true;
    }
    const m = kept.outbox[0];
    if (!m) {
      if (!kept.ending) return false;
      say(text("ending"));
      await call(of("close"), { body: {} });
      if (kept.ending) ended(); // unless the visitor has gone on meanwhile
      tell();
      return true;
    }
    say(text("thinking"));
    try {
      const answer = await answerTo(m);
      remove(kept.outbox, m);
      next = Math.max(next, m.number + 1);
      kept.session.expected_number = Math.max(kept.session.expected_number, m.number + 1);
      keep();
      showDraft();
      if (answer.text) show("company", answer.text);
      tell();
    } catch (error) {
      if (!(error instanceof Refused) || error.status === 401) throw error;
      await refused(m, error);
    }
    return true;
  }

  // refused mends the order of messages where that is what is wrong; another
  // tab may have sent some. Otherwise the visitor gets the text back, and those
  // behind it go on.
  async function refused(m, error) {
    if (error.status === 409 || error.status === 422) {
      const { number } = m;
      await conversation();
      if (!kept.outbox.includes(m) || m.number !== number) return;
      if (error.status === 409) throw new Error(error.message); // another try would change that
    }
    if (error.full) { // the next conversation takes it
      m.tried = false;
      gone = true;
      return keep();
    }
    setAside(m, error.message);
    renumber(kept.outbox.filter((m) => !m.tried), first());
  }

  // The visitor's other tabs of this conversation: a tab that is opened from
  // this one, or duplicated, has its session.
  let channel = null;
  function listen() {
    channel?.close();
    try { channel = new BroadcastChannel(storeKey + ":" + kept.session.session_id); } catch { return; /* no storage, no other tabs */ }
    channel.onmessage = () => { current = false; pump(); };
  }
  const tell = () => channel?.postMessage("");
  if (kept.session) listen();

  // pump does what is to be done, once however often it is asked to.
  let running = false;
  async function pump() {
    if (running) return;
    running = true;
    try { await work(); } finally { running = false; }
  }
  async function work() {
    let doubted = false;
    for (let tries = 1; ; tries++) {
      try {
        if (!navigator.onLine) { say(text("offline")); await online(); }
        const outbox = kept.outbox.length;
        if (!await step()) return say("");
        if (!gone) doubted = false;
        if (kept.outbox.length < outbox) tries = 0;
      } catch (error) {
        if (error.status === 401 && kept.session && !gone) {
          // It may be so for a moment only, while the tenant changes.
          if (doubted) gone = true;
          else { say(text("lost")); await pause(doubt); }
          doubted = true;
          if (!gone || !kept.ending || kept.outbox.length) continue;
          // What is to be ended has ended.
          gone = false;
          kept.session = null;
          ended();
          return say("");
        }
        if (error instanceof Refused && wrong(error)) return say("");
        if (error instanceof Refused || tries >= maxTries) {
          gone = false;
          const unended = kept.ending && !kept.outbox.length;
          if (unended) kept.ending = false;
          console.error("ingestion chat: is", location.origin, "among the tenant's origins?", error);
          return say(error instanceof Refused && error.status !== 401 && error.message || text(unended ? "unended" : "failed"));
        }
        // What the service asks for, growing, and not in step with other pages.
        const wait = Math.max(error.retry || 0, Math.min(2 ** (tries - 1), 30)) * (1 + Math.random() / 4);
        say(navigator.onLine ? text(error.status === 429 ? "wait" : "lost").replace("{seconds}", Math.ceil(wait)) : text("offline"));
        await pause(wait, !error.retry);
      }
    }
  }
  // wrong asks for the contact again where the service does not take it: "phone
  // is not a telephone number; email is not an address".
  function wrong(error) {
    if (kept.session || !questions || !kept.contact) return false;
    const parts = error.message.split("; ").map((part) => [part.split(" ")[0], part]).filter(([name]) => fields[name]);
    if (!parts.length) return false;
    kept.contact = null;
    keep();
    return correct(Object.fromEntries(parts));
  }
  window.addEventListener("online", () => { if (kept.outbox.length || kept.ending) pump(); });

  function start() {
    attach(host);
    reflect();
    if (kept.open) open(false); // as before the reload, without taking the focus
    else if (kept.outbox.length || kept.ending) pump();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
