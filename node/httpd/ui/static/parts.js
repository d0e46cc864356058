// Words, figures and small parts that several pages use.
import { html, nothing } from './lib/lit-html.js';

export { html, nothing };

export const unfinished = 'pending,queued,starting,loading,running,suspended';
export const states = ['pending', 'queued', 'starting', 'loading', 'running', 'suspended', 'succeeded', 'failed', 'cancelled', 'expired'];
export const isFinal = (state) => ['succeeded', 'failed', 'cancelled', 'expired'].includes(state);
export const levels = ['low', 'medium', 'high', 'critical'];

// byLevel puts emergencies into the order in which they matter: the highest level first, of the same level the latest.
export const byLevel = (list) => [...list].sort((a, b) => levels.indexOf(b.level) - levels.indexOf(a.level));

// time reads a time of an answer as milliseconds; null where there is none.
export function time(text) {
  const ms = text ? Date.parse(text) : NaN;
  return Number.isNaN(ms) || ms <= 0 ? null : ms;
}

const two = (n) => String(n).padStart(2, '0');

// at writes an instant: the time of day, with the date where that is another than today's.
export function at(ms, now = Date.now()) {
  if (ms === null || ms === undefined) return '–';
  const d = new Date(ms);
  const day = d.toISOString().slice(0, 10);
  const clock = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
  return day === new Date(now).toISOString().slice(0, 10) ? clock : `${day} ${clock}`;
}

// lasts writes a duration in milliseconds with its two greatest units.
export function lasts(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '–';
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// goDuration reads a duration as Go writes it, in milliseconds.
export function goDuration(text) {
  let ms = 0;
  const unit = { h: 3600000, m: 60000, s: 1000, ms: 1, 'µs': 0.001, us: 0.001, ns: 0.000001 };
  for (const [, n, u] of String(text ?? '').matchAll(/([\d.]+)(ms|µs|us|ns|h|m|s)/g)) ms += Number(n) * unit[u];
  return String(text ?? '').startsWith('-') ? -ms : ms;
}

export const cores = (milli) => String(Math.round(Math.max(milli ?? 0, 0) / 10) / 100);

export function bytes(n) {
  let x = Math.max(n ?? 0, 0);
  for (const unit of ['B', 'KiB', 'MiB', 'GiB', 'TiB']) {
    if (x < 1024 || unit === 'TiB') return `${x < 10 && unit !== 'B' ? x.toFixed(1) : Math.round(x)} ${unit}`;
    x /= 1024;
  }
  return '';
}

export const count = (n, one, many = one + 's') => `${n} ${n === 1 ? one : many}`;

// listed writes names with commas, and "and" before the last.
export function listed(names) {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

export const jobHref = (id) => '#/job/' + encodeURIComponent(id);
export const jobLink = (job) => html`<a href=${jobHref(job.id)}><code>${job.id}</code></a>${job.name && job.name !== job.id ? html` <span class="name">${job.name}</span>` : nothing}`;
export const idLink = (id) => html`<a href=${jobHref(id)}><code>${id}</code></a>`;

const signs = { running: '▶', starting: '▷', loading: '◌', queued: '…', pending: '?', suspended: '‖', succeeded: '✓', failed: '✗', cancelled: '⊘', expired: '⌛' };

// stateMark shows a state by a sign, its word and a colour, never by a colour alone.
export const stateMark = (state) => html`<span class="state s-${state}"><span aria-hidden="true">${signs[state] ?? '·'}</span> ${state}</span>`;

// note says in a line why a job waits, or ended as it did.
export function note(job) {
  let text = (job.reason ?? '') + (job.why ?? '');
  const pause = job.pauses?.at(-1);
  if (!text && job.exit_code) text = `exit code ${job.exit_code}`;
  if (!text && pause && !pause.to && !isFinal(job.state)) text = `makes room for ${pause.for}`;
  if (job.silent) text = `${job.executor} does not answer${text ? '; ' + text : ''}`;
  if (job.emergency && !isFinal(job.state)) text = `has the level of ${job.emergency}${text ? '; ' + text : ''}`;
  return text;
}

// pageOf is the address of another broker's dashboard.
export const pageOf = (peer) => `${location.protocol}//${peer.host.includes(':') ? `[${peer.host}]` : peer.host}:${peer.port}/ui/`;

// elsewhere leads to the same page of other brokers, or of those that are named.
export function elsewhere(status, names) {
  const others = Object.entries(status?.peer_brokers ?? {}).filter(([name, p]) => p.host && p.port && (!names || names.includes(name)));
  return others.slice(0, 8).map(([name, p]) => html`<a href=${pageOf(p) + location.hash}>${name}</a> `);
}

// problem shows why something could not be done.
export const problem = (error) => (error ? html`<p class="problem" role="alert">${sentence(error)}</p>` : nothing);

export function sentence(error) {
  if (error?.name === 'TimeoutError') return 'The broker did not answer in time.';
  if (error instanceof TypeError) return 'The broker can’t be reached.';
  return error?.message ?? String(error);
}

// meter shows a part of a whole as a bar with its words.
export const meter = (part, whole, words) => html`<span class="meter"><meter min="0" max=${Math.max(whole, 1)} low=${0.8 * Math.max(whole, 1)} high=${0.99 * Math.max(whole, 1)} optimum="0" value=${Math.min(part, whole)} aria-label=${words}></meter> <span>${words}</span></span>`;

// table makes one with a caption for who can't see what stands around it, in a box that scrolls where it is too wide.
export const table = (caption, heads, rows) => html`<div class="wide" role="group" tabindex="0" aria-label=${caption}><table><caption class="unseen">${caption}</caption>
  <thead><tr>${heads.map((h) => html`<th scope="col">${h}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`;
