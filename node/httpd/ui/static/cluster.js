// The page "Cluster": who is there, who hears whom, who lags behind, and whether the cluster is split.
import { ask } from './api.js';
import { svg } from './lib/lit-html.js';
import { html, nothing, at, bytes, cores, count, goDuration, lasts, listed, meter, pageOf, problem, table, time } from './parts.js';
import { layout } from './layout.js';

export const title = 'Cluster';
export const every = 2000;
export const kinds = 'emergency,member,health,strategy';

export async function load() {
  const [status, members, rows, views] = await Promise.all([
    ask('/broker/coordination-status?ask=1'), ask('/v1/members'), ask('/broker/metadata'), ask('/broker/views').catch((error) => ({ error })),
  ]);
  return { status, members: members.members, rows: rows.brokers, views };
}

// sides are the groups of brokers that hear each other both ways, as far as they have said so; that of the broker that was asked comes first.
export function sides(names, self, hears) {
  const left = new Set(names);
  const out = [];
  for (const first of [self, ...names]) {
    if (!left.delete(first)) continue;
    const group = [first];
    for (const a of group) for (const b of [...left]) if (hears(a, b) && hears(b, a)) { left.delete(b); group.push(b); }
    out.push(group.sort());
  }
  return out;
}

export function view({ status, members, rows, views }, ctx) {
  const now = time(status.as_of);
  const takes = members.filter((m) => m.roll === 'open' || m.self || (m.roll === '' && m.http_addr)).map((m) => m.name);
  const names = [...new Set([...takes, ...Object.keys(status.peer_brokers), status.name])].sort();
  const said = views.views ?? {};
  // hears says whether a hears b: true, false, or null where that is not known.
  const hears = (a, b) => {
    if (a === status.name && status.peer_brokers[b]?.answers === false) return false;
    return said[a]?.peers[b]?.healthy ?? null;
  };
  const groups = sides(names, status.name, hears);
  const rtt = (a, b) => {
    for (const [x, y] of [[a, b], [b, a]]) {
      const ms = goDuration(said[x]?.peers[y]?.rtt);
      if (ms > 0) return ms;
    }
    const m = a === status.name ? members.find((x) => x.name === b) : b === status.name ? members.find((x) => x.name === a) : null;
    return goDuration(m?.rtt) || null;
  };
  return html`<h1>Cluster</h1>
  ${problem(ctx.state.trouble)}${ctx.state.done ? html`<p class="done" role="status">${ctx.state.done}</p>` : nothing}
  ${groups.length > 1 ? html`<p class="problem split" role="alert">${splitText(groups, status, said)}</p>` : nothing}
  <div class="cols">
    <section class="card" aria-labelledby="h-map"><h2 id="h-map">Where they are</h2>
      <p class="soft">As far apart as a message takes between them. ${groups.length > 1 ? nothing : `All ${count(names.length, 'broker')} hear each other.`}</p>
      ${map(names, groups, { status, members, hears, rtt })}</section>
    <section class="card" aria-labelledby="h-matrix"><h2 id="h-matrix">Who hears whom</h2>${views.error ? problem(views.error) : matrix(names, said, hears, views, now)}</section>
  </div>
  <section class="card" aria-labelledby="h-brokers"><h2 id="h-brokers">Brokers</h2>
    ${table('Brokers', ['Broker', 'Health', 'Load', 'Memory', 'Jobs of its own', 'Decides by', 'Offers', 'Takes jobs', 'Order'], names.map((name) => broker(name, { status, members, rows, now }, ctx)))}</section>
  <div class="cols">
    <section class="card" aria-labelledby="h-lag"><h2 id="h-lag">Who lags behind</h2><p class="soft">Updates that the broker of the row knows, and of which it has not heard that the one of the column has them.</p>${views.error ? problem(views.error) : lag(names, said)}</section>
    <section class="card" aria-labelledby="h-stable"><h2 id="h-stable">What is known everywhere</h2>${stable(names, said, views, status)}</section>
  </div>`;
}

function splitText(groups, status, said) {
  const [ours, ...others] = groups;
  const lost = others.filter((g) => !g.some((n) => said[n])).flat(), halves = others.filter((g) => g.some((n) => said[n]));
  const parts = [`Split, or gone: on this side ${listed(ours)}`];
  if (lost.length) parts.push(`not heard from here ${listed(lost)}`);
  for (const g of halves) parts.push(`${listed(g)} not both ways`);
  return `${parts.join('; ')}. What is decided there is not known here.`;
}

function map(names, groups, { status, members, hears, rtt }) {
  const width = window.innerWidth < 640 ? 340 : 620, height = 340;
  const spots = layout(names, rtt, width, height);
  const lines = [];
  names.forEach((a, i) => names.slice(i + 1).forEach((b) => {
    const ways = [hears(a, b), hears(b, a)];
    const kind = ways.includes(false) ? (ways.includes(true) ? 'half' : 'cut') : ways.includes(true) ? 'ok' : 'cut';
    lines.push({ a, b, kind, known: ways.some((x) => x !== null) });
  }));
  const shown = names.length > 24 ? lines.filter((l) => l.kind !== 'ok') : lines;
  const other = new Set(groups.slice(1).flat());
  return html`<svg viewBox="0 0 ${width} ${height}" width="100%" role="img" aria-label=${groups.length > 1 ? `The cluster is split: ${groups.map((g) => g.join(', ')).join(' | ')}` : `${names.length} brokers, which hear each other`}>
    ${names.map((name) => { const p = spots.get(name); return groups.length > 1 ? svg`<circle class="side ${other.has(name) ? 'other' : ''}" cx=${p.x} cy=${p.y} r="48"></circle>` : nothing; })}
    ${shown.filter((l) => l.known).map((l) => { const p = spots.get(l.a), q = spots.get(l.b); return svg`<path class="edge ${l.kind}" d="M${p.x} ${p.y}Q${(p.x + q.x) / 2 + (q.y - p.y) / 9} ${(p.y + q.y) / 2 - (q.x - p.x) / 9} ${q.x} ${q.y}"><title>${l.a} and ${l.b}: ${l.kind === 'ok' ? 'hear each other' : l.kind === 'half' ? 'one does not hear the other' : 'do not hear each other'}${rtt(l.a, l.b) ? `, ${rtt(l.a, l.b).toFixed(1)} ms` : ''}</title></path>`; })}
    ${names.map((name) => {
    const p = spots.get(name);
    const m = members.find((x) => x.name === name);
    const tone = other.has(name) ? 'bad' : m?.takes_none || m?.drained ? 'warn' : 'ok';
    return svg`<g><title>${name}: ${m?.self ? 'this broker' : m?.health ?? ''}</title><circle class="node ${tone} ${name === status.name ? 'self' : ''}" cx=${p.x} cy=${p.y} r="20"></circle><text x=${p.x} y=${p.y + 5} text-anchor="middle">${name.length > 6 ? name.slice(0, 5) + '…' : name}</text>${m?.emergency ? svg`<text x=${p.x} y=${p.y - 26} text-anchor="middle">⚠ ${m.emergency}</text>` : nothing}${other.has(name) ? svg`<text x=${p.x} y=${p.y + 38} text-anchor="middle">not heard</text>` : nothing}</g>`;
  })}
  </svg>`;
}

function matrix(names, said, hears, views, now) {
  const cut = names.slice(0, 32);
  return html`${table('Who hears whom: the broker of the row hears that of the column', ['hears …', ...cut], cut.map((a) => html`<tr><th scope="row">${a}</th>${cut.map((b) => {
    if (a === b) return html`<td class="heat-x">·</td>`;
    const p = said[a]?.peers[b];
    if (!said[a]) return html`<td class="heat-x">?</td>`;
    if (!p) return html`<td class="heat-1">does not know it</td>`;
    const ago = p.last_seen ? lasts(time(said[a].as_of) - p.last_seen * 1000) : 'never';
    return hears(a, b) ? html`<td class="heat-0">yes, last word ${ago} ago</td>` : html`<td class="heat-2">no: ${p.healthy ? 'does not answer' : p.health}${p.last_seen ? `, last at ${at(p.last_seen * 1000, now)}` : ''}</td>`;
  })}</tr>`))}
  ${Object.entries(views.silent ?? {}).length ? html`<p class="bad-text">${Object.entries(views.silent).map(([name, why]) => `${name} ${why}`).join('; ')}: what it hears is not known here.</p>` : nothing}
  ${names.length > cut.length ? html`<p class="soft">Of ${names.length} brokers the first ${cut.length}.</p>` : nothing}`;
}

function lag(names, said) {
  const cut = names.slice(0, 32);
  return table('Updates known to the broker of the row and perhaps not to that of the column', ['knows …', ...cut], cut.map((a) => html`<tr><th scope="row">${a}</th>${cut.map((b) => {
    const p = said[a]?.peers[b];
    if (a === b || !p) return html`<td class="heat-x">${a === b ? '·' : '?'}</td>`;
    const n = p.behind;
    return html`<td class="heat-${n > 100 ? 2 : n > 10 ? 1 : 0}">${n}${p.ahead ? html`, ${p.ahead} the other way` : nothing}</td>`;
  })}</tr>`));
}

function stable(names, said, views, status) {
  const held = names.filter((n) => said[n]?.held_back);
  return html`${held.length ? html`<ul>${held.map((n) => html`<li><strong>${n}</strong> remembers ${count(said[n].held_back, 'finished job')} beyond their time, since ${said[n].held_back_by?.length ? listed(said[n].held_back_by) : 'somebody'} may not know of their end.</li>`)}</ul>` : html`<p>Nobody holds anything back.</p>`}
  <dl class="facts"><dt>The city’s time</dt><dd>${at(time(status.time))} UTC${status.unset ? ', but the clock of this machine has no vote' : ''}</dd><dt>Protocol</dt><dd>version ${status.protocol}</dd><dt>Copies wanted</dt><dd>${status.replicas}</dd></dl>`;
}

function broker(name, { status, members, rows, now }, ctx) {
  const m = members.find((x) => x.name === name) ?? { emergencies: [] };
  const row = rows[name];
  const peer = status.peer_brokers[name];
  const self = name === status.name;
  const mute = peer?.answers === false && peer.healthy;
  const has = row?.capabilities.capacity, used = row?.usage;
  const labels = Object.entries(row?.capabilities.labels ?? {}).filter(([k]) => k !== 'name').map(([k, v]) => `${k}=${v}`);
  const jobs = Object.entries(row?.jobs ?? {}).filter(([, n]) => n).map(([s, n]) => `${n} ${s}`);
  const away = !self && (mute || !peer?.healthy); // what it said last may not hold any more
  const was = away ? 'was ' : '';
  return html`<tr><th scope="row">${peer?.host && peer.port ? html`<a href=${pageOf(peer)}>${name}</a>` : name}${self ? html` <span class="soft">this one</span>` : nothing}${m.emergency ? html`<br><span class="bad-text">⚠ ${m.emergency}</span>` : nothing}</th>
    <td>${self ? 'answers' : mute ? html`<span class="bad-text">does not answer now</span>` : peer?.healthy ? html`<span class="good-text">${peer.health}</span>` : html`<span class="bad-text">${peer?.health ?? m.health ?? m.status}</span>`}${peer?.last_seen && !peer.healthy ? html`<br><span class="soft">last heard of at ${at(peer.last_seen * 1000, now)}</span>` : nothing}${m.clock_off && m.clock_off !== '0s' ? html`<br><span class="warn-text">its clock is off by ${m.clock_off}</span>` : nothing}${m.unset ? html`<br><span class="warn-text">its clock has no vote</span>` : nothing}${m.unaudited ? html`<br><span class="warn-text">not proven yet</span>` : nothing}${m.breaches ? html`<br><span class="bad-text">${m.last_breach}</span>` : nothing}</td>
    <td>${has ? meter(used.cpu, has.cpu, `${was}${cores(used.cpu)} of ${cores(has.cpu)} cores`) : '–'}</td>
    <td>${has ? meter(used.memory, has.memory, `${was}${bytes(used.memory)} of ${bytes(has.memory)}`) : '–'}</td>
    <td>${jobs.join(', ') || 'none'}</td>
    <td>${row?.strategy ?? '–'}${row?.commanding_emergency ? html`<br><span class="soft">because of ${row.commanding_emergency}; else ${row.chosen_strategy}</span>` : nothing}</td>
    <td class="soft">${(row?.capabilities.drivers ?? []).join(', ')}${labels.length ? html`<br>${labels.join(' ')}` : nothing}${row?.free_disk ? html`<br>${bytes(row.free_disk)} of disk` : nothing}</td>
    <td>${m.takes_none || (self && status.withdrawn) ? html`<span class="warn-text">no: ${m.takes_none || status.withdrawn}</span>` : away ? html`<span class="warn-text">not known</span>` : 'yes'}</td>
    <td>${ctx.may('operate') ? html`<button @click=${() => drain(name, Boolean(m.drained), ctx)}>${m.drained ? 'Let it run jobs' : 'Drain'}</button>` : nothing}</td></tr>`;
}

async function drain(name, drained, ctx) {
  try {
    const a = await ask(`/v1/members/${encodeURIComponent(name)}/drain`, { method: drained ? 'DELETE' : 'PUT' });
    ctx.state.trouble = null;
    ctx.state.done = drained ? `${name} runs jobs again.` : `${name} runs nothing new${a.running ? `; ${count(a.running, 'job')} there go on` : ''}.`;
  } catch (error) { ctx.state.trouble = error; ctx.state.done = ''; }
  ctx.refresh();
}
