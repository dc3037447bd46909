import assert from 'node:assert/strict';
import { test } from 'node:test';
// Starts the module, which the entry for browsers does not do by itself; both share it.
import 'keyrail/full';
import { load } from './load.mjs';

const { shortened, visible, width } = await load('text/names.ts');
const { reads, typeName, valueText } = await load('text/values.ts');
const { tableOf } = await load('store/headers.ts');
const { bindingLabel } = await load('graph/binding.ts');
const { load: open, problemOf } = await load('store/document.ts');

test('what cannot be seen is written out', () => {
  assert.equal(visible('plain.näme-Ω 🐇'), 'plain.näme-Ω 🐇');
  assert.equal(visible('a\u202Eb'), 'a\\u{202E}b');
  assert.equal(visible('a\u0000\n\u200Bb'), 'a\\u{0000}\\u{000A}\\u{200B}b');
  assert.equal(visible('\uD800'), '\\u{D800}');
  assert.equal(visible('<img src=x onerror=alert(1)>'), '<img src=x onerror=alert(1)>');
  // A family is one emoji; a joiner anywhere else is a trick.
  assert.equal(visible('👩\u200D👧'), '👩\u200D👧');
  assert.equal(visible('a\u200Db'), 'a\\u{200D}b');
});

test('long names keep both ends and never exceed their room', () => {
  assert.equal(shortened('short', 26), 'short');
  const long = shortened(`start.${'x'.repeat(255)}.end`, 26);
  assert.ok(long.startsWith('start.') && long.endsWith('.end') && long.includes('…'));
  for (const name of [
    'x'.repeat(255),
    '🐇'.repeat(60),
    '漢'.repeat(80),
    `e${'\u0301'.repeat(120)}`,
    '\u202E'.repeat(80),
  ]) {
    for (const cells of [8, 26, 40]) assert.ok(width(shortened(name, cells)) <= cells, name);
  }
});

test('typed values are JSON where they are JSON', () => {
  assert.equal(reads('9'), 9);
  assert.equal(reads('"9"'), '9');
  assert.equal(reads('true'), true);
  assert.equal(reads('pdf'), 'pdf');
  assert.equal(reads(''), '');
  assert.equal(reads('9007199254740993'), 9007199254740993n);
  assert.deepEqual(reads('[1]'), [1]);
  assert.deepEqual(
    ['9', '"9"', 'null', '[]', '{}', '1.5', 'false'].map((typed) => typeName(reads(typed))),
    ['number', 'text', 'void', 'list', 'table', 'number', 'boolean'],
  );
  for (const value of ['9', 'pdf', 'true', '', 9, true, null])
    assert.deepEqual(reads(valueText(value)), value);
});

test('headers become a table, whatever their names', () => {
  assert.equal(tableOf([{ id: 1, name: '', typed: 'x' }]), undefined);
  const table = tableOf([
    { id: 1, name: '__proto__', typed: '1' },
    { id: 2, name: 'priority', typed: '9' },
  ]);
  assert.deepEqual(Object.entries(table), [
    ['__proto__', 1],
    ['priority', 9],
  ]);
});

test('a binding says its condition', () => {
  const binding = { source: 'x', destination: { queue: 'q' } };
  assert.equal(bindingLabel({ ...binding, routingKey: 'a.*' }, 'topic'), 'a.*');
  assert.equal(bindingLabel(binding, 'fanout'), 'every message');
  assert.equal(bindingLabel(binding, 'direct'), 'the empty key');
  const table = { 'x-match': 'any', priority: 9, code: '9', there: null, 'x-ignored': 1 };
  assert.equal(bindingLabel({ ...binding, arguments: table }, 'headers'), 'any priority=9 code="9" there');
  assert.equal(bindingLabel({ ...binding, routingKey: 'a.#', dialect: 'kombu56' }, 'topic'), 'a.#  kombu56');
});

test('both kinds of documents are read, and the virtual host is chosen', () => {
  const exchanges = [{ name: 'x', vhost: 'shop', type: 'topic' }];
  const definitions = open(JSON.stringify({ rabbit_version: '3.10.8', exchanges }));
  assert.deepEqual([definitions.vhost, definitions.vhosts], ['shop', ['shop']]);
  assert.equal(definitions.topology.exchanges[0].name, 'x');
  const own = open(JSON.stringify({ exchanges: [{ name: 'y', kind: 'topic' }] }));
  assert.equal(own.topology.exchanges[0].name, 'y');
});

test('what is wrong with a document is said with the place', () => {
  const problem = (text) => {
    try {
      open(text);
    } catch (error) {
      return problemOf(error, text);
    }
    assert.fail('it was taken');
  };
  const broken = problem('{\n  "exchanges": [\n    oops\n  ]\n}');
  assert.ok(broken.excerpt.after.startsWith('oops'));
  assert.deepEqual([broken.excerpt.line, broken.excerpt.column], [3, 5]);
  const columns = [
    '{"exchanges": [',
    '{"a" 1}',
    '{"a":1,}',
    '[1 2]',
    '[01]',
    '["a\\x"]',
    '[tru]',
    '',
    '[]]',
    '{a:1}',
  ];
  assert.deepEqual(
    columns.map((text) => problem(text).excerpt.column),
    [16, 6, 8, 4, 2, 2, 2, 1, 3, 2],
  );
  assert.match(problem('{"exchanges": [{"name": 3, "kind": "topic"}]}').message, /exchanges\[0\]\.name/);
  for (const text of [
    'null',
    '[]',
    '3',
    '""',
    '{"exchanges": 3, "vhosts": []}',
    '{"vhosts":[],"queues":[null]}',
  ]) {
    assert.ok(problem(text).message.length > 0, text);
  }
});
