// A plan that was dropped. The broker reads it (POST /v1/plans) and says which files it names; this page only finds these among what was dropped.
import { ask, call } from './api.js';
import { html, nothing, bytes, count, table } from './parts.js';
import { digest } from './sha256.js';
import { graph } from './graph.js';

export const mostBytes = 256 << 20; // of a file: it is read as a whole
const mostText = 256 << 10;

// said is what the broker said of plans that this page has submitted, by their ID.
export const said = new Map();

// findPlans lists the paths of those files that are plans, the outermost first.
export async function findPlans(files) {
  const out = [];
  for (const { path, file } of files) {
    if (!/\.(ya?ml|json|toml)$/.test(path) || file.size > mostText) continue;
    const text = await file.text();
    if (/^\s*\[\[\s*jobs\s*\]\]/m.test(text) || /^["']?jobs["']?\s*:/m.test(text) || /^\s*\{\s*"(jobs|defaults)"/.test(text)) out.push(path);
  }
  const depth = (path) => path.split('/').length;
  return out.sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1));
}

// clean is a path without "." and "..", as far as these lead somewhere.
function clean(path) {
  const out = [];
  for (const part of path.split('/')) {
    if (part === '..' && out.length && out.at(-1) !== '..') out.pop();
    else if (part && part !== '.') out.push(part);
  }
  return out.join('/');
}

// found lists which of the dropped files a plan means: [path as the plan has it, file].
function found(p, f) {
  const at = clean(p.chosen.split('/').slice(0, -1).join('/') + '/' + f.path);
  if (f.directory) {
    const below = at ? at + '/' : '';
    return [...p.pool].filter(([path]) => path.startsWith(below)).map(([path, file]) => [clean(f.path) + '/' + path.slice(below.length), file]);
  }
  const name = f.path.split('/').pop();
  const file = p.pool.get(at) ?? p.pool.get(name); // files that are dropped without their folder have only names
  return file ? [[f.path, file]] : [];
}

// check asks the broker what the plan is, again as long as it names more that was dropped.
export async function check(ctx) {
  const s = ctx.state, p = s.plan;
  Object.assign(s, { trouble: null, done: '', busy: 'Reading the plan …' });
  Object.assign(p, { answer: null, files: {}, by: new Map(), large: [] });
  ctx.redraw();
  try {
    p.text = await p.pool.get(p.chosen).text();
    for (let round = 0; round < 8; round++) {
      const a = await order(p, true);
      p.id = a.id;
      let more = false;
      for (const f of a.files) {
        for (const [path, file] of found(p, f)) {
          if (p.files[path] || p.large.includes(path)) continue;
          if (file.size > mostBytes) { p.large.push(path); continue; }
          s.busy = `Reading ${path}, ${bytes(file.size)} …`;
          ctx.redraw();
          const content = new Uint8Array(await file.arrayBuffer());
          const sum = await digest(content);
          p.by.set(sum, file);
          p.files[path] = sum;
          more = true;
        }
        if (f.what === 'each' && f.absent) { await upload(p, f.absent); more = true; } // the jobs are counted by it
      }
      if (s.plan !== p) return; // something else was dropped meanwhile
      p.answer = a;
      if (!more) break;
    }
  } catch (error) { s.trouble = error; }
  s.busy = '';
  ctx.redraw();
}

const order = (p, dry) => ask('/v1/plans' + (dry ? '?dry_run=1' : ''), { method: 'POST', type: 'application/json', within: 30000, body: JSON.stringify({ id: p.id, name: p.chosen.split('/').pop(), text: p.text, files: p.files }) });

async function upload(p, digests) {
  for (const d of new Set(digests)) await call('/v1/blobs/' + d, { method: 'PUT', body: p.by.get(d), within: 0 });
}

export function planForm(ctx) {
  const s = ctx.state, p = s.plan, a = p.answer;
  if (!a) return nothing;
  const missing = a.files.filter((f) => f.missing);
  const mistakes = missing.some((f) => f.what === 'each') ? [] : a.mistakes ?? []; // without these lines jobs are lacking, and others that name them are no mistakes
  const sent = Object.keys(p.files).length, ready = !missing.length && !mistakes.length;
  return html`<form @submit=${(e) => { e.preventDefault(); if (ready && !s.busy) submit(ctx); }}><h3>The plan ${p.plans.length > 1 ? html`<select aria-label="Which plan" @change=${(e) => { p.chosen = e.target.value; p.id = undefined; check(ctx); }}>${p.plans.map((path) => html`<option ?selected=${path === p.chosen}>${path}</option>`)}</select>` : p.chosen}</h3>
    <p>${mistakes.length || !a.jobs ? nothing : html`${count(a.jobs, 'job')}, which ${a.jobs === 1 ? 'has' : 'have'} the ID <code>${a.id}</code>. `}${sent} of the files that it names ${sent === 1 ? 'is' : 'are'} here.</p>
    ${mistakes.length ? html`<div class="problem" role="alert"><strong>${mistakes.length >= 100 ? 'The first 100 mistakes' : count(mistakes.length, 'mistake')}.</strong> Nothing is submitted until the file is mended and dropped again.</div>${table('Mistakes in the plan', ['Line', 'Job', 'What is wrong'], mistakes.map((m) => html`<tr><td class="n">${m.line || '–'}</td><td>${m.job || '–'}</td><td class="why">${m.text}</td></tr>`))}` : nothing}
    ${missing.length ? html`<div class="problem" role="alert"><strong>${count(missing.length, 'file')} missing.</strong> Drop ${missing.length === 1 ? 'it' : 'them'} here, too.</div>${table('Missing files', ['File', 'For', 'Line'], missing.map((f) => html`<tr><td><code>${f.path}${f.directory && !f.path.endsWith('/') ? '/' : ''}</code>${p.large.includes(f.path) ? html` <span class="bad-text">larger than the ${bytes(mostBytes)} that this page takes: use ucp plan run</span>` : nothing}</td><td>${f.what}${f.job ? ' of ' + f.job : ''}</td><td class="n">${f.line || '–'}</td></tr>`))}` : nothing}
    ${a.graph?.jobs.length ? html`<h4>What runs behind what</h4>${graph(drawn(a.graph), '', 'The jobs of the plan', false)}` : nothing}
    <p class="row"><button class="main" ?disabled=${!ready || Boolean(s.busy)}>Submit ${count(a.jobs, 'job')}</button><button type="button" @click=${() => { s.plan = null; s.trouble = null; ctx.redraw(); }}>Rather not</button></p></form>`;
}

// drawn are the jobs of a graph as graph.js draws them.
function drawn(g) {
  return g.jobs.map((j) => ({ id: j.name, state: '', says: j.jobs > 1 ? count(j.jobs, 'job') : j.jobs ? 'job' : 'named data', spec: { after: g.edges.filter((e) => e.to === j.name).map((e) => e.from) } }));
}

async function submit(ctx) {
  const s = ctx.state, p = s.plan;
  try {
    let before = '';
    for (;;) {
      const absent = p.answer.files.flatMap((f) => f.absent ?? []);
      if (!absent.length) break;
      if (absent.join() === before) throw new Error('The broker does not keep what is uploaded to it: look at its disk.');
      before = absent.join();
      s.busy = `Uploading ${count(new Set(absent).size, 'file')} …`;
      ctx.redraw();
      await upload(p, absent);
      p.answer = await order(p, true);
    }
    s.busy = 'Submitting …';
    ctx.redraw();
    const a = await order(p, false);
    ctx.say(`Plan ${a.id} is submitted`);
    Object.assign(s, { busy: '', plan: null, trouble: null });
    said.set(a.id, [a.degraded ? `Each of its jobs is at ${count(a.replicas, 'broker')} at least, of ${a.wanted} wanted.` : '', ...(a.warnings ?? [])].filter(Boolean).join(' '));
    ctx.go('#/plan/' + encodeURIComponent(a.id));
  } catch (error) {
    Object.assign(s, { busy: '', trouble: error });
    ctx.redraw();
  }
}
