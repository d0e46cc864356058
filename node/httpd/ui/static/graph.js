// Graphs of what runs behind what: from left to right, each job behind those that it waits for.
import { svg, html } from './lib/lit-html.js';
import { jobHref } from './parts.js';
import { ask, query } from './api.js';

const wide = 190, high = 44, gapX = 46, gapY = 12;

// specs of jobs never change: each is asked for once.
const known = new Map();

// withSpec asks for a job with its spec; one whose spec is known and that has ended is not asked for again.
export async function withSpec(id) {
  const old = known.get(id);
  if (old && ['succeeded', 'failed', 'cancelled', 'expired'].includes(old.state) && !old.provisional) return old;
  const job = await ask(query('/v1/jobs/' + encodeURIComponent(id), {}));
  if (known.size > 2000) known.clear();
  known.set(id, job);
  return job;
}

// behind lists the jobs that one waits for: those that its spec names, and those of which it reads.
export function behind(job) {
  const spec = job.spec ?? {};
  const out = new Set(spec.after ?? []);
  for (const from of [spec.stdin, ...Object.values(spec.inputs ?? {})]) {
    const m = /^job:([^/]+)\//.exec(from ?? '');
    if (m) out.add(m[1]);
  }
  return [...out];
}

// past asks for a job's causal past, as far back as so many jobs.
export async function past(job, most = 40) {
  const all = new Map([[job.id, job]]);
  let edge = behind(job);
  while (edge.length && all.size < most) {
    const next = [];
    await Promise.all(edge.slice(0, most - all.size).map(async (id) => {
      if (all.has(id)) return;
      const j = await withSpec(id).catch(() => ({ id, state: 'not known' }));
      all.set(id, j);
      next.push(...behind(j));
    }));
    edge = [...new Set(next)].filter((id) => !all.has(id));
  }
  return [...all.values()];
}

// graph draws jobs with arrows from those that they wait for. Those that are not submitted yet lead nowhere.
export function graph(jobs, self, label, leads = true) {
  const by = new Map(jobs.map((j) => [j.id, j]));
  const column = new Map();
  const place = (id, seen) => {
    if (column.has(id)) return column.get(id);
    if (seen.has(id)) return 0;
    seen.add(id);
    const before = behind(by.get(id)).filter((b) => by.has(b));
    const c = before.length ? 1 + Math.max(...before.map((b) => place(b, seen))) : 0;
    column.set(id, c);
    return c;
  };
  for (const j of jobs) place(j.id, new Set());
  const filled = [];
  const spot = new Map();
  for (const j of [...jobs].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const c = column.get(j.id);
    const r = filled[c] ?? 0;
    filled[c] = r + 1;
    spot.set(j.id, { x: 4 + c * (wide + gapX), y: 4 + r * (high + gapY) });
  }
  const width = filled.length * (wide + gapX), height = Math.max(...filled.map((n) => n ?? 0)) * (high + gapY) + 8;
  const tone = (s) => (s === 'succeeded' ? 'ok' : s === 'running' || s === 'starting' ? 'run' : ['failed', 'expired', 'cancelled'].includes(s) ? 'bad' : '');
  const short = (text) => (text.length > 23 ? text.slice(0, 22) + '…' : text);
  return html`<div class="wide" role="group" tabindex="0" aria-label=${label}><svg width=${width} height=${height} role="group" aria-label="${label}: ${jobs.map((j) => `${j.id}${j.state ? ' is ' + j.state : ''}, after ${behind(j).join(', ') || 'none'}`).join('; ')}">
    ${jobs.flatMap((j) => behind(j).filter((b) => spot.has(b)).map((b) => {
    const a = spot.get(b), z = spot.get(j.id);
    const x1 = a.x + wide, y1 = a.y + high / 2, x2 = z.x, y2 = z.y + high / 2;
    return svg`<path class="edge" d="M${x1} ${y1} C${x1 + gapX / 2} ${y1} ${x2 - gapX / 2} ${y2} ${x2} ${y2}"></path><path class="edge" d="M${x2 - 7} ${y2 - 4} ${x2} ${y2} ${x2 - 7} ${y2 + 4}"></path>`;
  }))}
    ${jobs.map((j) => {
    const s = spot.get(j.id);
    const node = svg`<rect class="node ${tone(j.state)} ${j.id === self ? 'self' : ''}" x=${s.x} y=${s.y} width=${wide} height=${high} rx="6"><title>${j.id}</title></rect><text x=${s.x + 9} y=${s.y + 18}>${short(j.id)}</text><text class="soft" x=${s.x + 9} y=${s.y + 35}>${j.says ?? j.state}${j.executor ? ' at ' + j.executor : ''}</text>`;
    return leads ? svg`<a href=${jobHref(j.id)}>${node}</a>` : svg`<g>${node}</g>`;
  })}
  </svg></div>`;
}
