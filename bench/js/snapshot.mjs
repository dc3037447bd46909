// How much faster a router is there from a snapshot than from a topology, and than declared and bound one by one.
//
//   node bench/js/snapshot.mjs FILE.tbl...
//
// Needs `make wasm`. CPU time, the median of nine rounds in which the three take turns.

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Router } from '../../wasm/dist/inline.js';

const ROUNDS = 9;

function read(file) {
  const lines = readFileSync(file, 'latin1').trimEnd().split('\n');
  const bindings = lines.map((line) => {
    const [routingKey, queue] = line.split('\t');
    return { source: 'x', destination: { queue: `q${queue}` }, routingKey };
  });
  const names = new Set(bindings.map((binding) => binding.destination.queue));
  const queues = Array.from(names, (name) => ({ name }));
  return { exchanges: [{ name: 'x', kind: 'topic' }], queues, bindings };
}

function oneByOne({ queues, bindings }) {
  const router = new Router();
  router.declareExchange('x', { kind: 'topic' });
  for (const { name } of queues) router.declareQueue(name);
  for (const binding of bindings) router.bind(binding);
  return router;
}

function milliseconds(make) {
  const before = process.cpuUsage();
  const router = make();
  const { user, system } = process.cpuUsage(before);
  router.free();
  return (user + system) / 1000;
}

const median = (times) => times.sort((one, other) => one - other)[times.length >> 1];

for (const file of process.argv.slice(2)) {
  const topology = read(file);
  const router = Router.fromTopology(topology);
  const bytes = router.toSnapshot();
  router.free();
  const ways = {
    'one by one': () => oneByOne(topology),
    topology: () => Router.fromTopology(topology),
    snapshot: () => Router.fromSnapshot(bytes),
  };
  const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, make] of Object.entries(ways)) times[name].push(milliseconds(make));
  }
  const medians = Object.entries(times).map(([name, each]) => [name, median(each)]);
  const snapshot = medians.at(-1)[1];
  const said = medians.map(([name, ms]) => `${name} ${ms.toFixed(1)} ms (${(ms / snapshot).toFixed(1)})`);
  console.log(`${basename(file)}: ${said.join(', ')}`);
}
