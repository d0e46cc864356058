// The timeline of what brokers ran: a row for each slot that was in use, with the times in which a job stood still as gaps.
import { svg, html, nothing } from './lib/lit-html.js';
import { at, count, isFinal, jobHref, lasts, time } from './parts.js';

const laneHeight = 15, laneGap = 3, most = 400; // bars of one broker

// pieces cuts a job's time at its executor into what it did: waited, ran, stood still.
function pieces(job, now) {
  const out = [];
  const submitted = time(job.submitted_at), started = time(job.started_at);
  const end = isFinal(job.state) ? time(job.finished_at) ?? now : now;
  const pauses = (job.pauses ?? []).map((p) => ({ from: time(p.from), to: time(p.to) ?? end, for: p.for })).filter((p) => p.from !== null && p.from < end);
  if (pauses.length && (started === null || pauses[0].from < started)) return paused(job, pauses, submitted, end);
  if (started === null) {
    out.push({ kind: job.state === 'loading' ? 'loading' : 'waiting', from: submitted, to: end });
    return out;
  }
  if (submitted < started) out.push({ kind: 'waiting', from: submitted, to: started });
  const ran = job.state === 'succeeded' ? 'done' : isFinal(job.state) ? 'failed' : job.silent ? 'unsure' : 'running';
  let from = started;
  for (const p of pauses) {
    if (p.to <= from) continue;
    if (p.from > from) out.push({ kind: ran, from, to: p.from });
    out.push({ kind: 'gap', from: Math.max(p.from, from), to: p.to, for: p.for });
    from = p.to;
  }
  if (from < end) out.push({ kind: ran, from, to: end });
  return out;
}

// paused is of a job that made room: its latest start is known, and not its first one.
function paused(job, pauses, submitted, end) {
  const out = [];
  let from = submitted;
  for (const p of pauses) {
    if (p.from > from) out.push({ kind: 'running', from, to: p.from });
    out.push({ kind: 'gap', from: Math.max(p.from, from), to: p.to, for: p.for });
    from = p.to;
  }
  const last = job.state === 'succeeded' ? 'done' : isFinal(job.state) ? 'failed' : job.silent ? 'unsure' : 'running';
  if (from < end) out.push({ kind: last, from, to: end });
  return out;
}

// lanes puts jobs of one broker into rows in which they do not overlap: its slots.
function lanes(list) {
  const ends = [];
  for (const x of list) {
    let lane = ends.findIndex((end) => end <= x.from);
    if (lane < 0) lane = ends.push(0) - 1;
    ends[lane] = x.to;
    x.lane = lane;
  }
  return ends.length;
}

const words = { waiting: 'waited', running: 'runs', done: 'ran', failed: 'ran, in vain', gap: 'stood still', loading: 'loads', unsure: 'may run' };

// arrange lays out all jobs of a stretch of time, by broker. A job that has no place yet is in the row of nobody.
export function arrange(jobs, from, to) {
  const by = new Map();
  let left = 0;
  for (const job of jobs) {
    for (const r of job.rejected ?? []) if (time(r.at) >= from) group(by, r.executor).late.push({ job, at: time(r.at) });
    if (!job.executor && job.state !== 'pending') continue;
    const all = pieces(job, to).filter((p) => p.from !== null && p.to > from && p.from < to);
    if (all.length === 0) continue;
    const g = group(by, job.executor || 'no place yet');
    const parts = all.filter((p) => p.kind !== 'waiting');
    g.waits.push(...all.filter((p) => p.kind === 'waiting'));
    if (!isFinal(job.state) && parts.length === 0) g.waiting++;
    if (parts.length === 0) continue;
    if (g.list.length >= most) { left++; continue; }
    g.list.push({ job, parts, from: Math.max(parts[0].from, from), to: Math.max(parts.at(-1).to, parts[0].from + (to - from) / 300) });
  }
  const rows = [...by.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, g]) => {
    g.list.sort((a, b) => a.from - b.from);
    return { name, ...g, lanes: lanes(g.list) };
  });
  return { rows, left };
}

function group(by, name) {
  if (!by.has(name)) by.set(name, { list: [], late: [], waits: [], waiting: 0 });
  return by.get(name);
}

// queue draws how many waited at each time, as steps.
function queue(waits, from, to, y) {
  const steps = new Map();
  for (const p of waits) {
    const a = Math.max(p.from, from);
    steps.set(a, (steps.get(a) ?? 0) + 1);
    if (p.to < to) steps.set(p.to, (steps.get(p.to) ?? 0) - 1);
  }
  const times = [...steps.keys()].sort((a, b) => a - b);
  let n = 0, top = 1;
  for (const t of times) { n += steps.get(t); top = Math.max(top, n); }
  n = 0;
  const x = (t) => (1000 * (t - from)) / (to - from);
  let d = 'M0 20';
  for (const t of times) {
    d += `H${x(t).toFixed(1)}`;
    n += steps.get(t);
    d += `V${(20 - (19 * n) / top).toFixed(1)}`;
  }
  return svg`<svg x="0" y=${y} width="100%" height="20" viewBox="0 0 1000 20" preserveAspectRatio="none"><title>up to ${top} waited at a time</title><path class="queue" d="${d}H1000V20Z"></path></svg>`;
}

// heading says what a row shows.
function heading(row) {
  const ran = row.list.length ? `${count(row.list.length, 'job')} ran here last${row.lanes > 1 ? `, up to ${row.lanes} at a time` : ''}` : '';
  return [ran, row.waiting ? `${count(row.waiting, 'job')} wait${row.waiting === 1 ? 's' : ''}` : '', row.late.length ? count(row.late.length, 'late result') : ''].filter(Boolean).join('; ');
}

// timeline draws it.
export function timeline(jobs, from, to) {
  const { rows, left } = arrange(jobs, from, to);
  if (rows.length === 0) return html`<p class="soft">Nothing ran or waited in this time.</p>`;
  const x = (t) => `${(100 * (Math.min(Math.max(t, from), to) - from)) / (to - from)}%`;
  const w = (a, b) => `${Math.max((100 * (Math.min(b, to) - Math.max(a, from))) / (to - from), 0.15)}%`;
  const marks = [0, 0.25, 0.5, 0.75].map((part) => from + part * (to - from));
  return html`${rows.map((row) => {
    const slots = row.lanes * (laneHeight + laneGap) + laneGap;
    const height = slots + (row.waits.length ? 24 : 0) + (row.late.length && !row.lanes ? 14 : 0);
    return html`<h3>${row.name} <span class="soft">${heading(row)}</span></h3>
    <svg width="100%" height=${height} role="group" aria-label="What ${row.name} ran from ${at(from)} to ${at(to)}: ${heading(row)}">
      ${marks.map((m) => svg`<line class="grid" x1=${x(m)} x2=${x(m)} y1="0" y2=${height}></line>`)}
      ${row.list.map((item) => bar(item, x, w))}
      ${row.waits.length ? queue(row.waits, from, to, slots) : nothing}
      ${row.late.map((l) => svg`<svg x=${x(l.at)} y="2" overflow="visible"><path class="b-late" d="M-6 6 0 0 6 6 0 12z"><title>${l.job.id}: a late result, at ${at(l.at)}, which did not count</title></path></svg>`)}
    </svg>`;
  })}
  <svg width="100%" height="18" aria-hidden="true">${marks.map((m) => svg`<text class="soft" x=${x(m)} y="13">${at(m)}</text>`)}<text class="soft" x="100%" y="13" text-anchor="end">${at(to)}</text></svg>
  ${left ? html`<p class="soft">${left} more are not drawn: choose a shorter time.</p>` : nothing}
  <ul class="legend" aria-label="What the bars mean">${[['loading', 'loads its module'], ['running', 'runs'], ['gap', 'stands still for another'], ['done', 'ran, and succeeded'], ['failed', 'ran, and ended otherwise'], ['unsure', 'may run: its broker is silent'], ['late', 'late result'], ['moved', 'was at another broker before'], ['waiting', 'how many wait']].map(([kind, text]) => html`<li><svg width="16" height="12" aria-hidden="true"><rect class="b-${kind}" x="1" y="1" width="14" height="10"></rect></svg>${text}</li>`)}</ul>`;
}

function bar({ job, parts, lane }, x, w) {
  const y = laneGap + lane * (laneHeight + laneGap);
  const title = `${job.id}${job.name && job.name !== job.id ? ' ' + job.name : ''}: ${parts.map((p) => `${words[p.kind]} ${lasts(p.to - p.from)}${p.for ? ' for ' + p.for : ''}`).join(', ')}; ${job.state}`;
  return svg`<a href=${jobHref(job.id)} tabindex="-1" aria-label=${title}><title>${title}</title>${parts.map((p) => {
    const thin = p.kind === 'gap' ? 9 : 0;
    return svg`<rect class="b-${p.kind}" x=${x(p.from)} y=${y + thin / 2} width=${w(p.from, p.to)} height=${laneHeight - thin}></rect>`;
  })}${job.attempt > 1 ? svg`<svg x=${x(parts[0].from)} y=${y} overflow="visible"><path class="b-moved" d="M0 0 7 7.5 0 15z"></path></svg>` : nothing}</a>`;
}
