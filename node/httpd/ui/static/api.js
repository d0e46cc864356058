// What the pages ask of the broker, and how they hear of what happens.

const tokenKey = 'ucp-token';
let token = sessionStorage.getItem(tokenKey) ?? '';

// setToken shows a token with all that is asked from now on, until this tab is closed; "" shows none.
export function setToken(text) {
  token = text.trim();
  if (token) sessionStorage.setItem(tokenKey, token);
  else sessionStorage.removeItem(tokenKey);
}

export const hasToken = () => token !== '';

// Refusal is an answer of the broker that is not a success.
export class Refusal extends Error {
  constructor(status, body) {
    super(body?.error ?? `the broker answers with status ${status}`);
    this.status = status;
    this.code = body?.code ?? '';
  }
}

const rights = () => (token ? { Authorization: 'Bearer ' + token } : {});

// call sends one request, and waits for its answer no longer than so many milliseconds.
export async function call(path, { method = 'GET', body, type, headers = {}, within = 6000, signal } = {}) {
  const signals = signal ? [signal] : [];
  if (within) signals.push(AbortSignal.timeout(within));
  const all = { ...rights(), ...headers };
  if (type) all['Content-Type'] = type;
  const answer = await fetch(path, { method, body, headers: all, cache: 'no-store', signal: AbortSignal.any(signals) });
  if (answer.ok) return answer;
  let said;
  try { said = await answer.json(); } catch { /* not of the broker itself */ }
  throw new Refusal(answer.status, said);
}

// ask is call for JSON.
export async function ask(path, options) {
  return (await call(path, options)).json();
}

// send sends a document.
export function send(method, path, document, options = {}) {
  return ask(path, { method, body: JSON.stringify(document), type: 'application/json', ...options });
}

// query writes parameters, without those that are empty.
export function query(path, parameters) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const v of [value].flat()) if (v !== '' && v !== undefined && v !== null) q.append(name, v);
  }
  const text = q.toString();
  return text ? path + '?' + text : path;
}

// save downloads what a path answers, also where that takes a token, which a link can't show.
export async function save(path, name) {
  const content = await (await call(path, { within: 0 })).blob();
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// Stream hears of what happens. It comes back by itself when it is cut off, and names the last event that it has seen, so that
// it misses none; where the broker does not know any more what came behind that, it gets an event "lost".
export class Stream {
  constructor(path, heard, changed) {
    this.path = path;
    this.heard = heard; // called with each event
    this.changed = changed; // called when it is up, or not
    this.last = '';
    this.up = false;
    this.stop = new AbortController();
    this.run();
  }

  close() { this.stop.abort(); }

  async run() {
    for (let pause = 500; !this.stop.signal.aborted; pause = Math.min(pause * 2, 5000)) {
      try {
        await this.read(() => { pause = 500; });
      } catch { /* it is said by up */ }
      this.set(false);
      await new Promise((go) => setTimeout(go, pause));
    }
  }

  set(up) {
    if (this.up === up || this.stop.signal.aborted) return;
    this.up = up;
    this.changed(up);
  }

  async read(well) {
    const silence = new AbortController();
    const patience = 20000; // the broker says something each 15 s
    let timer = setTimeout(() => silence.abort(), patience);
    try {
      const headers = this.last ? { 'Last-Event-ID': this.last } : {};
      const answer = await call(this.path, { headers, within: 0, signal: AbortSignal.any([this.stop.signal, silence.signal]) });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), patience);
        well();
        this.set(true);
        const parts = (rest + value).split('\n\n');
        rest = parts.pop();
        if (rest.length > 1 << 20) throw new Error('an event without an end');
        for (const part of parts) this.take(part);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  take(text) {
    let data = '';
    for (const line of text.split('\n')) {
      if (line.startsWith('id:')) this.last = line.slice(3).trim();
      if (line.startsWith('data:')) data += line.slice(5).trim();
    }
    if (data) this.heard(JSON.parse(data));
  }
}
