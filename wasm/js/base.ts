/// <reference lib="esnext.disposable" preserve="true" />
import { isBare, routeMany } from './batch.js';
import { follow, positionOf, record, since } from './copies.js';
import { decode } from './decode.js';
import { encode } from './encode.js';
import type { Engine } from './engine.js';
import { guarded } from './error.js';
import { routeInto } from './ids.js';
import type { Core } from './keyrail_bg.js';
import { bindOperation, checkedOperation, withAlternate } from './methods.js';
import { plan, planTask } from './plan.js';
import { Routes } from './routes.js';
import { expected, isBytes, isSize, read, text } from './shape.js';
import {
  BINDING_TABLE,
  DELETE_EXCHANGE_OPTIONS,
  DELETE_QUEUE_OPTIONS,
  EXCHANGE_OPTIONS,
  EXPLAIN_OPTIONS,
  FOLLOWER_OPTIONS,
  MESSAGE,
  QUEUE_OPTIONS,
  ROUTER_OPTIONS,
  TOPOLOGY,
} from './shapes.js';
import type { TypedRouter } from './typed.js';
import type {
  Binding,
  BindingTable,
  DeleteExchangeOptions,
  DeleteQueueOptions,
  ExchangeOptions,
  ExplainOptions,
  FollowerOptions,
  Message,
  Operation,
  Plan,
  Position,
  Publish,
  Quarantined,
  QueueOptions,
  RecordOptions,
  RouterOptions,
  Routing,
  TaskPublish,
  Topology,
  Trace,
  Update,
} from './types.js';

/** AMQP's limit for routing keys, and the default of ours. */
const KEY_BYTES = 255;

const BINDINGS = 4_000_000;

/**
 * The instance of a router, for the rest of this package.
 * @internal
 */
export let coreOf: (router: BaseRouter) => Core;

/**
 * Exchanges, queues and bindings, and the way of a message through them, as RabbitMQ has it.
 *
 * Every method throws {@link KeyrailError} and nothing else; after an error the router is as it was before.
 */
export abstract class BaseRouter implements Disposable {
  /**
   * The module that routers of this class live in.
   * @internal
   */
  declare static readonly engine: Engine;

  readonly #routes: Routes;

  constructor(options: RouterOptions = {}) {
    const { engine } = new.target as typeof BaseRouter;
    const { Core } = engine;
    if ((options as unknown) instanceof Core) {
      this.#routes = new Routes(engine, options as unknown as Core);
      return;
    }
    const checked = read(options, ROUTER_OPTIONS, 'options') as RouterOptions;
    const { predeclaredExchanges = true, seed = 0n, limits = {} } = checked;
    const { keyBytes = KEY_BYTES, bindings = BINDINGS, answers } = limits;
    const core = guarded(() => new Core(predeclaredExchanges, seed, keyBytes, bindings));
    this.#routes = new Routes(engine, core, answers);
  }

  /** A router with RabbitMQ's predeclared exchanges and everything in `topology`. */
  static fromTopology<T extends BaseRouter>(this: RouterClass<T>, topology: Topology): T {
    const data = read(topology, TOPOLOGY, 'topology');
    // biome-ignore lint/complexity/noThisInStatic: a subclass makes routers of its own.
    return make(this, (Core) => Core.fromTopology(encode(data)));
  }

  /**
   * The same, with a topology that the compiler knows as well: written out here, or `as const` elsewhere. An exchange that
   * is not in it is then an error at compile time, and so is a routing key that reaches no queue.
   *
   * ```ts
   * const router = Router.typed({
   *   exchanges: [{ name: 'events', kind: 'topic' }],
   *   queues: [{ name: 'audit' }],
   *   bindings: [{ source: 'events', destination: { queue: 'audit' }, routingKey: 'order.#' }],
   * });
   * router.route('events', 'order.paid'); // compiles; 'ordre.paid' would not
   * ```
   */
  static typed<R extends BaseRouter, const T extends Topology>(
    this: RouterClass<R>,
    topology: T,
  ): TypedRouter<T> & Omit<R, keyof BaseRouter> {
    const data = read(topology, TOPOLOGY, 'topology');
    // biome-ignore lint/complexity/noThisInStatic: a subclass makes routers of its own.
    return make(this, (Core) => Core.fromTopology(encode(data))) as TypedRouter<T> & R;
  }

  /** The router that a snapshot was taken of: it answers alike, and goes on from the same revision. */
  static fromSnapshot<T extends BaseRouter>(
    this: RouterClass<T>,
    snapshot: Uint8Array,
    options: FollowerOptions = {},
  ): T {
    if (!isBytes(snapshot)) throw expected('a Uint8Array', snapshot, 'snapshot');
    const { seed = 0n } = read(options, FOLLOWER_OPTIONS, 'options') as FollowerOptions;
    // biome-ignore lint/complexity/noThisInStatic: a subclass makes routers of its own.
    return make(this, (Core) => Core.fromSnapshot(snapshot, seed));
  }

  /**
   * A router that follows another one, from afar perhaps: give it what {@link since} of the other answers to its
   * {@link position}. It takes no changes but these.
   */
  static follower<T extends BaseRouter>(this: RouterClass<T>, options: FollowerOptions = {}): T {
    const { seed = 0n } = read(options, FOLLOWER_OPTIONS, 'options') as FollowerOptions;
    // biome-ignore lint/complexity/noThisInStatic: a subclass makes routers of its own.
    return make(this, (Core) => Core.follower(seed));
  }

  /**
   * A router with one exchange, from the rows of its binding table in Redis (`SMEMBERS` of {@link bindingTableKey}).
   * Rows that cannot be followed are skipped and named; their neighbours route all the same.
   */
  static fromBindingTable<T extends BaseRouter>(
    this: RouterClass<T>,
    table: BindingTable,
  ): { router: T; quarantined: readonly Quarantined[] } {
    const data = read(table, BINDING_TABLE, 'table');
    // biome-ignore lint/complexity/noThisInStatic: a subclass makes routers of its own.
    const router = make(this, (Core) => Core.fromRows(encode(data)));
    return { router, quarantined: decode(coreOf(router).quarantine()) as Quarantined[] };
  }

  // --- Declare, bind, delete -----------------------------------------------------------------------------------------

  /** Declares an exchange, or finds that it is there with the same properties. */
  declareExchange(name: string, options: ExchangeOptions): void {
    const { alternateExchange, ...declared } = read(options, EXCHANGE_OPTIONS, 'options') as ExchangeOptions;
    const operation = { ...declared, op: 'exchange.declare', exchange: text(name, 'name') };
    if (alternateExchange !== undefined) {
      operation.arguments = withAlternate(declared.arguments ?? {}, alternateExchange);
    }
    this.#routes.apply(operation);
  }

  /** Declares a queue, or finds that it is there with the same properties. */
  declareQueue(name: string, options: QueueOptions = {}): void {
    const declared = read(options, QUEUE_OPTIONS, 'options') as QueueOptions;
    this.#routes.apply({ ...declared, op: 'queue.declare', queue: text(name, 'name') });
  }

  /** Deletes an exchange and its bindings; what does not exist is no error. */
  deleteExchange(name: string, options: DeleteExchangeOptions = {}): void {
    const conditions = read(options, DELETE_EXCHANGE_OPTIONS, 'options') as DeleteExchangeOptions;
    this.#routes.apply({ ...conditions, op: 'exchange.delete', exchange: text(name, 'name') });
  }

  /** Deletes a queue and its bindings; what does not exist is no error. */
  deleteQueue(name: string, options: DeleteQueueOptions = {}): void {
    const conditions = read(options, DELETE_QUEUE_OPTIONS, 'options') as DeleteQueueOptions;
    this.#routes.apply({ ...conditions, op: 'queue.delete', queue: text(name, 'name') });
  }

  /** Adds a binding; one that is there already is no error. */
  bind(binding: Binding): void {
    this.#routes.apply(bindOperation('bind', binding));
  }

  /** Removes a binding; what does not exist is no error. */
  unbind(binding: Binding): void {
    this.#routes.apply(bindOperation('unbind', binding));
  }

  /**
   * Applies AMQP methods as data, one after the other. The first that is refused ends it: those before it have been
   * applied, and of that one nothing.
   */
  apply(...operations: Operation[]): void {
    const checked = operations.map((operation, at) => checkedOperation(operation, `operations[${at}]`));
    for (const operation of checked) this.#routes.apply(operation);
  }

  // --- Route ---------------------------------------------------------------------------------------------------------

  /**
   * Where a message goes. That nothing matches is an outcome; an unknown or internal exchange, `CC` or `BCC` that are
   * not arrays and a key of more than 255 bytes are errors, as in a broker.
   *
   * The answer is frozen, and the same object may come again.
   */
  route(message: Message): Routing;
  /** The same for a message of which routing sees nothing but these. */
  route(exchange: string, routingKey: string | Uint8Array): Routing;
  route(message: Message | string, routingKey?: string | Uint8Array): Routing {
    if (typeof message === 'string' && routingKey !== undefined) return this.#routes.key(message, routingKey);
    return isBare(message)
      ? this.#routes.key(message.exchange, message.routingKey)
      : this.#routes.message(message);
  }

  /**
   * Where many messages go, in their order: as {@link route} of each, for less. The first that is refused refuses all.
   */
  routeMany(messages: readonly Message[]): Routing[];
  /** The same for messages to one exchange of which routing sees nothing but their keys. */
  routeMany(exchange: string, routingKeys: readonly (string | Uint8Array)[]): Routing[];
  routeMany(first: readonly Message[] | string, routingKeys?: readonly (string | Uint8Array)[]): Routing[] {
    return routeMany(this.#routes, first, routingKeys);
  }

  /**
   * Writes the ids of the queues that get a message into `ids` and returns how many there are. Neither internal
   * exchanges nor the length of the key are refused here: ids are looked up once, by {@link exchangeId}, and a key of
   * more than 255 bytes is no AMQP, but Kombu has them. Where not all ids fit, none is written and the error says how
   * many there are.
   *
   * Ids stay valid until the exchange or queue is deleted; see {@link revision}.
   */
  routeInto(exchangeId: number, routingKey: string | Uint8Array, ids: Uint32Array): number {
    return routeInto(this.#routes, exchangeId, routingKey, ids);
  }

  /**
   * Routes a message and says why; asked for near misses, also which bindings failed, where, and what would make them
   * match. These cost a look at every binding of every exchange on the way.
   */
  explain(message: Message, options: ExplainOptions = {}): Trace {
    const { random, ...data } = read(message, MESSAGE, 'message') as Message;
    const { nearMisses = 0 } = read(options, EXPLAIN_OPTIONS, 'options') as ExplainOptions;
    return guarded(() => decode(this.#routes.drawn(random).explain(encode(data), nearMisses)) as Trace);
  }

  /**
   * The Redis commands by which Kombu would publish a message, as data: send them with any client, in this order.
   *
   * A fanout exchange is PUB/SUB there, whoever listens. The default exchange pushes to the list that the key names,
   * declared or not. Every other exchange gives one command for each queue of its route, and none if that is empty.
   */
  plan(publish: Publish): Plan {
    return plan(this.#routes, publish);
  }

  /** The Redis commands by which Celery would send a task, as data; in all else like {@link plan}. */
  planTask(task: TaskPublish): Plan {
    return planTask(this.#routes, task);
  }

  // --- Look up -------------------------------------------------------------------------------------------------------

  exchangeId(name: string): number | undefined {
    return this.#routes.core.exchangeId(text(name, 'name'));
  }

  queueId(name: string): number | undefined {
    return this.#routes.core.queueId(text(name, 'name'));
  }

  queueName(id: number): string | undefined {
    if (!isSize(id)) throw expected('an id from queueId() or routeInto()', id, 'id');
    return this.#routes.answers.name(id);
  }

  /** Everything that was declared and bound, as data; `Router.fromTopology` takes it back. */
  topology(): Topology {
    return guarded(() => decode(this.#routes.core.topology()) as Topology);
  }

  /** Grows with every change. Whoever keeps ids or results beside the router drops them when it moves. */
  get revision(): number {
    return this.#routes.core.revision();
  }

  // --- Copies --------------------------------------------------------------------------------------------------------

  /** Everything as bytes, `Router.fromSnapshot` takes it back: a few bytes a binding, loaded faster than any data. */
  toSnapshot(): Uint8Array {
    return this.#routes.core.toSnapshot();
  }

  /** From now on, writes changes down for those that follow: see {@link since}. */
  record(options: RecordOptions = {}): void {
    record(this.#routes.core, options);
  }

  /** Where this router is in its history; nothing if it neither records nor follows, or needs a snapshot. */
  get position(): Position | undefined {
    return positionOf(this.#routes.core);
  }

  /**
   * What brings a copy from this position to the latest: the changes if all of them are still written down, or else a
   * snapshot. Only a router that {@link record}s answers.
   */
  since(position?: Position): Update {
    return since(this.#routes.core, position);
  }

  /**
   * Takes what {@link since} of the followed router answered. Errors have the code `gap` if changes were missed or come
   * twice, `diverged` if the copy is none, or that of a snapshot that cannot be read; after each, ask again from
   * {@link position}.
   */
  follow(update: Update): void {
    follow(this.#routes, update);
  }

  /** Frees the memory at once; without it, the garbage collector will. Later calls throw, but for `free` itself. */
  free(): void {
    this.#routes.free();
  }

  [Symbol.dispose](): void {
    this.free();
  }

  // --- Inside --------------------------------------------------------------------------------------------------------

  static {
    coreOf = (router) => router.#routes.core;
  }
}

/** A subclass's own `this` in static methods, so that they make routers of the subclass. */
export type RouterClass<T extends BaseRouter> = (new (
  options?: RouterOptions,
) => T) & { readonly prototype: T };

/**
 * A router around what the module makes.
 * @internal
 */
export function make<T extends BaseRouter>(of: RouterClass<T>, maker: (Core: Engine['Core']) => Core): T {
  const { Core } = (of as unknown as typeof BaseRouter).engine;
  return new of(guarded(() => maker(Core)) as unknown as RouterOptions);
}
