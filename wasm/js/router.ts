/// <reference lib="esnext.disposable" preserve="true" />
import { guarded, invalid, KeyrailError } from './error.js';
import type { Core } from './keyrail_bg.js';
import { core, memoryBytes, memoryWords } from './module.js';
import { expected, isBytes, object, read, text } from './shape.js';
import {
  BINDING,
  BINDING_TABLE,
  DEFINITIONS,
  DELETE_EXCHANGE_OPTIONS,
  DELETE_QUEUE_OPTIONS,
  EXCHANGE_OPTIONS,
  EXPLAIN_OPTIONS,
  LAYOUT,
  MESSAGE,
  OPERATIONS,
  PUBLISH,
  QUEUE_OPTIONS,
  ROUTER_OPTIONS,
  TASK,
  TOPOLOGY,
} from './shapes.js';
import type { TypedRouter } from './typed.js';
import type {
  Binding,
  BindingTable,
  Definitions,
  DeleteExchangeOptions,
  DeleteQueueOptions,
  ExchangeOptions,
  ExplainOptions,
  Layout,
  Message,
  Operation,
  Plan,
  Publish,
  Quarantined,
  QueueOptions,
  Report,
  RouterOptions,
  Routing,
  Table,
  TaskPublish,
  Topology,
  Trace,
} from './types.js';

/** AMQP's limit for routing keys, and the default of ours. */
const KEY_BYTES = 255;

/** The memory for a routing key has one byte more, to notice that a key does not fit. */
const KEY_MEMORY = KEY_BYTES + 1;

const BINDINGS = 4_000_000;

/** The count that stands for "no such exchange". */
const UNKNOWN_EXCHANGE = 0xffff_ffff;

const TEXT = { contentType: 'text/plain', contentEncoding: 'utf-8' };
const BYTES = { contentType: 'application/data', contentEncoding: 'binary' };

const encoder = new TextEncoder();

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
 * router.route({ exchange: 'events', routingKey: 'order.eu.paid' }); // { outcome: 'routed', queues: ['audit'] }
 * ```
 */
export class Router implements Disposable {
  #core: Core | undefined;
  #keyBytes: number;
  /** Where the module reads routing keys. Empty after the memory grew. */
  #key = new Uint8Array(0);
  /** Names of queues by id; dropped when a queue is deleted, since its id may be given out again. */
  #names: string[] = [];
  /** Whether there may be a random exchange, so that every message needs a number. */
  #draws = false;
  /** Ids of exchanges that take publishes, by name; dropped with every change. */
  #publishable = new Map<string, number>();

  constructor(options: RouterOptions = {}) {
    const checked = read(options, ROUTER_OPTIONS, 'options') as RouterOptions;
    const { predeclaredExchanges = true, seed = 0n, limits = {} } = checked;
    const { keyBytes = KEY_BYTES, bindings = BINDINGS } = limits;
    const Core = core();
    this.#core = guarded(() => new Core(predeclaredExchanges, seed, keyBytes, bindings));
    this.#keyBytes = keyBytes;
  }

  /** A router with RabbitMQ's predeclared exchanges and everything in `topology`. */
  static fromTopology(topology: Topology): Router {
    const data = read(topology, TOPOLOGY, 'topology');
    return Router.#of(() => core().fromTopology(data));
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
   * router.route({ exchange: 'events', routingKey: 'order.paid' }); // compiles; 'ordre.paid' would not
   * ```
   */
  static typed<const T extends Topology>(topology: T): TypedRouter<T> {
    return Router.fromTopology(topology) as TypedRouter<T>;
  }

  /** A router with one virtual host (`/` if it is not said) of RabbitMQ's `definitions.json`, as text or parsed. */
  static fromDefinitions(definitions: Definitions | string, options: { vhost?: string } = {}): Router {
    const data = read(parsed(definitions), DEFINITIONS, 'definitions');
    const { vhost = '/' } = read(options, { fields: { vhost: 'string' } }, 'options') as { vhost?: string };
    return Router.#of(() => core().fromDefinitions(data, vhost));
  }

  /**
   * A router with one exchange, from the rows of its binding table in Redis (`SMEMBERS` of {@link bindingTableKey}).
   * Rows that cannot be followed are skipped and named; their neighbours route all the same.
   */
  static fromBindingTable(table: BindingTable): {
    router: Router;
    quarantined: readonly Quarantined[];
  } {
    const data = read(table, BINDING_TABLE, 'table');
    const router = Router.#of(() => core().fromRows(data));
    return { router, quarantined: router.#live().quarantine() as Quarantined[] };
  }

  static #of(make: () => Core): Router {
    const made = guarded(make);
    const router = new Router({ predeclaredExchanges: false });
    router.#core?.free();
    router.#core = made;
    router.#draws = made.draws();
    return router;
  }

  // --- Declare, bind, delete -----------------------------------------------------------------------------------------

  /** Declares an exchange, or finds that it is there with the same properties. */
  declareExchange(name: string, options: ExchangeOptions): void {
    const { alternateExchange, ...declared } = read(options, EXCHANGE_OPTIONS, 'options') as ExchangeOptions;
    const operation = { ...declared, op: 'exchange.declare', exchange: text(name, 'name') };
    if (alternateExchange !== undefined) {
      operation.arguments = withAlternate(declared.arguments ?? {}, alternateExchange);
    }
    this.#apply(operation);
  }

  /** Declares a queue, or finds that it is there with the same properties. */
  declareQueue(name: string, options: QueueOptions = {}): void {
    const declared = read(options, QUEUE_OPTIONS, 'options') as QueueOptions;
    this.#apply({ ...declared, op: 'queue.declare', queue: text(name, 'name') });
  }

  /** Deletes an exchange and its bindings; what does not exist is no error. */
  deleteExchange(name: string, options: DeleteExchangeOptions = {}): void {
    const conditions = read(options, DELETE_EXCHANGE_OPTIONS, 'options') as DeleteExchangeOptions;
    this.#apply({ ...conditions, op: 'exchange.delete', exchange: text(name, 'name') });
  }

  /** Deletes a queue and its bindings; what does not exist is no error. */
  deleteQueue(name: string, options: DeleteQueueOptions = {}): void {
    const conditions = read(options, DELETE_QUEUE_OPTIONS, 'options') as DeleteQueueOptions;
    this.#apply({ ...conditions, op: 'queue.delete', queue: text(name, 'name') });
  }

  /** Adds a binding; one that is there already is no error. */
  bind(binding: Binding): void {
    this.#apply(bindOperation('bind', binding));
  }

  /** Removes a binding; what does not exist is no error. */
  unbind(binding: Binding): void {
    this.#apply(bindOperation('unbind', binding));
  }

  /**
   * Applies AMQP methods as data, one after the other. The first that is refused ends it: those before it have been
   * applied, and of that one nothing.
   */
  apply(...operations: Operation[]): void {
    const checked = operations.map((operation, at) => {
      const path = `operations[${at}]`;
      const op = typeof operation === 'object' && operation !== null ? operation.op : undefined;
      const shape = OPERATIONS.get(op);
      if (!shape) throw expected([...OPERATIONS.keys()].join(', '), op, `${path}.op`);
      return read(operation, shape, path) as object;
    });
    for (const operation of checked) this.#apply(operation);
  }

  // --- Route ---------------------------------------------------------------------------------------------------------

  /**
   * Where a message goes. That nothing matches is an outcome; an unknown or internal exchange, `CC` or `BCC` that are
   * not arrays and a key of more than 255 bytes are errors, as in a broker.
   */
  route(message: Message): Routing {
    const count = this.#route(message);
    const start = count > 0 ? this.#live().idsAddress() >>> 2 : 0;
    const words = memoryWords();
    const queues: string[] = [];
    for (let at = start; at < start + count; at++) queues.push(this.#name(words[at] as number));
    return { outcome: count > 0 ? 'routed' : 'unroutable', queues: Object.freeze(queues) };
  }

  #route(message: Message): number {
    if (typeof message !== 'object' || message === null) throw expected('an object', message, 'message');
    for (const name in message) {
      if (name !== 'exchange' && name !== 'routingKey') return this.#routeMessage(message);
    }
    const { exchange, routingKey } = message;
    const length = this.#encode(routingKey);
    if (length > KEY_BYTES || length > this.#keyBytes) return this.#routeMessage({ exchange, routingKey });
    const id = this.#publishable.get(exchange) ?? this.#findPublishable(exchange);
    if (this.#draws) this.#live().draw(Math.random());
    return this.#live().route(id, length);
  }

  #routeMessage(message: Message): number {
    const { random, ...data } = read(message, MESSAGE, 'message') as Message;
    const handle = this.#live();
    if (this.#draws) handle.draw(random ?? Math.random());
    return guarded(() => handle.routeMessage(data));
  }

  /**
   * Writes the ids of the queues that get a message into `ids` and returns how many there are, which may be more than
   * fit. Neither internal exchanges nor the length of the key are refused here: ids are looked up once, by
   * {@link exchangeId}, and a key of more than 255 bytes is no AMQP, but Kombu has them.
   *
   * Ids stay valid until the exchange or queue is deleted; see {@link revision}.
   */
  routeInto(exchangeId: number, routingKey: string | Uint8Array, ids: Uint32Array): number {
    const id = exchangeId >>> 0;
    if (id !== exchangeId) throw expected('an id from exchangeId()', exchangeId, 'exchangeId');
    if (!(ids instanceof Uint32Array)) throw expected('a Uint32Array', ids, 'ids');
    const length = this.#encode(routingKey);
    const handle = this.#live();
    if (this.#draws) handle.draw(Math.random());
    const count = length <= KEY_BYTES ? handle.route(id, length) : handle.routeLong(id, allBytes(routingKey));
    if (count === UNKNOWN_EXCHANGE) {
      throw new KeyrailError('exchange-not-found', `there is no exchange with the id ${exchangeId}`);
    }
    const start = handle.idsAddress() >>> 2;
    const words = memoryWords();
    const fitting = Math.min(count, ids.length);
    for (let at = 0; at < fitting; at++) ids[at] = words[start + at] as number;
    return count;
  }

  /**
   * Routes a message and says why; asked for near misses, also which bindings failed, where, and what would make them
   * match. These cost a look at every binding of every exchange on the way.
   */
  explain(message: Message, options: ExplainOptions = {}): Trace {
    const { random, ...data } = read(message, MESSAGE, 'message') as Message;
    const { nearMisses = 0 } = read(options, EXPLAIN_OPTIONS, 'options') as ExplainOptions;
    const handle = this.#live();
    if (this.#draws) handle.draw(random ?? Math.random());
    return guarded(() => handle.explain(data, nearMisses) as Trace);
  }

  /**
   * What is wrong with the topology, or will be: bindings that do nothing, exchanges and queues that nothing reaches,
   * cycles, dangling names, and patterns that brokers read differently. About linear in the bindings; at most a second
   * or two where patterns are hard to compare.
   */
  lint(): Report {
    const handle = this.#live();
    return guarded(() => handle.lint() as Report);
  }

  /**
   * The Redis commands by which Kombu would publish a message, as data: send them with any client, in this order.
   *
   * A fanout exchange is PUB/SUB there, whoever listens. The default exchange pushes to the list that the key names,
   * declared or not. Every other exchange gives one command for each queue of its route, and none if that is empty.
   */
  plan(publish: Publish): Plan {
    const { deliveryTag = randomTag, ...content } = object(publish, 'publish') as unknown as Publish;
    const data = read(content, PUBLISH, 'publish') as Publish;
    const { exchange, routingKey, headers } = data;
    const { message_id: messageId, correlation_id: correlationId } = textsOf(data.properties);
    const hashed = { messageId, correlationId };
    // One copy at least: a fanout and the default exchange have one whatever the route.
    const copies = Math.max(1, this.#routeMessage({ exchange, routingKey, headers, ...hashed }));
    const deliveryTags = Array.from({ length: copies }, () => text(deliveryTag(), 'deliveryTag()'));
    const kind = typeof data.body === 'string' ? TEXT : BYTES;
    const handle = this.#live();
    return guarded(() => handle.plan({ ...kind, ...data, ...hashed, deliveryTags }) as Plan);
  }

  /** The Redis commands by which Celery would send a task, as data; in all else like {@link plan}. */
  planTask(task: TaskPublish): Plan {
    const { deliveryTag = randomTag, ...call } = object(task, 'task') as unknown as TaskPublish;
    const data = read(call, TASK, 'task') as TaskPublish;
    const { exchange, routingKey } = data;
    const copies = Math.max(1, this.#routeMessage({ exchange, routingKey }));
    const deliveryTags = Array.from({ length: copies }, () => text(deliveryTag(), 'deliveryTag()'));
    const handle = this.#live();
    return guarded(() => handle.planTask({ ...data, deliveryTags }) as Plan);
  }

  // --- Look up -------------------------------------------------------------------------------------------------------

  exchangeId(name: string): number | undefined {
    return this.#live().exchangeId(text(name, 'name'));
  }

  queueId(name: string): number | undefined {
    return this.#live().queueId(text(name, 'name'));
  }

  queueName(id: number): string | undefined {
    const handle = this.#live();
    if (id >>> 0 !== id) throw expected('an id from queueId() or routeInto()', id, 'id');
    return this.#names[id] ?? handle.queueName(id);
  }

  /** Everything that was declared and bound, as data; `Router.fromTopology` takes it back. */
  topology(): Topology {
    const handle = this.#live();
    return guarded(() => handle.topology() as Topology);
  }

  /** Grows with every change. Whoever keeps ids or results beside the router drops them when it moves. */
  get revision(): number {
    return this.#live().revision();
  }

  /** Frees the memory at once; without it, the garbage collector will. Later calls throw, but for `free` itself. */
  free(): void {
    this.#core?.free();
    this.#core = undefined;
    // INVARIANT: nobody writes keys into memory that may be another router's by now.
    this.#key = new Uint8Array(0);
  }

  [Symbol.dispose](): void {
    this.free();
  }

  // --- Inside --------------------------------------------------------------------------------------------------------

  #live(): Core {
    if (!this.#core) throw new KeyrailError('freed', 'the router was freed');
    return this.#core;
  }

  /** Every change goes through here. The operation is checked, plain data. */
  #apply(operation: object): void {
    const handle = this.#live();
    this.#publishable.clear();
    const { op, kind } = operation as { op: Operation['op']; kind?: string };
    if (op === 'queue.delete') this.#names = [];
    if (kind === 'x-random') this.#draws = true;
    guarded(() => handle.apply(operation));
  }

  #findPublishable(exchange: string): number {
    const name = text(exchange, 'message.exchange');
    const handle = this.#live();
    const id = guarded(() => handle.publishable(name));
    this.#publishable.set(name, id);
    return id;
  }

  /** Writes a key where the module reads it. {@link KEY_MEMORY} says that it did not fit. */
  #encode(key: string | Uint8Array): number {
    if (this.#key.length === 0) {
      const start = this.#live().keyAddress();
      this.#key = memoryBytes().subarray(start, start + KEY_MEMORY);
    }
    if (typeof key === 'string') {
      const { read: taken, written } = encoder.encodeInto(key, this.#key);
      // Where a unit is a byte there are no surrogates, and nearly all keys are such.
      if (taken !== written) text(key, 'routingKey');
      return taken < key.length ? KEY_MEMORY : written;
    }
    if (!isBytes(key)) throw expected('a string or a Uint8Array', key, 'routingKey');
    if (key.length > KEY_BYTES) return KEY_MEMORY;
    this.#key.set(key);
    return key.length;
  }

  #name(id: number): string {
    const known = this.#names[id];
    if (known !== undefined) return known;
    const name = this.#live().queueName(id) ?? '';
    this.#names[id] = name;
    return name;
  }
}

/** The headers on every delivered copy of a message: all but `BCC`. */
export function deliveredHeaders(headers: Table): Table {
  const data = read(headers, 'table', 'headers');
  return guarded(() => core().deliveredHeaders(data) as Table);
}

/** The Redis key of the binding table of an exchange, a set. */
export function bindingTableKey(exchange: string, layout: Layout = {}): string {
  const name = text(exchange, 'exchange');
  const data = read(layout, LAYOUT, 'layout');
  return guarded(() => core().bindingTableKey(name, data));
}

function randomTag(): string {
  return crypto.randomUUID();
}

/** The properties that are text. */
function textsOf(properties: Publish['properties'] = {}): Record<string, string | undefined> {
  const texts = Object.entries(properties).filter(([, value]) => typeof value === 'string');
  return Object.fromEntries(texts) as Record<string, string>;
}

function parsed(definitions: Definitions | string): unknown {
  if (typeof definitions !== 'string') return definitions;
  try {
    return JSON.parse(definitions);
  } catch (cause) {
    throw new KeyrailError('invalid-json', `the definitions are not JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** The alternate exchange is an argument in AMQP. One that is given in both ways is refused: which one was meant? */
function withAlternate(table: Table, alternate: string): Table {
  const name = 'alternate-exchange';
  const names = Array.isArray(table) ? table.map(([name]) => name) : Object.keys(table);
  if (names.includes(name))
    throw invalid(`options.alternateExchange and options.arguments both have \`${name}\``);
  if (Array.isArray(table)) return [...table, [name, 'S', alternate]];
  return { ...table, [name]: alternate } as Table;
}

/** A binding as the AMQP method that makes or removes it. */
function bindOperation(verb: 'bind' | 'unbind', binding: Binding): object {
  const { source, destination, ...bound } = read(binding, BINDING, 'binding') as Binding;
  const { queue, exchange } = destination as { queue?: string; exchange?: string };
  if ((queue === undefined) === (exchange === undefined)) {
    throw invalid('binding.destination must have either `queue` or `exchange`');
  }
  if (queue !== undefined) return { ...bound, op: `queue.${verb}`, queue, exchange: source };
  if (bound.pattern !== undefined) throw invalid('binding.pattern is for queues: Kombu binds nothing else');
  return { ...bound, op: `exchange.${verb}`, destination: exchange, source };
}

function allBytes(key: string | Uint8Array): Uint8Array {
  return typeof key === 'string' ? encoder.encode(text(key, 'routingKey')) : key;
}
