// SHA-256 of bytes, in hexadecimal. The browser's own is only there on pages that came by TLS or from this machine; brokers without
// a city are also looked at in other ways.
const K = new Uint32Array(64), H = new Uint32Array(8);
for (let n = 2, i = 0; i < 64; n++) {
  let prime = true;
  for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
  if (!prime) continue;
  const part = (x) => ((x - Math.floor(x)) * 2 ** 32) >>> 0;
  if (i < 8) H[i] = part(Math.sqrt(n));
  K[i++] = part(Math.cbrt(n));
}
const turn = (x, n) => (x >>> n) | (x << (32 - n));

export function sha256(bytes) {
  const size = ((bytes.length + 8) >> 6) + 1;
  const all = new Uint8Array(size * 64);
  all.set(bytes);
  all[bytes.length] = 0x80;
  const words = new DataView(all.buffer);
  words.setUint32(all.length - 8, Math.floor(bytes.length / 2 ** 29));
  words.setUint32(all.length - 4, (bytes.length << 3) >>> 0);
  const h = new Uint32Array(H), w = new Uint32Array(64);
  for (let at = 0; at < all.length; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = words.getUint32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
    }
    let [a, b, c, d, e, f, g, x] = h;
    for (let i = 0; i < 64; i++) {
      const t = (x + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const u = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      x = g; g = f; f = e; e = (d + t) | 0; d = c; c = b; b = a; a = (t + u) | 0;
    }
    [a, b, c, d, e, f, g, x].forEach((v, i) => { h[i] += v; });
  }
  return [...h].map((v) => v.toString(16).padStart(8, '0')).join('');
}

// digest is sha256, by the browser where that can.
export async function digest(bytes) {
  if (!globalThis.crypto?.subtle) return sha256(bytes);
  const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...sum].map((b) => b.toString(16).padStart(2, '0')).join('');
}
