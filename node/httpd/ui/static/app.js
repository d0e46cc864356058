// The frame around the pages: which one is shown, who looks, and how fresh it is.
import { html, nothing, render } from './lib/lit-html.js';
import { ask, hasToken, Refusal, setToken, Stream } from './api.js';
import { at, byLevel, elsewhere, lasts, problem, sentence, time } from './parts.js';
import * as now from './now.js';

// Of the other pages each comes when it is first looked at: the first one is not to wait for them.
const pages = [
  ['now', 'Now', async () => now],
  ['cluster', 'Cluster', () => import('./cluster.js')],
  ['jobs', 'Jobs', () => import('./jobs.js')],
  ['decisions', 'Decisions', () => import('./decisions.js')],
  ['emergencies', 'Emergencies', () => import('./emergencies.js')],
  ['data', 'Data and plans', () => import('./data.js')],
  ['security', 'Audit and security', () => import('./security.js')],
];
const inner = {
  job: ['jobs', () => import('./job.js')],
  decision: ['decisions', () => import('./decision.js')],
  plan: ['data', () => import('./plan.js')],
};

// How old what is shown may be before it is called behind, and before it is called cut off.
const behindAfter = 8000, cutOffAfter = 15000;
const slowly = 15000; // between two looks while nobody can see the page

const el = (id) => document.getElementById(id);
for (const id of ['who', 'main']) el(id).replaceChildren(); // what stood there for who waits

// shown is all that the frame knows.
const shown = {
  visit: 0, // counts pages that were gone to: what one has asked for is not shown on the next
  page: null, name: '', data: null, error: null,
  good: 0, // when the last complete answer was asked for, by this machine's clock
  goodAt: null, // the same by the broker's
  began: Date.now(), failing: null,
  status: null, caller: null, events: [], stream: null,
  asking: false, again: false, timer: 0, due: 0,
};

const ctx = {
  parts: [], params: new URLSearchParams(), get events() { return shown.events; }, get status() { return shown.status; }, get caller() { return shown.caller; },
  may: (scope) => !shown.caller || shown.caller.scopes.some((s) => s === scope || s.startsWith(scope + ':')),
  redraw: draw,
  refresh: () => soon(0),
  say(text) { el('said').textContent = text; },
  go(hash) { location.hash = hash; },
  cut: false, // nothing comes from the broker
  state: {}, // of the page, until another one is gone to
};

// route reads the address.
function route() {
  const [path, q] = location.hash.replace(/^#\/?/, '').split('?');
  const parts = path.split('/').map((p) => { try { return decodeURIComponent(p); } catch { return p; } });
  return { name: parts[0] || 'now', parts: parts.slice(1), params: new URLSearchParams(q ?? '') };
}

async function go() {
  const to = route();
  const same = to.name === shown.name && to.parts.join('/') === ctx.parts.join('/');
  const visit = ++shown.visit;
  const [, , loadPage] = pages.find(([name]) => name === to.name) ?? [];
  const within = inner[to.name];
  if (!loadPage && !within) { location.replace('#/now'); return; }
  shown.page?.leave?.(ctx);
  if (!same) Object.assign(shown, { page: null, data: null, error: null, good: 0, goodAt: null, began: Date.now(), failing: null });
  shown.name = to.name;
  Object.assign(ctx, { parts: to.parts, params: to.params, state: same ? ctx.state : {} });
  drawNav(within ? within[0] : to.name);
  try {
    const page = await (within ? within[1]() : loadPage());
    if (visit !== shown.visit) return;
    shown.page = page;
  } catch {
    shown.page = null;
    shown.error = new Error('This page can’t be had from the broker now. Reload when it answers again.');
    draw();
    return;
  }
  if (!same) { draw(); el('main').focus({ preventScroll: true }); window.scrollTo(0, 0); }
  listen();
  shown.again = shown.asking;
  if (!shown.asking) refresh();
}

// refresh asks for all that the page shows. What came is shown as a whole, or not at all.
async function refresh() {
  clearTimeout(shown.timer);
  shown.due = 0;
  if (shown.asking) { shown.again = true; return; }
  if (!shown.page) return;
  const { page, visit } = shown;
  const began = Date.now();
  shown.asking = true;
  try {
    const [data, status] = await Promise.all([page.load(ctx), page === now ? null : ask('/broker/coordination-status')]);
    if (visit === shown.visit && page === shown.page) {
      const s = status ?? data.status;
      Object.assign(shown, { data, status: s, error: null, good: began, goodAt: time(s.as_of), failing: null });
    }
  } catch (error) {
    if (visit === shown.visit) {
      if (error instanceof Refusal && (error.status === 401 || error.status === 403)) {
        const caller = await ask('/v1/caller').catch(() => shown.caller);
        if (caller.scopes.length === 0) { shown.asking = false; askToken(caller.why); return; }
      }
      shown.error = error;
      shown.failing ??= Date.now();
    }
  }
  shown.asking = false;
  if (visit === shown.visit) draw();
  const wait = document.hidden ? slowly : shown.page?.every ?? 5000;
  soon(shown.again || visit !== shown.visit ? 0 : wait, true);
  shown.again = false;
}

// soon looks again in so many milliseconds, or earlier if that was wanted already.
function soon(ms, regular = false) {
  const due = Date.now() + ms;
  if (!regular && shown.asking) { shown.again = shown.again || ms === 0; return; }
  if (shown.due && shown.due <= due) return;
  clearTimeout(shown.timer);
  shown.due = due;
  shown.timer = setTimeout(refresh, ms);
}

// listen hears of what happens, while somebody can see it.
function listen() {
  const kinds = shown.page?.kinds ?? 'emergency,member,health,strategy';
  if (document.hidden || !shown.caller || !ctx.may('read')) { shown.stream?.close(); shown.stream = null; return; }
  if (shown.stream?.kinds === kinds) return;
  const last = shown.stream?.last ?? shown.last ?? '';
  shown.stream?.close();
  shown.stream = new Stream('/v1/events?kinds=' + kinds, heard, tick);
  shown.stream.kinds = kinds;
  shown.stream.last = last;
}

function heard(event) {
  if (event.kind !== 'job' && event.kind !== 'data' && event.kind !== 'lost') {
    shown.events.unshift(event);
    shown.events.length = Math.min(shown.events.length, 200);
    if (event.kind === 'emergency') el('said').textContent = event.text;
  }
  const urgent = event.kind === 'emergency' || event.kind === 'health' || event.kind === 'lost';
  soon(urgent ? 50 : shown.page?.pause ?? 1200);
}

function drawNav(current) {
  render(html`<ul>${pages.map(([name, title]) => html`<li><a href="#/${name}" aria-current=${name === current ? 'page' : nothing}>${title}</a></li>`)}</ul>`, el('nav'));
}

// draw shows what is known.
function draw() {
  const { page, data, error } = shown;
  const s = shown.status;
  if (!shown.caller) return;
  render(html`${s ? html`<span class="sub">UCP at</span> <strong>${s.name}</strong>` : 'UCP'}`, el('who'));
  drawBanner(s);
  let body = html`<p class="loading">Asking the broker …</p>`;
  if (page && data) {
    try {
      body = page.view(data, ctx);
    } catch (fault) { // of this page: what was shown before is not to look fresh
      shown.error = fault;
      shown.data = null;
      shown.good = 0;
      console.error(fault);
      body = html`<h1>${page.title}</h1>${problem(new Error(`A fault of this page, please report it: ${fault.message}`))}`;
    }
  }
  else if (error) body = html`<h1>${page?.title ?? 'UCP'}</h1>${problem(error)}`;
  render(html`${body}`, el('main'));
  tick();
}

// drawBanner shows the emergencies in force on every page.
function drawBanner(s) {
  const active = byLevel((s?.emergencies ?? []).filter((e) => e.active));
  el('banner').hidden = active.length === 0;
  document.body.classList.toggle('emergency', active.length > 0);
  render(html`${active.map((e) => html`<a class="level-${e.level}" href="#/emergencies"><span aria-hidden="true">⚠</span> <strong>EMERGENCY ${e.type}</strong> · ${e.level} · ${e.scope?.length ? 'where ' + e.scope.join(' and ') : 'for all brokers'}${e.in_scope ? '' : ` (not at ${s.name})`} · until ${at(time(e.until), time(s.as_of))} UTC${e.message ? html` · ${e.message}` : nothing}</a>`)}`, el('banner'));
}

// freshness says how old what is shown is, and so how far it may be believed.
function freshness() {
  const age = Date.now() - (shown.good || shown.began);
  if (shown.error && !(shown.error instanceof Refusal) && (shown.good === 0 || age > 3000)) return 'cut';
  if (age > cutOffAfter) return 'cut';
  if (shown.good === 0) return shown.error ? 'cut' : 'first';
  if (age > behindAfter || shown.error) return 'behind';
  return 'fresh';
}

// oldest says of which broker that is heard the last word is old: what is shown of it may be as old.
function oldest(s) {
  if (!s || shown.page === now) return nothing; // the first page asks each of them
  const [name, p] = Object.entries(s.peer_brokers).filter(([, x]) => x.healthy && x.last_seen).sort((a, b) => a[1].last_seen - b[1].last_seen)[0] ?? [];
  const age = p ? time(s.as_of) - p.last_seen * 1000 : 0;
  return age > behindAfter ? html` · <span class="soft">the last word of ${name} is ${lasts(age)} old</span>` : nothing;
}

// tick is called twice a second: that a screen grows old must show although nothing comes.
function tick() {
  if (!shown.caller) return;
  const how = freshness();
  const s = shown.status;
  const age = lasts(Date.now() - shown.good);
  const box = el('fresh');
  const was = box.className;
  box.className = how;
  document.body.classList.toggle('stale', how === 'cut' && shown.good > 0);
  if (ctx.cut !== (how === 'cut')) {
    ctx.cut = how === 'cut';
    queueMicrotask(draw); // what it says of itself is another now
  }
  const why = shown.error ? ' ' + sentence(shown.error) : '';
  const as = shown.goodAt ? `${at(shown.goodAt)} UTC` : '';
  const there = elsewhere(s), others = there.length ? html` Ask another: ${there}` : nothing;
  const missing = s ? s.total_peers - s.healthy_peers : 0;
  const text = {
    first: html`Asking the broker …`,
    fresh: html`<span aria-hidden="true">●</span> <strong>Live</strong> · as ${s?.name} knew it at ${as}${missing > 0 ? html` · <a href="#/now"><strong>not all of it: ${1 + s.healthy_peers} of ${1 + s.total_peers} brokers are heard</strong></a>` : nothing}${oldest(s)}${shown.stream && !shown.stream.up ? ' · events are being connected' : ''}`,
    behind: html`<span aria-hidden="true">◐</span> <strong>Behind</strong> · this is ${age} old, as ${s?.name} knew it at ${as}.${why}`,
    cut: shown.good ? html`<span aria-hidden="true">○</span> <strong>CUT OFF</strong> · this is what ${s?.name} knew at ${as}, ${age} ago. It may all be different now.${why}${others}`
      : html`<span aria-hidden="true">○</span> <strong>CUT OFF</strong> · nothing is known.${why}${others}`,
  }[how];
  render(text, box);
  if (was !== how && (how === 'cut' || was === 'cut')) el('said').textContent = how === 'cut' ? 'Cut off from the broker. What is shown grows old.' : 'The broker answers again.';
  const active = (s?.emergencies ?? []).filter((e) => e.active).length;
  document.title = `${how === 'cut' ? 'CUT OFF · ' : ''}${active ? '⚠ EMERGENCY · ' : ''}${shown.page?.title ?? 'UCP'} · ${s?.name ?? 'UCP'}`;
}

// askToken asks who looks at the broker of a city for a token.
function askToken(why) {
  shown.caller = null;
  shown.stream?.close();
  shown.stream = null;
  el('fresh').className = '';
  el('banner').hidden = true;
  render(nothing, el('fresh'));
  render(html`UCP`, el('who'));
  const login = async (e) => {
    e.preventDefault();
    setToken(new FormData(e.target).get('token'));
    start();
  };
  render(html`<form class="card login" @submit=${login}><h1>This broker asks who you are</h1>
    ${hasToken() ? problem(new Error(why)) : nothing}
    <p>It belongs to a city. Show a token, as <code>ucp token create --subject duty --scope read</code> prints one; with <code>submit</code>, <code>cancel</code>, <code>operate</code> or <code>emergency:high</code> in its scopes this page can do more. It stays in this tab until that is closed.</p>
    <label>Token <input name="token" type="password" autocomplete="off" spellcheck="false" required></label>
    <button>Look</button></form>`, el('main'));
  document.title = 'Who are you? · UCP';
}

async function start() {
  if (!shown.status) render(html`<p class="loading">Asking the broker …</p>`, el('main'));
  try {
    const caller = await ask('/v1/caller');
    if (caller.scopes.length === 0) { askToken(caller.why); return; }
    shown.caller = caller;
  } catch (error) {
    shown.error = error;
    render(html`<span aria-hidden="true">○</span> <strong>CUT OFF</strong> · nothing is known. ${sentence(error)}`, el('fresh'));
    el('fresh').className = 'cut';
    setTimeout(start, 2000);
    return;
  }
  go();
}

window.addEventListener('hashchange', go);
document.addEventListener('visibilitychange', () => {
  if (document.hidden && shown.stream) { shown.last = shown.stream.last; }
  listen();
  if (!document.hidden) { tick(); soon(0); }
});
el('skip').addEventListener('click', (e) => { e.preventDefault(); el('main').focus(); });
window.addEventListener('pagehide', () => shown.stream?.close());
setInterval(tick, 500);
start();
