// The page "Data and plans": what stands under which names, plans, and a place to drop files that become jobs.
import { ask, query, save } from './api.js';
import { html, nothing, idLink, at, bytes, count, problem, stateMark, table, time } from './parts.js';
import { drop } from './drop.js';

export const title = 'Data and plans';
export const every = 6000;
export const kinds = 'emergency,data,job';

const dataPath = (name) => '/v1/data/' + name.split('/').map(encodeURIComponent).join('/');

export async function load(ctx) {
  const prefix = ctx.params.get('below') ?? '', name = ctx.params.get('name') ?? '';
  const [data, plans, one] = await Promise.all([
    ask(query(dataPath(prefix), { limit: 200, after: ctx.params.get('after') ?? '' })), plansOf(),
    name ? ask(dataPath(name) + '?versions=1').catch((error) => ({ error })) : null,
  ]);
  return { data, plans, one, prefix, name };
}

// plansOf gathers the jobs that belong to plans, page by page.
async function plansOf() {
  const plans = new Map();
  let after = '';
  for (let page = 0; page < 5; page++) {
    const l = await ask(query('/v1/jobs', { label: 'plan', limit: 1000, after }));
    for (const j of l.jobs) {
      const id = j.id.split('.')[0];
      const p = plans.get(id) ?? plans.set(id, { id, states: {}, latest: 0, asOf: time(l.as_of) }).get(id);
      p.states[j.state] = (p.states[j.state] ?? 0) + 1;
      p.latest = Math.max(p.latest, time(j.submitted_at) ?? 0);
    }
    if (!l.next) break;
    after = l.next;
  }
  return [...plans.values()].sort((a, b) => b.latest - a.latest);
}

export function view({ data, plans, one, prefix, name }, ctx) {
  const s = ctx.state;
  const now = time(data.as_of);
  return html`<h1>Data and plans</h1>
  ${problem(s.trouble)}${s.done ? html`<p class="done" role="status">${s.done}</p>` : nothing}
  ${ctx.may('submit') ? drop(ctx) : nothing}
  <section class="card" aria-labelledby="h-plans"><h2 id="h-plans">Plans</h2>
    ${plans.length ? table('Plans, the newest first', ['Plan', 'Last submitted', 'Jobs'], plans.slice(0, 50).map((p) => html`<tr><td><a href="#/plan/${encodeURIComponent(p.id)}"><code>${p.id}</code></a></td><td class="time">${at(p.latest, now)}</td><td>${Object.entries(p.states).map(([state, n]) => html`${stateMark(state)} ${n} `)}</td></tr>`)) : html`<p class="soft">None. <code>ucp plan run FILE</code> submits one.</p>`}</section>
  ${one ? version(one, name, now, ctx) : nothing}
  <section class="card" aria-labelledby="h-data"><h2 id="h-data">Named data${prefix ? html` below <code>${prefix}</code>` : nothing}</h2>
    ${prefix ? html`<p><a href="#/data">all names</a></p>` : nothing}
    ${data.data.length ? table('Named data', ['Name', 'Latest', 'Size', 'Written', 'By', 'Versions'], data.data.map((d) => { const v = d.latest; const dir = d.name.includes('/') ? d.name.slice(0, d.name.lastIndexOf('/') + 1) : ''; return html`<tr><td>${dir && dir !== prefix ? html`<a href="#/data?below=${encodeURIComponent(dir)}">${dir}</a>` : dir}<a href="#/data?name=${encodeURIComponent(d.name)}&below=${encodeURIComponent(prefix)}">${d.name.slice(dir.length)}</a></td><td>${v ? html`<code>${v.digest?.slice(0, 12)}</code>${v.directory ? ' directory' : ''}` : 'removed'}</td><td class="n">${v ? bytes(v.size) : '–'}</td><td class="time">${v ? at(time(v.at), now) : '–'}</td><td>${v ? html`${v.broker}${v.job ? html`, ${idLink(v.job)}` : nothing}` : '–'}</td><td class="n">${d.versions?.length ?? 0}</td></tr>`; })) : html`<p class="soft">Nothing. <code>ucp data put NAME FILE</code> writes some.</p>`}
    ${data.next ? html`<p><a href="#/data?below=${encodeURIComponent(prefix)}&after=${encodeURIComponent(data.next)}">More</a></p>` : nothing}</section>`;
}

function version(d, name, now, ctx) {
  if (d.error) return html`<section class="card"><h2><code>${name}</code></h2>${problem(d.error)}</section>`;
  const get = (v) => save(query(dataPath(name), { version: v.version }), name.split('/').pop()).catch((error) => { ctx.state.trouble = error; ctx.redraw(); });
  return html`<section class="card" aria-labelledby="h-one"><h2 id="h-one"><code>${name}</code>, ${count(d.versions.length, 'version')}</h2>
    ${table('Versions of ' + name, ['Version', 'Digest', 'Size', 'Written', 'By', 'Get it'], d.versions.map((v) => html`<tr><td><code>${v.version}</code>${v.version === d.latest?.version ? html` <strong class="good-text">latest</strong>` : nothing}</td><td><code>${v.digest?.slice(0, 16)}</code></td><td class="n">${bytes(v.size)}</td><td class="time">${at(time(v.at), now)}</td><td>${v.broker}${v.job ? html`, ${idLink(v.job)}` : nothing}</td><td>${v.removed_at ? html`<span class="soft">removed by ${v.removed_by}${v.old ? ', since it was old' : ''}</span>` : html`<button @click=${() => get(v)}>Download${v.directory ? ' its list' : ''}</button>`}</td></tr>`))}</section>`;
}
