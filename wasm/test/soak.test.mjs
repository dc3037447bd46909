// A short soak, in every run of the tests; `make soak` makes a long one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

test('20,000 pairs of bind and unbind and 200,000 routes leave the memory flat', (t) => {
  const program = join(import.meta.dirname, 'soak.mjs');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--expose-gc', program, '20000', '200000'],
    {
      encoding: 'utf8',
    },
  );
  assert.equal(stderr, '');
  const { flat, grown, pairs, routes } = JSON.parse(stdout);
  t.diagnostic(JSON.stringify(grown));
  assert.deepEqual([status, flat, pairs, routes], [0, true, 20_000, 200_000], stdout);
});
