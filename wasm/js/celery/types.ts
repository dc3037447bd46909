import type { Json, Signature } from 'keyrail';
import type { PublisherOptions, RedisClient } from 'keyrail/redis';

export interface CeleryOptions extends PublisherOptions {
  /** Where results are, if not where the broker is. */
  readonly backend?: RedisClient | undefined;
  /** `task_default_queue`. Default: `celery`. */
  readonly queue?: string | undefined;
  /** `global_keyprefix` of `result_backend_transport_options`. Default: none. */
  readonly resultPrefix?: string | undefined;
  /** Who sends, as workers show it. Default: `keyrail`. */
  readonly origin?: string | undefined;
}

/** The options of one call: those of `apply_async`, in JavaScript's spelling. Times in seconds, as Celery has them. */
export interface TaskOptions {
  /** Default: a random UUID. */
  readonly taskId?: string | undefined;
  /** Seconds until the task may run. */
  readonly countdown?: number | undefined;
  /** When the task may run: a date, or ISO 8601 with an offset. Instead of `countdown`. */
  readonly eta?: Date | string | undefined;
  /** Seconds from now, a date, or ISO 8601 with an offset: after that the worker revokes the task. */
  readonly expires?: number | Date | string | undefined;
  /** **On Redis 0 is taken first** and 9 last. Default: 0. */
  readonly priority?: number | undefined;
  /** The queue, by name. Default: that of the application. */
  readonly queue?: string | undefined;
  /** The exchange, instead of `queue`; its binding table decides about the queues. */
  readonly exchange?: string | undefined;
  /** Default: the name of the queue. */
  readonly routingKey?: string | undefined;
  readonly headers?: { readonly [name: string]: Json } | undefined;
  /** How often it was tried before. Default: 0. */
  readonly retries?: number | undefined;
  readonly replyTo?: string | undefined;
  /** Seconds until the worker kills the task. */
  readonly timeLimit?: number | undefined;
  /** Seconds until the task sees `SoftTimeLimitExceeded`. */
  readonly softTimeLimit?: number | undefined;
  readonly ignoreResult?: boolean | undefined;
  readonly shadow?: string | undefined;
  readonly rootId?: string | undefined;
  readonly parentId?: string | undefined;
  readonly groupId?: string | undefined;
  readonly groupIndex?: number | undefined;
  /** What to call with the result. */
  readonly link?: Signature | readonly Signature[] | undefined;
  /** What to call after a failure. */
  readonly linkError?: Signature | readonly Signature[] | undefined;
  /** The rest of a chain, the next one last. */
  readonly chain?: readonly Signature[] | undefined;
  /** What to call when the whole group is done. */
  readonly chord?: Signature | undefined;
  /** Gives each copy the address of its own queue, so that a restored copy comes back to that queue alone. */
  readonly returnToQueue?: boolean | undefined;
}

export interface GetOptions {
  /** Milliseconds until `get` gives up with the code `timeout`. Default: it waits as long as it takes. */
  readonly timeout?: number | undefined;
  /** Milliseconds between two questions. Default: 500, or 5,000 where the client is told. */
  readonly interval?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a worker wrote about a task. */
export interface TaskMeta {
  readonly status: string;
  readonly result: unknown;
  readonly traceback?: string | null | undefined;
  readonly children?: readonly unknown[] | null | undefined;
  readonly date_done?: string | null | undefined;
  readonly task_id?: string | undefined;
  readonly [other: string]: unknown;
}
