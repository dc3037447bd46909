// Snapshots, and routers that follow others: as copies, with every gap noticed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Router } from '../dist/inline.js';

function shop() {
  const router = new Router({ limits: { keyBytes: 1000 } });
  router.declareExchange('orders', { kind: 'topic', alternateExchange: 'lost', arguments: [['x', 'I', 3]] });
  router.declareQueue('audit', { durable: true });
  router.bind({ source: 'orders', destination: { queue: 'audit' }, routingKey: 'order.#' });
  return router;
}

test('a snapshot is the router again', () => {
  const router = shop();
  const bytes = router.toSnapshot();
  assert.ok(bytes instanceof Uint8Array);
  const copy = Router.fromSnapshot(bytes, { seed: 5n });
  assert.equal(copy.revision, router.revision);
  assert.deepEqual(copy.topology(), router.topology());
  assert.deepEqual(copy.toSnapshot(), bytes);
  assert.deepEqual(copy.route('orders', `order.${'x'.repeat(500)}`).queues, ['audit'], 'its limits too');
  copy.declareQueue('one more');
  assert.ok(copy.revision > router.revision);
});

test('a snapshot that holds a random exchange draws', () => {
  const router = new Router();
  router.declareExchange('dice', { kind: 'x-random' });
  for (const queue of ['a', 'b']) {
    router.declareQueue(queue);
    router.bind({ source: 'dice', destination: { queue } });
  }
  const copy = Router.fromSnapshot(router.toSnapshot());
  const seen = new Set(Array.from({ length: 200 }, () => copy.route('dice', '').queues[0]));
  assert.equal(seen.size, 2);
});

/** As it travels: by `postMessage`, or as JSON. */
const TRAVELS = [structuredClone, (update) => JSON.parse(JSON.stringify(update, plain))];
const plain = (_, value) => (value instanceof Uint8Array ? [...value] : value);

for (const [at, travel] of TRAVELS.entries()) {
  test(`a copy follows, ${at === 0 ? 'cloned' : 'as JSON'}`, () => {
    const source = shop();
    assert.equal(source.position, undefined);
    source.record({ epoch: 7, capacity: 100 });
    const copy = Router.follower();
    assert.equal(copy.position, undefined);
    const first = source.since(copy.position);
    assert.equal(first.type, 'snapshot');
    copy.follow(travel(first));
    assert.deepEqual(copy.position, source.position);
    assert.deepEqual(copy.position, { epoch: 7, revision: source.revision });
    for (let step = 0; step < 20; step++) {
      assert.deepEqual(copy.route('orders', `order.${step}`), source.route('orders', `order.${step}`));
      source.declareQueue(`q${step}`, { arguments: [['n', 'I', step]] });
      source.bind({ source: 'orders', destination: { queue: `q${step}` }, routingKey: `*.${step}` });
      if (step % 4 === 3) source.deleteQueue(`q${step - 1}`);
      const update = source.since(copy.position);
      assert.equal(update.type, 'changes');
      copy.follow(travel(update));
      assert.deepEqual(copy.route('orders', `order.${step}`), source.route('orders', `order.${step}`));
      assert.deepEqual(copy.topology(), source.topology());
    }
    assert.deepEqual(source.since(source.position), { type: 'changes', since: source.position, changes: [] });
  });
}

test('a gap, a repeat, a divergence and a damaged snapshot are noticed, and a snapshot heals', () => {
  const source = shop();
  source.record({ epoch: 2n ** 64n - 1n });
  const copy = Router.follower();
  const follow = (update) => copy.follow(update);
  assert.throws(() => follow({ type: 'changes', since: { epoch: 7, revision: 1 }, changes: [] }), {
    code: 'gap',
  });
  follow(source.since());
  assert.equal(copy.position.epoch, 2n ** 64n - 1n);
  source.declareQueue('a');
  const between = source.position;
  source.declareQueue('b');
  const before = copy.topology();
  assert.throws(() => follow(source.since(between)), { name: 'KeyrailError', code: 'gap' });
  assert.deepEqual(copy.topology(), before, 'nothing was applied');
  const both = source.since(copy.position);
  follow(both);
  assert.throws(() => follow(both), { code: 'gap' });
  const { revision } = copy.position;
  const operation = { op: 'queue.bind', queue: 'nowhere', exchange: 'orders' };
  const wrong = { type: 'changes', since: copy.position, changes: [{ revision: revision + 1, operation }] };
  assert.throws(() => follow(wrong), { code: 'diverged', message: /no queue `nowhere`/ });
  assert.equal(copy.position, undefined);
  assert.throws(() => follow({ ...source.since(), bytes: [1, 2, 3] }), { code: 'no-snapshot' });
  assert.deepEqual(copy.route('orders', 'order.x').queues, ['audit'], 'it still answers');
  follow(source.since(copy.position));
  assert.deepEqual(copy.position, source.position);
  assert.deepEqual(copy.topology(), source.topology());
  const odd = { op: 'queue.drop', queue: 'audit' };
  const unknown = {
    type: 'changes',
    since: copy.position,
    changes: [{ revision: revision + 1, operation: odd }],
  };
  assert.throws(() => follow(unknown), { code: 'invalid-argument', message: /queue\.drop/ });
});

test('what is forgotten is answered with a snapshot', () => {
  const source = shop();
  source.record({ capacity: 3 });
  const start = source.position;
  for (let at = 0; at < 3; at++) source.declareQueue(`q${at}`);
  assert.equal(source.since(start).changes.length, 3);
  source.declareQueue('q3');
  assert.equal(source.since(start).type, 'snapshot');
  assert.equal(source.since({ epoch: 1, revision: 0 }).type, 'snapshot');
  assert.throws(() => source.record(), { code: 'read-only' });
});

test('a copy takes no changes of its own', () => {
  const source = shop();
  source.record();
  const copy = Router.follower();
  copy.follow(source.since());
  for (const change of [
    () => copy.declareQueue('mine'),
    () => copy.deleteQueue('audit'),
    () => copy.unbind({ source: 'orders', destination: { queue: 'audit' }, routingKey: 'order.#' }),
    () => copy.record(),
  ]) {
    assert.throws(change, { name: 'KeyrailError', code: 'read-only' });
  }
  assert.throws(() => copy.since(), { code: 'not-recording' });
  assert.deepEqual(copy.topology(), source.topology());
});

test('a queue that takes the id of a deleted one has its own name in the copy', () => {
  const source = shop();
  source.record();
  const copy = Router.follower();
  copy.follow(source.since());
  source.declareQueue('old');
  copy.follow(source.since(copy.position));
  assert.deepEqual(copy.route('', 'old').queues, ['old']);
  source.deleteQueue('old');
  source.declareQueue('new');
  copy.follow(source.since(copy.position));
  assert.deepEqual(copy.route('', 'old').queues, []);
  assert.deepEqual(copy.route('', 'new').queues, ['new']);
});
