// Conditions on labels, as brokers read them: `k=v`, `k!=v`, `k in (a,b)` and `k`. It is for a preview; the broker decides.

const name = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}/;

// parse reads one condition; null where it is none.
export function parse(text) {
  const s = text.trim();
  const key = name.exec(s)?.[0];
  if (!key) return null;
  const rest = s.slice(key.length).trimStart();
  const one = /^(!=|==|=)\s*(\S+)$/.exec(rest);
  if (one) return { key, op: one[1] === '!=' ? '!=' : '=', values: [one[2]] };
  const many = /^in\s*\(([^()]*)\)$/.exec(rest);
  if (many) {
    const values = many[1].split(',').map((v) => v.trim()).filter(Boolean);
    return values.length ? { key, op: 'in', values } : null;
  }
  return rest === '' ? { key, op: '', values: [] } : null;
}

// holds reports whether labels meet a condition.
export function holds(c, labels) {
  const has = Object.hasOwn(labels, c.key);
  if (c.op === '!=') return !has || labels[c.key] !== c.values[0];
  if (c.op === '') return has;
  return has && c.values.includes(labels[c.key]);
}

// list cuts what somebody has typed into conditions: one a line, or with commas between them, but for those in brackets.
export const list = (text) => text.split(/\n|,(?![^(]*\))/).map((s) => s.trim()).filter(Boolean);
