// The place where files are dropped: a module or a spec becomes a job, a plan with the files that it names many.
import { ask, call } from './api.js';
import { html, nothing, idLink, bytes, count, levels } from './parts.js';
import { digest } from './sha256.js';
import { check, findPlans, mostBytes, planForm } from './dropplan.js';

const mostFiles = 10000;

export function drop(ctx) {
  const s = ctx.state;
  const take = (files) => files.then((list) => read(list, ctx)).catch((error) => { s.trouble = error; s.busy = ''; ctx.redraw(); });
  const chosen = (e) => { const list = [...e.target.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })); e.target.value = ''; if (list.length) take(Promise.resolve(list)); };
  return html`<section class="card" aria-labelledby="h-drop"><h2 id="h-drop">Submit a job or a plan</h2>
  <div class="drop ${s.over ? 'over' : ''}" @dragover=${(e) => { e.preventDefault(); if (!s.over) { s.over = true; ctx.redraw(); } }} @dragleave=${() => { s.over = false; ctx.redraw(); }} @drop=${(e) => { e.preventDefault(); s.over = false; take(dropped(e.dataTransfer)); }}>
    <p>Drop a WebAssembly module (.wasm), a spec (.yaml, .json), or a plan together with the files that it names, or their folder, here; or</p>
    <p class="row"><label>choose files <input type="file" id="file" multiple @change=${chosen}></label> <label>choose a folder <input type="file" id="folder" webkitdirectory @change=${chosen}></label></p></div>
  ${s.busy ? html`<p role="status">${s.busy}</p>` : nothing}
  ${s.file ? form(ctx) : nothing}${s.plan ? planForm(ctx) : nothing}</section>`;
}

function form(ctx) {
  const s = ctx.state;
  return html`<form @submit=${(e) => { e.preventDefault(); submit(new FormData(e.target), ctx); }}><h3>${s.file.name} <span class="soft">${bytes(s.file.size)}</span></h3>
    ${s.file.module ? html`<div class="row"><label>Name <input name="name" .value=${s.file.name.replace(/\.wasm$/, '')}></label><label>Arguments, one a line <textarea name="args" rows="2" class="few"></textarea></label>
      <label>Priority <select name="user">${[...Array(11).keys()].map((n) => html`<option ?selected=${n === 5}>${n}</option>`)}</select></label>
      <label>Emergency <input name="emergency" list="levels" placeholder="none"></label><datalist id="levels">${levels.map((l) => html`<option value=${l}></option>`)}</datalist></div>` : html`<pre tabindex="0" role="region" aria-label="The spec">${s.file.text.slice(0, 4000)}</pre>`}
    <p class="row"><button class="main">Submit it</button><button type="button" @click=${() => { s.file = null; ctx.redraw(); }}>Rather not</button></p></form>`;
}

// dropped lists what was dropped, with what is in folders. The entries are there only until the event is over, so they are taken before anything is waited for.
function dropped(transfer) {
  const entries = [...transfer.items].map((i) => i.webkitGetAsEntry?.()).filter(Boolean);
  const files = [...transfer.files];
  return entries.length ? walk(entries) : Promise.resolve(files.map((file) => ({ path: file.name, file })));
}

async function walk(entries) {
  const out = [];
  const queue = [...entries];
  while (queue.length) {
    const entry = queue.shift();
    if (out.length + queue.length > mostFiles) throw new Error(`There are more than ${mostFiles} files: drop the plan with those that it names, or use ucp plan run`);
    if (entry.isFile) {
      out.push({ path: entry.fullPath.replace(/^\//, ''), file: await new Promise((done, fail) => entry.file(done, fail)) });
    } else {
      const reader = entry.createReader();
      for (;;) { // it hands them out in parts
        const part = await new Promise((done, fail) => reader.readEntries(done, fail));
        if (!part.length) break;
        queue.push(...part);
      }
    }
  }
  return out;
}

// read finds out what the files are.
async function read(files, ctx) {
  const s = ctx.state;
  if (s.plan && !(await findPlans(files)).length) { // what it lacked
    for (const { path, file } of files) s.plan.pool.set(path, file);
    await check(ctx);
    return;
  }
  Object.assign(s, { trouble: null, done: '', file: null, plan: null });
  const plans = await findPlans(files);
  if (plans.length) {
    s.plan = { pool: new Map(files.map(({ path, file }) => [path, file])), plans, chosen: plans[0] };
    await check(ctx);
    return;
  }
  if (files.length !== 1) throw new Error(`None of these ${files.length} files is a plan: a file with jobs: in YAML, or [[jobs]] in TOML. A module or a spec is dropped alone.`);
  s.file = await one(files[0].file);
  ctx.redraw();
}

async function one(file) {
  if (file.size > mostBytes) throw new Error(`${file.name} has ${bytes(file.size)}; this page takes at most ${bytes(mostBytes)}: use ucp run`);
  const content = new Uint8Array(await file.arrayBuffer());
  const module = content[0] === 0 && content[1] === 0x61 && content[2] === 0x73 && content[3] === 0x6d;
  const text = module ? '' : new TextDecoder().decode(content.slice(0, 64 << 10));
  if (!module && /\.wasm$/.test(file.name)) throw new Error(`${file.name} is no WebAssembly module`);
  if (!module && !/\.(ya?ml|json)$/.test(file.name)) throw new Error(`${file.name} is no module, spec or plan: drop it together with the plan that names it`);
  return { name: file.name, size: file.size, content, module, text, json: /\.json$/.test(file.name) };
}

async function submit(form, ctx) {
  const s = ctx.state, f = s.file;
  try {
    let spec = f.text, type = f.json ? 'application/json' : 'application/yaml';
    if (f.module) {
      s.busy = 'Uploading …';
      ctx.redraw();
      const sum = await digest(f.content);
      await call('/v1/blobs/' + sum, { method: 'PUT', body: f.content, within: 0 });
      const job = { module: sum, name: form.get('name') || f.name, args: form.get('args').split('\n').filter(Boolean), priority: { user: Number(form.get('user')) } };
      if (form.get('emergency').trim()) job.priority.emergency = form.get('emergency').trim();
      spec = JSON.stringify(job);
      type = 'application/json';
    }
    const a = await ask('/v1/jobs', { method: 'POST', body: spec, type, within: 30000 });
    Object.assign(s, { busy: '', file: null, trouble: null, done: html`Submitted: ${idLink(a.id)}, at ${count(a.replicas, 'broker')}${a.degraded ? `, of ${a.wanted} wanted` : ''}. ${(a.warnings ?? []).join(' ')}` });
  } catch (error) { Object.assign(s, { busy: '', trouble: error, done: '' }); }
  ctx.refresh();
}
