// Answers that hardly ever come again: each is then made for itself, and says the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Router } from '../dist/inline.js';

const BITS = 15;

/** A queue for each word that may be `y`: every key of so many words reaches other queues. */
function powers() {
  const router = new Router();
  router.declareExchange('t', { kind: 'topic' });
  for (let bit = 0; bit < BITS; bit++) {
    router.declareQueue(`q${bit}`);
    router.bind({ source: 't', destination: { queue: `q${bit}` }, routingKey: `${'*.'.repeat(bit)}y.#` });
  }
  return router;
}

const bits = Array.from({ length: BITS }, (_, bit) => bit);
const set = (number) => bits.filter((bit) => number & (1 << bit));
const keyOf = (number, last) => `${bits.map((bit) => (number & (1 << bit) ? 'y' : 'n')).join('.')}.${last}`;
const namesOf = (number) => set(number).map((bit) => `q${bit}`);

function check(router, number, { outcome, queues }) {
  assert.equal(outcome, number === 0 ? 'unroutable' : 'routed');
  assert.deepEqual([...queues].sort(), namesOf(number).sort());
  assert.ok(Object.isFrozen(queues));
  assert.throws(() => queues.push('q'), TypeError);
  assert.equal(router.queueName(router.queueId('q3')), 'q3');
}

/** Whether the answer to two keys with the same queues is one object. */
const kept = (router, last) =>
  router.route('t', keyOf(5, `a${last}`)) === router.route('t', keyOf(5, `b${last}`));

test('all sets of fifteen queues, one key at a time', () => {
  const router = powers();
  assert.ok(kept(router, 'first'));
  for (let number = 0; number < 1 << BITS; number++)
    check(router, number, router.route('t', keyOf(number, 'x')));
  assert.ok(!kept(router, 'then'));
  check(router, 5, router.route({ exchange: 't', routingKey: keyOf(5, 'x'), headers: { a: 1 } }));

  // Ids are given out again: a name that was remembered would be the wrong one.
  router.deleteQueue('q0');
  router.declareQueue('other');
  router.bind({ source: 't', destination: { queue: 'other' }, routingKey: 'y.#' });
  assert.deepEqual([...router.route('t', keyOf(3, 'x')).queues].sort(), ['other', 'q1']);
  assert.ok(!kept(router, 'changed'));

  // It is tried again after a while.
  for (let at = 0; at < 1 << 18; at++) router.route('t', `n.${at}`);
  assert.ok(kept(router, 'again'));
});

test('the same in batches', () => {
  const router = powers();
  for (let start = 0; start < 1 << BITS; start += 100) {
    const numbers = Array.from({ length: 100 }, (_, at) => (start + at) % (1 << BITS));
    const answers = router.routeMany(
      't',
      numbers.map((number) => keyOf(number, `é${start}`.slice(start % 2))),
    );
    for (const [at, answer] of answers.entries()) check(router, numbers[at], answer);
  }
  assert.ok(!kept(router, 'then'));
});
