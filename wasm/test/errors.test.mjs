// Whatever one passes, a KeyrailError with a stable code comes back and the router still works.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { deliveredHeaders, KeyrailError, Router } from '../dist/full/inline.js';

const router = new Router();
router.declareExchange('x', { kind: 'topic' });
router.declareQueue('q');
router.bind({ source: 'x', destination: { queue: 'q' }, routingKey: 'k' });
const before = router.topology();

const LONE = 'a\ud800b';
const LONG = 'x'.repeat(300);
const HUGE = 'x'.repeat(2 ** 24 + 1);
const cycle = { in: {} };
cycle.in.cycle = cycle;
const route = (headers) => router.route({ exchange: 'x', routingKey: 'k', headers });
const bind = (binding) => router.bind({ source: 'x', destination: { queue: 'q' }, ...binding });
const detached = () => {
  const ids = new Uint32Array(4);
  structuredClone(ids, { transfer: [ids.buffer] });
  return ids;
};
const throwing = {
  get queue() {
    throw new Error('mine');
  },
};

/** Code, what the message has to name, call. */
const CASES = [
  // Names.
  ['invalid-argument', 'name is 5', () => router.declareQueue(5)],
  ['invalid-argument', 'name is null', () => router.declareQueue(null)],
  ['invalid-argument', 'name is undefined', () => router.declareQueue()],
  ['invalid-argument', 'lone surrogate', () => router.declareQueue(LONE)],
  ['invalid-argument', 'characters', () => router.declareQueue(HUGE)],
  ['invalid-argument', 'name is a symbol', () => router.exchangeId(Symbol('x'))],
  ['name-too-long', '300 bytes', () => router.declareQueue(LONG)],
  ['empty-name', 'empty', () => router.declareQueue('')],
  ['reserved-name', '`amq.x`', () => router.declareExchange('amq.x', { kind: 'topic' })],
  // Options.
  ['invalid-argument', 'options is undefined', () => router.declareExchange('y')],
  ['invalid-argument', 'options.kind is missing', () => router.declareExchange('y', {})],
  ['invalid-argument', '`durble`', () => router.declareExchange('y', { kind: 'topic', durble: true })],
  ['invalid-argument', 'options.durable is `yes`', () => router.declareQueue('y', { durable: 'yes' })],
  ['invalid-argument', '`__proto__`', () => router.declareQueue('y', JSON.parse('{"__proto__": {}}'))],
  ['invalid-argument', 'options is an array', () => router.declareQueue('y', [])],
  ['unknown-exchange-kind', '`tpoic`', () => router.declareExchange('y', { kind: 'tpoic' })],
  ['inequivalent', '`type`', () => router.declareExchange('x', { kind: 'direct' })],
  ['exchange-not-found', '`y`', () => router.declareExchange('y', { kind: 'topic', passive: true })],
  [
    'invalid-argument',
    '`alternate-exchange`',
    () =>
      router.declareExchange('y', {
        kind: 'topic',
        alternateExchange: 'a',
        arguments: { 'alternate-exchange': 'b' },
      }),
  ],
  [
    'invalid-alternate-exchange',
    '`l`',
    () => router.declareExchange('y', { kind: 'topic', arguments: { 'alternate-exchange': 5 } }),
  ],
  ['invalid-argument', 'options.seed is 5', () => new Router({ seed: 5 })],
  ['invalid-argument', 'options.seed is -1', () => new Router({ seed: -1n })],
  ['invalid-argument', 'options.limits.keyBytes is -1', () => new Router({ limits: { keyBytes: -1 } })],
  ['invalid-argument', 'options.limits.bindings is 5', () => new Router({ limits: { bindings: 5n } })],
  ['invalid-argument', 'options.capacity is a symbol', () => router.record({ capacity: Symbol() })],
  ['invalid-argument', 'id is 5', () => router.queueName(5n)],
  ['invalid-argument', 'id is object Object', () => router.queueName({ valueOf: () => 1 })],
  ['invalid-argument', 'exchangeId is 5', () => router.routeInto(5n, '', new Uint32Array(1))],
  [
    'invalid-argument',
    'update.bytes is an array',
    () => Router.follower().follow({ type: 'snapshot', epoch: 1, bytes: [5n] }),
  ],
  ['invalid-argument', 'options is null', () => new Router(null)],
  // Bindings.
  ['invalid-argument', 'binding is null', () => router.bind(null)],
  ['invalid-argument', 'binding.source is missing', () => router.bind({ destination: { queue: 'q' } })],
  ['invalid-argument', 'either `queue` or `exchange`', () => bind({ destination: {} })],
  [
    'invalid-argument',
    'either `queue` or `exchange`',
    () => bind({ destination: { queue: 'q', exchange: 'x' } }),
  ],
  ['invalid-argument', 'binding.dialect is `kombu`', () => bind({ dialect: 'kombu' })],
  ['invalid-argument', 'binding.routingKey is 1', () => bind({ routingKey: 1 })],
  ['invalid-argument', '`zz`', () => bind({ routingKey: { hex: 'zz' } })],
  ['invalid-argument', '`abc`', () => bind({ routingKey: { hex: 'abc' } })],
  ['key-too-long', '8000000 bytes', () => bind({ routingKey: { hex: 'ab'.repeat(8_000_000) } })],
  // Finite, and infinite as a single: it could be written, and not be read again.
  ['invalid-argument', 'field type f', () => bind({ arguments: [['x', 'f', 1e39]] })],
  ['invalid-argument', 'binding.arguments is 1', () => bind({ arguments: 1 })],
  ['invalid-argument', 'for queues', () => bind({ destination: { exchange: 'x' }, pattern: '^a$' })],
  ['key-too-long', '300 bytes', () => bind({ routingKey: LONG })],
  ['key-not-utf8', '\\xff', () => bind({ routingKey: new Uint8Array([255]) })],
  ['invalid-pattern', '`k`', () => bind({ routingKey: 'k', pattern: '^**$' })],
  ['queue-not-found', '`nope`', () => bind({ destination: { queue: 'nope' } })],
  ['exchange-not-found', '`nope`', () => bind({ source: 'nope' })],
  ['default-exchange', 'default exchange', () => bind({ source: '' })],
  [
    'invalid-match-mode',
    '`some`',
    () =>
      router.bind({ source: 'amq.headers', destination: { queue: 'q' }, arguments: { 'x-match': 'some' } }),
  ],
  // Messages.
  ['invalid-argument', 'message is null', () => router.route(null)],
  ['invalid-argument', 'message is `text`', () => router.route('text')],
  ['invalid-argument', '`header`', () => router.route({ exchange: 'x', routingKey: 'k', header: {} })],
  ['invalid-argument', 'message.exchange is 1', () => router.route({ exchange: 1, routingKey: 'k' })],
  ['invalid-argument', 'routingKey is undefined', () => router.route({ exchange: 'x' })],
  ['invalid-argument', 'routingKey is an array', () => router.route({ exchange: 'x', routingKey: ['k'] })],
  ['invalid-argument', 'lone surrogate', () => router.route({ exchange: 'x', routingKey: LONE })],
  ['invalid-argument', 'lone surrogate', () => router.route({ exchange: LONE, routingKey: 'k' })],
  ['invalid-argument', 'characters', () => router.route({ exchange: 'x', routingKey: HUGE })],
  ['key-too-long', '300 bytes', () => router.route({ exchange: 'x', routingKey: LONG })],
  ['key-too-long', '300 bytes', () => router.route({ exchange: 'x', routingKey: new Uint8Array(300) })],
  ['exchange-not-found', '`nope`', () => router.route({ exchange: 'nope', routingKey: 'k' })],
  [
    'internal-exchange',
    '`amq.rabbitmq.trace`',
    () => router.route({ exchange: 'amq.rabbitmq.trace', routingKey: '' }),
  ],
  ['invalid-sender-selected', '`CC`', () => route({ CC: 'b' })],
  // Messages as two arguments, and many.
  ['invalid-argument', 'message is `x`', () => router.route('x')],
  ['invalid-argument', 'routingKey is 5', () => router.route('x', 5)],
  ['invalid-argument', 'lone surrogate', () => router.route('x', LONE)],
  ['invalid-argument', 'lone surrogate', () => router.route(LONE, 'k')],
  ['invalid-argument', 'characters', () => router.route('x', HUGE)],
  ['key-too-long', '300 bytes', () => router.route('x', LONG)],
  ['key-too-long', '300 bytes', () => router.route('x', new Uint8Array(300))],
  ['exchange-not-found', '`nope`', () => router.route('nope', 'k')],
  ['exchange-not-found', '`__proto__`', () => router.route('__proto__', '__proto__')],
  ['invalid-argument', 'messages is 5', () => router.routeMany(5)],
  ['invalid-argument', 'messages is null', () => router.routeMany(null)],
  [
    'invalid-argument',
    'messages[1] is null',
    () => router.routeMany([{ exchange: 'x', routingKey: 'k' }, null]),
  ],
  [
    'invalid-argument',
    'messages[0] has no field `header`',
    () => router.routeMany([{ exchange: 'x', routingKey: 'k', header: {} }]),
  ],
  ['invalid-argument', 'exchange is 5', () => router.routeMany([{ exchange: 5, routingKey: 'k' }])],
  ['invalid-argument', 'routingKeys is undefined', () => router.routeMany('x')],
  ['invalid-argument', 'routingKeys is `k`', () => router.routeMany('x', 'k')],
  ['invalid-argument', 'routingKey is 5', () => router.routeMany('x', ['k', 5])],
  ['invalid-argument', 'routingKey is undefined', () => router.routeMany('x', new Array(3))],
  ['invalid-argument', 'lone surrogate', () => router.routeMany('x', ['k', LONE])],
  ['key-too-long', '300 bytes', () => router.routeMany('x', ['k', LONG])],
  ['key-too-long', '300 bytes', () => router.routeMany('x', ['k', 'é'.repeat(150)])],
  ['exchange-not-found', '`nope`', () => router.routeMany('nope', ['k'])],
  // Copies.
  ['invalid-argument', 'snapshot is an array', () => Router.fromSnapshot([1])],
  ['invalid-argument', 'snapshot is null', () => Router.fromSnapshot(null)],
  ['no-snapshot', 'no keyrail snapshot', () => Router.fromSnapshot(new Uint8Array(20))],
  ['damaged-snapshot', 'cut off', () => Router.fromSnapshot(router.toSnapshot().subarray(0, -1))],
  ['invalid-argument', 'options.seed is 1', () => Router.fromSnapshot(router.toSnapshot(), { seed: 1 })],
  ['not-recording', 'record()', () => router.since()],
  ['not-following', 'follows', () => router.follow({ type: 'snapshot', epoch: 1, bytes: [] })],
  ['invalid-argument', 'update is null', () => router.follow(null)],
  ['invalid-argument', 'update.type is `__proto__`', () => router.follow({ type: '__proto__' })],
  ['invalid-argument', 'update.epoch is -1', () => router.follow({ type: 'snapshot', epoch: -1, bytes: [] })],
  [
    'invalid-argument',
    'update.bytes is an array',
    () => router.follow({ type: 'snapshot', epoch: 1, bytes: [256] }),
  ],
  ['invalid-argument', 'update.since is missing', () => router.follow({ type: 'changes', changes: [] })],
  ['invalid-argument', 'options.epoch is 0.5', () => router.record({ epoch: 0.5 })],
  ['invalid-argument', 'options.capacity is -1', () => router.record({ capacity: -1 })],
  // Tables.
  ['invalid-argument', 'nests deeper', () => route(cycle)],
  [
    'invalid-argument',
    'nests deeper',
    () => route({ a: JSON.parse(`${'['.repeat(100)}${']'.repeat(100)}`) }),
  ],
  ['invalid-argument', 'message.headers.a[1] is NaN', () => route({ a: [1, Number.NaN] })],
  ['invalid-argument', 'is Infinity', () => route({ a: Number.POSITIVE_INFINITY })],
  ['invalid-argument', 'message.headers.a is a function', () => route({ a() {} })],
  ['invalid-argument', 'object Map', () => route(new Map([['a', 1]]))],
  ['invalid-argument', 'object Date', () => route({ a: new Date() })],
  ['invalid-argument', 'lone surrogate', () => route({ [LONE]: 1 })],
  ['invalid-argument', 'lone surrogate', () => route({ a: LONE })],
  ['invalid-argument', 'message.headers[0] is 5', () => route([5])],
  ['invalid-argument', '`q`', () => route([['a', 'q', 1]])],
  ['invalid-argument', '256', () => route([['a', 'B', 256]])],
  ['invalid-argument', 'field type', () => route([['a', 'I']])],
  ['invalid-argument', '9007199254740992', () => route([['a', 'l', 2 ** 53]])],
  ['invalid-argument', '18446744073709551615', () => route({ a: 2n ** 64n - 1n })],
  ['invalid-argument', 'BigInt', () => route({ a: 2n ** 64n })],
  ['invalid-argument', 'headers is null', () => deliveredHeaders(null)],
  // Operations.
  ['invalid-argument', 'operations[0].op is undefined', () => router.apply(null)],
  [
    'invalid-argument',
    'operations[0].op is `queue.drop`',
    () => router.apply({ op: 'queue.drop', queue: 'q' }),
  ],
  ['invalid-argument', 'operations[0].queue is missing', () => router.apply({ op: 'queue.delete' })],
  [
    'invalid-argument',
    'operations[1]',
    () => router.apply({ op: 'queue.declare', queue: 'y' }, { op: 'queue.declare', queue: 5 }),
  ],
  ['queue-not-found', '`y`', () => router.apply({ op: 'queue.bind', queue: 'y', exchange: 'x' })],
  // Ids.
  ['exchange-not-found', '999', () => router.routeInto(999, 'k', new Uint32Array(1))],
  ['invalid-argument', 'exchangeId is -1', () => router.routeInto(-1, 'k', new Uint32Array(1))],
  ['invalid-argument', 'exchangeId is NaN', () => router.routeInto(Number.NaN, 'k', new Uint32Array(1))],
  ['invalid-argument', 'exchangeId is undefined', () => router.routeInto(undefined, 'k', new Uint32Array(1))],
  ['invalid-argument', 'ids is detached', () => router.routeInto(0, 'k', detached())],
  ['ids-too-short', 'room for 0, the message goes to 1', () => router.routeInto(0, 'q', new Uint32Array(0))],
  ['invalid-argument', 'routingKey is null', () => router.routeInto(0, null, new Uint32Array(1))],
  ['invalid-argument', 'lone surrogate', () => router.routeInto(0, LONE, new Uint32Array(1))],
  ['invalid-argument', 'ids is an array', () => router.routeInto(0, 'k', [])],
  ['invalid-argument', 'id is `1`', () => router.queueName('1')],
  // Topologies.
  ['invalid-argument', 'topology is null', () => Router.fromTopology(null)],
  ['invalid-argument', 'topology.queues is object', () => Router.fromTopology({ queues: {} })],
  [
    'invalid-argument',
    'topology.queues[1].name is missing',
    () => Router.fromTopology({ queues: [{ name: 'a' }, {}] }),
  ],
  ['invalid-argument', '`size`', () => Router.fromTopology({ queues: [{ name: 'a', size: 1 }] })],
  [
    'queue-not-found',
    'bindings[0]',
    () => Router.fromTopology({ bindings: [{ source: 'amq.topic', destination: { queue: 'q' } }] }),
  ],
  ['invalid-json', 'JSON', () => Router.fromDefinitions('{')],
  ['invalid-argument', 'definitions is null', () => Router.fromDefinitions('null')],
  [
    'invalid-policy-pattern',
    "policies[0]: the policy's pattern `(`",
    () => Router.fromDefinitions({ policies: [{ name: 'p', pattern: '(', definition: {} }] }),
  ],
  ['unknown-vhost', '`/`', () => Router.fromDefinitions({ queues: [{ name: 'q' }] }, { vhost: 'v' })],
  [
    'unknown-exchange-kind',
    'exchanges[0]',
    () => Router.fromDefinitions({ exchanges: [{ name: 'e', type: 'x-mine' }] }),
  ],
  ['invalid-line', 'line 1, column 6', () => Router.fromLines('logs topc: a -> q')],
  ['invalid-argument', 'lines is 5', () => Router.fromLines(5)],
  ['invalid-binding-sets', '`nokey`', () => Router.fromBindingSets({ nokey: [] })],
  ['invalid-argument', 'sets is an array', () => Router.fromBindingSets([])],
  ['invalid-argument', '`x-mine`', () => Router.fromBindingSets({}, { kinds: { a: 'x-mine' } })],
  ['invalid-celery-config', 'task_routes', () => Router.fromCeleryConfig({ task_routes: { a: 5 } })],
  ['invalid-argument', 'task_queues[0] has no name', () => Router.fromCeleryConfig({ task_queues: [{}] })],
  ['invalid-argument', 'options.dialect is `amqp2`', () => Router.fromCeleryConfig({}, { dialect: 'amqp2' })],
  ['invalid-argument', 'options.within is null', () => router.toDefinitions({ within: null })],
  ['invalid-argument', 'after is object', () => router.diff({})],
  ['invalid-argument', 'options.witnesses is -1', () => router.diff(router, { witnesses: -1 })],
  // Plans.
  ['invalid-argument', 'publish.body is missing', () => router.plan({ exchange: '', routingKey: 'q' })],
  ['invalid-argument', 'publish is null', () => router.plan(null)],
  [
    'invalid-argument',
    '18446744073709551615',
    () => router.planTask({ exchange: '', routingKey: 'q', name: 't', id: 'i', args: [2n ** 64n - 1n] }),
  ],
  [
    'invalid-argument',
    'deliveryTag() is 5',
    () => router.plan({ exchange: '', routingKey: 'q', body: '', deliveryTag: () => 5 }),
  ],
];

for (const [at, [code, named, call]] of CASES.entries()) {
  test(`${at}: ${code}: ${named}`, () => {
    assert.throws(call, (error) => {
      assert.ok(error instanceof KeyrailError && error instanceof Error, `${error}`);
      assert.equal(error.code, code, error.message);
      assert.ok(error.message.includes(named), error.message);
      return true;
    });
  });
}

after(() => {
  assert.deepEqual(router.topology(), before, 'nothing was half done');
  assert.deepEqual(router.route({ exchange: 'x', routingKey: 'k' }).queues, ['q']);
});

test('a broker would answer the same', () => {
  assert.throws(() => router.route({ exchange: 'nope', routingKey: 'k' }), {
    name: 'KeyrailError',
    reply: { scope: 'channel', code: 404, name: 'NOT_FOUND' },
  });
  assert.throws(
    () => router.route(null),
    (error) => !('reply' in error),
  );
});

test('an exception of the caller stays his own', () => {
  assert.throws(() => bind({ destination: throwing }), { message: 'mine' });
  const proxy = new Proxy({}, { ownKeys: () => assert.fail('mine too') });
  assert.throws(() => route(proxy), { message: 'mine too' });
});

test('a getter may use the router, and even free it', () => {
  const own = new Router();
  own.declareQueue('q');
  const reentrant = {
    get a() {
      own.declareQueue('r');
      return own.route({ exchange: '', routingKey: 'r' }).queues[0];
    },
  };
  assert.deepEqual(own.route({ exchange: '', routingKey: 'q', headers: reentrant }).queues, ['q']);
  const freeing = {
    get a() {
      own.free();
      return 1;
    },
  };
  assert.throws(() => own.route({ exchange: '', routingKey: 'q', headers: freeing }), { code: 'freed' });
});

test('a freed router refuses everything but being freed again', () => {
  const freed = new Router();
  freed.free();
  freed.free();
  const message = { exchange: '', routingKey: 'q' };
  for (const call of [
    () => freed.declareQueue('q'),
    () => freed.declareExchange('e', { kind: 'topic' }),
    () => freed.bind({ source: 'e', destination: { queue: 'q' } }),
    () => freed.apply({ op: 'queue.declare', queue: 'q' }),
    () => freed.route(message),
    () => freed.route({ ...message, headers: {} }),
    () => freed.routeInto(0, 'q', new Uint32Array(1)),
    () => freed.route('', 'q'),
    () => freed.routeMany('', ['q']),
    () => freed.routeMany([message]),
    () => freed.toSnapshot(),
    () => freed.record(),
    () => freed.since(),
    () => freed.position,
    () => freed.follow({ type: 'snapshot', epoch: 1, bytes: [] }),
    () => freed.lint(),
    () => freed.diff(router),
    () => router.diff(freed),
    () => freed.toDefinitions(),
    () => freed.toBindingSets(),
    () => freed.toLines(),
    () => freed.explain(message),
    () => freed.plan({ ...message, body: '' }),
    () => freed.topology(),
    () => freed.exchangeId('e'),
    () => freed.queueName(0),
    () => freed.revision,
  ]) {
    assert.throws(call, { name: 'KeyrailError', code: 'freed' });
  }
});
