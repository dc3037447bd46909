import { KeyrailError } from 'keyrail';
import { Client } from './client.js';

export { AsyncResult, type ResultError } from './async-result.js';
export { type CeleryConf, Client } from './client.js';
export { Task } from './task.js';

/**
 * A client of a Celery application, with the calls of celery-node 0.5.
 *
 * Broker and backend are Redis URLs: `redis://` or `rediss://`. It needs the package `ioredis`, 5 or newer, installed
 * beside keyrail. Nothing is opened before it is needed.
 *
 * ```ts
 * const client = createClient('redis://127.0.0.1:6379/0', 'redis://127.0.0.1:6379/0');
 * const result = client.createTask('tasks.add').applyAsync([1, 2]);
 * console.log(await result.get());
 * await client.disconnect();
 * ```
 */
export function createClient(broker: string, backend: string = broker, queue = 'celery'): Client {
  return new Client(broker, backend, queue);
}

/** **There is no worker here**: keyrail sends tasks. It throws; keep celery-node for workers, or run Celery's own. */
export function createWorker(): never {
  throw new KeyrailError(
    'not-supported',
    'keyrail/celery-node has no worker: keep celery-node for createWorker, or run a worker of Celery',
  );
}
