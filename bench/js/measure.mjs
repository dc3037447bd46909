// node measure.mjs ENGINE KIND TABLE KEYS [--runs N] [--run-seconds S] [--max-seconds S]: as keyrail-peers does in
// Rust, for engines in JavaScript. CPU time is the process's, garbage collection in other threads included.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { cpu, effortOf, round, times } from './clock.mjs';
import { engines } from './engines.mjs';

const [name, kind, tableFile, keysFile, ...options] = process.argv.slice(2);
const effort = effortOf(options);

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
const built = await make.build(rows, kind);
const route = make.batch ? (key) => built([key])[0].queues : built;
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

function checkedOrRefused() {
  try {
    return check();
  } catch ({ message }) {
    throw new Error(`refuses the keys: ${message}`);
  }
}

const checked = checkedOrRefused();
let sunk = 0; // What is found is used, so that no compiler may leave the finding out.
/** One key after the other, and from the front again. */
function single() {
  let at = checked.keys % keys.length;
  return (count) => {
    for (let n = 0; n < count; n++) {
      const queues = route(keys[at]);
      sunk += queues.length ?? queues.size;
      if (++at === keys.length) at = 0;
    }
  };
}

/** The same in batches, which are put together before anything is measured. */
function batched(size) {
  const batches = [];
  for (let start = 0; start + size <= keys.length; start += size)
    batches.push(keys.slice(start, start + size));
  let at = Math.ceil(checked.keys / size) % batches.length;
  return (count) => {
    for (let n = 0; n < count; n += size) {
      for (const { queues } of built(batches[at])) sunk += queues.length;
      if (++at === batches.length) at = 0;
    }
  };
}

const found = times(effort, make.batch ? batched(make.batch) : single(), make.batch);

console.log(
  JSON.stringify({
    engine: name,
    semantics: make.semantics ?? 'amqp',
    table: basename(tableFile),
    keys: basename(keysFile),
    n: rows.length,
    build_ms: round(buildMs, 1),
    bytes_per_binding: bytesPerBinding,
    median_ns: round(found[found.length >> 1], 1),
    min_ns: round(found[0], 1),
    runs: found.length,
    avg_out: round(checked.average, 2),
    digest_n: checked.keys,
    digest200: checked.first,
    digest: checked.value,
  }),
);
if (!Number.isFinite(sunk)) throw new Error('unreachable: a length is a number');
