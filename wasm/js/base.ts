/// <reference lib="esnext.disposable" preserve="true" />
import { Answers } from './answers.js';
import { type Batch, keysOf, partsOf } from './batch.js';
import { follow, positionOf, record, since, updateOf } from './copies.js';
import { decode } from './decode.js';
import { encode } from './encode.js';
import type { Engine } from './engine.js';
import { guarded, invalid, KeyrailError } from './error.js';
import type { Core } from './keyrail_bg.js';
import { type Budget, Memory } from './memory.js';
import { bindOperation, checkedOperation, withAlternate } from './methods.js';
import { expected, isBytes, isDetached, isSize, object, read, text } from './shape.js';
import {
  BINDING_TABLE,
  DELETE_EXCHANGE_OPTIONS,
  DELETE_QUEUE_OPTIONS,
  EXCHANGE_OPTIONS,
  EXPLAIN_OPTIONS,
  FOLLOWER_OPTIONS,
  MESSAGE,
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

/** How many answers are remembered unless it is said. */
const ANSWERS = 1 << 15;

/** Room for every key of AMQP: a UTF-16 unit takes three bytes at most. */
const INPUT_BYTES = 1024;

/** How many keys cross the boundary at once. */
const BATCH = 256;

/** What stands for "no such exchange". */
const UNKNOWN_EXCHANGE = 0xffff_ffff;

/** The longest key in a batch. */
const BATCHED_KEY = KEY_BYTES;

const NO_MEMORY = new Memory('', UNKNOWN_EXCHANGE, { left: 0 });

const TEXT = { contentType: 'text/plain', contentEncoding: 'utf-8' };
const BYTES = { contentType: 'application/data', contentEncoding: 'binary' };

const encoder = new TextEncoder();

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

  readonly #engine: Engine;
  #core: Core | undefined;
  #keyBytes = KEY_BYTES;
  /** Where the module reads keys. Empty after the memory grew. */
  #input = new Uint8Array(0);
  /** Whether there may be a random exchange, so that every message needs a number. */
  #draws = false;
  readonly #answers: Answers;
  /** What keys led to, by the name of the exchange; dropped with every change. */
  #memories = new Map<string, Memory>();
  /** That of the exchange that was asked last. */
  #memory = NO_MEMORY;
  #remembered: number;
  #budget: Budget;

  constructor(options: RouterOptions = {}) {
    this.#engine = (new.target as typeof BaseRouter).engine;
    this.#answers = new Answers(this.#engine);
    const { Core } = this.#engine;
    if ((options as unknown) instanceof Core) {
      this.#core = options as unknown as Core;
      this.#draws = this.#core.draws();
      this.#keyBytes = this.#core.keyBytes();
      this.#remembered = ANSWERS;
    } else {
      const checked = read(options, ROUTER_OPTIONS, 'options') as RouterOptions;
      const { predeclaredExchanges = true, seed = 0n, limits = {} } = checked;
      const { keyBytes = KEY_BYTES, bindings = BINDINGS, answers = ANSWERS } = limits;
      this.#core = guarded(() => new Core(predeclaredExchanges, seed, keyBytes, bindings));
      this.#keyBytes = keyBytes;
      this.#remembered = answers;
    }
    this.#budget = { left: this.#remembered };
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
    const checked = operations.map((operation, at) => checkedOperation(operation, `operations[${at}]`));
    for (const operation of checked) this.#apply(operation);
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
    if (typeof message === 'string' && routingKey !== undefined) return this.#routeKey(message, routingKey);
    if (typeof message !== 'object' || message === null) throw expected('an object', message, 'message');
    for (const name in message) {
      if (name !== 'exchange' && name !== 'routingKey') return this.#routeMessage(message);
    }
    return this.#routeKey(message.exchange, message.routingKey);
  }

  #routeKey(exchange: string, key: string | Uint8Array): Routing {
    let memory = this.#memory;
    if (exchange !== memory.exchange || memory === NO_MEMORY) memory = this.#memoryOf(exchange);
    if (typeof key !== 'string' || this.#draws) return this.#ask(memory, key);
    const known = memory.find(key);
    if (known !== undefined) return known;
    const answer = this.#ask(memory, key);
    memory.keep(key, answer);
    return answer;
  }

  #ask(memory: Memory, key: string | Uint8Array): Routing {
    const length = this.#encode(key);
    const handle = this.#live();
    if (length < 0 || length > this.#keyBytes)
      return this.#routeMessage({ exchange: memory.exchange, routingKey: key });
    if (this.#draws) handle.draw(Math.random());
    // INVARIANT: the id is that of an exchange, since a change drops what is remembered.
    if (this.#answers.numbers(handle, 1))
      return this.#answers.numbered(handle, handle.answer(memory.id, length));
    return this.#answers.fresh(handle, handle.route(memory.id, length), handle.idsAddress());
  }

  #routeMessage(message: Message): Routing {
    const count = this.#countCopies(message);
    const handle = this.#live();
    if (this.#answers.numbers(handle, 1)) return this.#answers.numbered(handle, handle.numbered());
    return this.#answers.fresh(handle, count, handle.idsAddress());
  }

  /** Routes a message with whatever it has, and gives the number of its queues. */
  #countCopies(message: Message): number {
    const { random, ...data } = read(message, MESSAGE, 'message') as Message;
    const handle = this.#live();
    if (this.#draws) handle.draw(random ?? Math.random());
    return guarded(() => handle.routeMessage(encode(data)));
  }

  /**
   * Where many messages go, in their order: as {@link route} of each, for less. The first that is refused refuses all.
   */
  routeMany(messages: readonly Message[]): Routing[];
  /** The same for messages to one exchange of which routing sees nothing but their keys. */
  routeMany(exchange: string, routingKeys: readonly (string | Uint8Array)[]): Routing[];
  routeMany(first: readonly Message[] | string, routingKeys?: readonly (string | Uint8Array)[]): Routing[] {
    const batch = typeof first === 'string' ? keysOf(first, routingKeys) : partsOf(first);
    const routings = new Array<Routing>(batch.keys.length);
    for (let start = 0; start < routings.length; start += BATCH) {
      this.#routeBatch(batch, start, Math.min(start + BATCH, routings.length), routings);
    }
    return routings;
  }

  #routeBatch({ exchanges, keys, others }: Batch, start: number, end: number, routings: Routing[]): void {
    const handle = this.#live();
    const answers = this.#answers;
    const together = !this.#draws && this.#keyBytes >= BATCHED_KEY;
    const places: number[] = [];
    const unknown: string[] = [];
    const memories: Memory[] = [];
    let memory = this.#memory;
    for (let at = start; at < end; at++) {
      const exchange = typeof exchanges === 'string' ? exchanges : (exchanges[at] as string);
      const key = keys[at] as string | Uint8Array;
      const other = others?.[at];
      if (other !== undefined) {
        routings[at] = this.#routeMessage(other);
        continue;
      }
      if (exchange !== memory.exchange || memory === NO_MEMORY) memory = this.#memoryOf(exchange);
      if (!together || typeof key !== 'string' || key.length > BATCHED_KEY) {
        routings[at] = this.#routeKey(exchange, key);
        continue;
      }
      const known = memory.find(key);
      if (known !== undefined) {
        routings[at] = known;
        continue;
      }
      places.push(at);
      unknown.push(key);
      memories.push(memory);
    }
    const count = places.length;
    if (count === 0) return;

    // All keys in one text and its bytes in one go. Where a unit is a byte, lengths are known.
    const text = unknown.join('');
    const { read, written } = encoder.encodeInto(text, this.#room(text.length));
    const answered = read === text.length && written === read && answers.numbers(handle, count);
    const pairs = handle.batch(BATCH) >>> 2;
    if (answered) {
      const words = this.#engine.words();
      for (let which = 0; which < count; which++) {
        words[pairs + which * 2] = (memories[which] as Memory).id;
        words[pairs + which * 2 + 1] = (unknown[which] as string).length;
      }
      handle.answerBatch(count);
    }
    for (let which = 0; which < count; which++) {
      const key = unknown[which] as string;
      const memory = memories[which] as Memory;
      // The words are taken anew each time: naming the queues of an answer may make the memory grow.
      const answer = answered
        ? answers.numbered(handle, this.#engine.words()[pairs + which * 2] as number)
        : this.#ask(memory, key);
      routings[places[which] as number] = answer;
      memory.keep(key, answer);
    }
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
    if (!isSize(exchangeId)) throw expected('an id from exchangeId()', exchangeId, 'exchangeId');
    if (!(ids instanceof Uint32Array)) throw expected('a Uint32Array', ids, 'ids');
    if (ids.length === 0 && isDetached(ids)) throw invalid('ids is detached: its buffer was transferred');
    const length = this.#encode(routingKey);
    const handle = this.#live();
    if (this.#draws) handle.draw(Math.random());
    const count =
      (length < 0 ? handle.routeLong(exchangeId, allBytes(routingKey)) : handle.route(exchangeId, length)) >>>
      0;
    if (count === UNKNOWN_EXCHANGE) {
      throw new KeyrailError('exchange-not-found', `there is no exchange with the id ${exchangeId}`);
    }
    if (count > ids.length) {
      throw new KeyrailError(
        'ids-too-short',
        `ids has room for ${ids.length}, the message goes to ${count} queues`,
      );
    }
    const start = handle.idsAddress() >>> 2;
    const words = this.#engine.words();
    for (let at = 0; at < count; at++) ids[at] = words[start + at] as number;
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
    return guarded(() => decode(handle.explain(encode(data), nearMisses)) as Trace);
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
    const deliveryTags = this.#tags(deliveryTag, { exchange, routingKey, headers, ...hashed });
    const kind = typeof data.body === 'string' ? TEXT : BYTES;
    const handle = this.#live();
    return guarded(() => decode(handle.plan(encode({ ...kind, ...data, ...hashed, deliveryTags }))) as Plan);
  }

  /** The Redis commands by which Celery would send a task, as data; in all else like {@link plan}. */
  planTask(task: TaskPublish): Plan {
    const { deliveryTag = randomTag, ...call } = object(task, 'task') as unknown as TaskPublish;
    const data = read(call, TASK, 'task') as TaskPublish;
    const { exchange, routingKey } = data;
    const deliveryTags = this.#tags(deliveryTag, { exchange, routingKey });
    const handle = this.#live();
    return guarded(() => decode(handle.planTask(encode({ ...data, deliveryTags }))) as Plan);
  }

  /** A tag for each copy of a message: one at least, since a fanout and the default exchange have one whatever the route. */
  #tags(deliveryTag: () => string, message: Message): string[] {
    const copies = Math.max(1, this.#countCopies(message));
    return Array.from({ length: copies }, () => text(deliveryTag(), 'deliveryTag()'));
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
    if (!isSize(id)) throw expected('an id from queueId() or routeInto()', id, 'id');
    return this.#answers.name(handle, id);
  }

  /** Everything that was declared and bound, as data; `Router.fromTopology` takes it back. */
  topology(): Topology {
    const handle = this.#live();
    return guarded(() => decode(handle.topology()) as Topology);
  }

  /** Grows with every change. Whoever keeps ids or results beside the router drops them when it moves. */
  get revision(): number {
    return this.#live().revision();
  }

  // --- Copies --------------------------------------------------------------------------------------------------------

  /** Everything as bytes, `Router.fromSnapshot` takes it back: a few bytes a binding, loaded faster than any data. */
  toSnapshot(): Uint8Array {
    return this.#live().toSnapshot();
  }

  /** From now on, writes changes down for those that follow: see {@link since}. */
  record(options: RecordOptions = {}): void {
    record(this.#live(), options);
  }

  /** Where this router is in its history; nothing if it neither records nor follows, or needs a snapshot. */
  get position(): Position | undefined {
    return positionOf(this.#live());
  }

  /**
   * What brings a copy from this position to the latest: the changes if all of them are still written down, or else a
   * snapshot. Only a router that {@link record}s answers.
   */
  since(position?: Position): Update {
    return since(this.#live(), position);
  }

  /**
   * Takes what {@link since} of the followed router answered. Errors have the code `gap` if changes were missed or come
   * twice, `diverged` if the copy is none, or that of a snapshot that cannot be read; after each, ask again from
   * {@link position}.
   */
  follow(update: Update): void {
    const checked = updateOf(update);
    const handle = this.#live();
    if (!handle.follows())
      throw new KeyrailError('not-following', 'only a router of Router.follower() follows');
    this.#forget(true);
    try {
      guarded(() => follow(handle, checked));
    } finally {
      this.#draws = handle.draws();
      this.#keyBytes = handle.keyBytes();
    }
  }

  /** Frees the memory at once; without it, the garbage collector will. Later calls throw, but for `free` itself. */
  free(): void {
    this.#core?.free();
    this.#core = undefined;
    // INVARIANT: nobody writes keys into memory that may be another router's by now.
    this.#input = new Uint8Array(0);
    this.#forget(true);
  }

  [Symbol.dispose](): void {
    this.free();
  }

  // --- Inside --------------------------------------------------------------------------------------------------------

  static {
    coreOf = (router) => router.#live();
  }

  #live(): Core {
    if (!this.#core) throw new KeyrailError('freed', 'the router was freed');
    return this.#core;
  }

  /** Every change goes through here. The operation is checked, plain data. */
  #apply(operation: object): void {
    const handle = this.#live();
    const { op, kind } = operation as { op: Operation['op']; kind?: string };
    this.#forget(op === 'queue.delete');
    if (kind === 'x-random') this.#draws = true;
    guarded(() => handle.apply(encode(operation)));
  }

  /** Drops what a change may make wrong. */
  #forget(names: boolean): void {
    this.#memory = NO_MEMORY;
    this.#memories.clear();
    this.#budget = { left: this.#remembered };
    this.#answers.forget(names);
  }

  /** What is remembered of an exchange that takes publishes. */
  #memoryOf(exchange: string): Memory {
    const known = this.#memories.get(exchange);
    if (known !== undefined) {
      this.#memory = known;
      return known;
    }
    const name = text(exchange, 'message.exchange');
    const handle = this.#live();
    const id = guarded(() => handle.publishable(name)) >>> 0;
    const memory = new Memory(name, id, this.#budget);
    this.#memories.set(name, memory);
    this.#memory = memory;
    return memory;
  }

  /** Where the module reads keys, with room for so many bytes. */
  #room(bytes: number): Uint8Array<ArrayBuffer> {
    if (this.#input.length < bytes || this.#input.length === 0) {
      const size = Math.max(bytes, INPUT_BYTES);
      const start = this.#live().input(size) >>> 0;
      this.#input = this.#engine.bytes().subarray(start, start + size);
    }
    return this.#input;
  }

  /** Writes a key where the module reads it, and gives its length; -1 if it may not fit. */
  #encode(key: string | Uint8Array): number {
    const input = this.#room(INPUT_BYTES);
    if (typeof key === 'string') {
      if (key.length > INPUT_BYTES / 3) return -1;
      const { written } = encoder.encodeInto(key, input);
      // Where a unit is a byte there are no surrogates, and nearly all keys are such.
      if (written !== key.length) text(key, 'routingKey');
      return written;
    }
    if (!isBytes(key)) throw expected('a string or a Uint8Array', key, 'routingKey');
    if (key.length > INPUT_BYTES) return -1;
    input.set(key);
    return key.length;
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

function randomTag(): string {
  return crypto.randomUUID();
}

/** The properties that are text. */
function textsOf(properties: Publish['properties'] = {}): Record<string, string | undefined> {
  const texts = Object.entries(properties).filter(([, value]) => typeof value === 'string');
  return Object.fromEntries(texts) as Record<string, string>;
}

function allBytes(key: string | Uint8Array): Uint8Array {
  return typeof key === 'string' ? encoder.encode(text(key, 'routingKey')) : key;
}
