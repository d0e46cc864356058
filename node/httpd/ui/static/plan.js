// One plan: its jobs as a graph, and how each stands.
import { ask, query } from './api.js';
import { html, nothing, jobLink, note, at, count, lasts, stateMark, isFinal, table, time } from './parts.js';
import { graph, withSpec } from './graph.js';
import { said } from './dropplan.js';

export const title = 'Plan';
export const every = 4000;
export const kinds = 'emergency,job,preemption';

const drawn = 120; // jobs of the graph

export async function load(ctx) {
  const id = ctx.parts[0] ?? '';
  const jobs = [];
  let after = '', asOf = null;
  for (let page = 0; page < 10; page++) {
    const l = await ask(query('/v1/jobs', { label: 'plan=' + id, limit: 1000, after }));
    jobs.push(...l.jobs);
    asOf = l.as_of;
    if (!l.next) break;
    after = l.next;
  }
  const full = [];
  const some = jobs.slice(-drawn);
  for (let i = 0; i < some.length; i += 8) full.push(...await Promise.all(some.slice(i, i + 8).map((j) => withSpec(j.id).then((x) => ({ ...x, ...j, spec: x.spec })))));
  return { id, jobs, full, asOf };
}

export function view({ id, jobs, full, asOf }) {
  const now = time(asOf);
  const size = Number(full.find((j) => j.spec?.labels?.['plan-size'])?.spec.labels['plan-size'] ?? 0);
  if (jobs.length === 0) return html`<h1>Plan <code>${id}</code></h1>${said.has(id) ? html`<p class="done" role="status">Submitted. ${said.get(id)}</p>` : nothing}<p>This broker knows of no job of it.</p>`;
  return html`<h1>Plan <code>${id}</code></h1>
  ${said.has(id) ? html`<p class="done" role="status">Submitted. ${said.get(id)}</p>` : nothing}
  ${size > jobs.length ? html`<p class="warn-text">It has ${count(size, 'job')}; this broker knows ${jobs.length} of them.</p>` : nothing}
  <section class="card"><h2>What runs behind what</h2>${graph(full, '', 'The jobs of plan ' + id)}${jobs.length > full.length ? html`<p class="soft">Of ${jobs.length} jobs the first ${full.length}.</p>` : nothing}</section>
  <section class="card"><h2>${count(jobs.length, 'job')}</h2>${table('Jobs of plan ' + id, ['Job', 'State', 'At', 'Submitted', 'Ran', 'Why'], [...jobs].reverse().map((j) => html`<tr><td>${jobLink(j)}</td><td>${stateMark(j.state)}</td><td>${j.executor || '–'}</td><td class="time">${at(time(j.submitted_at), now)}</td><td class="time">${j.started_at ? lasts((isFinal(j.state) ? time(j.finished_at) : now) - time(j.started_at)) : '–'}</td><td class="why">${note(j)}</td></tr>`))}</section>`;
}
