// A private Redis, Python peers and Celery workers as processes: loopback, free ports, gone with the tests.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';

const HERE = import.meta.dirname;
const ROOT = join(HERE, '..', '..', '..');
/** Generous, because the machine may be busy; nothing waits for it when all is well. */
const PATIENCE = 30_000;

/** Starts a redis-server and a client that looks into it. */
export async function startRedis(...options) {
  const folder = mkdtempSync(join(tmpdir(), 'keyrail-redis-'));
  const port = await freePort();
  const child = spawn(
    process.env.REDIS_SERVER ?? 'redis-server',
    [
      '--bind',
      '127.0.0.1',
      '--port',
      String(port),
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      folder,
      ...options,
    ],
    { stdio: 'ignore' },
  );
  const look = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 50, maxRetriesPerRequest: null });
  look.on('error', () => {
    // Until it listens.
  });
  child.on('error', (error) => look.disconnect(error));
  await look.ping();
  return {
    port,
    url: `redis://127.0.0.1:${port}/0`,
    look,
    async stop() {
      look.disconnect();
      await ended(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A real Celery worker of `celery_app.py` on these queues, once it says that it is ready. */
export async function startWorker(redis, queues, ...options) {
  const child = spawn(
    python(),
    [
      '-m',
      'celery',
      '-A',
      'celery_app',
      'worker',
      '-P',
      'solo',
      '-Q',
      queues.join(','),
      '-l',
      'INFO',
      ...options,
    ],
    { cwd: HERE, env: { ...process.env, KEYRAIL_TEST_REDIS: redis.url }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let log = '';
  const ready = new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data) => {
        log += data;
        if (/celery@\S+ ready\./.test(log)) resolve();
      });
    }
    child.on('exit', (code) => reject(new Error(`the worker ended with ${code}:\n${log}`)));
  });
  await within(ready, 'the worker is ready');
  return { stop: () => ended(child), log: () => log };
}

/** A process with Kombu: `peer.call('bind', { exchange, kind, queue, key })` and whatever `peer.py` has more. */
export async function startPeer(redis) {
  const child = spawn(python(), [join(HERE, 'peer.py')], {
    env: { ...process.env, KEYRAIL_TEST_REDIS: redis.url },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async call(verb, options = {}) {
      child.stdin.write(`${JSON.stringify({ verb, ...options })}\n`);
      const { value, done } = await within(lines.next(), `the peer answers ${verb}`);
      if (done) throw new Error(`the peer ended at ${verb}`);
      const answer = JSON.parse(value);
      if (answer.error) throw new Error(answer.error);
      return answer.result;
    },
    stop: () => ended(child),
  };
}

/** Waits until `condition` gives something true, and returns it. */
export async function until(what, condition) {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${PATIENCE} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function python() {
  const path = process.env.KOMBU57_PYTHON ?? join(ROOT, '.tools/python/kombu57/bin/python');
  if (!existsSync(path))
    throw new Error(`${path} is missing: run scripts/setup/python.sh, or set KOMBU57_PYTHON`);
  return path;
}

async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${PATIENCE} ms`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Ends a child by its own process id. */
async function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await gone;
  clearTimeout(timer);
}
