// The page "Emergencies": what is in force and what it has caused; to declare, raise and clear.
import { ask, query, send } from './api.js';
import { html, nothing, byLevel, idLink, at, count, goDuration, lasts, levels, listed, problem, stateMark, table, time } from './parts.js';
import { holds, list, parse } from './scope.js';
import { reachOf } from './answers.js';

export const title = 'Emergencies';
export const every = 3000;
export const kinds = 'emergency,preemption,member,health,strategy';

export async function load() {
  const [all, rows] = await Promise.all([ask('/v1/emergencies'), ask('/broker/metadata')]);
  const emergencies = await Promise.all(all.emergencies.map((e) => (e.active ? ask('/v1/emergencies/' + encodeURIComponent(e.id)).catch(() => e) : e)));
  return { emergencies, asOf: all.as_of, rows: rows.brokers };
}

const empty = () => ({ type: '', level: 'high', scope: '', select: '', ttl: '1h', message: '', id: '' });

export function view({ emergencies, asOf, rows }, ctx) {
  const now = time(asOf);
  const s = ctx.state;
  s.form ??= empty();
  const active = byLevel(emergencies.filter((e) => e.active)), over = emergencies.filter((e) => !e.active);
  return html`<h1>Emergencies</h1>
  ${problem(s.trouble)}${s.done ? html`<p class="done" role="status">${s.done}</p>` : nothing}
  ${active.length === 0 ? html`<section class="card answer good"><p class="head">None in force</p></section>` : active.map((e) => inForce(e, now, ctx))}
  ${declare(rows, ctx)}
  ${over.length ? html`<section class="card"><h2>Those that are over</h2>${table('Emergencies that are over', ['Emergency', 'Type', 'Level', 'From', 'To', 'Scope', 'Made room', 'How'], over.slice(0, 100).map((e) => html`<tr><td><code>${e.id}</code></td><td>${e.type}</td><td>${e.level}</td><td class="time">${at(time(e.declared_at), now)}</td><td class="time">${at(time(e.ended_at), now)}</td><td>${e.scope.join(' and ') || 'all brokers'}</td><td>${count(e.caused, 'job')}</td><td>${e.cleared ? `cleared at ${e.cleared_by}` : 'its time was over'}</td></tr>`))}</section>` : nothing}`;
}

function inForce(e, now, ctx) {
  const s = ctx.state;
  const may = ctx.may('emergency');
  return html`<section class="card answer bad" aria-labelledby="e-${e.id}">
    <h2 id="e-${e.id}"><code>${e.id}</code>, declared at ${e.declared_by}</h2>
    <p class="head">${e.type} · ${e.level}</p>
    <p>${reachOf(e, now)}</p>
    ${e.unmet_scope ? html`<p class="bad-text">It is in force nowhere: ${e.unmet_scope}</p>` : nothing}
    ${e.jobs ? html`<p>${count(e.jobs.running, 'job')} run, ${e.jobs.waiting} wait in the cluster.</p>` : nothing}
    ${e.brokers?.length ? html`<ul>${e.brokers.map((b) => html`<li><strong>${b.broker}</strong> decides by ${b.strategy}${b.chosen ? ` (${b.chosen} when it is over)` : ''}: a job of its level ${b.effect}${b.unheard ? html` <span class="warn-text">it has not said yet that it knows of it</span>` : nothing}</li>`)}</ul>` : nothing}
    ${may ? html`<p class="row">
      ${levels.slice(levels.indexOf(e.level) + 1).map((l) => html`<button @click=${() => change(e, l, ctx)}>Raise to ${l}</button>`)}
      <button @click=${() => { s.form = { type: e.type, level: e.level, scope: e.scope.join('\n'), select: e.select.join('\n'), ttl: '1h', message: e.message, id: e.id }; ctx.redraw(); document.getElementById('f-level')?.focus(); }}>Change …</button>
      ${s.clearing === e.id ? html`<span>For good? <button class="danger" @click=${() => clear(e, ctx)}>Yes, clear ${e.id}</button> <button @click=${() => { s.clearing = ''; ctx.redraw(); }}>No</button></span>` : html`<button class="danger" @click=${() => { s.clearing = e.id; ctx.redraw(); }}>Clear …</button>`}</p>` : html`<p class="soft">To change or clear it takes the scope emergency:${e.level}.</p>`}
    <h3>What it has caused</h3>
    ${e.effects?.length ? table('Jobs that made room because of it', ['Job', 'State', 'At', 'For', 'How', 'From', 'For so long'], e.effects.slice(0, 100).map((x) => html`<tr><td>${idLink(x.job)}</td><td>${stateMark(x.state)}</td><td>${x.at}</td><td>${idLink(x.for)}</td><td>${x.mode}</td><td class="time">${at(time(x.from), now)}</td><td class="time">${lasts(goDuration(x.lasted))}${x.to ? '' : ', still'}</td></tr>`)) : html`<p class="soft">No job had to make room because of it so far.</p>`}
  </section>`;
}

// preview says at which brokers an emergency of this scope would be in force, by the labels that are known here.
export function preview(scope, rows) {
  const conditions = list(scope).map((text) => ({ text, c: parse(text) }));
  const bad = conditions.filter((x) => !x.c).map((x) => x.text);
  if (bad.length) return { bad };
  const all = Object.entries(rows).map(([name, row]) => ({ name, labels: row.capabilities?.labels ?? {} }));
  return { bad, of: all.length, at: all.filter((b) => conditions.every((x) => holds(x.c, b.labels))).map((b) => b.name).sort() };
}

function declare(rows, ctx) {
  const f = ctx.state.form;
  const p = preview(f.scope, rows);
  const change = (field) => (e) => { f[field] = e.target.value; ctx.redraw(); };
  const labels = [...new Set(Object.values(rows).flatMap((r) => Object.entries(r.capabilities?.labels ?? {}).map(([k, v]) => `${k}=${v}`)))].sort();
  if (!ctx.may('emergency')) return html`<section class="card"><h2>Declare one</h2><p class="soft">This takes the scope emergency, with a level.</p></section>`;
  return html`<section class="card" aria-labelledby="h-declare"><h2 id="h-declare">${f.id ? html`Change <code>${f.id}</code>` : 'Declare one'}</h2>
  <form @submit=${(e) => { e.preventDefault(); submit(f, ctx); }}>
    <div class="row">
      <label>Type <input name="type" required .value=${f.type} @input=${change('type')} placeholder="flood" ?readonly=${Boolean(f.id)}></label>
      <label>Level <select id="f-level" name="level" @change=${change('level')}>${levels.map((l) => html`<option ?selected=${l === f.level}>${l}</option>`)}</select></label>
      <label>Ends by itself after <input name="ttl" size="8" .value=${f.ttl} @input=${change('ttl')} placeholder="1h30m"></label>
      <label>Message <input name="message" size="40" .value=${f.message} @input=${change('message')}></label>
    </div>
    <div class="row">
      <label>Where: conditions on brokers’ labels <input name="scope" size="40" list="labels" .value=${f.scope} @input=${change('scope')} placeholder="all brokers"></label><datalist id="labels">${labels.map((l) => html`<option value=${l}></option>`)}</datalist>
      <label>Which jobs: conditions on their labels <input name="select" size="32" .value=${f.select} @input=${change('select')} placeholder="those that name it"></label>
    </div>
    <p id="preview" role="status">${p.bad.length ? html`<span class="bad-text">“${p.bad[0]}” is no condition: write k=v, k!=v, k in (a,b) or k.</span>` : html`<strong class=${p.at.length ? '' : 'bad-text'}>${p.at.length} of ${count(p.of, 'broker')}</strong>${p.at.length ? `: ${listed(p.at.slice(0, 20))}` : ': it would be in force nowhere that is known here'}`}</p>
    <p class="row"><button class="danger" ?disabled=${p.bad.length > 0}>${f.id ? 'Change it' : `Declare ${f.type || 'it'}, ${f.level}`}</button>${f.id ? html`<button type="button" @click=${() => { ctx.state.form = empty(); ctx.redraw(); }}>Rather not</button>` : nothing}</p>
  </form></section>`;
}

function body(f) {
  const d = { type: f.type.trim(), level: f.level };
  if (f.id) d.id = f.id;
  if (list(f.scope).length) d.scope = list(f.scope);
  if (list(f.select).length) d.select = list(f.select);
  if (f.ttl.trim()) d.ttl = f.ttl.trim();
  if (f.message.trim()) d.message = f.message.trim();
  return d;
}

async function order(ctx, what, promise) {
  const s = ctx.state;
  try {
    const e = await promise;
    Object.assign(s, { trouble: null, clearing: '', done: `${what(e)} ${e.replicas ? `${count(e.replicas, 'broker')} know${e.replicas === 1 ? 's' : ''} of it${e.degraded ? ', which is fewer than wanted' : ''}.` : ''}` });
    ctx.say(s.done);
    s.form = empty();
  } catch (error) { Object.assign(s, { trouble: error, done: '' }); }
  ctx.refresh();
}

const submit = (f, ctx) => order(ctx, (e) => `${e.id} is in force, ${reachOf(e, time(e.as_of))}.`, send('POST', '/v1/emergencies', body(f), { within: 15000 }));

function change(e, level, ctx) {
  const left = Math.max(Math.round((time(e.until) - time(e.as_of)) / 1000), 60);
  return order(ctx, (x) => `${x.id} has the level ${x.level} now.`, send('POST', '/v1/emergencies', body({ type: e.type, level, id: e.id, scope: e.scope.join('\n'), select: e.select.join('\n'), ttl: left + 's', message: e.message }), { within: 15000 }));
}

const clear = (e, ctx) => order(ctx, (x) => `${x.id} is cleared, for good.`, ask(query('/v1/emergencies/' + encodeURIComponent(e.id), {}), { method: 'DELETE', within: 15000 }));
