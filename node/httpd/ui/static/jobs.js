// The page "Jobs": who runs, waits and has ended. What is chosen stands in the address, so that it can be kept and sent.
import { repeat } from './lib/directives/repeat.js';
import { ask, query } from './api.js';
import { html, nothing, jobLink, stateMark, states, isFinal, note, time, at, lasts, count, levels } from './parts.js';
import { timeline } from './timeline.js';

export const title = 'Jobs';
export const every = 5000;
export const kinds = 'emergency,preemption,member,health,job';

const filters = ['state', 'name', 'broker', 'emergency', 'label', 'urgent', 'paused', 'submitter', 'since', 'limit', 'after'];

export async function load(ctx) {
  const q = Object.fromEntries(filters.map((f) => [f, ctx.params.getAll(f)]));
  if (!q.limit.length) q.limit = ['100'];
  const [list, counts] = await Promise.all([listBy(q), countBy(q)]);
  return { list, counts };
}

// listBy asks for as many jobs as are wanted: a page of the broker's may be short where few meet the conditions.
async function listBy(q) {
  const all = await ask(query('/v1/jobs', q));
  for (let page = 0; all.next && all.jobs.length < Number(q.limit[0]) && page < 8; page++) {
    const more = await ask(query('/v1/jobs', { ...q, after: all.next, limit: Number(q.limit[0]) - all.jobs.length }));
    all.jobs.push(...more.jobs);
    all.next = more.next;
  }
  return all;
}

// countBy counts the jobs in each state, of all that meet the other conditions.
async function countBy(q) {
  const total = {};
  let after = '';
  for (let page = 0; page < 8; page++) {
    const l = await ask(query('/v1/jobs', { ...q, state: '', limit: 1000, count: 1, after }));
    for (const [state, n] of Object.entries(l.counts ?? {})) total[state] = (total[state] ?? 0) + n;
    if (!l.next) return { total, all: true };
    after = l.next;
  }
  return { total, all: false };
}

// linked is the address of this page with some of what is chosen changed.
function linked(params, change) {
  const q = new URLSearchParams(params);
  for (const [name, value] of Object.entries({ after: '', ...change })) {
    if (value === '') q.delete(name);
    else q.set(name, value);
  }
  const text = q.toString();
  return '#/jobs' + (text ? '?' + text : '');
}

export function view({ list, counts }, ctx) {
  const p = ctx.params;
  const now = time(list.as_of);
  const chosen = (p.get('state') ?? '').split(',').filter(Boolean);
  const span = p.get('span') ?? '';
  const oldest = list.jobs.reduce((t, j) => Math.min(t, time(j.submitted_at) ?? t), now - 60000);
  const from = span === 'all' ? oldest : span ? now - Number(span) * 60000 : Math.max(oldest, now - 900000);
  const submit = (e) => {
    e.preventDefault();
    const f = new FormData(e.target);
    const change = {};
    for (const name of ['name', 'broker', 'emergency', 'label', 'submitter', 'limit', 'span']) change[name] = f.get(name) ?? '';
    for (const name of ['urgent', 'paused']) change[name] = f.get(name) ? '1' : '';
    ctx.go(linked(p, change));
  };
  return html`<h1>Jobs</h1>
  <ul class="chips" aria-label="By state">
    <li><a href=${linked(p, { state: '' })} aria-current=${chosen.length ? nothing : 'true'}>all ${Object.values(counts.total).reduce((a, b) => a + b, 0)}${counts.all ? '' : ' or more'}</a></li>
    ${states.filter((s) => counts.total[s] || chosen.includes(s)).map((s) => html`<li><a href=${linked(p, { state: chosen.length === 1 && chosen[0] === s ? '' : s })} aria-current=${chosen.includes(s) ? 'true' : nothing}>${stateMark(s)} ${counts.total[s] ?? 0}</a></li>`)}
  </ul>
  <form class="filters" @submit=${submit} aria-label="Which jobs">
    <label>Name <input name="name" .value=${p.get('name') ?? ''} placeholder="tiles*"></label>
    <label>Broker <input name="broker" size="10" .value=${p.get('broker') ?? ''}></label>
    <label>Emergency or level <input name="emergency" size="12" list="levels" .value=${p.get('emergency') ?? ''}></label><datalist id="levels">${levels.map((l) => html`<option value=${l}></option>`)}</datalist>
    <label>Label <input name="label" size="14" .value=${p.get('label') ?? ''} placeholder="zone=north"></label>
    <label>Submitter <input name="submitter" size="10" .value=${p.get('submitter') ?? ''}></label>
    <label>Rows <select name="limit">${[100, 1000].map((n) => html`<option ?selected=${String(n) === (p.get('limit') ?? '100')}>${n}</option>`)}</select></label>
    <label>Timeline <select name="span">${[['', 'up to 15 min'], ['1', '1 min'], ['5', '5 min'], ['60', '1 h'], ['all', 'all of them']].map(([n, text]) => html`<option value=${n} ?selected=${n === span}>${text}</option>`)}</select></label>
    <label class="check"><input type="checkbox" name="urgent" .checked=${p.has('urgent')}>urgent</label>
    <label class="check"><input type="checkbox" name="paused" .checked=${p.has('paused')}>make room now</label>
    <button class="main">Show</button> <a href="#/jobs">all</a>
  </form>
  <section class="card" aria-labelledby="h-time"><h2 id="h-time">What the brokers ran</h2>${timeline(list.jobs, from, now)}</section>
  <section class="card" aria-labelledby="h-list"><h2 id="h-list">${count(list.jobs.length, 'job')}${list.next ? ', with more behind them' : ''}</h2>
    <div class="wide" role="group" tabindex="0" aria-label="The list"><table id="jobs"><caption class="unseen">Jobs, the newest first</caption>
    <thead><tr>${['Job', 'State', 'At', 'Submitted', 'Ran', 'Tries', 'Why'].map((h) => html`<th scope="col">${h}</th>`)}</tr></thead>
    <tbody>${repeat(list.jobs, (j) => j.key, (j) => row(j, now))}</tbody></table></div>
    ${list.next ? html`<p><a href=${linked(p, { after: list.next })}>Older ones</a></p>` : nothing}
    ${p.get('after') ? html`<p><a href=${linked(p, {})}>The newest</a></p>` : nothing}
  </section>`;
}

function row(j, now) {
  const started = time(j.started_at);
  const end = isFinal(j.state) ? time(j.finished_at) : now;
  return html`<tr><td>${jobLink(j)}</td><td>${stateMark(j.state)}${j.silent ? html` <span class="bad-text">?</span>` : nothing}</td><td>${j.executor || '–'}</td>
  <td class="time">${at(time(j.submitted_at), now)}</td><td class="time">${started === null ? '–' : lasts(end - started)}</td><td>${j.attempt || '–'}</td><td class="why">${note(j)}</td></tr>`;
}
