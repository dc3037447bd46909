import { KeyrailError, type Message, Router } from 'keyrail';
import type { RedisClient } from './client.js';
import { counts, redisError } from './replies.js';
import { Tables } from './tables.js';
import type { Kind, Outgoing, OutgoingTask, Published, PublisherOptions, QuarantinedRow } from './types.js';
import { type Planner, planOf, type Routed } from './ways.js';

const MAX_AGE = 5000;
const KINDS: readonly string[] = ['direct', 'fanout', 'topic'];
/** What Celery declares on Redis, always of these types: events, remote control and the answers to it. */
const CELERYS: readonly [string, Kind][] = [
  ['celeryev', 'fanout'],
  ['celery.pidbox', 'fanout'],
  ['reply.celery.pidbox', 'direct'],
];

/**
 * Publishes to the queues that Kombu and Celery consume from, through a Redis client that is already there.
 *
 * ```ts
 * const publisher = new Publisher(ioredis(client), { exchanges: { events: 'topic' } });
 * await publisher.publish({ exchange: 'events', routingKey: 'order.eu.paid', body: '{}', contentType: 'application/json' });
 * ```
 *
 * The binding table of an exchange is read at its first publish and kept: with a client that can watch, until it
 * changes; with another one for `maxAge`. Every method throws {@link KeyrailError} and nothing else.
 */
export class Publisher implements Disposable {
  #client: RedisClient;
  #tables: Tables;
  #options: PublisherOptions;

  constructor(client: RedisClient, options: PublisherOptions = {}) {
    if (typeof client?.send !== 'function') {
      throw invalid('client has no method `send`: wrap it with ioredis(), nodeRedis() or upstash()');
    }
    const { maxAge = MAX_AGE, layout = {}, onQuarantine, onGuess, Router: maker = Router } = options;
    if (typeof maxAge !== 'number' || !(maxAge >= 0)) {
      throw invalid(`options.maxAge is ${String(maxAge)}, expected milliseconds, 0 or more`);
    }
    if (typeof maker?.fromTopology !== 'function') {
      throw invalid('options.Router is no class of routers, expected the one of `keyrail` or `keyrail/full`');
    }
    this.#client = client;
    this.#options = options;
    this.#tables = new Tables(client, {
      exchanges: kinds(options.exchanges),
      layout,
      maxAge,
      maker,
      onQuarantine,
      onGuess,
    });
  }

  /**
   * Publishes a message. Several queues get their copies in one transaction: all of them or none.
   *
   * That nothing matches is an outcome, `unroutable`, and then nothing was sent. If it throws `redis-error`, the
   * message was refused; after a lost connection it may have arrived all the same.
   */
  publish(message: Outgoing): Promise<Published> {
    const { layout } = this.#options;
    const { message_id: messageId, correlation_id: correlationId } = textsOf(message?.properties);
    const routed = {
      ...addressOf(message),
      headers: message?.headers as Message['headers'],
      messageId,
      correlationId,
    };
    return this.#publish(routed, (router, exchange) => router.plan({ ...message, exchange, layout }));
  }

  /** Sends a task of Celery's; `keyrail/celery` does so with less to write. */
  publishTask(task: OutgoingTask): Promise<Published> {
    const { layout } = this.#options;
    return this.#publish(addressOf(task), (router, exchange) =>
      router.planTask({ ...task, exchange, layout }),
    );
  }

  async #publish(routed: Routed, plan: Planner): Promise<Published> {
    const { exchange } = routed;
    if (typeof exchange !== 'string') throw invalid(`exchange is ${typeof exchange}, expected a string`);
    const planned = await this.#tables.use(exchange, (reach) => planOf(reach, routed, plan));
    const { outcome, queues, commands, atomic } = planned;
    if (commands.length === 0) return { outcome, queues };
    let replies: readonly unknown[];
    try {
      replies = await this.#client.send(commands, atomic);
    } catch (cause) {
      throw redisError(`publishing to exchange \`${exchange}\` failed`, cause);
    }
    const received = counts(planned, replies);
    const heard = received.filter((_, at) => commands[at]?.[0] === 'PUBLISH');
    if (heard.length === 0) return { outcome, queues };
    const receivers = heard.reduce((sum, count) => sum + count, 0);
    const pushed = heard.length < received.length;
    return {
      outcome: pushed || receivers > 0 ? 'routed' : 'unroutable',
      queues: pushed ? queues : [],
      receivers,
    };
  }

  /** Whether changes of binding tables are reported at this moment. If not, `maxAge` counts. */
  get tracking(): boolean {
    return this.#tables.tracking;
  }

  /** The rows of the tables in use that route nothing, by exchange, with the reason. */
  get quarantined(): readonly QuarantinedRow[] {
    return this.#tables.quarantined();
  }

  /** The exchanges of the tables in use that are guessed to be direct, since nothing says what they are. */
  get guessed(): readonly string[] {
    return this.#tables.guessed();
  }

  /** Forgets all tables: the next publish reads again. */
  refresh(): void {
    this.#tables.drop();
  }

  /** Stops watching and frees the tables. The client stays open: it is not the publisher's. */
  close(): void {
    this.#tables.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function addressOf(message: { exchange: string; routingKey: string }): Routed {
  return { exchange: message?.exchange, routingKey: message?.routingKey };
}

/** Those of the properties that a consistent-hash exchange may hash. */
function textsOf(properties: Outgoing['properties']): { message_id?: string; correlation_id?: string } {
  const texts = Object.entries(properties ?? {}).filter(([, value]) => typeof value === 'string');
  return Object.fromEntries(texts);
}

function kinds(exchanges: PublisherOptions['exchanges'] = {}): Map<string, Kind> {
  const entries = Object.entries(exchanges);
  for (const [name, kind] of entries) {
    if (!KINDS.includes(kind)) {
      throw invalid(`options.exchanges.${name} is \`${kind}\`, expected ${KINDS.join(', ')}`);
    }
  }
  return new Map([...CELERYS, ...entries]);
}

function invalid(message: string): KeyrailError {
  return new KeyrailError('invalid-argument', message);
}
