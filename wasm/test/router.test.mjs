// What the class does when everything is right.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { deliveredHeaders, Router } from '../dist/full/inline.js';

function shop() {
  const router = new Router();
  router.declareExchange('lost', { kind: 'fanout' });
  router.declareExchange('orders', { kind: 'topic', alternateExchange: 'lost', durable: true });
  for (const queue of ['audit', 'billing', 'unrouted']) router.declareQueue(queue);
  router.bind({ source: 'orders', destination: { queue: 'billing' }, routingKey: 'order.*.paid' });
  router.bind({ source: 'orders', destination: { queue: 'audit' }, routingKey: 'order.#' });
  router.bind({ source: 'lost', destination: { queue: 'unrouted' } });
  return router;
}

test('routes by exchange type, with alternates', () => {
  const router = shop();
  assert.deepEqual(router.route({ exchange: 'orders', routingKey: 'order.eu.paid' }), {
    outcome: 'routed',
    queues: ['billing', 'audit'],
  });
  assert.deepEqual(router.route({ exchange: 'orders', routingKey: 'invoice' }).queues, ['unrouted']);
  assert.deepEqual(router.route({ exchange: '', routingKey: 'audit' }).queues, ['audit']);
  assert.deepEqual(router.route({ exchange: 'amq.direct', routingKey: 'x' }), {
    outcome: 'unroutable',
    queues: [],
  });
  router.free();
});

test('a random exchange chooses one queue, by the number it is given or one of its own', () => {
  const exchanges = [{ name: 'dice', kind: 'x-random' }];
  const queues = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];
  const bindings = queues.map(({ name }) => ({ source: 'dice', destination: { queue: name } }));
  const router = Router.fromTopology({ exchanges, queues, bindings });
  const message = { exchange: 'dice', routingKey: '' };
  const ids = new Uint32Array(3);
  const drawn = new Set();
  const written = new Set();
  for (let at = 0; at < 200; at++) {
    const { queues } = router.route(message);
    assert.equal(queues.length, 1);
    drawn.add(queues[0]);
    assert.equal(router.routeInto(router.exchangeId('dice'), '', ids), 1);
    written.add(router.queueName(ids[0]));
  }
  assert.deepEqual([drawn.size, written.size], [3, 3]);
  for (const random of [0, 0.25, 0.5, 1]) {
    const { queues } = router.route({ ...message, random });
    assert.deepEqual(router.explain({ ...message, random }).queues, queues);
  }
  router.free();
});

test('policies are data like everything else', () => {
  const router = new Router();
  router.declareExchange('orders', { kind: 'topic' });
  router.declareExchange('lost', { kind: 'fanout' });
  router.declareQueue('unrouted');
  router.bind({ source: 'lost', destination: { queue: 'unrouted' } });
  const policy = { name: 'p', pattern: '^ord', priority: 3, definition: { 'alternate-exchange': 'lost' } };
  router.apply({ op: 'policy.set', ...policy });
  const message = { exchange: 'orders', routingKey: 'k' };
  assert.deepEqual(router.route(message).queues, ['unrouted']);
  assert.deepEqual(router.topology().policies, [policy]);
  assert.deepEqual(Router.fromTopology(router.topology()).route(message).queues, ['unrouted']);
  router.apply({ op: 'policy.clear', name: 'p' });
  assert.deepEqual(router.route(message).queues, []);
  router.free();
});

test('the queues of a route are frozen', () => {
  const { queues } = shop().route({ exchange: 'orders', routingKey: 'order.eu.paid' });
  assert.throws(() => queues.push('more'), TypeError);
});

test('a routing key may be bytes, of a Buffer or of another view', () => {
  const router = shop();
  const key = Buffer.from('xorder.eu.paidx').subarray(1, -1);
  assert.deepEqual(router.route({ exchange: 'orders', routingKey: key }).queues, ['billing', 'audit']);
  const bytes = new Uint8Array([0x6f, 0x72, 0x64, 0x65, 0x72, 0x2e, 0xff]); // order.\xff
  assert.deepEqual(router.route({ exchange: 'orders', routingKey: bytes }).queues, ['audit']);
});

test('keys of every width', () => {
  const router = new Router();
  router.declareExchange('d', { kind: 'direct' });
  for (const key of ['', 'a', 'é', '日本.語', '😀', 'x'.repeat(255), `${'é'.repeat(127)}x`]) {
    router.declareQueue(`q:${key.slice(0, 20)}`);
    router.bind({ source: 'd', destination: { queue: `q:${key.slice(0, 20)}` }, routingKey: key });
    assert.deepEqual(router.route({ exchange: 'd', routingKey: key }).queues, [`q:${key.slice(0, 20)}`]);
  }
});

test('headers: plain objects and typed entries', () => {
  const router = new Router();
  router.declareQueue('pdf');
  const binding = {
    source: 'amq.headers',
    destination: { queue: 'pdf' },
    arguments: { format: 'pdf', pages: 3 },
  };
  router.bind(binding);
  const route = (headers) => router.route({ exchange: 'amq.headers', routingKey: '', headers }).queues;
  assert.deepEqual(route({ format: 'pdf', pages: 3, more: null }), ['pdf']);
  assert.deepEqual(route({ format: 'pdf', pages: 3n }), ['pdf']);
  assert.deepEqual(
    route([
      ['format', 'S', 'pdf'],
      ['pages', 'B', 3],
    ]),
    ['pdf'],
  );
  assert.deepEqual(route({ format: 'pdf' }), []);
  router.unbind(binding);
  assert.deepEqual(route({ format: 'pdf', pages: 3 }), []);
});

test('values come back from the module as they went in', () => {
  const headers = {
    text: '\ufeffé\n\u{1f407}',
    empty: '',
    numbers: [0, -1, 1.5, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
    others: [true, false, null, {}, []],
    'a name\nof two lines': { deep: [[[{ deeper: 'x'.repeat(70_000) }]]] },
  };
  assert.deepEqual(deliveredHeaders(headers), headers);
  const digits = [['n', 'l', '9007199254740993']];
  assert.deepEqual(deliveredHeaders(digits), digits);
});

test('names of headers that mean something to JavaScript mean nothing here', () => {
  const router = new Router();
  router.declareQueue('q');
  const table = JSON.parse('{"__proto__": "a", "constructor": "b", "toString": "c", "length": 1}');
  router.bind({ source: 'amq.headers', destination: { queue: 'q' }, arguments: table });
  assert.deepEqual(router.route({ exchange: 'amq.headers', routingKey: '', headers: table }).queues, ['q']);
  const inherited = Object.create(table);
  assert.deepEqual(router.route({ exchange: 'amq.headers', routingKey: '', headers: inherited }).queues, []);
  // An object could not hold `__proto__` as a name on its way out, so the table comes as typed entries.
  const names = router.topology().bindings[0].arguments.map(([name]) => name);
  assert.deepEqual(names.sort(), Object.keys(table).sort());
});

test('CC and BCC add recipients, and BCC is not delivered', () => {
  const router = new Router();
  for (const queue of ['a', 'b', 'c']) router.declareQueue(queue);
  const headers = { CC: ['b'], BCC: ['c'], x: 1 };
  assert.deepEqual(router.route({ exchange: '', routingKey: 'a', headers }).queues, ['a', 'b', 'c']);
  assert.deepEqual(deliveredHeaders(headers), { CC: ['b'], x: 1 });
});

test('ids and routeInto', () => {
  const router = shop();
  const orders = router.exchangeId('orders');
  const ids = new Uint32Array(2);
  assert.equal(router.routeInto(orders, 'order.eu.paid', ids), 2);
  assert.deepEqual(
    [...ids].map((id) => router.queueName(id)),
    ['billing', 'audit'],
  );
  assert.equal(router.queueId('billing'), ids[0]);

  const one = new Uint32Array(1);
  const short = { code: 'ids-too-short', message: 'ids has room for 1, the message goes to 2 queues' };
  assert.throws(() => router.routeInto(orders, 'order.eu.paid', one), short);
  assert.deepEqual([...one], [0], 'nothing is written then');
  assert.equal(router.routeInto(orders, `order.${'x'.repeat(1000)}`, one), 1, 'a key that is no AMQP');
  assert.equal(router.routeInto(orders, Buffer.from(`order.${'é'.repeat(1000)}`), one), 1);
  assert.equal(router.exchangeId('nope'), undefined);
  assert.equal(router.queueId('nope'), undefined);
  assert.equal(router.queueName(4_000_000_000), undefined);
});

test('the id of a deleted queue that is given out again has the new name', () => {
  const router = new Router();
  router.declareQueue('old');
  const id = router.queueId('old');
  assert.deepEqual(router.route({ exchange: '', routingKey: 'old' }).queues, ['old']);
  router.deleteQueue('old');
  assert.equal(router.queueName(id), undefined);
  router.declareQueue('new');
  assert.equal(router.queueId('new'), id);
  assert.deepEqual(router.route({ exchange: '', routingKey: 'new' }).queues, ['new']);
  router.apply({ op: 'queue.delete', queue: 'new' }, { op: 'queue.declare', queue: 'newer' });
  assert.deepEqual(router.route({ exchange: '', routingKey: 'newer' }).queues, ['newer']);
});

test('an exchange that went with its last binding is gone from route', () => {
  const router = new Router();
  router.declareExchange('x', { kind: 'fanout', autoDelete: true });
  router.declareQueue('q');
  router.bind({ source: 'x', destination: { queue: 'q' } });
  assert.equal(router.route({ exchange: 'x', routingKey: '' }).outcome, 'routed');
  router.deleteQueue('q');
  assert.throws(() => router.route({ exchange: 'x', routingKey: '' }), { code: 'exchange-not-found' });
});

test('explain says why, in data and in words', () => {
  const router = shop();
  const trace = router.explain({ exchange: 'orders', routingKey: 'invoice' });
  assert.equal(trace.outcome, 'routed');
  assert.deepEqual(trace.queues, ['unrouted']);
  assert.deepEqual(
    trace.hops.map(({ exchange, via }) => [exchange, via.type]),
    [
      ['orders', 'publish'],
      ['lost', 'alternate'],
    ],
  );
  assert.deepEqual(trace.hops[0].alternate, { type: 'followed', exchange: 'lost' });
  assert.equal(trace.hops[1].matches[0].effect, 'delivered');
  assert.match(trace.text, /^published to topic exchange `orders`\n/);
});

test('explain tells how bindings matched and which ones nearly did, with what would make them match', () => {
  const router = shop();
  const message = { exchange: 'orders', routingKey: 'order.eu.paid' };
  const [match] = router.explain(message).hops[0].matches;
  assert.equal(match.how.type, 'words');
  assert.equal(router.explain(message).nearMisses, undefined);
  router.declareQueue('returns');
  const binding = { source: 'orders', destination: { queue: 'returns' }, routingKey: 'order.*.returned' };
  router.bind(binding);
  const [miss] = router.explain(message, { nearMisses: 1 }).nearMisses;
  assert.deepEqual(miss.binding, binding);
  assert.equal(miss.distance, 1);
  assert.deepEqual(miss.mismatch, {
    type: 'word',
    words: [
      { token: 'order', kind: 'literal', took: ['order'] },
      { token: '*', kind: 'star', took: ['eu'] },
    ],
    at: 2,
    expected: 'returned',
    found: 'paid',
  });
  router.unbind(binding);
  router.bind(miss.suggestion);
  assert.ok(router.route(message).queues.includes('returns'));
  for (const nearMisses of [-1, 0.5, '3', Number.NaN]) {
    assert.throws(() => router.explain(message, { nearMisses }), { code: 'invalid-argument' });
  }
});

test('explain tells what an exchange did not choose', () => {
  const exchanges = [
    { name: 'spread', kind: 'x-consistent-hash' },
    { name: 'dice', kind: 'x-random' },
  ];
  const to = (source, queue, routingKey) => ({ source, destination: { queue }, routingKey });
  const bindings = [to('spread', 'a', '1'), to('spread', 'b', '3'), to('dice', 'a', ''), to('dice', 'b', '')];
  const router = Router.fromTopology({ exchanges, queues: [{ name: 'a' }, { name: 'b' }], bindings });
  const misses = (exchange) =>
    router.explain({ exchange, routingKey: 'order.eu' }, { nearMisses: 5 }).nearMisses;
  const [spread, ...others] = misses('spread');
  assert.deepEqual(others, []);
  assert.equal(spread.suggestion, undefined);
  assert.deepEqual(spread.mismatch, { type: 'bucket', found: 2, among: 4, own: { first: 0, count: 1 } });
  assert.deepEqual(
    misses('dice').map(({ mismatch }) => mismatch),
    [{ type: 'draw', among: 2 }],
  );
  router.free();
});

test('lint finds what is wrong, with its code, culprit and fix', () => {
  const bindings = ['#', '*.error'].map((routingKey) => ({
    source: 'logs',
    destination: { queue: 'all' },
    routingKey,
  }));
  const { findings } = Router.fromTopology({
    exchanges: [{ name: 'logs', kind: 'topic', alternateExchange: 'lost' }],
    queues: [{ name: 'all' }],
    bindings,
  }).lint();
  assert.deepEqual(
    findings.map(({ code, severity }) => [code, severity]),
    [
      ['alternate-missing', 'error'],
      ['shadowed-binding', 'warning'],
      ['dialect-trap', 'info'],
    ],
  );
  const [missing, shadowed, trap] = findings;
  assert.deepEqual(missing.culprit, { type: 'exchange', name: 'logs' });
  assert.match(missing.sentence, /lost/);
  assert.deepEqual(shadowed.culprit, { type: 'binding', at: 1, binding: bindings[1] });
  assert.deepEqual(shadowed.fix, { type: 'removeBinding', at: 1 });
  // In RabbitMQ a word may be empty.
  assert.deepEqual(trap.keys[0], { key: '.error', matches: ['amqp'], misses: ['kombu57', 'kombu56'] });
  assert.deepEqual(new Router().lint(), { findings: [] });
});

test('a topology comes back as it went in', () => {
  const topology = shop().topology();
  assert.deepEqual(Router.fromTopology(topology).topology(), topology);
  assert.deepEqual(topology.exchanges[1], {
    name: 'orders',
    kind: 'topic',
    durable: true,
    alternateExchange: 'lost',
  });
  assert.deepEqual(JSON.parse(JSON.stringify(topology)), topology, 'plain data');
  assert.deepEqual(Router.fromTopology({}).topology(), { exchanges: [], queues: [], bindings: [] });
});

test('definitions of a real RabbitMQ, as text and parsed', () => {
  const text = readFileSync(new URL('../../examples/shop/definitions.json', import.meta.url), 'utf8');
  const router = Router.fromDefinitions(text);
  assert.deepEqual(Router.fromDefinitions(JSON.parse(text), { vhost: '/' }).topology(), router.topology());
  assert.ok(router.topology().bindings.length > 5);
});

test('options: predeclared exchanges, seed, limits', () => {
  assert.equal(new Router().exchangeId('amq.topic') !== undefined, true);
  assert.equal(new Router({ predeclaredExchanges: false }).exchangeId('amq.topic'), undefined);
  const seeded = new Router({ seed: 2n ** 64n - 1n });
  seeded.declareQueue('q');
  assert.deepEqual(seeded.route({ exchange: '', routingKey: 'q' }).queues, ['q']);

  const wide = new Router({ limits: { keyBytes: 1000 } });
  wide.declareQueue('q');
  wide.bind({ source: 'amq.direct', destination: { queue: 'q' }, routingKey: 'k'.repeat(1000) });
  assert.deepEqual(wide.route({ exchange: 'amq.direct', routingKey: 'k'.repeat(1000) }).queues, ['q']);
  assert.throws(() => wide.route({ exchange: 'amq.direct', routingKey: 'k'.repeat(1001) }), {
    code: 'key-too-long',
  });
  const narrow = new Router({ limits: { keyBytes: 3, bindings: 0 } });
  assert.throws(() => narrow.route({ exchange: 'amq.direct', routingKey: 'four' }), { code: 'key-too-long' });
  narrow.declareQueue('q');
  assert.throws(() => narrow.bind({ source: 'amq.direct', destination: { queue: 'q' } }), {
    code: 'table-full',
  });
});

test('Kombu: dialects and stored patterns', () => {
  const router = new Router();
  router.declareExchange('t', { kind: 'topic' });
  for (const queue of ['amqp', 'kombu57', 'stored']) router.declareQueue(queue);
  router.bind({ source: 't', destination: { queue: 'amqp' }, routingKey: 'a.#' });
  router.bind({ source: 't', destination: { queue: 'kombu57' }, routingKey: 'a.#', dialect: 'kombu57' });
  router.bind({
    source: 't',
    destination: { queue: 'stored' },
    routingKey: 'a.#',
    pattern: '^(a|b)\\.[^\\.]+$',
  });
  const route = (routingKey) => [...router.route({ exchange: 't', routingKey }).queues].sort();
  assert.deepEqual(route('a'), ['amqp']);
  assert.deepEqual(route('a.b'), ['amqp', 'kombu57', 'stored']);
  assert.deepEqual(route('b.c'), ['stored']);
});

test('plan: one LPUSH for each queue, in the list of its priority', () => {
  const router = shop();
  let tag = 0;
  const plan = router.plan({
    exchange: 'orders',
    routingKey: 'order.eu.paid',
    body: '{"n": 1}',
    contentType: 'application/json',
    headers: { tenant: 'a', BCC: [] },
    properties: { correlation_id: 'c1' },
    priority: 7,
    deliveryTag: () => `t${++tag}`,
  });
  assert.equal(plan.outcome, 'routed');
  assert.equal(plan.atomic, true);
  assert.deepEqual(
    plan.commands.map(([name, key]) => [name, key]),
    [
      ['LPUSH', 'billing\x06\x166'],
      ['LPUSH', 'audit\x06\x166'],
    ],
  );
  const envelope = JSON.parse(plan.commands[1][2]);
  assert.equal(atob(envelope.body), '{"n": 1}');
  assert.deepEqual(envelope.headers, { tenant: 'a' });
  assert.equal(envelope.properties.delivery_tag, 't2');
  assert.equal(envelope.properties.correlation_id, 'c1');
  assert.deepEqual(envelope.properties.delivery_info, { exchange: 'orders', routing_key: 'order.eu.paid' });
});

test('plan: default exchange, fanout, nowhere', () => {
  const router = shop();
  const celery = router.plan({ exchange: '', routingKey: 'celery', body: new Uint8Array([255]) });
  assert.deepEqual(celery.queues, ['celery']);
  assert.equal(celery.commands[0][1], 'celery');
  assert.match(JSON.parse(celery.commands[0][2]).properties.delivery_tag, /^[0-9a-f-]{36}$/);
  const fanout = router.plan({ exchange: 'lost', routingKey: 'k', body: '', layout: { db: 2 } });
  assert.deepEqual(fanout.commands[0].slice(0, 2), ['PUBLISH', '/2.lost/k']);
  const nowhere = router.plan({ exchange: 'amq.direct', routingKey: 'k', body: '' });
  assert.deepEqual(nowhere, { outcome: 'unroutable', queues: [], atomic: false, commands: [] });
});

test('using frees, and the revision moves', () => {
  const router = shop();
  const before = router.revision;
  router.declareQueue('one more');
  assert.ok(router.revision > before);
  router[Symbol.dispose]();
  assert.throws(() => router.revision, { code: 'freed' });
});
