// Runs a WebAssembly module under node's WASI, as the executor's TestWASITable asks it to:
//
//	node run.mjs MODULE DIR [NAME=VALUE ...] -- [ARG ...]
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { WASI } from 'node:wasi';

const [file, dir, ...rest] = process.argv.slice(2);
const split = rest.indexOf('--');
const wasi = new WASI({
  version: 'preview1',
  args: [basename(file), ...rest.slice(split + 1)],
  env: Object.fromEntries(rest.slice(0, split).map((e) => e.split(/=(.*)/s).slice(0, 2))),
  preopens: dir ? { '/': dir } : {},
});
const module = await WebAssembly.compile(await readFile(file));
process.exitCode = wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
