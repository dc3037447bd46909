// What users of celery-node 0.5 write, with nothing but the import changed, against a real Celery worker.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import * as celery from 'keyrail/celery-node';
import { startRedis, startWorker } from './support/servers.mjs';

const timeout = 30_000;

let redis;
let worker;
before(async () => {
  redis = await startRedis();
  worker = await startWorker(redis, ['celery', 'desk']);
});
after(async () => {
  await worker?.stop();
  await redis?.stop();
});

const open = (queue) => celery.createClient(redis.url, redis.url, queue);

test('a task by name: applyAsync and get', async () => {
  const client = open();
  const task = client.createTask('tasks.add');
  const result = task.applyAsync([1, 2]);
  assert.match(result.taskId, /^[0-9a-f-]{36}$/);
  assert.equal(await result.get(timeout), 3);
  await client.disconnect();
});

test('with then, as in the guide', async () => {
  const client = open();
  const sum = await new Promise((resolve, reject) => {
    const result = client.createTask('tasks.add').applyAsync([10, 20]);
    result.get(timeout).then((data) => client.disconnect().then(() => resolve(data)), reject);
  });
  assert.equal(sum, 30);
});

test('delay, arguments by name, and many at once', async () => {
  const client = open();
  const add = client.createTask('tasks.add');
  const named = client.createTask('tasks.add_kwargs');
  const results = [
    ...Array.from({ length: 20 }, (_, n) => add.delay(n, n)),
    named.applyAsync([], { a: 1, b: 2 }),
    named.applyAsync(null, { a: 3, b: 4 }),
  ];
  const sums = await Promise.all(results.map((result) => result.get(timeout, 100)));
  assert.deepEqual(sums, [...Array.from({ length: 20 }, (_, n) => 2 * n), 3, 7]);
  await client.disconnect();
});

test('result and status without waiting', async () => {
  const client = open();
  await client.isReady();
  const nobody = client.asyncResult('nobody sent it');
  assert.deepEqual([await nobody.result(), await nobody.status()], [null, null]);
  const result = client.sendTask('tasks.add', [1, 2], {}, 'my-own-id');
  assert.equal(result.taskId, 'my-own-id');
  assert.equal(await result.get(timeout), 3);
  const again = client.asyncResult('my-own-id');
  assert.deepEqual([await again.result(), await again.status()], [3, 'SUCCESS']);
  await client.disconnect();
});

test('a failure: the message and the fields of celery-node, and those of keyrail', async () => {
  const client = open();
  const result = client.createTask('tasks.error').applyAsync(['on purpose']);
  const error = await result.get(timeout).catch((caught) => caught);
  assert.ok(error instanceof Error);
  const { message, exc_type, exc_message, exc_module, exceptionType, traceback } = error;
  assert.deepEqual(
    { message, exc_type, exc_message, exc_module, exceptionType },
    {
      message: 'FAILURE',
      exc_type: 'RuntimeError',
      exc_message: ['on purpose'],
      exc_module: 'builtins',
      exceptionType: 'RuntimeError',
    },
  );
  assert.match(traceback, /RuntimeError: on purpose/);
  assert.equal(await result.status(), 'FAILURE');
  await client.disconnect();
});

test('a result that does not come', async () => {
  const client = open('a queue that nobody consumes');
  const result = client.createTask('tasks.add').applyAsync([1, 2]);
  await assert.rejects(result.get(50, 10), { message: 'TIMEOUT', code: 'timeout' });
  await client.disconnect();
  await assert.rejects(result.get(50), { code: 'closed' });
});

test('another queue, by the third argument and by the settings', async () => {
  const client = open('desk');
  assert.equal(client.conf.CELERY_QUEUE, 'desk');
  assert.equal((await client.createTask('shop.seen').delay().get(timeout)).routing_key, 'desk');
  client.conf.CELERY_QUEUE = 'celery';
  assert.equal((await client.createTask('shop.seen').delay().get(timeout)).routing_key, 'celery');
  await client.disconnect();
});

test('what was sent before disconnect arrives', async () => {
  const client = open('parked');
  const task = client.createTask('tasks.add');
  for (let n = 0; n < 10; n++) task.delay(n, n);
  await client.disconnect();
  assert.equal(await redis.look.llen('parked'), 10);
  // The next call opens a new connection.
  task.delay(1, 1);
  await client.disconnect();
  assert.equal(await redis.look.llen('parked'), 11);
});

test('what is not there says so', () => {
  assert.throws(() => celery.createWorker(), {
    name: 'KeyrailError',
    code: 'not-supported',
    message: /has no worker/,
  });
  for (const url of ['amqp://', 'amqp://user:secret@host//', undefined, 5]) {
    const error = catching(() => celery.createClient(url, redis.url));
    assert.equal(error.code, 'unsupported-url');
    assert.doesNotMatch(error.message, /secret/);
  }
  assert.equal(catching(() => celery.createClient(redis.url, 'amqp://')).code, 'unsupported-url');
  const client = open();
  client.conf.TASK_PROTOCOL = 1;
  assert.equal(catching(() => client.sendTask('tasks.add')).code, 'not-supported');
  const task = client.createTask('tasks.add');
  assert.equal(catching(() => task.applyAsync('1')).message, 'args is not array');
  assert.equal(catching(() => task.applyAsync([], 'x')).message, 'kwargs is not object');
});

test('nobody there: get says so', async () => {
  const client = celery.createClient('redis://127.0.0.1:1/0');
  const options = { maxRetriesPerRequest: 0, retryStrategy: () => null };
  Object.assign(client.conf, { CELERY_BROKER_OPTIONS: options, CELERY_BACKEND_OPTIONS: options });
  await assert.rejects(client.createTask('tasks.add').delay(1, 2).get(timeout), { code: 'redis-error' });
});

test('require, and without ioredis', async () => {
  const project = mkdtempSync(join(tmpdir(), 'keyrail-celery-node-'));
  after(() => rmSync(project, { recursive: true }));
  const modules = join(project, 'node_modules');
  cpSync(join(import.meta.dirname, '..', '..', 'wasm', 'dist'), join(modules, 'keyrail', 'dist'), {
    recursive: true,
  });
  cpSync(
    join(import.meta.dirname, '..', '..', 'wasm', 'package.json'),
    join(modules, 'keyrail', 'package.json'),
  );
  const code = `
    const celery = require('keyrail/celery-node');
    const client = celery.createClient(${JSON.stringify(redis.url)}, ${JSON.stringify(redis.url)});
    const result = client.createTask('tasks.add').applyAsync([1, 2]);
    result.get(${timeout}).then((data) => {
      console.log(data);
      return client.disconnect();
    }, (error) => console.log(error.code, error.message));
  `;
  writeFileSync(join(project, 'main.cjs'), code);
  const run = async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--no-warnings', 'main.cjs'], {
      cwd: project,
    });
    return stdout.trim();
  };
  const missing =
    'missing-dependency keyrail/celery-node needs the package ioredis beside it: npm install ioredis';
  assert.equal(await run(), missing);
  symlinkSync(join(import.meta.dirname, '..', '..', 'node_modules', 'ioredis'), join(modules, 'ioredis'));
  // Ends by itself: no connection is left open.
  assert.equal(await run(), '3');
});

function catching(call) {
  try {
    call();
  } catch (error) {
    return error;
  }
  assert.fail('it did not throw');
}
