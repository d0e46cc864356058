// The page "Audit and security": who may what, who did what, and which walls stand.
import { ask, call, save } from './api.js';
import { html, nothing, at, count, listed, problem, table, time } from './parts.js';

export const title = 'Audit and security';
export const every = 15000;
export const kinds = 'emergency,member,health';

const meaning = {
  read: 'see everything: jobs and their output, brokers, emergencies, events, figures', submit: 'submit jobs, write named data, see and cancel one’s own', cancel: 'cancel anybody’s jobs, remove named data',
  operate: 'command brokers: strategies, draining, forgetting, log levels, audit logs', emergency: 'declare and clear emergencies, up to that level', admit: 'let others in, shut members out, revoke tokens', peer: 'take part as a broker',
};

export async function load(ctx) {
  const maybe = (promise) => promise.catch((error) => ({ error }));
  const inCity = (path) => (ctx.caller?.city ? maybe(ask(path)) : { error: null });
  const [caller, status, members, authorities, revocations, audit] = await Promise.all([
    ask('/v1/caller'), ask('/broker/coordination-status'), ask('/v1/members'), inCity('/v1/authorities'), inCity('/v1/revocations'), ctx.may('operate') ? maybe(entries()) : { error: null },
  ]);
  return { caller, status, members: members.members, authorities, revocations, audit };
}

const shows = 500, mostRead = 64 << 20;

// entries reads the broker's audit log, and keeps the latest.
async function entries() {
  const answer = await call('/v1/audit', { within: 20000 });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const list = [];
  let rest = '', head = null, n = 0, size = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > mostRead) { await reader.cancel(); return { list, head, n, cut: true }; }
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (!line) continue;
      const x = JSON.parse(line);
      if (!head) { head = x; continue; }
      n++;
      list.push(x.entry ?? x);
      if (list.length > 2 * shows) list.splice(0, shows);
    }
  }
  return { list: list.slice(-shows).reverse(), head, n };
}

export function view({ caller, status, members, authorities, revocations, audit }, ctx) {
  const s = ctx.state;
  const now = time(status.as_of);
  const want = (s.filter ?? '').toLowerCase();
  const rows = (audit.list ?? []).filter((e) => !want || JSON.stringify(e).toLowerCase().includes(want));
  return html`<h1>Audit and security</h1>${problem(s.trouble)}
  <div class="cols">
  <section class="card" aria-labelledby="h-you"><h2 id="h-you">What you may do here</h2>
    <p>${caller.city ? html`You are <strong>${caller.how || caller.name}</strong>.` : html`<span class="warn-text">This broker belongs to no city: whoever reaches it may do everything.</span>`}</p>
    <ul>${caller.scopes.map((x) => html`<li><strong>${x}</strong>: ${meaning[x.split(':')[0]] ?? ''}</li>`)}</ul></section>
  <section class="card" aria-labelledby="h-walls"><h2 id="h-walls">Walls at ${status.name}</h2><dl class="facts">
    <dt>Who reaches it</dt><dd>${status.exposed?.length ? html`<span class="bad-text">strangers can: ${listed(status.exposed)}, which ask nobody who is calling</span>` : caller.city ? 'members and holders of tokens' : 'who is on this machine'}</dd>
    <dt>Around native jobs</dt><dd>${walls(status.sandbox)}</dd><dt>Around modules</dt><dd>${walls(status.module_sandbox)}</dd></dl></section>
  </div>
  <section class="card" aria-labelledby="h-members"><h2 id="h-members">Members</h2>
    ${table('Members', ['Name', 'Takes part', 'Status', 'Said what it can’t know'], members.map((m) => html`<tr><th scope="row">${m.name}</th><td>${m.revoked ? html`<span class="bad-text">revoked</span>` : { open: 'yes', left: 'has left', removed: 'given up' }[m.roll] ?? 'no record'}</td><td>${m.status}${m.draining ? ', about to leave' : ''}</td><td>${m.breaches ? html`<span class="bad-text">${m.breaches} times: ${m.last_breach}</span>` : 'never'}</td></tr>`))}
    ${authorities.error ? problem(authorities.error) : nothing}
    ${authorities.authorities ? html`<h3>Who admits members</h3><ul>${authorities.authorities.map((a) => html`<li><code>${a.key}</code>${a.root ? ', from the beginning' : a.added_by ? html`, added by <code>${a.added_by}</code>` : nothing}</li>`)}</ul>` : nothing}
    ${revocations.proofs ? html`<p>${count(revocations.proofs.length, 'revocation')} known.</p>` : nothing}</section>
  <section class="card" aria-labelledby="h-audit"><h2 id="h-audit">Who did what, at ${status.name}</h2>
    ${audit.error !== undefined ? html`<p class="soft">${ctx.may('operate') ? '' : 'The audit log takes the scope operate.'}</p>${problem(audit.error)}` : html`
    <p class="soft">The latest ${rows.length} of ${audit.cut ? 'more than ' : ''}${count(audit.n, 'entry', 'entries')}. Each broker keeps its own log; <code>ucp audit verify</code> compares them.</p>
    <p class="row"><label>Only what contains <input .value=${s.filter ?? ''} @input=${(e) => { s.filter = e.target.value; ctx.redraw(); }}></label><button @click=${() => save('/v1/audit', `audit-${status.name}.jsonl`).catch((error) => { s.trouble = error; ctx.redraw(); })}>Download all of it</button></p>
    ${table('Audit log, the newest first', ['When', 'What', 'Which', 'Who', 'Answer', 'More'], rows.map((e) => html`<tr><td class="time">${at(time(e.at), now)}</td><td>${e.what}</td><td>${e.which ?? ''}</td><td>${e.who ?? ''}</td><td>${e.status || ''}</td><td>${e.detail ?? ''}</td></tr>`))}`}</section>`;
}

function walls(x) {
  if (!x) return 'not known';
  const missing = Object.entries(x.missing ?? {});
  return html`${x.holds?.length ? html`<span class="good-text">${listed(x.holds)}</span>` : nothing}${missing.length ? html` <span class="warn-text">missing: ${missing.map(([wall, why]) => `${wall} (${why})`).join('; ')}</span>` : nothing}`;
}
