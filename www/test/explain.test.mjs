import assert from 'node:assert/strict';
import { test } from 'node:test';
// Starts the module, which the entry for browsers does not do by itself; both share it.
import { Router } from 'keyrail/full';
import { load } from './load.mjs';

const { distanceText, matchCells, missCells } = await load('text/cells.ts');
const { agreement } = await load('text/dialects.ts');
const { culpritText, quoted } = await load('text/findings.ts');
const { withBinding } = await load('store/changes.ts');
const { DIALECTS, reread } = await load('store/dialects.ts');

const topology = (kind, ...bindings) => ({
  exchanges: [{ name: 'x', kind }],
  queues: [{ name: 'q' }],
  bindings: bindings.map((binding) => ({ source: 'x', destination: { queue: 'q' }, ...binding })),
});

const explained = (kind, binding, message) =>
  Router.fromTopology(topology(kind, binding)).explain({ exchange: 'x', ...message }, { nearMisses: 5 });

/** Cells in a line each, as one reads them. */
const lines = (cells) =>
  cells.map(({ state, text, below }) => [state, text, below].filter(Boolean).join(' '));

const matched = (kind, binding, message) => {
  const [{ how }] = explained(kind, binding, message).hops[0].matches;
  return lines(matchCells(how, binding.routingKey ?? 'every message'));
};

const missed = (kind, binding, message) => lines(missCells(explained(kind, binding, message).nearMisses[0]));

test('each word of a binding key is a cell, with what its wildcards took', () => {
  const words = (routingKey, key) => matched('topic', { routingKey }, { routingKey: key });
  assert.deepEqual(words('order.*.#', 'order.eu.paid.late'), [
    'literal order',
    'wildcard * eu',
    'wildcard # paid.late',
  ]);
  assert.deepEqual(words('order.#', 'order'), ['literal order', 'wildcard # nothing']);
  assert.deepEqual(words('a..b', 'a..b'), ['literal a', 'literal (empty)', 'literal b']);
  assert.deepEqual(matched('direct', { routingKey: 'card' }, { routingKey: 'card' }), ['literal card']);
  assert.deepEqual(matched('fanout', {}, { routingKey: 'any' }), ['whole every message']);
});

test('the first word that failed says what it needed, and those behind it were not tried', () => {
  const words = (routingKey, key) => missed('topic', { routingKey }, { routingKey: key });
  assert.deepEqual(words('order.*.paid.late', 'order.eu.sent.late'), [
    'literal order',
    'wildcard * eu',
    'failed paid sent',
    'untried late',
  ]);
  assert.deepEqual(words('order.*', 'order.eu.paid'), ['literal order', 'wildcard * eu', 'failed end paid']);
  assert.deepEqual(words('order.*', 'order'), ['literal order', 'failed * no word']);
  assert.deepEqual(missed('direct', { routingKey: 'card' }, { routingKey: '' }), ['failed card (empty)']);
});

test('each header is a cell with its verdict', () => {
  const binding = { arguments: { 'x-match': 'all', format: 'pdf', copies: 2, signed: null } };
  const headers = { format: 'pdf', copies: 2, signed: true };
  assert.deepEqual(matched('headers', binding, { routingKey: '', headers }).sort(), [
    'agrees copies=2 equal',
    'agrees format=pdf equal',
    'agrees signed is there',
  ]);
  assert.deepEqual(
    missed('headers', binding, { routingKey: '', headers: { copies: '2', format: 'xml' } }).sort(),
    ['failed copies=2 2, another type', 'failed format=pdf xml', 'failed signed missing'],
  );
});

test('what an exchange did not choose says who was chosen instead', () => {
  const of = (kind, ...weights) => {
    const source = topology(kind);
    source.queues = weights.map((_, at) => ({ name: `q${at}` }));
    source.bindings = weights.map((routingKey, at) => ({
      source: 'x',
      destination: { queue: `q${at}` },
      routingKey,
    }));
    const message = { exchange: 'x', routingKey: 'order.eu', random: 0 };
    const { nearMisses } = Router.fromTopology(source).explain(message, { nearMisses: 5 });
    return nearMisses.map((miss) => [distanceText(miss), ...lines(missCells(miss))]);
  };
  assert.deepEqual(of('x-consistent-hash', '1', '3', '2'), [
    ['another bucket', 'failed bucket 1 bucket 3 of 6'],
    ['another bucket', 'failed buckets 5 to 6 bucket 3 of 6'],
  ]);
  assert.deepEqual(of('x-random', '', ''), [['not drawn', 'failed one of 2 another was drawn']]);
  const binding = { source: 'x', destination: { queue: 'q' }, routingKey: '1' };
  const [none] = missCells({ binding, mismatch: { type: 'bucket', found: 4, among: 6 } });
  assert.equal(none.spoken, 'owns no bucket, the hash fell into bucket 5 of 6');
  const [empty] = missCells({ binding, mismatch: { type: 'bucket', among: 0 } });
  assert.deepEqual(
    [empty.text, empty.below, empty.spoken],
    ['no bucket', undefined, 'no binding owns a bucket'],
  );
});

test('how far a near miss is off', () => {
  const of = (kind, binding, message) => distanceText(explained(kind, binding, message).nearMisses[0]);
  assert.equal(of('topic', { routingKey: 'a.b.c' }, { routingKey: 'a.b.x' }), '1 word off');
  assert.equal(of('topic', { routingKey: 'a.b.c' }, { routingKey: 'a.y.x' }), '2 words off');
  assert.equal(of('headers', { arguments: { a: 1 } }, { routingKey: '' }), '1 header off');
  assert.equal(of('direct', { routingKey: 'a' }, { routingKey: 'b' }), 'another key');
});

test('a suggestion in the place of its binding makes the message route, and keeps the others in order', () => {
  const before = topology('topic', { routingKey: 'a' }, { routingKey: 'order.*' }, { routingKey: 'z' });
  const message = { exchange: 'x', routingKey: 'order.eu.paid' };
  const [miss] = Router.fromTopology(before).explain(message, { nearMisses: 1 }).nearMisses;
  assert.equal(miss.suggestion.routingKey, 'order.#');
  const after = withBinding(before, miss.binding, miss.suggestion);
  assert.deepEqual(
    after.bindings.map(({ routingKey }) => routingKey),
    ['a', 'order.#', 'z'],
  );
  assert.deepEqual(Router.fromTopology(after).route(message).queues, ['q']);
  assert.equal(withBinding(before, { ...miss.binding, routingKey: 'other' }), before);
  assert.equal(withBinding(before, miss.binding).bindings.length, 2);
});

test('three dialects read one topology, and what one of them cannot execute is counted', () => {
  const routes = (source, key) =>
    DIALECTS.map(([dialect]) => {
      const { router, refused } = reread(source, dialect);
      return [router.route({ exchange: 'x', routingKey: key }).queues.length, refused];
    });
  // In Kombu 5.6 `*` is as many words as there are.
  assert.deepEqual(routes(topology('topic', { routingKey: 'a.*' }), 'a.b.c'), [
    [0, 0],
    [0, 0],
    [1, 0],
  ]);
  const glued = topology('topic', { routingKey: 'a**' }, { routingKey: 'a.b' });
  assert.deepEqual(routes(glued, 'a.b'), [
    [1, 0],
    [1, 1],
    [1, 1],
  ]);
  // Patterns are the business of topic exchanges alone.
  assert.deepEqual(routes(topology('direct', { routingKey: 'a.*' }), 'a.*'), [
    [1, 0],
    [1, 0],
    [1, 0],
  ]);
});

test('dialects agree if each has the queues of the others', () => {
  const of = (...answers) => {
    const { everywhere, same } = agreement(answers);
    return [[...everywhere], same];
  };
  assert.deepEqual(of(['a', 'b'], ['b', 'a']), [['a', 'b'], true]);
  assert.deepEqual(of(['a', 'b'], ['b'], ['b', 'c']), [['b'], false]);
  assert.deepEqual(of([], []), [[], true]);
  assert.deepEqual(of(), [[], true]);
});

test('a finding names what it is about', () => {
  const { findings } = Router.fromTopology({
    exchanges: [{ name: 'x', kind: 'topic', alternateExchange: 'gone' }],
    queues: [{ name: 'lonely' }],
  }).lint();
  const told = findings.map(({ code, culprit }) => [code, culpritText(culprit)]);
  assert.deepEqual(told.slice(0, 1), [['alternate-missing', 'exchange x']]);
  assert.ok(told.some(([code, text]) => code === 'unreachable-queue' && text === 'queue lonely'));
});

test('what stands in backticks is shown as code, and an odd backtick spoils nothing', () => {
  assert.deepEqual(quoted('there is no `a`, nor `b` here'), [
    { words: 'there is no ', code: 'a' },
    { words: ', nor ', code: 'b' },
    { words: ' here', code: '' },
  ]);
  assert.deepEqual(quoted('plain'), [{ words: 'plain', code: '' }]);
  assert.deepEqual(quoted('the name `a`b`'), [{ words: 'the name `a`b`', code: '' }]);
});
