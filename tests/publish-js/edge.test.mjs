// From workerd (by way of miniflare): the package's own entry for it, fetch as the only way out, a real Celery worker.
// In front of the real Redis is the stand-in of support/rest.mjs, which speaks Upstash's REST form.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { build } from 'esbuild';
import { Miniflare } from 'miniflare';
import { startRest } from './support/rest.mjs';
import { startPeer, startRedis, startWorker } from './support/servers.mjs';

const timeout = 30_000;
const folder = mkdtempSync(join(tmpdir(), 'keyrail-edge-'));

let redis;
let worker;
let peer;
let rest;
let edge;
before(async () => {
  redis = await startRedis();
  rest = await startRest(redis);
  worker = await startWorker(redis, ['celery', 'orders', 'eu']);
  peer = await startPeer(redis);
  // As the tools of the host do: modules bundled, the .wasm file beside them as a compiled module.
  await build({
    entryPoints: [join(import.meta.dirname, 'support', 'edge-worker.mjs')],
    bundle: true,
    format: 'esm',
    conditions: ['workerd'],
    loader: { '.wasm': 'copy' },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    logLevel: 'error',
  });
  edge = new Miniflare({
    host: '127.0.0.1',
    port: 0,
    modules: true,
    modulesRoot: folder,
    scriptPath: join(folder, 'edge-worker.mjs'),
    modulesRules: [{ type: 'CompiledWasm', include: ['**/*.wasm'] }],
    // Long before workers could compile modules themselves.
    compatibilityDate: '2024-01-01',
    bindings: { URL: rest.url, TOKEN: rest.token },
  });
  await edge.ready;
});
after(async () => {
  await edge?.dispose();
  await peer?.stop();
  await worker?.stop();
  await rest?.stop();
  await redis?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function ask(verb, call) {
  const response = await edge.dispatchFetch('http://edge.test/', {
    method: 'POST',
    body: JSON.stringify({ verb, ...call }),
  });
  return response.json();
}

test('the bundle holds the compiled module, not the one inside JavaScript', async () => {
  const bundle = readFileSync(join(folder, 'edge-worker.mjs'), 'utf8');
  assert.match(bundle, /from ".\/[^"]*\.wasm"/);
  assert.ok(bundle.length < 200_000, `${bundle.length} bytes`);
  assert.deepEqual(await ask('route'), { value: ['q'] });
});

test('a task and its result', async () => {
  const { value } = await ask('task', { name: 'shop.add', args: [2, 3], timeout });
  assert.equal(value, 5);
});

test('a task by a topic exchange, in one transaction', async () => {
  rest.requests.length = 0;
  const options = { exchange: 'shop.topic', routingKey: 'order.eu.paid', taskId: 'edge-1' };
  const { value } = await ask('task', { name: 'shop.seen', args: ['ä'], options, timeout });
  assert.deepEqual([value.args, value.exchange, value.routing_key], [['ä'], 'shop.topic', 'order.eu.paid']);
  const transaction = rest.requests.find(([path]) => path === '/multi-exec');
  const pushed = transaction[1].map(([name, key]) => `${name} ${key}`).sort();
  assert.deepEqual(pushed, ['LPUSH eu', 'LPUSH orders']);
});

test('a task that fails, and one that reaches no queue', async () => {
  const failed = await ask('task', { name: 'shop.fail', args: ['nope'], timeout });
  assert.deepEqual(failed.error, {
    name: 'TaskError',
    code: 'task-failed',
    message: 'ValueError: nope',
    exceptionType: 'ValueError',
  });
  const options = { exchange: 'shop.topic', routingKey: 'nowhere' };
  const { error } = await ask('task', { name: 'shop.add', options, timeout });
  assert.deepEqual([error.name, error.code], ['KeyrailError', 'unroutable']);
});

test('direct, fanout and priorities', async () => {
  await peer.call('bind', { exchange: 'edge.desk', kind: 'direct', queue: 'edge.q', key: 'k' });
  const message = { exchange: 'edge.desk', routingKey: 'k', body: 'x', priority: 9 };
  assert.deepEqual((await ask('publish', message)).value, { outcome: 'routed', queues: ['edge.q'] });
  assert.equal(await redis.look.llen('edge.q\x06\x169'), 1);
  assert.equal((await peer.call('get', { queue: 'edge.q' })).body, 'x');
  const news = { exchange: 'edge.news', routingKey: '', body: 'x', exchanges: { 'edge.news': 'fanout' } };
  assert.deepEqual((await ask('publish', news)).value, { outcome: 'unroutable', queues: [], receivers: 0 });
});

test('a table that is a ZSET', async () => {
  await redis.look.zadd('_kombu.binding.edge.zs', 0, 'k\x06\x16\x06\x16q');
  const { error } = await ask('publish', { exchange: 'edge.zs', routingKey: 'k', body: 'x' });
  assert.deepEqual([error.name, error.code], ['KeyrailError', 'wrong-type']);
});
