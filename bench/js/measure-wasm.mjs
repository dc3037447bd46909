// node measure-wasm.mjs MODULE TABLE KEYS [--runs N] [--run-seconds S] [--max-seconds S]: keyrail's engine in
// WebAssembly on a topic table, in batches that never leave the module. Prints what keyrail-peers prints.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

const [module, tableFile, keysFile, ...options] = process.argv.slice(2);
const effort = { runs: 5, 'run-seconds': 0.2, 'max-seconds': 20 };
for (let at = 0; at < options.length; at += 2) effort[options[at].slice(2)] = Number(options[at + 1]);

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
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

let batch = 1000;
/** Nanoseconds a route. */
function run(seconds) {
  const start = cpu();
  for (let routes = 0, last = start; ; ) {
    wasm.route(batch);
    routes += batch;
    const now = cpu();
    if (now - last < 0.002) batch = Math.min(batch * 2, 1 << 16);
    last = now;
    if (now - start >= seconds) return ((now - start) * 1e9) / routes;
  }
}

const digests = [wasm.digest(digestN, 1), wasm.digest(digestN, 0)].map((digest) => digest >>> 0);
const start = cpu();
// The module's fast code is compiled while its slow code runs.
run(Math.min(2 * effort['run-seconds'], effort['max-seconds'] / 8));
const times = [run(effort['run-seconds'])];
while (times.length < effort.runs && cpu() - start < effort['max-seconds'])
  times.push(run(effort['run-seconds']));
times.sort((a, b) => a - b);

const round = (number, digits) => Number(number.toFixed(digits));
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
    median_ns: round(times[times.length >> 1], 1),
    min_ns: round(times[0], 1),
    runs: times.length,
    digest_n: digestN,
    digest200: digests[0],
    digest: digests[1],
  }),
);
