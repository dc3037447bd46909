// Every snippet of wasm/docs/publishing.md and every quick start of wasm/README.md that publishes, as a user would run it:
// real Redis, real worker. What stands behind
// `console.log(…); //` is what it prints.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { quickStarts } from '../runtimes/support/readme.mjs';
import { startRest } from './support/rest.mjs';
import { startPeer, startRedis, startWorker } from './support/servers.mjs';

const page = readFileSync(join(import.meta.dirname, '..', '..', 'wasm', 'docs', 'publishing.md'), 'utf8');
const documented = [...page.matchAll(/^## (.*)$|^```js\n([\s\S]*?)^```$/gm)].reduce(
  ({ heading, found }, [, title, code]) => ({
    heading: title ?? heading,
    found: code ? [...found, { heading, code }] : found,
  }),
  { heading: '', found: [] },
).found;
const started = quickStarts.filter(({ title }) => title.startsWith('keyrail/'));
const snippets = [...documented, ...started.map(({ title, code }) => ({ heading: title, code }))];

let redis;
let worker;
let rest;
before(async () => {
  redis = await startRedis();
  rest = await startRest(redis);
  worker = await startWorker(redis, ['celery', 'orders', 'eu']);
  const peer = await startPeer(redis);
  await peer.call('bind', { exchange: 'shop', kind: 'topic', queue: 'audit', key: '#' });
  await peer.call('bind', { exchange: 'shop', kind: 'topic', queue: 'eu', key: 'order.eu.*' });
  await peer.stop();
});
after(async () => {
  await worker?.stop();
  await rest?.stop();
  await redis?.stop();
});

test('there are snippets', () => assert.deepEqual([documented.length, started.length], [6, 3]));

for (const [at, { heading, code }] of snippets.entries()) {
  test(`snippet ${at + 1}: ${heading}`, async () => {
    // Beside this file, where the packages are found.
    const file = join(import.meta.dirname, `snippet-${process.pid}-${at}.mjs`);
    writeFileSync(file, code);
    try {
      if (code.includes('export default')) {
        const { default: module } = await import(file);
        const env = { UPSTASH_REDIS_REST_URL: rest.url, UPSTASH_REDIS_REST_TOKEN: rest.token };
        const response = await module.fetch(new Request('https://edge.test/'), env);
        assert.equal((await response.json()).sum, 5);
        return;
      }
      const options = { env: { ...process.env, REDIS_URL: redis.url }, timeout: 60_000 };
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], options);
      const expected = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, printed]) => printed);
      assert.ok(expected.length > 0);
      assert.deepEqual(stdout.trimEnd().split('\n'), expected);
      assert.equal(stderr, '');
    } finally {
      rmSync(file);
    }
  });
}
