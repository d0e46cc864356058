// Where brokers are drawn: as far from each other as messages take between them, by Serf's coordinates.

// layout places names on a plane so that their distances are about those given; distance(a, b) is null where it is not known.
// The same distances give the same places: it begins on a circle, in the order of the names.
export function layout(names, distance, width, height) {
  const n = names.length;
  const want = names.map((a) => names.map((b) => (a === b ? 0 : distance(a, b))));
  const given = want.flat().filter((d) => d > 0);
  const usual = given.length ? given.reduce((x, y) => x + y, 0) / given.length : 1;
  const least = usual / 3; // nobody is drawn upon another
  for (const row of want) for (let k = 0; k < n; k++) row[k] = Math.max(row[k] ?? usual, least);
  const spot = names.map((_, i) => ({ x: usual * Math.cos((2 * Math.PI * i) / n - Math.PI / 2), y: usual * Math.sin((2 * Math.PI * i) / n - Math.PI / 2) }));
  for (let round = 0; round < 200 && n > 1; round++) { // SMACOF: each goes to where the others want it on average
    const next = spot.map((p, i) => {
      let x = 0, y = 0;
      for (let k = 0; k < n; k++) {
        if (k === i) continue;
        const q = spot[k];
        const d = Math.hypot(p.x - q.x, p.y - q.y) || 1e-9;
        x += q.x + (want[i][k] * (p.x - q.x)) / d;
        y += q.y + (want[i][k] * (p.y - q.y)) / d;
      }
      return { x: x / (n - 1), y: y / (n - 1) };
    });
    next.forEach((p, i) => { spot[i] = p; });
  }
  const edge = 60;
  const xs = spot.map((p) => p.x), ys = spot.map((p) => p.y);
  const left = Math.min(...xs), top = Math.min(...ys);
  const scale = Math.min((width - 2 * edge) / (Math.max(...xs) - left || 1), (height - 2 * edge) / (Math.max(...ys) - top || 1));
  const wide = (Math.max(...xs) - left) * scale, high = (Math.max(...ys) - top) * scale;
  return new Map(names.map((name, i) => [name, { x: (width - wide) / 2 + (spot[i].x - left) * scale, y: (height - high) / 2 + (spot[i].y - top) * scale }]));
}
