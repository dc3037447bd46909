import { type Json, KeyrailError, type Signature } from 'keyrail';
import { type OutgoingTask, Publisher, type QuarantinedRow, type RedisClient } from 'keyrail/redis';
import { AsyncResult } from './result.js';
import { times } from './times.js';
import type { CeleryOptions, TaskOptions } from './types.js';

/**
 * Sends tasks to Celery workers through Redis, and asks for their results.
 *
 * ```ts
 * const celery = new Celery(ioredis(client));
 * const result = await celery.sendTask('shop.add', [2, 3]);
 * await result.get({ timeout: 10_000 }); // 5
 * ```
 *
 * Every method throws {@link KeyrailError} and nothing else.
 */
export class Celery implements Disposable {
  #publisher: Publisher;
  #backend: RedisClient;
  #queue: string;
  #resultPrefix: string;
  #origin: string;
  /** Celery gives each application one; with results in Redis nobody reads it. */
  #replyTo = crypto.randomUUID();

  constructor(broker: RedisClient, options: CeleryOptions = {}) {
    const { backend, queue = 'celery', resultPrefix = '', origin = 'keyrail', ...publisher } = options;
    this.#publisher = new Publisher(broker, publisher);
    this.#backend = backend ?? broker;
    this.#queue = queue;
    this.#resultPrefix = resultPrefix;
    this.#origin = origin;
  }

  /**
   * Sends a task (protocol 2) and resolves when Redis has it.
   *
   * Throws with the code `unroutable` if no queue is bound to the exchange with such a key: nobody would ever run it.
   */
  async sendTask<Result = unknown>(
    name: string,
    args: readonly Json[] = [],
    kwargs: { readonly [name: string]: Json } = {},
    options: TaskOptions = {},
  ): Promise<AsyncResult<Result>> {
    const task = this.#task(name, args, kwargs, options);
    const { outcome } = await this.#publisher.publishTask(task);
    if (outcome === 'unroutable') {
      const { exchange, routingKey } = task;
      throw new KeyrailError(
        'unroutable',
        `task \`${name}\` reaches no queue: exchange \`${exchange}\` has no binding for \`${routingKey}\``,
      );
    }
    return this.asyncResult(task.id);
  }

  #task(
    name: string,
    args: readonly Json[],
    kwargs: { readonly [name: string]: Json },
    options: TaskOptions,
  ) {
    for (const option of Object.keys(options)) {
      if (!OPTIONS.has(option))
        throw invalid(`options has no field \`${option}\`, only ${[...OPTIONS].join(', ')}`);
    }
    const {
      groupId,
      link,
      linkError,
      taskId,
      countdown,
      eta,
      expires,
      queue,
      exchange,
      routingKey,
      ...rest
    } = options;
    const task: OutgoingTask = {
      origin: this.#origin,
      replyTo: this.#replyTo,
      ...rest,
      ...this.#address(options),
      ...times(options, Date.now()),
      name,
      args,
      kwargs,
      id: taskId ?? crypto.randomUUID(),
      group: groupId,
      callbacks: list(link),
      errbacks: list(linkError),
    };
    return task;
  }

  /** As Celery: a queue goes by the default exchange, unless an exchange or a key is said. */
  #address({ queue, exchange, routingKey }: TaskOptions): { exchange: string; routingKey: string } {
    if (queue !== undefined && exchange !== undefined)
      throw invalid('options have both `queue` and `exchange`');
    const name = queue ?? this.#queue;
    if (exchange !== undefined) return { exchange, routingKey: routingKey ?? name };
    if (routingKey !== undefined) return { exchange: name, routingKey };
    return { exchange: '', routingKey: name };
  }

  /** The result of a task that was sent before, here or elsewhere. */
  asyncResult<Result = unknown>(taskId: string): AsyncResult<Result> {
    if (typeof taskId !== 'string' || taskId === '') throw invalid('taskId must be a string, and not empty');
    return new AsyncResult<Result>(taskId, this.#backend, this.#resultPrefix);
  }

  /** The rows of binding tables in use that route nothing, with the reason. */
  get quarantined(): readonly QuarantinedRow[] {
    return this.#publisher.quarantined;
  }

  /** Whether changes of binding tables are reported at this moment. If not, `maxAge` counts. */
  get tracking(): boolean {
    return this.#publisher.tracking;
  }

  /** Stops watching. The clients stay open: they are not Celery's. */
  close(): void {
    this.#publisher.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const OPTIONS: ReadonlySet<string> = new Set<keyof TaskOptions>([
  'taskId',
  'countdown',
  'eta',
  'expires',
  'priority',
  'queue',
  'exchange',
  'routingKey',
  'headers',
  'retries',
  'replyTo',
  'timeLimit',
  'softTimeLimit',
  'ignoreResult',
  'shadow',
  'rootId',
  'parentId',
  'groupId',
  'groupIndex',
  'link',
  'linkError',
  'chain',
  'chord',
  'returnToQueue',
]);

function list(signatures: Signature | readonly Signature[] | undefined): readonly Signature[] | undefined {
  if (signatures === undefined) return undefined;
  return Array.isArray(signatures) ? signatures : [signatures as Signature];
}

function invalid(message: string): KeyrailError {
  return new KeyrailError('invalid-argument', message);
}
