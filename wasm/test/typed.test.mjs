// What `Router.typed` costs the compiler, counted in instantiations of types: the same on every machine.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';

const root = join(import.meta.dirname, '..', '..');
const folder = join(root, 'target', 'typed');
mkdirSync(folder, { recursive: true });
after(() => rmSync(folder, { recursive: true, force: true }));
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');

/** Two hundred bindings of the shapes that topologies have: literal, `*`, `#` at the end, `#` inside. */
const bindings = Array.from({ length: 200 }, (_, at) => ({
  source: 'events',
  destination: { queue: `q${at % 50}` },
  routingKey: [`region.${at}.order.paid`, `region.*.order.${at}`, `audit.${at}.#`, `#.tail.${at}`][at % 4],
}));
const TOPOLOGY = JSON.stringify({
  exchanges: [{ name: 'events', kind: 'topic' }],
  queues: Array.from({ length: 50 }, (_, at) => ({ name: `q${at}` })),
  bindings,
});

function compile(name, lines) {
  const file = join(folder, `${name}.ts`);
  const head = `import { Router } from 'keyrail';\nconst router = Router.typed(${TOPOLOGY} as const);\n`;
  writeFileSync(file, head + lines.join('\n'));
  const flags = ['--noEmit', '--strict', '--target', 'es2024', '--module', 'nodenext', '--types', ''];
  const { stdout } = spawnSync(
    process.execPath,
    [tsc, ...flags, '--lib', 'es2024,esnext.disposable,dom', '--extendedDiagnostics', file],
    {
      encoding: 'utf8',
    },
  );
  const number = (label) => Number(new RegExp(`^${label}:\\s+([\\d.]+)`, 'm').exec(stdout)?.[1]);
  return {
    errors: [...stdout.matchAll(/^.*error TS.*$/gm)].map(([line]) => line),
    instantiations: number('Instantiations'),
    seconds: number('Check time'),
  };
}

const route = (key) => `router.route({ exchange: 'events', routingKey: '${key}' });`;
/** Keys that match, each its own binding, and in vain most of the others. */
const good = (count) =>
  Array.from({ length: count }, (_, at) =>
    route([`region.${at}.order.paid`, `region.eu.order.${at}`, `audit.${at}.a.b`, `a.b.tail.${at}`][at % 4]),
  );

test('two hundred bindings: what a router costs, and what each key', (t) => {
  const none = compile('none', []);
  const one = compile('one', good(1));
  const hundred = compile('hundred', good(100));
  for (const { errors } of [none, one, hundred]) assert.deepEqual(errors, []);
  const each = Math.round((hundred.instantiations - one.instantiations) / 99);
  t.diagnostic(
    `instantiations: ${none.instantiations} without a key, ${one.instantiations} with one, ${each} for each more`,
  );
  t.diagnostic(`check time: ${none.seconds} s, ${one.seconds} s, ${hundred.seconds} s with a hundred keys`);
  assert.ok(none.instantiations > 0 && each > 0, 'the compiler counts');
  assert.ok(one.instantiations < 55_000, `${one.instantiations}`);
  assert.ok(each < 9000, `${each}`);
});

test('a key that matches nothing is refused, with a sentence', () => {
  const { errors } = compile('wrong', [route('region.1.order'), route('region.4.order.paid'), route('tail')]);
  assert.equal(errors.length, 2, errors.join('\n'));
  assert.match(errors[0], /no queue is reached from `events` by `region\.1\.order`/);
  assert.match(errors[1], /no queue is reached from `events` by `tail`/);
});
