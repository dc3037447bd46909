// What only `keyrail/full` has: comparisons, imports and exports.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyrailError, Router } from '../dist/full/inline.js';
import { Router as Small } from '../dist/inline.js';

const LINES = `orders topic durable else lost
lost fanout
queue audit durable
queue late
orders: order.# -> audit
orders: order.*.late -> late
lost: -> late
`;

test('lines', () => {
  const router = Router.fromLines(LINES);
  assert.deepEqual(router.route('orders', 'order.eu.late').queues, ['audit', 'late']);
  assert.deepEqual(router.route('orders', 'x').queues, ['late']);
  assert.deepEqual(Router.fromLines(router.toLines()).topology(), router.topology());
});

test('definitions', () => {
  const router = Router.fromLines(LINES);
  const alone = router.toDefinitions();
  assert.deepEqual(alone.vhosts, [{ name: '/' }]);
  assert.deepEqual(Router.fromDefinitions(alone).topology(), router.topology());
  const others = {
    users: [{ name: 'guest' }],
    queues: [{ name: 'kept', vhost: 'other', durable: true, auto_delete: false, arguments: {} }],
  };
  const within = router.toDefinitions({ vhost: 'shop', within: others });
  assert.deepEqual(within.users, others.users);
  assert.deepEqual(within.queues.map(({ vhost, name }) => `${vhost} ${name}`).sort(), [
    'other kept',
    'shop audit',
    'shop late',
  ]);
  assert.deepEqual(
    Router.fromDefinitions(JSON.stringify(within), { vhost: 'shop' }).topology(),
    router.topology(),
  );
  router.bind({ source: 'orders', destination: { queue: 'audit' }, routingKey: 'a.*', dialect: 'kombu56' });
  assert.throws(() => router.toDefinitions(), { name: 'KeyrailError', message: /bindings\[/ });
});

test('binding sets', () => {
  const sets = { '_kombu.binding.orders': ['order.#\u0006\u0016^order\\..*?$\u0006\u0016billing'] };
  const router = Router.fromBindingSets(sets);
  assert.deepEqual(router.route('orders', 'order.x').queues, ['billing']);
  assert.deepEqual(router.toBindingSets({ dialect: 'kombu57' }), sets);
  const prefixed = { 'p:_kombu.binding.orders': sets['_kombu.binding.orders'] };
  const layout = { global_keyprefix: 'p:' };
  assert.deepEqual(Router.fromBindingSets(prefixed, { layout }).toBindingSets({ layout }), prefixed);
  const direct = { '_kombu.binding.d': ['k\u0006\u0016\u0006\u0016q'] };
  const kinds = { d: 'fanout' };
  assert.deepEqual(Router.fromBindingSets(direct).route('d', 'other').queues, []);
  assert.deepEqual(Router.fromBindingSets(direct, { kinds }).topology().exchanges[0].kind, 'fanout');
  const alternate = Router.fromLines(LINES);
  assert.throws(() => alternate.toBindingSets(), { code: 'invalid-binding-sets', message: /alternate/ });
});

test('the settings of a Celery app', () => {
  const router = Router.fromCeleryConfig(
    {
      task_queues: [{ name: 'mail', exchange: { name: 'tasks', type: 'topic' }, routing_key: 'mail.#' }],
      task_routes: { 'shop.tasks.bill': 'billing' },
      broker_url: 'redis://',
    },
    { dialect: 'kombu57' },
  );
  assert.deepEqual(router.route('tasks', 'mail.now').queues, ['mail']);
  assert.deepEqual(router.route('billing', 'billing').queues, ['billing']);
});

test('diff: what was changed, and a message that shows it', () => {
  const before = Router.fromLines('logs topic: *.error -> errors');
  const after = Router.fromLines('logs topic: #.error -> errors');
  const diff = before.diff(after);
  assert.equal(diff.behavesDifferently, true);
  assert.equal(diff.structure.bindings.added.length, 1);
  const logs = diff.behaviour.find(({ exchange }) => exchange === 'logs');
  assert.equal(logs.verdict, 'differs');
  for (const { routingKey, before: left, after: right } of logs.witnesses) {
    assert.deepEqual([...before.route('logs', routingKey).queues], left.queues);
    assert.deepEqual([...after.route('logs', routingKey).queues], right.queues);
    assert.notDeepEqual(left, right);
  }
  assert.equal(
    before.diff(after, { witnesses: 1 }).behaviour.find(({ exchange }) => exchange === 'logs').witnesses
      .length,
    1,
  );
  assert.deepEqual(before.diff(before).behavesTheSame, true);
  const twice = Router.fromLines('logs topic: #.#.error -> errors');
  assert.equal(after.diff(twice, { lineFeeds: false }).behavesTheSame, true);
  assert.deepEqual(after.diff(twice).structure.bindings.removed.length, 1);
  assert.throws(() => before.diff(new Small()), { code: 'invalid-argument' });
});

test('both modules in one program, with one class of errors and snapshots for each other', () => {
  const small = new Small();
  small.declareQueue('q');
  const full = Router.fromSnapshot(small.toSnapshot());
  assert.ok(full instanceof Router && !(full instanceof Small));
  assert.deepEqual(
    full.lint().findings.map(({ code }) => code),
    ['unreachable-queue'],
  );
  assert.throws(() => small.declareQueue(5), KeyrailError);
  full.apply({ op: 'policy.set', name: 'p', pattern: '^x', definition: { 'alternate-exchange': 'lost' } });
  // The small module has no engine for expressions, and says so.
  assert.throws(() => Small.fromSnapshot(full.toSnapshot()), {
    code: 'invalid-policy-pattern',
    message: /full|regex/,
  });
  const policy = { op: 'policy.set', name: 'p', pattern: '^x', definition: {} };
  assert.throws(() => small.apply(policy), { code: 'invalid-policy-pattern' });
  assert.equal(small.lint, undefined);
});
