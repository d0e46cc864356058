// The page "Decisions": which jobs wanted the same room, who got it, and why.
import { ask, send } from './api.js';
import { html, nothing, idLink, at, count, elsewhere, problem, table, time } from './parts.js';

export const title = 'Decisions';
export const every = 5000;
export const kinds = 'emergency,strategy,preemption,job';

export async function load(ctx) {
  const [conflicts, strategy] = await Promise.all([ask('/v1/conflicts?limit=' + (ctx.params.get('limit') ?? 100)), ask('/v1/strategy')]);
  return { conflicts, strategy };
}

const kindText = { capacity: 'room', exclusive: 'the key', twice: 'run twice' };

export function view({ conflicts, strategy }, ctx) {
  const s = ctx.state;
  const broker = ctx.status?.name ?? 'this broker';
  return html`<h1>Decisions of ${broker}</h1>
  <p>Each broker decides about the jobs that are placed with it, and these are those of ${broker} alone. ${elsewhere(ctx.status).length ? html`Those of others: ${elsewhere(ctx.status)}` : nothing}</p>
  ${problem(s.trouble)}${s.done ? html`<p class="done" role="status">${s.done}</p>` : nothing}
  <section class="card" aria-labelledby="h-by"><h2 id="h-by">It decides by <strong>${strategy.strategy}</strong></h2>
    ${strategy.emergency ? html`<p>Because of <a href="#/emergencies">${strategy.emergency}</a>; when that is over by ${strategy.chosen}.</p>` : nothing}
    ${ctx.may('operate') ? html`<form class="row" @submit=${(e) => { e.preventDefault(); choose(new FormData(e.target), ctx); }}>
      <label>Strategy <select name="strategy">${(strategy.known ?? []).map((k) => html`<option ?selected=${k === (strategy.chosen || strategy.strategy)}>${k}</option>`)}</select></label>
      <label class="check"><input type="checkbox" name="cluster" checked>for all brokers</label><button>Decide by it</button></form>` : nothing}
  </section>
  <section class="card" aria-labelledby="h-list"><h2 id="h-list">${count(conflicts.total, 'decision')} since it started</h2>
    ${conflicts.conflicts.length ? table('Decisions, the newest first', ['When', 'Over', 'By', 'Winner', 'Jobs', 'What was decided'], conflicts.conflicts.map((c) => html`<tr><td class="time"><a href="#/decision/${encodeURIComponent(c.id)}">${at(time(c.at))}</a></td><td>${kindText[c.kind] ?? c.kind}${c.over ? ' ' + c.over : ''}</td><td>${c.strategy}</td><td>${c.winner ? idLink(c.winner) : 'nobody'}</td><td>${c.jobs}</td><td>${c.sentence}</td></tr>`))
    : html`<p class="soft">All jobs that came here had room so far.</p>`}</section>`;
}

async function choose(form, ctx) {
  const s = ctx.state;
  try {
    const a = await send('PUT', '/v1/strategy', { strategy: form.get('strategy'), cluster: form.get('cluster') !== null });
    const others = Object.entries(a.others ?? {}).map(([k, names]) => `${names.join(', ')} by ${k}`);
    Object.assign(s, { trouble: null, done: `Decided by ${a.chosen || a.strategy} from now on.${others.length ? ` Others decide otherwise: ${others.join('; ')}.` : ''}` });
  } catch (error) { Object.assign(s, { trouble: error, done: '' }); }
  ctx.refresh();
}
