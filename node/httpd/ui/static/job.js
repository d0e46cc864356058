// One job: how it stands and why, what it was and is, what it writes, and what it rests on.
import { ask, call, query, save, send, Refusal } from './api.js';
import { html, nothing, count, elsewhere, idLink, stateMark, isFinal, note, time, at, lasts, bytes, table, problem, sentence } from './parts.js';
import { timeline } from './timeline.js';
import { behind, graph, past } from './graph.js';

export const title = 'Job';
export const every = 3000;
export const pause = 600;
export const kinds = 'emergency,preemption,member,health,job';

const path = (id) => '/v1/jobs/' + encodeURIComponent(id);

export async function load(ctx) {
  const id = ctx.parts[0] ?? '';
  const job = await ask(path(id));
  const maybe = (promise) => promise.catch((error) => ({ error }));
  const [prospects, conflicts, before] = await Promise.all([
    !isFinal(job.state) && job.spec && waits(job) && ctx.may('submit') ? maybe(foresee(job)) : null,
    ctx.may('read') ? maybe(ask('/v1/conflicts?limit=1000')) : null,
    behind(job).length ? past(job) : null,
  ]);
  follow(job, ctx);
  return { job, prospects, conflicts, before };
}

const waits = (job) => ['pending', 'queued', 'suspended'].includes(job.state);

// foresee asks what would become of this job at each broker, if it were submitted now.
function foresee(job) {
  const spec = { ...job.spec };
  delete spec.submitter;
  return send('POST', '/v1/jobs?dry_run=1', spec);
}

// follow shows what the job writes while it writes it, from where it was.
function follow(job, ctx) {
  const s = ctx.state;
  if (s.output?.id === job.id || (isFinal(job.state) && !job.accepted && !job.stdout)) return;
  leave(ctx);
  const o = s.output = { id: job.id, stop: new AbortController(), stdout: { text: '', from: 0 }, stderr: { text: '', from: 0 } };
  for (const which of ['stdout', 'stderr']) read(o, which, job, ctx);
}

const mostShown = 64 << 10; // of what it writes; the rest can be downloaded

async function read(o, which, job, ctx) {
  const out = o[which];
  for (let wait = 1000; !o.stop.signal.aborted; wait = Math.min(2 * wait, 8000)) {
    try {
      const q = isFinal(job.state) ? {} : { follow: 1, from: out.from };
      const answer = await call(query(`${path(job.id)}/${which}`, q), { within: 0, signal: o.stop.signal });
      const reader = answer.body.getReader();
      const decoder = new TextDecoder();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) { out.whole = true; ctx.redraw(); return; }
        out.from += value.length;
        out.text = (out.text + decoder.decode(value, { stream: true })).slice(-mostShown);
        out.cut = out.from > mostShown;
        if (!out.drawn) { out.drawn = true; setTimeout(() => { out.drawn = false; tail(which, ctx); }, 200); }
        if (isFinal(job.state) && out.from > 4 * mostShown) { out.long = true; await reader.cancel(); return; }
      }
    } catch (error) {
      if (o.stop.signal.aborted) return;
      out.trouble = sentence(error);
      if (error instanceof Refusal && error.status < 500) { ctx.redraw(); return; }
      await new Promise((go) => setTimeout(go, wait));
    }
  }
}

// tail draws what has come, and keeps the end in view for who looks at the end.
function tail(which, ctx) {
  const box = () => document.getElementById('out-' + which);
  const before = box();
  const atEnd = !before || before.scrollTop + before.clientHeight > before.scrollHeight - 40;
  ctx.redraw();
  const after = box();
  if (after && atEnd) after.scrollTop = after.scrollHeight;
}

export function leave(ctx) { ctx.state.output?.stop.abort(); ctx.state.output = null; }

async function cancel(job, ctx) {
  try {
    await ask(path(job.id), { method: 'DELETE' });
    ctx.state.trouble = null;
  } catch (error) { ctx.state.trouble = error; }
  ctx.refresh();
}

const fact = (name, value) => (value === undefined || value === null || value === '' || value === false ? nothing : html`<dt>${name}</dt><dd>${value}</dd>`);

export function view({ job, prospects, conflicts, before }, ctx) {
  const now = time(job.as_of);
  const end = isFinal(job.state) ? time(job.finished_at) : now;
  const why = note(job);
  const about = (conflicts?.conflicts ?? []).filter((c) => c.ids?.includes(job.id));
  const plan = job.spec?.labels?.plan;
  return html`<h1>Job <code>${job.id}</code> ${job.name && job.name !== job.id ? job.name : nothing}</h1>
  ${problem(ctx.state.trouble)}
  <section class="card answer ${job.state === 'failed' || job.state === 'expired' || job.silent ? 'bad' : job.state === 'succeeded' || job.state === 'running' ? 'good' : 'warn'}">
    <p class="head">${stateMark(job.state)}${job.silent ? '?' : ''}${job.executor ? ` at ${job.executor}` : ''}</p>
    ${why ? html`<p>${why}</p>` : nothing}
    ${job.provisional ? html`<p class="warn-text">Provisional: this may still change. ${job.provisional_until ?? ''}</p>` : nothing}
    ${isFinal(job.state) ? nothing : html`<p><button class="danger" ?disabled=${!ctx.may('cancel') && !ctx.may('submit')} @click=${() => { ctx.state.asking = true; ctx.redraw(); }}>Cancel it</button>
      ${ctx.state.asking ? html` Sure? <button class="danger" @click=${() => { ctx.state.asking = false; cancel(job, ctx); }}>Yes, cancel ${job.id}</button> <button @click=${() => { ctx.state.asking = false; ctx.redraw(); }}>No</button>` : nothing}</p>`}
  </section>
  <div class="cols">
  <section class="card" aria-labelledby="h-facts"><h2 id="h-facts">What is known</h2><dl class="facts">
    ${fact('Submitted', `${at(time(job.submitted_at), now)} at ${job.origin}${job.submitter ? ' by ' + job.submitter : ''}`)}
    ${fact('Started', job.started_at ? `${at(time(job.started_at), now)}, ${isFinal(job.state) ? 'ran' : 'runs'} ${lasts(end - time(job.started_at))}` : null)}
    ${fact('Ended', isFinal(job.state) ? at(time(job.finished_at), now) : null)}
    ${fact('Exit code', job.exit_code)}
    ${fact('Owner', job.owner)}
    ${fact('Attempts', `${job.attempt}${job.try ? `, retried ${count(job.try, 'time')}` : ''}${job.losses ? `, lost with ${count(job.losses, 'broker')}` : ''}`)}
    ${fact('Emergency', job.emergency)}
    ${fact('Known by', `${job.known_by} of ${job.members} brokers`)}
    ${fact('Checkpoint', job.checkpoint ? `of ${at(time(job.checkpoint.at), now)}, after ${lasts(job.checkpoint.ran_ms)} of running, ${bytes(job.checkpoint.size)}, at ${job.checkpoint.holders.join(', ')}` : null)}
    ${fact('Module', job.module ? `${job.module.name}, as ${job.module.broker} wrote it at ${at(time(job.module.at), now)}` : null)}
    ${fact('Makes room for it', job.displaced?.length ? job.displaced.map((id) => html`${idLink(id)} `) : null)}
    ${fact('Plan', plan ? html`<a href="#/plan/${encodeURIComponent(plan)}">${plan}</a>` : null)}
  </dl></section>
  <section class="card" aria-labelledby="h-line"><h2 id="h-line">Its time</h2>${timeline([job], Math.min(time(job.submitted_at), now - 10000), end ?? now)}</section>
  </div>
  ${prospects ? waitsAt(prospects) : nothing}
  ${job.attempts?.length ? html`<section class="card"><h2>Attempts</h2>${table('Attempts', ['Number', 'At', 'How', 'From', 'To', 'Exit', 'Why', 'Left'], job.attempts.map((a) => html`<tr><td class="n">${a.attempt?.split('.')[1] ?? '–'}</td><td>${a.executor || '–'}</td><td>${a.state === 'earlier' ? 'no more is known of it' : a.state}</td><td class="time">${at(time(a.started_at), now)}</td><td class="time">${at(time(a.ended_at), now)}</td><td>${a.exit_code ?? '–'}</td><td class="why">${a.reason ?? ''}</td><td>${a.kept ? html`<button @click=${() => fetchFile(`${path(job.id)}/stdout?attempt=${encodeURIComponent(a.attempt)}`, `${job.id}-${a.executor}-stdout.txt`, ctx)}>stdout</button>` : '–'}</td></tr>`))}</section>` : nothing}
  ${job.pauses?.length ? html`<section class="card"><h2>Made room</h2>${table('Times in which it made room', ['At', 'For', 'How', 'From', 'For so long', 'Emergency'], job.pauses.map((p) => html`<tr><td>${p.at}</td><td>${idLink(p.for)}</td><td>${p.mode}</td><td class="time">${at(time(p.from), now)}</td><td class="time">${lasts((time(p.to) ?? now) - time(p.from))}${p.to ? '' : ', still'}</td><td>${p.emergency ?? '–'}</td></tr>`))}</section>` : nothing}
  ${job.rejected?.length || job.superseded?.length ? html`<section class="card"><h2>What did not count</h2><ul>${job.rejected.map((r) => html`<li>a result of ${r.executor} of ${at(time(r.at), now)}, which came too late</li>`)}${job.superseded.map((v) => html`<li>${v.outcome} by ${v.by} of ${at(time(v.at), now)}: ${v.reason ?? ''}</li>`)}</ul></section>` : nothing}
  <section class="card" aria-labelledby="h-dec"><h2 id="h-dec">Decisions about it</h2>
    ${conflicts?.error ? problem(conflicts.error) : about.length ? html`<ul>${about.slice(0, 10).map((c) => html`<li><a href="#/decision/${encodeURIComponent(c.id)}">${at(time(c.at), now)}</a> ${c.sentence}</li>`)}</ul>` : html`<p class="soft">None that ${ctx.status?.name ?? 'this broker'} remembers. ${job.executor && job.executor !== ctx.status?.name ? html`What ${job.executor} has decided stands on its page: ${elsewhere(ctx.status, [job.executor])}` : nothing}</p>`}</section>
  ${output(job, ctx)}
  ${before ? html`<section class="card"><h2>What it rests on</h2>${graph(before, job.id, 'The jobs that it waits for, and theirs')}</section>` : nothing}
  <section class="card"><details><summary>Its spec</summary><pre>${JSON.stringify(job.spec ?? {}, null, 2)}</pre></details></section>`;
}

// waitsAt says for each broker what the job would find there.
function waitsAt(p) {
  if (p.error) return html`<section class="card"><h2>Why it waits</h2>${problem(p.error)}</section>`;
  return html`<section class="card"><h2>Why it waits, by broker</h2>${table('Why it waits, by broker', ['Broker', 'Could run there', 'Lacks', 'Holds', 'Load then', 'Would make room', 'Why not now'], p.brokers.map((b) => html`<tr><td>${b.broker}</td><td>${b.lacks?.length ? html`<span class="bad-text">never</span>` : b.starts ? html`<span class="good-text">at once</span>` : 'later'}</td><td>${b.lacks?.join('; ') || '–'}</td><td>${b.meets?.join('; ') || '–'}</td><td class="n">${b.cost?.toFixed(2)}</td><td>${b.yields?.join(', ') || '–'}</td><td class="why">${b.why ?? ''}</td></tr>`))}</section>`;
}

function output(job, ctx) {
  const o = ctx.state.output;
  const outputs = Object.entries(job.outputs ?? {});
  const shown = (which) => {
    const out = o?.[which];
    const none = out?.whole ? 'Nothing.' : out?.trouble ?? 'Nothing yet.';
    return html`<h3>${which}${out && !out.whole && !isFinal(job.state) ? html` <span class="soft">live</span>` : nothing}</h3>${out?.cut ? html`<p class="soft">The end of ${bytes(out.from)}.</p>` : nothing}<pre id="out-${which}" tabindex="0" role="region" aria-label=${which}>${out?.text || none}</pre>`;
  };
  const to = (p) => () => fetchFile(`${path(job.id)}/${p}`, `${job.id}-${p.split('/').filter(Boolean).pop()}`, ctx);
  return html`<section class="card" aria-labelledby="h-out"><h2 id="h-out">What it writes</h2>
    ${shown('stdout')}${o?.stderr.text || o?.stderr.trouble ? shown('stderr') : nothing}
    ${isFinal(job.state) && !job.removed ? html`<h3>Downloads</h3><p class="row"><button @click=${to('stdout')}>stdout</button><button @click=${to('stderr')}>stderr</button><button @click=${() => fetchFile(path(job.id) + '/result', job.id + '.zip', ctx)}>all as a zip</button>
      ${outputs.map(([name, b]) => html`<button @click=${to('outputs/' + name.split('/').map(encodeURIComponent).join('/'))}>${name} <span class="soft">${bytes(b.size)}</span></button>`)}</p>` : nothing}</section>`;
}

async function fetchFile(from, name, ctx) {
  try {
    await save(from, name);
    ctx.state.trouble = null;
  } catch (error) { ctx.state.trouble = error; }
  ctx.redraw();
}
