// Many messages at once, and answers that are remembered: the same as one after the other, and as they are now.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Router } from '../dist/inline.js';

function table() {
  const router = new Router({ predeclaredExchanges: true });
  router.declareExchange('t', { kind: 'topic' });
  router.declareExchange('d', { kind: 'direct' });
  for (let at = 0; at < 50; at++) {
    router.declareQueue(`q${at}`);
    router.bind({ source: 't', destination: { queue: `q${at}` }, routingKey: `a.${at % 7}.*` });
    router.bind({ source: 'd', destination: { queue: `q${at}` }, routingKey: `k${at % 11}` });
  }
  router.bind({ source: 't', destination: { queue: 'q1' }, routingKey: 'é.#' });
  return router;
}

/** Short and long, repeated and not, of one byte a character and of more. */
const KEYS = Array.from({ length: 1500 }, (_, at) => {
  if (at % 97 === 0) return `é.${at}`;
  if (at % 101 === 0) return `a.3.${'x'.repeat(at % 251)}`;
  if (at % 103 === 0) return '';
  return `a.${at % 9}.${at % 31}`;
});

test('many keys to one exchange are as one after the other', () => {
  const one = table();
  const many = table();
  const expected = KEYS.map((key) => one.route({ exchange: 't', routingKey: key }));
  assert.ok(expected.some(({ outcome }) => outcome === 'unroutable'));
  assert.ok(new Set(expected.map(({ queues }) => queues.join())).size > 7);
  for (let time = 0; time < 3; time++) assert.deepEqual(many.routeMany('t', KEYS), expected);
  assert.deepEqual(many.routeMany('t', []), []);
});

test('messages to several exchanges, with bytes and headers among them', () => {
  const router = table();
  router.bind({ source: 'amq.headers', destination: { queue: 'q9' }, arguments: { a: 1 } });
  const messages = KEYS.slice(0, 600).map((routingKey, at) => {
    if (at % 5 === 0) return { exchange: 'd', routingKey: `k${at % 13}` };
    if (at % 7 === 0) return { exchange: 'amq.headers', routingKey, headers: { a: at % 2 } };
    if (at % 11 === 0) return { exchange: 't', routingKey: Buffer.from(routingKey) };
    if (at % 13 === 0) return { exchange: '', routingKey: 'q3' };
    return { exchange: 't', routingKey };
  });
  const expected = messages.map((message) => router.route(message));
  assert.deepEqual(
    table().routeMany(messages.filter(({ headers }) => !headers)).length,
    messages.length - messages.filter(({ headers }) => headers).length,
  );
  assert.deepEqual(router.routeMany(messages), expected);
});

test('an answer is frozen, and the same one comes again', () => {
  const router = table();
  const first = router.route('t', 'a.1.x');
  assert.equal(router.route('t', 'a.1.x'), first);
  assert.equal(router.route('t', 'a.1.y'), first, 'the same queues for another key');
  assert.equal(router.routeMany('t', ['a.1.z'])[0], first);
  assert.ok(Object.isFrozen(first) && Object.isFrozen(first.queues));
  assert.throws(() => first.queues.push('q'), TypeError);
});

test('a change is seen by the next message', () => {
  const router = table();
  const binding = { source: 't', destination: { queue: 'q40' }, routingKey: 'new.#' };
  for (let time = 0; time < 100; time++) {
    assert.deepEqual(router.route('t', 'new.x').queues, []);
    assert.deepEqual(router.routeMany('t', ['new.x', 'new.y'])[1].queues, []);
    router.bind(binding);
    assert.deepEqual(router.route('t', 'new.x').queues, ['q40']);
    assert.deepEqual(router.routeMany('t', ['new.x', 'new.y'])[1].queues, ['q40']);
    router.unbind(binding);
  }
  router.deleteExchange('t');
  assert.throws(() => router.route('t', 'new.x'), { code: 'exchange-not-found' });
  assert.throws(() => router.routeMany('t', ['new.x']), { code: 'exchange-not-found' });
});

test('a getter that changes the router changes the whole batch', () => {
  const router = table();
  const messages = [
    { exchange: 't', routingKey: 'late.x' },
    {
      exchange: 't',
      get routingKey() {
        router.bind({ source: 't', destination: { queue: 'q2' }, routingKey: 'late.#' });
        return 'late.y';
      },
    },
  ];
  assert.deepEqual(
    router.routeMany(messages).map(({ queues }) => queues),
    [['q2'], ['q2']],
  );
});

test('keys that never come again and keys that do are answered alike', () => {
  const router = table();
  const none = (() => {
    const plain = new Router({ limits: { answers: 0 } });
    plain.declareExchange('t', { kind: 'topic' });
    for (let at = 0; at < 50; at++) {
      plain.declareQueue(`q${at}`);
      plain.bind({ source: 't', destination: { queue: `q${at}` }, routingKey: `a.${at % 7}.*` });
    }
    return plain;
  })();
  // More than the watch and the sleep of the memory together, then more keys than it may hold.
  for (let at = 0; at < 80_000; at++) {
    const key = `a.${at % 9}.${at}`;
    assert.equal(router.route('t', key).queues.length, none.route('t', key).queues.length, key);
  }
  const small = new Router({ limits: { answers: 10 } });
  small.declareQueue('q');
  for (let at = 0; at < 5000; at++) {
    assert.equal(small.route('', `k${at % 12}`).queues.length, 0);
    assert.deepEqual(small.route('', 'q').queues, ['q']);
  }
});

test('more different answers than are kept', () => {
  const router = new Router();
  router.declareExchange('t', { kind: 'topic' });
  const bits = 17;
  for (let bit = 0; bit < bits; bit++) {
    router.declareQueue(`q${bit}`);
    const stars = Array.from({ length: bits }, (_, at) => (at === bit ? '1' : '*')).join('.');
    router.bind({ source: 't', destination: { queue: `q${bit}` }, routingKey: stars });
  }
  const key = (number) => number.toString(2).padStart(bits, '0').split('').join('.');
  const check = (number, { queues }) => {
    const expected = [...number.toString(2).padStart(bits, '0')].flatMap((digit, at) =>
      digit === '1' ? `q${at}` : [],
    );
    assert.deepEqual([...queues].sort(), expected.sort());
  };
  const total = 2 ** bits;
  for (let number = 0; number < total; number += 1) {
    const answer = router.route('t', key(number));
    if (number % 97 === 0) check(number, answer);
  }
  const keys = Array.from({ length: 4000 }, (_, at) => key(at * 32));
  router.routeMany('t', keys).forEach((answer, at) => {
    check(at * 32, answer);
  });
});

test('random exchanges draw for each message', () => {
  const router = new Router();
  router.declareExchange('dice', { kind: 'x-random' });
  for (const queue of ['a', 'b', 'c']) {
    router.declareQueue(queue);
    router.bind({ source: 'dice', destination: { queue } });
  }
  const seen = new Set(router.routeMany('dice', Array(300).fill('k')).flatMap(({ queues }) => queues));
  for (let time = 0; time < 300; time++) seen.add(router.route('dice', 'k').queues[0]);
  assert.deepEqual([...seen].sort(), ['a', 'b', 'c']);
});
