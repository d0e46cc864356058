// One decision: who contended, what spoke for each, and what other strategies would have done.
import { ask, save } from './api.js';
import { svg } from './lib/lit-html.js';
import { html, nothing, idLink, at, bytes, cores, problem, table, time } from './parts.js';

export const title = 'Decision';
export const every = 60000; // it does not change
export const kinds = 'emergency';

const path = (id) => '/v1/conflicts/' + encodeURIComponent(id);

export async function load(ctx) { return ask(path(ctx.parts[0] ?? '')); }

const factors = [['emergency', 'emergency'], ['user', 'user priority'], ['urgency', 'urgency, deadline'], ['compute', 'weight'], ['waiting', 'waiting']];

// bars shows the points of a job as one bar, cut by what they are for.
function bars(f, top) {
  let x = 0;
  const parts = factors.map(([name, word]) => {
    const w = (300 * Math.max(f[name] ?? 0, 0)) / top;
    const part = w > 0 ? svg`<rect class="f-${name}" x=${x} y="2" width=${w} height="16"><title>${word}: ${f[name]}</title></rect>` : nothing;
    x += w;
    return part;
  });
  return html`<svg width="300" height="20" role="img" aria-label=${factors.map(([name, word]) => `${word} ${f[name] ?? 0}`).join(', ')}>${parts}</svg>`;
}

// wanted is what a job of the snapshot wants.
function wanted(d, key) {
  const s = d.conflict.snapshot;
  const c = [...(s.pending ?? []), ...(s.running ?? []), ...(s.suspended ?? [])].find((x) => x.key === key);
  return c ? `${cores(c.want.cpu)} cores, ${bytes(c.want.memory)}` : '';
}

const contender = (c, d, top) => html`<tr><td>${idLink(c.id)}${c.key === d.winner ? html` <strong class="good-text">wins</strong>` : nothing}</td><td>${wanted(d, c.key)}</td><td class="n">${c.rank}</td><td>${bars(c.factors, top)}</td><td>${c.factors.level ? `level ${c.factors.level}` : '–'}</td><td>${c.relation}</td><td>${c.outcome}${c.lacks ? html` <span class="soft">lacks ${c.lacks}</span>` : nothing}</td></tr>`;

// told says in words what a decision does.
function told(decision, names) {
  const name = (key) => names.get(key) ?? key;
  const out = [];
  if (decision.start?.length) out.push(`starts ${decision.start.map(name).join(', ')}`);
  if (decision.resume?.length) out.push(`resumes ${decision.resume.map(name).join(', ')}`);
  for (const p of decision.preempt ?? []) out.push(`${p.mode === 'requeue' ? 'requeues' : 'suspends'} ${name(p.victim)} for ${name(p.for)}`);
  for (const x of decision.expire ?? []) out.push(`gives up ${name(x.key)}: ${x.why}`);
  for (const x of decision.defer ?? []) out.push(`lets ${name(x.key)} wait: ${x.why}`);
  return out;
}

export function view(d, ctx) {
  const s = ctx.state;
  const all = [...(d.contenders ?? []), ...(d.holders ?? [])];
  const names = new Map(all.map((c) => [c.key, c.id]));
  const top = Math.max(1, ...all.map((c) => c.factors.total));
  const snap = d.conflict.snapshot;
  s.under ??= snap.strategy;
  const chosen = s.under === snap.strategy ? { strategy: snap.strategy, decision: d.decision, sentence: d.sentence } : d.alternatives.find((a) => a.strategy === s.under);
  const heads = ['Job', 'Wants', 'Points', 'What they are for', 'Emergency', 'To the winner', 'Outcome'];
  return html`<h1>Decision <code>${d.conflict.id}</code> of ${at(time(snap.now))}</h1>
  ${problem(s.trouble)}
  <section class="card answer good"><p>${d.sentence}</p><p class="soft">By ${snap.strategy}${snap.override ? `, since ${snap.override.emergency} is in force; else by ${snap.override.of}` : ''}; the broker has ${cores(snap.capacity.cpu)} cores and ${bytes(snap.capacity.memory)}.</p></section>
  <section class="card"><h2>Who wanted to run</h2>${table('Who wanted to run', heads, (d.contenders ?? []).map((c) => contender(c, d, top)))}
    ${d.holders?.length ? html`<h2>Who ran</h2>${table('Who ran', heads, d.holders.map((c) => contender(c, d, top)))}` : nothing}
    ${d.rest ? html`<p class="soft">${d.rest} more are not recorded.</p>` : nothing}
    <ul class="legend" aria-label="What the parts of the bars mean">${factors.map(([name, word]) => html`<li><svg width="16" height="12" aria-hidden="true"><rect class="f-${name}" x="1" y="1" width="14" height="10"></rect></svg>${word}</li>`)}</ul></section>
  <section class="card" aria-labelledby="h-replay"><h2 id="h-replay">The same again, under another strategy</h2>
    <p class="row"><label>Strategy <select @change=${(e) => { s.under = e.target.value; ctx.redraw(); }}>${[snap.strategy, ...d.alternatives.map((a) => a.strategy)].map((k) => html`<option ?selected=${k === s.under}>${k}</option>`)}</select></label>
      <button @click=${() => save(path(d.conflict.id) + '?bundle=1', d.conflict.id + '.json').catch((error) => { s.trouble = error; ctx.redraw(); })}>Export it for <code>ucp conflict replay</code></button></p>
    <p role="status">${chosen?.sentence}</p><ul>${told(chosen?.decision ?? {}, names).map((t) => html`<li>${t}</li>`)}</ul></section>
  <section class="card"><h2>What every other strategy would have done</h2>${table('What every other strategy would have done', ['Strategy', 'In a sentence', 'It'], d.alternatives.map((a) => html`<tr><th scope="row">${a.strategy}</th><td>${a.sentence}</td><td>${told(a.decision, names).slice(0, 6).join('; ')}</td></tr>`))}</section>`;
}
