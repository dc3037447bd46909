// node measure-wasm.mjs MODULE TABLE KEYS [--runs N] [--run-seconds S] [--max-seconds S]: keyrail's engine in
// WebAssembly on a topic table, in batches that never leave the module. Prints what keyrail-peers prints.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { cpu, effortOf, round, times } from './clock.mjs';

const [module, tableFile, keysFile, ...options] = process.argv.slice(2);
const { exports: wasm } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(module)), {});
const give = (file) => {
  const bytes = readFileSync(file);
  const address = wasm.input(bytes.length);
  new Uint8Array(wasm.memory.buffer, address, bytes.length).set(bytes);
  return bytes;
};

const lines = give(keysFile).reduce((count, byte) => count + (byte === 10), 0);
wasm.take_keys();
give(tableFile);
const held = wasm.memory.buffer.byteLength;
const begun = cpu();
const n = wasm.build();
const buildMs = (cpu() - begun) * 1e3;
const digestN = Math.min(2000, lines);

const digests = [wasm.digest(digestN, 1), wasm.digest(digestN, 0)].map((digest) => digest >>> 0);
const found = times(effortOf(options), wasm.route);

console.log(
  JSON.stringify({
    engine: 'keyrail-wasm',
    semantics: 'amqp',
    table: basename(tableFile),
    keys: basename(keysFile),
    n,
    build_ms: round(buildMs, 1),
    // By whole pages of the module's memory, names of queues and the file's bytes included.
    bytes_per_binding: Math.round((wasm.memory.buffer.byteLength - held) / n),
    median_ns: round(found[found.length >> 1], 1),
    min_ns: round(found[0], 1),
    runs: found.length,
    digest_n: digestN,
    digest200: digests[0],
    digest: digests[1],
  }),
);
