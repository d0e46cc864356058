// The seven answers of the page "Now", of what the broker has said. What `ucp status` says on a terminal is the same.
import { at, cores, bytes, byLevel, count, isFinal, lasts, listed, note, time } from './parts.js';

const good = 'good', warn = 'warn', bad = 'bad';

// gone lists the brokers that take part and do not answer.
export function gone(members, status) {
  const out = [];
  for (const m of members ?? []) {
    const peer = status.peer_brokers[m.name];
    const silent = peer?.answers === false || (m.health ?? '').startsWith('silent');
    if (m.roll === 'open' && (m.away || m.status === 'failed')) out.push({ name: m.name, since: time(m.away_since) ?? seen(peer), heard: seen(peer) });
    else if (m.roll === 'open' && silent) out.push({ name: m.name, since: seen(peer), perhaps: true });
    else if (m.roll === 'removed' && (m.revoked || m.status === 'failed')) out.push({ name: m.name, since: seen(peer), givenUp: true });
  }
  return out;
}

const seen = (peer) => (peer?.last_seen ? peer.last_seen * 1000 : null);

// emergency: what is in force, and where.
export function emergency(list, now) {
  const active = byLevel((list ?? []).filter((e) => e.active));
  if (!list) return { tone: warn, head: 'Not known', lines: [] };
  if (active.length === 0) return { tone: good, head: 'None in force', lines: [] };
  return { tone: bad, head: active.map((e) => `${e.type.toUpperCase()} · ${e.level}`).join(' + '), emergencies: active.map((e) => ({ id: e.id, text: reachOf(e, now) })), lines: [] };
}

// reachOf says of an emergency where it is in force, and until when.
export function reachOf(e, now) {
  const where = e.scope?.length ? `where ${e.scope.join(' and ')}` : 'for all brokers';
  const there = e.brokers ? `, in force at ${e.brokers.length} of ${e.of_brokers}` : '';
  const away = e.away?.length ? `; not known of ${listed(e.away)}` : '';
  return `${e.level} ${where}${there}${away}; ends at ${at(time(e.until), now)} UTC (in ${lasts(time(e.until) - now)})${e.message ? ': ' + e.message : ''}`;
}

// trust: whether this is all there is, or what one part of the cluster knows.
export function trust(s, unknown) {
  const now = time(s.as_of);
  const all = 1 + s.total_peers;
  const heard = 1 + s.healthy_peers;
  const buts = [];
  let mute = 0;
  for (const name of Object.keys(s.peer_brokers).sort()) {
    const p = s.peer_brokers[name];
    if (!p.healthy) buts.push(`${name} ${p.health}${p.last_seen ? `, last heard of at ${at(p.last_seen * 1000, now)}` : `, not heard of since ${s.name} started`}`);
    else if (p.answers === false) { mute++; buts.push(`${name} does not answer now; last heard of at ${at(p.last_seen * 1000, now)}`); }
    if (p.takes_none) buts.push(`${name} takes no jobs: ${p.takes_none}`);
    if (p.breaches) buts.push(`${name} has said what it can’t know (${p.breaches} times): ${p.last_breach}`);
    if (p.clock_off && p.clock_off !== '0s') buts.push(`the clock of ${name} is off by ${p.clock_off}`);
  }
  if (!s.coordinator_running) buts.push(`${s.name} is leaving`);
  else if (s.draining) buts.push(`${s.name} drains, and takes no new jobs`);
  if (s.disk_full) buts.push(`the disk of ${s.name} is full: it refuses new jobs`);
  if (s.withdrawn) buts.push(`${s.name} takes no jobs: ${s.withdrawn}`);
  if (s.unaudited) buts.push(`${s.name} has just started: ${s.awaits_proof || 'results are provisional'}`);
  if (s.quarantined) buts.push(`${s.name} can’t read ${count(s.quarantined, 'record')} of its peers`);
  if (s.unset) buts.push(`the clock of ${s.name}’s machine is wrong, and has no vote`);
  buts.push(...(s.warnings ?? []), ...unknown.map((u) => 'not known: ' + u));
  if (heard < all) return { tone: bad, head: `Not all: ${heard} of ${all} brokers`, lines: buts };
  if (mute) return { tone: bad, head: `Not sure: ${heard - mute} of ${all} answer`, lines: buts };
  if (buts.length) return { tone: warn, head: all === 1 ? `Mostly: ${s.name} alone` : `Mostly: all ${all} brokers, but`, lines: buts };
  if (all === 1) return { tone: good, head: `Yes, of ${s.name} alone`, lines: ['It has met no other broker.'] };
  return { tone: good, head: `Yes: all ${all} brokers answer`, lines: [] };
}

const more = (list) => (list.next ? ' or more' : '');

// urgent: urgent jobs that do not run, and why; those of an emergency first, then the oldest.
export function urgent(list) {
  if (!list) return { tone: warn, head: 'Not known', lines: [] };
  const asOf = time(list.as_of);
  const jobs = list.jobs.filter((j) => j.silent || !(j.state === 'running' || (j.state === 'starting' && asOf - time(j.submitted_at) < 3000)));
  if (jobs.length === 0) return { tone: good, head: 'All urgent work runs', lines: [] };
  jobs.sort((a, b) => (b.emergency ? 1 : 0) - (a.emergency ? 1 : 0) || time(a.submitted_at) - time(b.submitted_at));
  return { tone: bad, head: `${count(jobs.length, 'urgent job')}${more(list)} waiting`, jobs: jobs.map((job) => ({ job, text: `${job.state} for ${lasts(asOf - time(job.submitted_at))}: ${note(job) || 'no reason is known here'}` })), lines: [] };
}

// goneAnswer: who is gone, and what was there.
export function goneAnswer(list, jobsAt, now) {
  if (!list) return { tone: warn, head: 'Not known', lines: [] };
  if (list.length === 0) return { tone: good, head: 'Nobody', lines: [] };
  const jobs = [];
  const lines = [];
  for (const g of list) {
    const since = !g.since ? '' : g.heard && g.heard < g.since ? `: last heard of at ${at(g.heard, now)}, counted as gone since ${at(g.since, now)} (${lasts(now - g.since)})` : ` since ${at(g.since, now)} (${lasts(now - g.since)})`;
    lines.push(`${g.perhaps ? 'perhaps ' : ''}${g.name}${g.perhaps ? ', silent' : ''}${since}${g.givenUp ? ', which was given up' : ''}`);
    for (const job of jobsAt[g.name] ?? []) jobs.push({ job, text: whereNow(job, g.name) });
    if (!jobsAt[g.name]) lines.push(`what was at ${g.name} is not known`);
  }
  const sure = list.filter((g) => !g.perhaps);
  return { tone: bad, head: sure.length ? listed(sure.map((g) => g.name)) : 'Perhaps ' + listed(list.map((g) => g.name)), lines, jobs };
}

// wasThere reports whether a job was still at a broker when that was heard of for the last time.
export function wasThere(job, name, since) {
  if (job.executor === name) return !isFinal(job.state);
  if (since === null) return true;
  return !(isFinal(job.state) && time(job.finished_at) <= since) && !(time(job.started_at) !== null && time(job.started_at) <= since);
}

function whereNow(job, name) {
  if (job.executor === name) return `${job.state}? it is still counted at ${name}`;
  if (isFinal(job.state)) return `${job.state} at ${job.executor}`;
  return job.executor ? `now ${job.state} at ${job.executor}` : `now ${job.state}${job.why ? ': ' + job.why : ''}`;
}

// stopped: who was stopped for whom.
export function stopped(list) {
  if (!list) return { tone: warn, head: 'Not known', lines: [] };
  if (list.jobs.length === 0) return { tone: good, head: 'Nobody', lines: [] };
  const now = time(list.as_of);
  return {
    tone: warn, head: `${count(list.jobs.length, 'job')}${more(list)} make${list.jobs.length === 1 ? 's' : ''} room`, lines: [],
    jobs: list.jobs.map((job) => {
      const p = job.pauses?.at(-1);
      if (!p) return { job, text: note(job) };
      const how = p.mode === 'requeue' ? 'has waited' : 'has stood still';
      return { job, text: `${how} for ${lasts(now - time(p.from))}, at ${p.at}, for`, other: p.for, tail: p.emergency ? ` (${p.emergency})` : '' };
    }),
  };
}

// failed: what failed in the last hour.
export function failed(list) {
  if (!list) return { tone: warn, head: 'Not known', lines: [] };
  if (list.jobs.length === 0) return { tone: good, head: 'Nothing in the last hour', lines: [] };
  const now = time(list.as_of);
  const jobs = [...list.jobs].sort((a, b) => time(b.finished_at) - time(a.finished_at));
  return { tone: bad, head: `${count(jobs.length, 'job')}${more(list)} in the last hour`, lines: [], jobs: jobs.map((job) => ({ job, text: `${job.executor ? 'at ' + job.executor + ', ' : ''}${lasts(now - time(job.finished_at))} ago: ${note(job) || job.state}` })) };
}

// room: what is left for more jobs, and how many there are.
export function room(rows, status, counts, away, maybe = 0) {
  if (!rows) return { tone: warn, head: 'Not known', lines: [] };
  const free = [], none = []; // none: they answer, and take no jobs
  for (const [name, m] of Object.entries(rows)) {
    const p = status.peer_brokers[name];
    const self = name === status.name;
    if (!self && (!p || !p.healthy || p.answers === false)) continue;
    if (m.draining || m.full || (self && status.disk_full) || p?.takes_none) { none.push(name); continue; }
    const has = m.capabilities.capacity, used = m.usage;
    free.push({ name, cpu: Math.max(has.cpu - used.cpu, 0), memory: Math.max(has.memory - used.memory, 0), allCPU: has.cpu, allMemory: has.memory });
  }
  if (free.length === 0) return { tone: bad, head: 'None: no broker that answers takes jobs', lines: [] };
  const sum = (field) => free.reduce((n, x) => n + x[field], 0);
  const lines = [];
  if (away.length) lines.push(`What ${listed(away)} may have is not counted.`);
  if (none.length) lines.push(`${listed(none)} take${none.length === 1 ? 's' : ''} no jobs, and what ${none.length === 1 ? 'it has' : 'they have'} is not counted.`);
  if (counts) {
    const runs = Math.max((counts.running ?? 0) + (counts.loading ?? 0) + (counts.starting ?? 0) - maybe, 0);
    const waits = (counts.pending ?? 0) + (counts.queued ?? 0) + (counts.suspended ?? 0);
    lines.push(`${count(runs, 'job')} run${runs === 1 ? 's' : ''}, ${maybe ? `${maybe} may still run at brokers that do not answer, ` : ''}${waits} wait${waits === 1 ? 's' : ''}${counts.pending ? `, ${counts.pending} of these without a place` : ''}.`);
  } else lines.push('How many jobs run and wait is not known.');
  return { tone: sum('cpu') <= 0 ? bad : good, head: `${cores(sum('cpu'))} of ${cores(sum('allCPU'))} cores free`, lines: [`${bytes(sum('memory'))} of ${bytes(sum('allMemory'))} of memory free.`, ...lines], free };
}
