import { type Json, KeyrailError } from 'keyrail';
import { Celery } from 'keyrail/celery';
import { AsyncResult } from './async-result.js';
import { Connection } from './connection.js';
import { Task } from './task.js';

/** celery-node's settings. They count until the first call opens a connection. */
export interface CeleryConf {
  CELERY_BROKER: string;
  /** Options of ioredis. */
  CELERY_BROKER_OPTIONS: object;
  CELERY_BACKEND: string;
  /** Options of ioredis. */
  CELERY_BACKEND_OPTIONS: object;
  CELERY_QUEUE: string;
  /** 2; protocol 1 is not supported. */
  TASK_PROTOCOL: number;
}

export class Client {
  readonly conf: CeleryConf;
  /** What was sent and is not yet there. */
  #sending = new Set<Promise<unknown>>();
  #open: { celery: Celery; broker: Connection; backend: Connection } | undefined;

  constructor(broker: string, backend: string, queue: string) {
    this.conf = {
      CELERY_BROKER: broker,
      CELERY_BROKER_OPTIONS: {},
      CELERY_BACKEND: backend,
      CELERY_BACKEND_OPTIONS: {},
      CELERY_QUEUE: queue,
      TASK_PROTOCOL: 2,
    };
    // URLs that cannot work are refused here, where they are written.
    new Connection(broker, {}, 'broker');
    new Connection(backend, {}, 'backend');
  }

  createTask(name: string): Task {
    return new Task(this, name);
  }

  /**
   * Sends a task and returns at once. That it could not be sent is thrown by `get()` of the result; if nobody asks
   * for that, it is an unhandled rejection.
   */
  sendTask(
    taskName: string,
    args: readonly Json[] = [],
    kwargs: { readonly [name: string]: Json } = {},
    taskId: string = crypto.randomUUID(),
  ): AsyncResult {
    const { TASK_PROTOCOL: protocol, CELERY_QUEUE: queue } = this.conf;
    if (protocol !== 2) {
      throw new KeyrailError('not-supported', `TASK_PROTOCOL is ${protocol}, expected 2`);
    }
    const { celery } = this.#opened();
    // Waited for by `disconnect`, which must not count as somebody having asked what became of it.
    let finish = () => {};
    const over = new Promise<void>((resolve) => {
      finish = resolve;
    });
    this.#sending.add(over);
    const sent = celery.sendTask(taskName, args, kwargs, { taskId, queue }).finally(() => {
      this.#sending.delete(over);
      finish();
    });
    return new AsyncResult(taskId, celery.asyncResult(taskId), sent);
  }

  asyncResult(taskId: string): AsyncResult {
    return new AsyncResult(taskId, this.#opened().celery.asyncResult(taskId));
  }

  /** Resolves when broker and backend answer. */
  async isReady(): Promise<void> {
    const { broker, backend } = this.#opened();
    await Promise.all([broker.ready(), backend.ready()]);
  }

  /** Closes the connections after what was sent before; the next call opens new ones. */
  async disconnect(): Promise<void> {
    const opened = this.#open;
    this.#open = undefined;
    if (!opened) return;
    await Promise.all(this.#sending);
    opened.celery.close();
    await Promise.all([opened.broker.close(), opened.backend.close()]);
  }

  #opened() {
    if (!this.#open) {
      const { CELERY_BROKER, CELERY_BROKER_OPTIONS, CELERY_BACKEND, CELERY_BACKEND_OPTIONS } = this.conf;
      const broker = new Connection(CELERY_BROKER, CELERY_BROKER_OPTIONS, 'broker');
      const backend = new Connection(CELERY_BACKEND, CELERY_BACKEND_OPTIONS, 'backend');
      this.#open = { broker, backend, celery: new Celery(broker.client, { backend: backend.client }) };
    }
    return this.#open;
  }
}
