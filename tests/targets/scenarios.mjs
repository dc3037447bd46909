// Plays the scenarios of the vectors on the npm package, through its public API alone, wherever JavaScript runs: nothing
// here belongs to one runtime. What plays them in which runtime: wasm-node.mjs beside this, and tests/runtimes.
//
//   {"type":"amqp","id":…,"steps":[…]}      steps as in tests/vectors/amqp.jsonl, `expect` left out
//     -> {"answers":[…]}                    each in the shape of `expect`
//   {"type":"kombu","id":…,"kombu":…,"transport":…,"exchange_type":…,"bindings":[…],"publishes":[…]}
//     -> {"quarantined":[{"index":…,"code":…}],"answers":[[queue, …], …]}
//
// What it cannot do yet is said, and skipped: {"unsupported":"…"}. What it does not know is a failure: {"failure":"…"}.

/** A function from a line of a scenario to the line of its answers, by what an entry of the package exports. */
export function player(keyrail) {
  return (line) => JSON.stringify(run(keyrail, line));
}

function run(keyrail, line) {
  try {
    const scenario = parse(line);
    if (scenario.type === 'amqp') return amqp(keyrail, scenario);
    if (scenario.type === 'kombu') return kombu(keyrail, scenario);
    throw new Error(`unknown type of scenario ${scenario.type}`);
  } catch (error) {
    return { failure: `${error.name}: ${error.message}` };
  }
}

/** Long 64-bit integers become text, which tables take too: `JSON.parse` would round 2^53 + 1. */
function parse(line) {
  return JSON.parse(line.replace(/("[lLT]"\s*,\s*)(-?\d{16,})(?![\d.eE])/g, '$1"$2"'));
}

// --- AMQP ------------------------------------------------------------------------------------------------------------

/** Our name for each field of AMQP's methods. */
const FIELDS = {
  arguments: 'arguments',
  auto_delete: 'autoDelete',
  destination: 'destination',
  durable: 'durable',
  exchange: 'exchange',
  if_empty: 'ifEmpty',
  if_unused: 'ifUnused',
  internal: 'internal',
  passive: 'passive',
  queue: 'queue',
  routing_key: 'routingKey',
  source: 'source',
  type: 'kind',
};

const METHODS = new Set(
  ['bind', 'unbind', 'declare', 'delete'].flatMap((verb) => [`exchange.${verb}`, `queue.${verb}`]),
);

const PUBLISH_FIELDS = new Set(
  'exchange routing_key headers mandatory record_headers correlation_id message_id timestamp'.split(' '),
);

function amqp({ Router, KeyrailError, deliveredHeaders }, { steps }) {
  const router = new Router();
  const answers = steps.map(({ op, ...fields }) => {
    try {
      if (op === 'publish') return publish(router, deliveredHeaders, fields);
      if (op === 'publish.repeat') return repeat(router, fields);
      if (op === 'policy.set' || op === 'policy.clear') return policy(router, op, fields);
      if (op === 'bindings.list') return listBindings(router, fields);
      return method(router, op, fields);
    } catch (error) {
      if (!(error instanceof KeyrailError) || !error.reply) throw error;
      return { error: error.reply };
    }
  });
  router.free();
  return { answers };
}

function method(router, op, fields) {
  if (!METHODS.has(op)) throw new Error(`unknown op ${op}`);
  const operation = { op };
  for (const [name, value] of Object.entries(fields)) {
    if (!Object.hasOwn(FIELDS, name)) throw new Error(`${op}: unknown field ${name}`);
    operation[FIELDS[name]] = value;
  }
  router.apply(operation);
  return 'ok';
}

function publish(router, deliveredHeaders, fields) {
  const unknown = Object.keys(fields).find((name) => !PUBLISH_FIELDS.has(name));
  if (unknown) throw new Error(`publish: unknown field ${unknown}`);
  const { exchange = '', routing_key = '', headers, mandatory = true, record_headers = false } = fields;
  const routingKey = typeof routing_key === 'string' ? routing_key : bytes(routing_key.hex);
  const { message_id: messageId, correlation_id: correlationId, timestamp } = fields;
  const properties = Object.entries({ headers, messageId, correlationId, timestamp });
  const given = Object.fromEntries(properties.filter(([, value]) => value !== undefined));
  const message = { exchange, routingKey, ...given };
  const { outcome, queues } = router.route(message);
  const answer = { queues: [...queues].sort(byCodePoint), returned: outcome === 'unroutable' && mandatory };
  if (record_headers)
    answer.delivered_headers = outcome === 'routed' ? names(deliveredHeaders(headers ?? [])) : [];
  return answer;
}

function bytes(hex) {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** As many publishes, and the package chooses: no number is given. */
function repeat(router, { exchange, routing_key: routingKey, times }) {
  const routes = Array.from({ length: times }, () => router.route({ exchange, routingKey }).queues);
  const each = [...new Set(routes.map((queues) => queues.length))].sort((a, b) => a - b);
  return { each, union: [...new Set(routes.flat())].sort(byCodePoint) };
}

function policy(router, op, { name, pattern, alternate, priority, ...others }) {
  const unknown = Object.keys(others)[0];
  if (unknown) throw new Error(`${op}: unknown field ${unknown}`);
  const definition = { 'alternate-exchange': alternate };
  router.apply(op === 'policy.set' ? { op, name, pattern, priority, definition } : { op, name });
  return 'ok';
}

function names(table) {
  return (Array.isArray(table) ? table.map(([name]) => name) : Object.keys(table)).sort(byCodePoint);
}

function listBindings(router, fields) {
  const [[end, name] = [], ...others] = Object.entries(fields);
  if (!['source', 'destination', 'queue'].includes(end) || others.length > 0) {
    throw new Error('bindings.list: expected exactly one of source, destination and queue');
  }
  const { queues, bindings } = router.topology();
  const implicit = queues.map((queue) => ['', 'queue', queue.name, queue.name, 0]);
  const rows = bindings.map(({ source, destination, routingKey = '', arguments: table = {} }) => {
    const [[kind, to]] = Object.entries(destination);
    return [source, kind, to, routingKey, Array.isArray(table) ? table.length : Object.keys(table).length];
  });
  const asked = {
    source: ([source]) => source === name,
    destination: ([, kind, to]) => kind === 'exchange' && to === name,
    queue: ([, kind, to]) => kind === 'queue' && to === name,
  };
  return { bindings: [...implicit, ...rows].filter(asked[end]).sort(byColumns) };
}

// --- Kombu -----------------------------------------------------------------------------------------------------------

/** Kombu has no limit for keys. */
const KEY_BYTES = 1 << 16;

function kombu({ Router, KeyrailError }, { kombu: version, transport, exchange_type, bindings, publishes }) {
  if (exchange_type === 'default') return defaultExchange(new Router(), publishes);
  const redisFanout = transport === 'redis-fanout';
  if (!redisFanout && transport !== 'virtual') throw new Error(`unknown transport ${transport}`);

  const router = new Router({ limits: { keyBytes: KEY_BYTES } });
  router.declareExchange('x', { kind: exchange_type });
  const quarantined = [];
  bindings.forEach(({ queue, routing_key: routingKey, pattern, ...others }, index) => {
    const unknown = Object.keys(others)[0];
    if (unknown) throw new Error(`binding: unknown field ${unknown}`);
    router.declareQueue(queue);
    // On Kombu's Redis transport a fanout is PUB/SUB, where the binding key is a pattern after all.
    const dialect = redisFanout && exchange_type === 'fanout' ? dialectOf(version) : undefined;
    try {
      router.bind({ source: 'x', destination: { queue }, routingKey, dialect, pattern });
    } catch (error) {
      if (!(error instanceof KeyrailError)) throw error;
      quarantined.push({ index, code: error.code });
    }
  });
  const answers = publishes.map((publish) => {
    const routed = router.route({ exchange: 'x', routingKey: publish.routing_key });
    return [...routed.queues].sort(byCodePoint);
  });
  router.free();
  return { quarantined, answers };
}

/** The default exchange of Kombu pushes to the list that the key names, declared or not. */
function defaultExchange(router, publishes) {
  const answers = publishes.map(({ routing_key: routingKey }) => {
    const { commands } = router.plan({ exchange: '', routingKey, body: '' });
    return commands.filter(([name]) => name === 'LPUSH').map(([, list]) => list);
  });
  router.free();
  return { quarantined: [], answers };
}

function dialectOf(version) {
  const [, dialect] = /^5\.([67])\./.exec(version) ?? [];
  if (!dialect) throw new Error(`unknown version of Kombu ${version}`);
  return `kombu5${dialect}`;
}

// --- Order -----------------------------------------------------------------------------------------------------------

/** RabbitMQ sorts bytes, JavaScript UTF-16 units; code points are in the order of their UTF-8. */
function byCodePoint(a, b) {
  const left = [...a];
  const right = [...b];
  const at = left.findIndex((character, place) => character !== right[place]);
  if (at < 0) return left.length - right.length;
  return at < right.length ? left[at].codePointAt(0) - right[at].codePointAt(0) : 1;
}

function byColumns(a, b) {
  for (const column of a.keys()) {
    const order = typeof a[column] === 'number' ? a[column] - b[column] : byCodePoint(a[column], b[column]);
    if (order !== 0) return order;
  }
  return 0;
}
