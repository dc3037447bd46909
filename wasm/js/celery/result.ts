import { KeyrailError } from 'keyrail';
import type { RedisClient } from 'keyrail/redis';
import { TaskError } from './task-error.js';
import type { GetOptions, TaskMeta } from './types.js';

/** Milliseconds, as in Celery. */
const INTERVAL = 500;
/** Where a message tells, asking is for messages that were missed. */
const INTERVAL_BESIDE_MESSAGES = 5000;

const READY: readonly string[] = ['SUCCESS', 'FAILURE', 'REVOKED'];

/** What became of a task, asked from the result backend in Redis. */
export class AsyncResult<Result = unknown> {
  readonly id: string;
  #client: RedisClient;
  #key: string;

  constructor(id: string, client: RedisClient, prefix = '') {
    this.id = id;
    this.#client = client;
    this.#key = `${prefix}celery-task-meta-${id}`;
  }

  /**
   * Waits for the result. Where the client can listen, the worker's message ends the wait; elsewhere it asks every
   * `interval`.
   *
   * Throws {@link TaskError} if the task failed or was revoked, and `KeyrailError` with the code `timeout` if it is not
   * done in time. Nobody writes a result for a task with `ignoreResult`, or if the worker has no backend.
   */
  async get(options: GetOptions = {}): Promise<Result> {
    const meta = await this.#ready(options);
    if (meta.status !== 'SUCCESS') throw new TaskError(this.id, meta);
    return meta.result as Result;
  }

  /** `PENDING` (which is also said of tasks that nobody sent), `STARTED`, `RETRY`, `SUCCESS`, `FAILURE` … */
  async status(): Promise<string> {
    return (await this.meta())?.status ?? 'PENDING';
  }

  /** What the worker wrote, as it is; nothing if it wrote nothing yet. */
  async meta(): Promise<TaskMeta | undefined> {
    let replies: readonly unknown[];
    try {
      replies = await this.#client.send([['GET', this.#key]], false);
    } catch (cause) {
      throw failed(`the result of task \`${this.id}\` cannot be read: ${said(cause)}`, cause);
    }
    return this.#parsed(Array.isArray(replies) ? replies[0] : replies);
  }

  async #ready({ timeout, interval, signal }: GetOptions): Promise<TaskMeta> {
    milliseconds(timeout, 'timeout');
    milliseconds(interval, 'interval');
    const deadline = timeout === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeout;
    const bell = new Bell();
    const onAbort = () => bell.ring();
    signal?.addEventListener('abort', onAbort);
    let unsubscribe: (() => void) | undefined;
    try {
      unsubscribe = await this.#client.subscribe?.(this.#key, () => bell.ring()).catch(() => undefined);
      const pause = interval ?? (unsubscribe ? INTERVAL_BESIDE_MESSAGES : INTERVAL);
      for (;;) {
        if (signal?.aborted) {
          throw new KeyrailError('aborted', `waiting for task \`${this.id}\` was aborted`, {
            cause: signal.reason,
          });
        }
        const meta = await this.meta();
        if (meta && READY.includes(meta.status)) return meta;
        const left = deadline - performance.now();
        if (left <= 0) {
          const state = meta?.status ?? 'PENDING';
          throw new KeyrailError('timeout', `task \`${this.id}\` is ${state} after ${timeout} ms`);
        }
        await bell.wait(Math.min(pause, left));
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      unsubscribe?.();
    }
  }

  #parsed(reply: unknown): TaskMeta | undefined {
    if (reply === null || reply === undefined) return undefined;
    if (reply instanceof Error) throw failed(`the result of task \`${this.id}\`: ${reply.message}`, reply);
    let text: string;
    if (typeof reply === 'string') text = reply;
    else if (reply instanceof Uint8Array) text = new TextDecoder().decode(reply);
    else throw invalid(`the result of task \`${this.id}\` is no text in Redis but ${typeof reply}`);
    let meta: unknown;
    try {
      meta = JSON.parse(text);
    } catch (cause) {
      // Pickle and YAML are other serializers of Celery, and NaN is Python's.
      throw invalid(`the result of task \`${this.id}\` is not JSON: ${said(cause)}`, cause);
    }
    if (typeof meta !== 'object' || meta === null || typeof (meta as TaskMeta).status !== 'string') {
      throw invalid(`the result of task \`${this.id}\` has no status: \`${text.slice(0, 80)}\``);
    }
    return meta as TaskMeta;
  }
}

/** Wakes a waiter; a ring while nobody waits is kept. */
class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      // Timers take 31 bits of milliseconds; whoever waits longer asks in between.
      const timer = setTimeout(wake, Math.min(milliseconds, 0x7fff_ffff));
      const bell = this;
      function wake() {
        clearTimeout(timer);
        bell.#rung = false;
        bell.#wake = undefined;
        resolve();
      }
      this.#wake = wake;
      if (this.#rung) wake();
    });
  }
}

function milliseconds(value: number | undefined, name: string): void {
  if (value === undefined || (typeof value === 'number' && value >= 0)) return;
  throw new KeyrailError(
    'invalid-argument',
    `options.${name} is ${String(value)}, expected milliseconds, 0 or more`,
  );
}

function said(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function failed(message: string, cause: unknown): KeyrailError {
  return cause instanceof KeyrailError ? cause : new KeyrailError('redis-error', message, { cause });
}

function invalid(message: string, cause?: unknown): KeyrailError {
  return new KeyrailError('invalid-result', message, { cause });
}
