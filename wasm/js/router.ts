import { BaseRouter } from './base.js';
import { functionsOf } from './functions.js';
import { engine } from './module.js';
import type { Layout, Table } from './types.js';

/**
 * Exchanges, queues and bindings, and the way of a message through them, as RabbitMQ has it.
 *
 * Every method throws {@link KeyrailError} and nothing else; after an error the router is as it was before.
 *
 * ```ts
 * using router = new Router();
 * router.declareExchange('events', { kind: 'topic' });
 * router.declareQueue('audit');
 * router.bind({ source: 'events', destination: { queue: 'audit' }, routingKey: 'order.#' });
 * router.route('events', 'order.eu.paid'); // { outcome: 'routed', queues: ['audit'] }
 * ```
 */
export class Router extends BaseRouter {
  /** @internal */
  static override readonly engine = engine;
}

const functions = functionsOf(engine);

/** The headers on every delivered copy of a message: all but `BCC`. */
export const deliveredHeaders: (headers: Table) => Table = functions.deliveredHeaders;

/** The Redis key of the binding table of an exchange, a set. */
export const bindingTableKey: (exchange: string, layout?: Layout) => string = functions.bindingTableKey;
