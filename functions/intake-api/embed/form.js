// Sends the page's forms that have the attribute data-ingestion-form, without
// leaving the page. They are sent without this script too; it adds that nothing
// is sent twice, that what was typed survives a failure, and that whoever sends
// is told what became of it. Attributes and events: docs/channels.md.
(() => {
  "use strict";

  const texts = {
    sending: "Sending …",
    success: "Thank you. We have received your request.",
    offline: "You are offline. Your request is sent as soon as you are back.",
    waiting: "This takes longer than usual. Trying again …",
    failed: "Your request could not be sent. Nothing you entered is lost: please try again in a moment.",
    heic: "is a HEIC photo, which we cannot read. Please send it as JPEG. On an iPhone: Settings, Camera, Formats, Most Compatible.",
    type: "cannot be read. Please send PDF, PNG or JPEG.",
    size: "The files are too large together.",
    count: "These are too many files.",
  };
  // What may succeed later; the key makes it safe to ask again.
  const temporary = [409, 429, 500, 502, 503, 504];
  const maxTries = 3;
  const longest = 60000; // milliseconds until a try that nobody answers is given up
  const maxWait = 60; // seconds that a customer is let wait for one more try

  const forms = new WeakMap(); // form → {busy, key, region, marked}

  const text = (form, name) => form.getAttribute("data-text-" + name) || texts[name];
  const number = (form, name, otherwise) => Number(form.getAttribute(name)) || otherwise;
  const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
  const online = () => navigator.onLine ? Promise.resolve() :
    new Promise((done) => window.addEventListener("online", done, { once: true }));
  // crypto.randomUUID is missing on pages without https.
  const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

  // prepare gives a form its place for messages and its honeypot. The place is
  // there before a message is: screen readers announce changes only.
  function prepare(form) {
    let state = forms.get(form);
    if (state) return state;
    let region = form.querySelector("[data-ingestion-status]");
    if (!region) {
      region = document.createElement("p");
      region.setAttribute("data-ingestion-status", "");
      form.append(region);
    }
    region.id ||= "ingestion-status-" + newKey().slice(0, 8);
    region.setAttribute("role", "status");
    region.setAttribute("aria-live", "polite");
    region.tabIndex = -1;
    const honeypot = form.getAttribute("data-honeypot") || "website";
    if (!form.elements.namedItem(honeypot)) {
      const input = document.createElement("input");
      Object.assign(input, { name: honeypot, type: "text", autocomplete: "off", tabIndex: -1, hidden: true });
      input.setAttribute("aria-hidden", "true");
      form.append(input);
    }
    state = { busy: false, key: "", region, marked: [] };
    forms.set(form, state);
    // An edited form is another form, and an edited field not the one that was wrong.
    const edited = (event) => {
      state.key = "";
      unmark(state, (field) => field === event.target);
    };
    form.addEventListener("input", edited);
    form.addEventListener("change", edited);
    return state;
  }

  function say(form, message, kind) {
    const { region } = forms.get(form);
    region.setAttribute("data-ingestion-status", kind);
    region.textContent = message;
  }

  // refuse says what is wrong, marks the fields, and goes to the first of them.
  function refuse(form, message, fields) {
    const state = forms.get(form);
    say(form, message, "error");
    for (const field of fields) {
      state.marked.push(field);
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", [field.getAttribute("aria-describedby"), state.region.id].filter(Boolean).join(" "));
    }
    (fields[0] || state.region).focus();
    form.dispatchEvent(new CustomEvent("ingestion:failed", { bubbles: true, detail: { message } }));
  }

  function unmark(state, which = () => true) {
    const fields = state.marked.filter(which);
    state.marked = state.marked.filter((field) => !fields.includes(field));
    for (const field of fields) {
      field.removeAttribute("aria-invalid");
      const ids = (field.getAttribute("aria-describedby") || "").split(" ").filter((id) => id && id !== state.region.id);
      if (ids.length) field.setAttribute("aria-describedby", ids.join(" "));
      else field.removeAttribute("aria-describedby");
    }
  }

  // kindOf tells a file's type as the platform does: by its first bytes.
  async function kindOf(file) {
    const head = String.fromCharCode(...new Uint8Array(await file.slice(0, 16).arrayBuffer()));
    if (/^[^]{4}ftyp(hei|hev|mif1|msf1)/.test(head)) return "heic";
    return /^(%PDF-|\x89PNG\r\n\x1a\n|\xff\xd8\xff)/.test(head) ? "good" : "type";
  }

  // wrongFile returns what is wrong with the form's files, before they are sent.
  async function wrongFile(form) {
    let count = 0, total = 0;
    for (const field of form.querySelectorAll("input[type=file]")) {
      for (const file of field.files) {
        const kind = await kindOf(file);
        if (kind !== "good") return { field, message: `“${file.name}” ${text(form, kind)}` };
        if (++count > number(form, "data-max-files", 5)) return { field, message: text(form, "count") };
        if ((total += file.size) > number(form, "data-max-bytes", 10 << 20)) return { field, message: text(form, "size") };
      }
    }
    return null;
  }

  // bodyOf is the form as it is now. Without files it is form-encoded, about
  // which a browser need not ask the platform first.
  function bodyOf(form, submitter, { key, elapsed }) {
    const data = new FormData(form);
    if (submitter && submitter.name) data.append(submitter.name, submitter.value);
    data.delete("_redirect"); // this page goes on by itself
    data.set("_idempotency_key", key);
    data.set("_elapsed_ms", String(elapsed)); // of the first try, or it is another form
    let files = false;
    for (const name of new Set(data.keys())) {
      const values = data.getAll(name);
      if (!values.some((v) => v instanceof File)) continue;
      data.delete(name); // a field without a file has an empty one
      for (const v of values) {
        if (v instanceof File && !v.name && !v.size) continue;
        files ||= v instanceof File;
        data.append(name, v);
      }
    }
    return files ? data : new URLSearchParams(data);
  }

  // post tries until there is an answer for the customer, and returns it: null
  // if there is none.
  async function post(form, body) {
    const address = new URL(form.getAttribute("action"), document.baseURI);
    for (let tried = 1; ; tried++) {
      if (!navigator.onLine) {
        say(form, text(form, "offline"), "waiting");
        await online();
        say(form, text(form, "sending"), "sending");
      }
      let response = null, wait = 2 ** (tried - 1);
      try {
        response = await fetch(address, { method: "POST", body, credentials: "omit", signal: AbortSignal.timeout(longest), headers: { Accept: "application/json" } });
        if (!temporary.includes(response.status)) return response;
        wait = Number(response.headers.get("Retry-After")) || wait;
      } catch (error) {
        // The network, or an answer that this page may not read.
        if (navigator.onLine) console.warn("ingestion form: no answer that this page may read. Is", location.origin, "among the tenant's origins?", error);
        else { tried--; continue; }
      }
      if (tried >= maxTries || wait > maxWait) return response;
      say(form, text(form, "waiting"), "waiting");
      await sleep(wait * (1 + Math.random() / 4)); // not in step with other pages
    }
  }

  async function send(form, submitter) {
    const state = forms.get(form);
    unmark(state);
    say(form, text(form, "sending"), "sending");
    const wrong = await wrongFile(form);
    if (wrong) return refuse(form, wrong.message, [wrong.field]);
    if (!state.key) [state.key, state.elapsed] = [newKey(), Math.round(performance.now())];
    const redirect = new FormData(form).get("_redirect");
    const response = await post(form, bodyOf(form, submitter, state));
    if (!response) return refuse(form, text(form, "failed"), []);
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) {
      const detail = String(answer.detail || "");
      // "email is not an address; phone is not a telephone number"
      const fields = [...new Set(detail.split("; ").map((part) => form.elements.namedItem(part.split(" ")[0])))]
        .filter((field) => field instanceof HTMLElement && field.type !== "hidden");
      return refuse(form, response.status < 500 && response.status !== 429 && detail || text(form, "failed"), fields);
    }
    state.key = "";
    const event = new CustomEvent("ingestion:sent", { bubbles: true, cancelable: true, detail: { requestId: answer.request_id } });
    const goOn = form.dispatchEvent(event);
    HTMLFormElement.prototype.reset.call(form); // form.reset may be a field of that name
    if (redirect && goOn) return location.assign(redirect);
    say(form, text(form, "success"), "success");
    state.region.focus();
  }

  // One listener for all forms, also for those that a page adds later. A form
  // that a listener of the page's own has stopped stays stopped.
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("[data-ingestion-form]") || event.defaultPrevented) return;
    event.preventDefault();
    const state = prepare(form);
    if (state.busy) return;
    state.busy = true;
    const buttons = [...form.querySelectorAll("button:not([type=button]):not([type=reset]), input[type=submit]")];
    form.setAttribute("aria-busy", "true");
    for (const b of buttons) b.setAttribute("aria-disabled", "true"); // disabled would lose the focus
    try {
      await send(form, event.submitter);
    } catch (error) {
      console.error("ingestion form:", error);
      refuse(form, text(form, "failed"), []);
    } finally {
      state.busy = false;
      form.removeAttribute("aria-busy");
      for (const b of buttons) b.removeAttribute("aria-disabled");
    }
  });

  const start = () => document.querySelectorAll("form[data-ingestion-form]").forEach(prepare);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
