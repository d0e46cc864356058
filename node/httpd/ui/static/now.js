// The page "Now": seven answers for who has no time, in the order of their weight.
import { ask, query } from './api.js';
import { html, nothing, idLink, jobLink, unfinished, time, at, cores, bytes, meter } from './parts.js';
import * as answers from './answers.js';

export const title = 'Now';
export const every = 3000;
export const kinds = 'emergency,preemption,member,health,strategy,job';

const shows = 5;

// countAll counts the unfinished jobs, page by page.
async function countAll() {
  const total = {};
  let after = '';
  for (let page = 0; page < 32; page++) {
    const l = await ask(query('/v1/jobs', { state: unfinished, count: 1, limit: 1000, after }));
    for (const [state, n] of Object.entries(l.counts ?? {})) total[state] = (total[state] ?? 0) + n;
    if (!l.next) return total;
    after = l.next;
  }
  throw new Error('there are more jobs than this page counts');
}

export async function load() {
  const unknown = [];
  const maybe = (what, promise) => promise.catch((error) => { unknown.push(`${what}: ${error.message}`); return null; });
  const status = await ask('/broker/coordination-status?ask=1');
  const hourAgo = new Date(time(status.as_of) - 3600000).toISOString();
  const list = (what, q) => maybe(what, ask(query('/v1/jobs', { limit: 100, ...q })));
  const [emergencies, members, urgent, paused, failed, counts, rows] = await Promise.all([
    maybe('emergencies', ask('/v1/emergencies')),
    maybe('members', ask('/v1/members')),
    list('urgent jobs', { state: unfinished, urgent: 1 }),
    list('stopped jobs', { state: unfinished, paused: 1 }),
    list('failed jobs', { state: 'failed,expired', since: hourAgo }),
    maybe('how many jobs there are', countAll()),
    maybe('room', ask('/broker/metadata')),
  ]);
  const gone = members ? answers.gone(members.members, status) : null;
  const jobsAt = {};
  await Promise.all((gone ?? []).slice(0, 8).map(async (g) => {
    const from = new Date((g.since ?? time(status.as_of) - 3600000) - 60000).toISOString();
    const l = await list('jobs at ' + g.name, { broker: g.name, since: from });
    if (l) jobsAt[g.name] = l.jobs.filter((j) => answers.wasThere(j, g.name, g.since));
  }));
  for (const j of urgent?.jobs ?? []) j.silent = j.silent || status.peer_brokers[j.executor]?.answers === false;
  const left = gone?.filter((g) => !g.givenUp || jobsAt[g.name]?.some((j) => j.executor === g.name)) ?? null;
  return { status, emergencies: emergencies?.emergencies ?? null, urgent, paused, failed, counts, rows: rows?.brokers ?? null, gone: left, jobsAt, unknown };
}

// panel shows one answer: its question, the answer in large letters, and what stands behind it.
function panel(id, question, a, more) {
  const jobs = a.jobs ?? [];
  return html`<section class="answer ${a.tone}" id="now-${id}" aria-labelledby="q-${id}">
    <h2 id="q-${id}">${question}</h2>
    <p class="head">${a.head}</p>
    ${a.emergencies ? html`<ul>${a.emergencies.map((e) => html`<li><a href="#/emergencies"><code>${e.id}</code></a> ${e.text}</li>`)}</ul>` : nothing}
    ${a.lines.length ? html`<ul>${a.lines.slice(0, 8).map((line) => html`<li>${line}</li>`)}</ul>` : nothing}
    ${jobs.length ? html`<ul>${jobs.slice(0, shows).map((x) => html`<li>${jobLink(x.job)} <span class="why">${x.text}${x.other ? html` ${idLink(x.other)}${x.tail}` : nothing}</span></li>`)}</ul>` : nothing}
    ${jobs.length > shows && more ? html`<p><a href=${more}>${jobs.length - shows} more</a></p>` : nothing}
    ${a.free ? html`<ul class="room">${a.free.slice(0, 12).map((f) => html`<li><strong>${f.name}</strong> ${meter(f.allCPU - f.cpu, f.allCPU, `${cores(f.cpu)} of ${cores(f.allCPU)} cores free`)} ${bytes(f.memory)}</li>`)}</ul>` : nothing}
  </section>`;
}

// mayRun counts the jobs that were running when their broker was heard of for the last time.
const mayRun = (d) => (d.gone ?? []).reduce((n, g) => n + (d.jobsAt[g.name] ?? []).filter((j) => j.executor === g.name && ['running', 'loading', 'starting'].includes(j.state)).length, 0);

export function view(d, ctx) {
  const now = time(d.status.as_of);
  const away = (d.gone ?? []).filter((g) => !g.givenUp).map((g) => g.name);
  return html`<h1 class="unseen">Now, as ${d.status.name} sees it</h1>
  <div class="answers">
    ${panel('emergency', 'Is an emergency in force?', answers.emergency(d.emergencies, now))}
    ${panel('trust', 'Can I trust this screen?', ctx.cut ? { tone: 'bad', head: 'No: cut off', lines: [`Nothing has come from ${d.status.name} since ${at(now)} UTC.`] } : answers.trust(d.status, d.unknown))}
    ${panel('urgent', 'What urgent work does not run, and why?', answers.urgent(d.urgent), '#/jobs?urgent=1&state=' + unfinished)}
    ${panel('gone', 'Who is gone?', answers.goneAnswer(d.gone, d.jobsAt, now), '#/cluster')}
    ${panel('stopped', 'Who was stopped for whom?', answers.stopped(d.paused), '#/jobs?paused=1')}
    ${panel('failed', 'What failed?', answers.failed(d.failed), '#/jobs?state=failed,expired')}
    ${panel('room', 'What room is left?', answers.room(d.rows, d.status, d.counts, away, mayRun(d)))}
  </div>
  ${ctx.events.length ? html`<section class="lately" aria-labelledby="lately"><h2 id="lately">Lately</h2>
    <ol class="events">${ctx.events.slice(0, 10).map((e) => html`<li><time datetime=${e.at}>${at(time(e.at), now)}</time> <span class="kind">${e.kind}</span> ${e.text}</li>`)}</ol></section>` : nothing}`;
}
