// node cold-start.mjs [--rounds N]: what keyrail adds to the start of a worker, in workerd.
//
// Four workers, each started anew in every round until it has answered one request: an empty one, one that imports keyrail
// and routes by an empty table, and two that first load 1,000 bindings: as data, and from a snapshot. A worker's own clock stands still
// while it computes, so the CPU time of all threads of the process is read from outside; what one worker takes more than
// another is the answer.
//
// Needs what `scripts/setup/runtimes.sh` installs, and the package (`make wasm`).
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startWorkerd } from '../../tests/runtimes/support/edge.mjs';
import { project as makeProject } from '../../tests/runtimes/support/project.mjs';
import { Router } from '../../wasm/dist/inline.js';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '9' } } });
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds is ${values.rounds}, expected 1 or more`);

const BINDINGS = 1000;
const SHAPES = [
  (at) => `region.${at}.order.paid`,
  (at) => `region.*.order.${at}`,
  (at) => `audit.${at}.#`,
  (at) => `order.${at}.eu`,
];

/** Four shapes in turn, a quarter as many queues as bindings. */
const topology = {
  exchanges: [{ name: 'events', kind: 'topic' }],
  queues: Array.from({ length: BINDINGS / 4 }, (_, at) => ({ name: `queue-${at}` })),
  bindings: Array.from({ length: BINDINGS }, (_, at) => ({
    source: 'events',
    destination: { queue: `queue-${at % (BINDINGS / 4)}` },
    routingKey: SHAPES[at % 4](at),
  })),
};

const answer = (make) => `
  import { Router } from 'keyrail';
  ${make}
  router.declareExchange('other', { kind: 'topic' });
  export default { fetch: () => Response.json(router.route({ exchange: 'events', routingKey: 'audit.2.a' }).queues) };
`;
const WORKERS = {
  empty: `export default { fetch: () => Response.json([]) };`,
  keyrail: answer(`const router = new Router(); router.declareExchange('events', { kind: 'topic' });`),
  topology: answer(`const router = Router.fromTopology(${JSON.stringify(topology)});`),
  snapshot: answer(`
    const bytes = Uint8Array.from(atob('${snapshot()}'), (character) => character.charCodeAt(0));
    const router = Router.fromSnapshot(bytes);`),
};
const ANSWERS = { empty: [], keyrail: [], topology: ['queue-2'], snapshot: ['queue-2'] };

function snapshot() {
  return Buffer.from(Router.fromTopology(topology).toSnapshot()).toString('base64');
}

/** The CPU time of all threads of the workerd that this process started, in milliseconds. */
function cpuOfWorkerd() {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = read(`/proc/${pid}/stat`);
    const [, command, parent] = /^\d+ \((.*)\) \S (\d+)/.exec(stat) ?? [];
    if (command !== 'workerd' || Number(parent) !== process.pid) continue;
    const threads = readdirSync(`/proc/${pid}/task`);
    // Nanoseconds on a processor, then waiting for one, then how often.
    const each = threads.map((thread) => Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]));
    return each.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1e6;
  }
  throw new Error('there is no workerd below this process');
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

async function start(file, expected) {
  const worker = await startWorkerd(file);
  try {
    const found = await (await worker.dispatchFetch('http://edge.test/')).json();
    if (JSON.stringify(found) !== JSON.stringify(expected))
      throw new Error(`${file}: answered ${JSON.stringify(found)}`);
    return cpuOfWorkerd();
  } finally {
    await worker.dispose();
  }
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

const project = await makeProject('cold-start');
const names = Object.keys(WORKERS);
const files = Object.fromEntries(names.map((name) => [name, project.write(`${name}.mjs`, WORKERS[name])]));
const taken = Object.fromEntries(names.map((name) => [name, []]));
for (let round = 0; round < rounds; round++) {
  // In turn, so that whatever the machine does meanwhile meets all of them.
  for (const name of names) taken[name].push(await start(files[name], ANSWERS[name]));
}

console.log(
  `CPU time of workerd from its start to the first answer, median of ${rounds} rounds, milliseconds`,
);
console.log('worker        all   more than empty');
for (const name of names) {
  const columns = [median(taken[name]), median(taken[name]) - median(taken.empty)];
  console.log(name.padEnd(10), ...columns.map((value, at) => value.toFixed(1).padStart([6, 17][at])));
}
