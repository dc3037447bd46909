// node --expose-gc soak.mjs PAIRS ROUTES: binds and unbinds PAIRS times over a standing table, with ROUTES routes in
// between, and watches the module's memory and the heap. Prints a line of JSON; exit status 1 if either has grown.
//
// Nothing repeats: each pair brings words that were never there before, each route another key, and now and then a queue
// comes and goes. Whatever keeps a word, a name or a view of the memory that nobody needs any more grows without end.
import { Router } from '../dist/inline.js';
import { engine } from '../dist/module.js';

const [pairs, routes] = process.argv.slice(2).map(Number);
if (!(pairs >= 20) || !(routes >= pairs))
  throw new Error('usage: soak.mjs PAIRS ROUTES, at least 20 and as many routes');
if (!globalThis.gc) throw new Error('start it with --expose-gc');

const STANDING = 1000;
/** A table has its size once a twentieth of the work is done; what it has after that, it must have at the end. */
const SAMPLES = 20;
/** What the heap may differ by between two looks: code that was compiled meanwhile, and what a collection leaves. */
const HEAP_SLACK = 1 << 20;

const router = new Router();
router.declareExchange('events', { kind: 'topic' });
router.declareExchange('desk', { kind: 'direct' });
router.declareExchange('typed', { kind: 'headers' });
router.declareExchange('inner', { kind: 'topic' });
for (let at = 0; at < STANDING; at++) {
  router.declareQueue(`queue-${at % 100}`);
  router.bind({
    source: 'events',
    destination: { queue: `queue-${at % 100}` },
    routingKey: `region.${at}.*`,
  });
}

const queue = (at) => ({ queue: `queue-${at % 100}` });
const KINDS = [
  (at) => ({ source: 'events', destination: queue(at), routingKey: `tenant.t${at}.#` }),
  (at) => ({ source: 'events', destination: queue(at), routingKey: `*.k${at}.paid` }),
  (at) => ({ source: 'desk', destination: queue(at), routingKey: `desk-${at}` }),
  (at) => ({ source: 'typed', destination: queue(at), arguments: { tenant: `t${at}`, 'x-match': 'all' } }),
  (at) => ({ source: 'events', destination: { exchange: 'inner' }, routingKey: `#.inner${at}` }),
];

const events = router.exchangeId('events');
const ids = new Uint32Array(16);
let routed = 0;

function routeOnce(at) {
  const key = `region.${at % STANDING}.n${at}`;
  if (at % 2 === 0) routed += router.route({ exchange: 'events', routingKey: key }).queues.length;
  else routed += router.routeInto(events, key, ids);
}

function look() {
  // Twice: the first collection leaves what finalizers still hold.
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { wasm: engine.bytes().length, heap: heapUsed, buffers: arrayBuffers };
}

const samples = [];
let done = 0;
for (let at = 0; at < pairs; at++) {
  const binding = KINDS[at % KINDS.length](at);
  router.bind(binding);
  const until = Math.floor(((at + 1) * routes) / pairs);
  for (; done < until; done++) routeOnce(done);
  router.unbind(binding);
  if (at % 100 === 0) {
    router.declareQueue(`guest-${at}`);
    router.bind({ source: 'desk', destination: { queue: `guest-${at}` }, routingKey: `guest-${at}` });
    router.deleteQueue(`guest-${at}`);
  }
  if ((at + 1) % Math.floor(pairs / SAMPLES) === 0) samples.push(look());
}

if (routed !== routes) throw new Error(`${routes} routes reached ${routed} queues, expected one each`);
const first = samples[0];
const most = (what) => Math.max(...samples.slice(1).map((sample) => sample[what] - first[what]));
const grown = { wasm: most('wasm'), heap: most('heap'), buffers: most('buffers') };
const flat = grown.wasm === 0 && grown.heap < HEAP_SLACK && grown.buffers < HEAP_SLACK;
console.log(
  JSON.stringify({ pairs, routes, node: process.version, first, last: samples.at(-1), grown, flat }),
);
process.exitCode = flat ? 0 : 1;
