// node measure.mjs ENGINE KIND TABLE KEYS [--runs N] [--run-seconds S] [--max-seconds S]: as keyrail-peers does in
// Rust, for engines in JavaScript. CPU time is the process's, garbage collection in other threads included.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { engines } from './engines.mjs';

const [name, kind, tableFile, keysFile, ...options] = process.argv.slice(2);
const effort = { runs: 5, 'run-seconds': 0.2, 'max-seconds': 20 };
for (let at = 0; at < options.length; at += 2) effort[options[at].slice(2)] = Number(options[at + 1]);

const STEPS = [1, 10, 50, 100, 200, 1000, 2000];

/** Line by line: what `split` gives stays in a cache, and would be freed while memory is counted. */
function lines(file, read) {
  const text = readFileSync(file, 'utf8');
  const found = [];
  for (let start = 0, end = text.indexOf('\n'); end >= 0; start = end + 1, end = text.indexOf('\n', start)) {
    found.push(read(text.slice(start, end)));
  }
  return found;
}

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const heap = () => {
  // Twice: the first collection leaves what finalizers and weak references still hold.
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed + process.memoryUsage().external;
};

const rows = lines(tableFile, (line) => {
  const tab = line.lastIndexOf('\t');
  return [line.slice(0, tab), Number(line.slice(tab + 1))];
});
const make = engines[name];
if (!make) throw new Error(`no engine is called \`${name}\``);
const spell = make.spell ?? ((text) => text);
const keys = lines(keysFile, spell);

const bytes = heap();
const begun = cpu();
const route = await make.build(rows, kind);
const buildMs = (cpu() - begun) * 1e3;
const bytesPerBinding = Math.round((heap() - bytes) / rows.length);

/** The digest over as many keys as a quarter of the time allows. */
function check() {
  const start = cpu();
  let [state, first, queues] = [2166136261, 2166136261, 0];
  let checked = { keys: 0, first, value: state };
  for (const [at, key] of keys.slice(0, STEPS.at(-1)).entries()) {
    const found = new Set(Array.from(route(key), Number));
    queues += found.size;
    let sum = 0;
    for (const queue of found) sum = (sum + Math.imul(queue + 1, 0x9e3779b1)) | 0;
    state = Math.imul(state ^ sum, 16777619) >>> 0;
    if (at < 200) first = state;
    if (STEPS.includes(at + 1)) checked = { keys: at + 1, first, value: state, average: queues / (at + 1) };
    if (cpu() - start > effort['max-seconds'] / 4) break;
  }
  return checked;
}

let sunk = 0; // What is found is used, so that no compiler may leave the finding out.
let [at, batch] = [0, 1];

/** Nanoseconds a route. */
function run(seconds) {
  const start = cpu();
  let [routes, last] = [0, start];
  for (;;) {
    for (let n = 0; n < batch; n++) {
      const found = route(keys[at]);
      sunk += found.length ?? found.size;
      if (++at === keys.length) at = 0;
    }
    routes += batch;
    const now = cpu();
    if (now - last < 0.002) batch = Math.min(batch * 2, 1 << 16);
    last = now;
    if (now - start >= seconds) return ((now - start) * 1e9) / routes;
  }
}

const checked = check();
at = checked.keys % keys.length;
const start = cpu();
// A compiler that works while it runs needs longer to be warm than an engine compiled ahead.
run(Math.min(2 * effort['run-seconds'], effort['max-seconds'] / 8));
const times = [run(effort['run-seconds'])];
while (times.length < effort.runs && cpu() - start < effort['max-seconds'])
  times.push(run(effort['run-seconds']));
times.sort((a, b) => a - b);

const round = (number, digits) => Number(number.toFixed(digits));
console.log(
  JSON.stringify({
    engine: name,
    semantics: make.semantics ?? 'amqp',
    table: basename(tableFile),
    keys: basename(keysFile),
    n: rows.length,
    build_ms: round(buildMs, 1),
    bytes_per_binding: bytesPerBinding,
    median_ns: round(times[times.length >> 1], 1),
    min_ns: round(times[0], 1),
    runs: times.length,
    avg_out: round(checked.average, 2),
    digest_n: checked.keys,
    digest200: checked.first,
    digest: checked.value,
  }),
);
if (!Number.isFinite(sunk)) throw new Error('unreachable: a length is a number');
