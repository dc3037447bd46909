/** Bytes that are almost always text. Bytes that are not UTF-8 come out as `{ hex }`, and may go in as either. */
export type Bytes = string | Uint8Array | { readonly hex: string };

/** How an exchange chooses among its bindings. */
export type ExchangeKind = 'direct' | 'fanout' | 'headers' | 'topic' | 'x-consistent-hash' | 'x-random';

/** What `*` and `#` mean in a binding key: as in RabbitMQ, or as Kombu wrote them into Redis. */
export type Dialect = 'amqp' | 'kombu57' | 'kombu56';

/** A value of a plain table: text is a long string, a whole number a 64-bit integer, `null` is void. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Value[]
  | { readonly [name: string]: Value };

/** A value with its AMQP field type, as RabbitMQ reads the type octets. */
export type TypedValue =
  | readonly [tag: 'S' | 'x', value: Bytes]
  | readonly [tag: 'b' | 'B' | 's' | 'u' | 'I' | 'i', value: number]
  | readonly [tag: 'l' | 'L' | 'T', value: number | bigint | string]
  | readonly [tag: 'f' | 'd', value: number]
  | readonly [tag: 'D', value: readonly [scale: number, digits: number]]
  | readonly [tag: 't', value: boolean | number]
  | readonly [tag: 'V', value: null]
  | readonly [tag: 'F', value: Table]
  | readonly [tag: 'A', value: readonly TypedValue[]];

/** One entry of a typed table: its name, then tag and value. */
export type TypedEntry = readonly [name: Bytes, ...TypedValue];

/** Headers of a message, arguments of a declaration or a binding: an object, or typed entries in wire order. */
export type Table = { readonly [name: string]: Value } | readonly TypedEntry[];

/** The end of a binding. */
export type Destination = { readonly queue: string } | { readonly exchange: string };

export interface Exchange {
  readonly name: string;
  readonly kind: ExchangeKind;
  readonly durable?: boolean | undefined;
  readonly autoDelete?: boolean | undefined;
  /** Takes no publishes; bindings and alternates may lead to it all the same. */
  readonly internal?: boolean | undefined;
  /** The exchange that is asked when no binding of this one matches. */
  readonly alternateExchange?: string | undefined;
  readonly arguments?: Table | undefined;
}

export interface Queue {
  readonly name: string;
  readonly durable?: boolean | undefined;
  readonly autoDelete?: boolean | undefined;
  readonly exclusive?: boolean | undefined;
  readonly arguments?: Table | undefined;
}

export interface Binding {
  readonly source: string;
  readonly destination: Destination;
  /** The binding key; empty if it is left out. */
  readonly routingKey?: Bytes | undefined;
  /** What a headers exchange compares. */
  readonly arguments?: Table | undefined;
  /** `amqp` if it is left out. */
  readonly dialect?: Dialect | undefined;
  /** The regular expression that Kombu stored with the binding of a queue. On a topic exchange it alone decides. */
  readonly pattern?: string | undefined;
}

/** Exchanges, queues and bindings as data. Predeclared exchanges and implicit bindings are left out. */
export interface Topology {
  readonly exchanges?: readonly Exchange[] | undefined;
  readonly queues?: readonly Queue[] | undefined;
  readonly bindings?: readonly Binding[] | undefined;
  readonly policies?: readonly Policy[] | undefined;
}

/** What a policy may apply to. Routing asks whether exchanges are among it. */
export type ApplyTo = 'all' | 'exchanges' | 'queues' | 'classic_queues' | 'quorum_queues' | 'streams';

/**
 * Settings for all exchanges and queues whose name a pattern finds; routing asks for the `alternate-exchange` in its
 * definition. Of several that find an exchange, the one with the highest priority applies alone.
 */
export interface Policy {
  readonly name: string;
  /** A regular expression, not anchored, without look-around and back references. */
  readonly pattern: string;
  /** Default: `all`. */
  readonly applyTo?: ApplyTo | undefined;
  /** A whole number. Default: 0. */
  readonly priority?: number | undefined;
  readonly definition?: Table | undefined;
}

/** RabbitMQ's `definitions.json`, as far as routing goes; what else it holds is skipped. */
export interface Definitions {
  readonly exchanges?: readonly DefinedExchange[] | undefined;
  readonly queues?: readonly DefinedQueue[] | undefined;
  readonly bindings?: readonly DefinedBinding[] | undefined;
  readonly policies?: readonly DefinedPolicy[] | undefined;
  readonly [other: string]: unknown;
}

export interface DefinedPolicy {
  readonly name: string;
  readonly vhost?: string | undefined;
  readonly pattern: string;
  readonly 'apply-to'?: ApplyTo | undefined;
  readonly priority?: number | undefined;
  readonly definition?: Table | undefined;
  readonly [other: string]: unknown;
}

export interface DefinedExchange {
  readonly name: string;
  readonly vhost?: string | undefined;
  readonly type: string;
  readonly durable?: boolean | undefined;
  readonly auto_delete?: boolean | undefined;
  readonly internal?: boolean | undefined;
  readonly arguments?: Table | undefined;
}

export interface DefinedQueue {
  readonly name: string;
  readonly vhost?: string | undefined;
  readonly durable?: boolean | undefined;
  readonly auto_delete?: boolean | undefined;
  readonly arguments?: Table | undefined;
}

export interface DefinedBinding {
  readonly source: string;
  readonly vhost?: string | undefined;
  readonly destination: string;
  readonly destination_type: 'queue' | 'exchange';
  readonly routing_key?: string | undefined;
  readonly arguments?: Table | undefined;
}

interface BindOperation {
  readonly routingKey?: Bytes | undefined;
  readonly arguments?: Table | undefined;
  readonly dialect?: Dialect | undefined;
}

interface QueueBindOperation extends BindOperation {
  readonly queue: string;
  readonly exchange: string;
  readonly pattern?: string | undefined;
}

interface ExchangeBindOperation extends BindOperation {
  readonly destination: string;
  readonly source: string;
}

/** An AMQP method as data, or a change of a policy. */
export type Operation =
  | ({
      readonly op: 'exchange.declare';
      readonly exchange: string;
      readonly kind?: ExchangeKind | undefined;
    } & Omit<ExchangeOptions, 'kind' | 'alternateExchange'>)
  | ({ readonly op: 'exchange.delete'; readonly exchange: string } & DeleteExchangeOptions)
  | ({ readonly op: 'queue.declare'; readonly queue: string } & QueueOptions)
  | ({ readonly op: 'queue.delete'; readonly queue: string } & DeleteQueueOptions)
  | ({ readonly op: 'queue.bind' | 'queue.unbind' } & QueueBindOperation)
  | ({ readonly op: 'exchange.bind' | 'exchange.unbind' } & ExchangeBindOperation)
  | ({ readonly op: 'policy.set' } & Policy)
  | { readonly op: 'policy.clear'; readonly name: string };

export interface RouterOptions {
  /** Whether `amq.direct`, `amq.topic` and the like are there, as in a fresh RabbitMQ virtual host. Default: true. */
  readonly predeclaredExchanges?: boolean | undefined;
  /** Seeds the hash tables, so that whoever chooses names cannot choose collisions. Never changes an answer. */
  readonly seed?: bigint | undefined;
  readonly limits?: Limits | undefined;
}

/** How much a router takes in. What exceeds a limit is refused. */
export interface Limits {
  /** The longest binding key, and routing key of a publish, in bytes. Default: 255, as in AMQP; Kombu has no limit. */
  readonly keyBytes?: number | undefined;
  /** The largest number of bindings. Default: four million. */
  readonly bindings?: number | undefined;
  /**
   * How many answers are remembered for keys that come again. Default: 32,768; with 0, every key is routed anew. No part
   * of a snapshot.
   */
  readonly answers?: number | undefined;
}

export interface ExchangeOptions {
  readonly kind: ExchangeKind;
  /** Only ask whether it exists. */
  readonly passive?: boolean | undefined;
  readonly durable?: boolean | undefined;
  /** Deleted with its last binding as a source. */
  readonly autoDelete?: boolean | undefined;
  readonly internal?: boolean | undefined;
  readonly alternateExchange?: string | undefined;
  readonly arguments?: Table | undefined;
}

export interface QueueOptions {
  /** Only ask whether it exists. */
  readonly passive?: boolean | undefined;
  readonly durable?: boolean | undefined;
  readonly autoDelete?: boolean | undefined;
  readonly exclusive?: boolean | undefined;
  readonly arguments?: Table | undefined;
}

export interface DeleteExchangeOptions {
  /** Refuse if it is the source of a binding. */
  readonly ifUnused?: boolean | undefined;
}

/** A topology has neither consumers nor messages, so both conditions hold. */
export interface DeleteQueueOptions {
  readonly ifUnused?: boolean | undefined;
  readonly ifEmpty?: boolean | undefined;
}

/** What routing looks at in a message. */
export interface Message {
  /** `''` is the default exchange, which routes by queue name. */
  readonly exchange: string;
  /** At most 255 bytes. */
  readonly routingKey: string | Uint8Array;
  /** `CC` and `BCC` (arrays of keys) add recipients, as in RabbitMQ. */
  readonly headers?: Table | undefined;
  /** A property that a consistent-hash exchange may hash, as are the next two. */
  readonly messageId?: string | undefined;
  readonly correlationId?: string | undefined;
  /** Seconds since 1970. */
  readonly timestamp?: number | undefined;
  /** What random exchanges choose by, from 0 to 1; the same number, the same route. Default: `Math.random()`. */
  readonly random?: number | undefined;
}

/** Where a message goes. That nothing matches is an answer, not an error. */
export interface Routing {
  readonly outcome: 'routed' | 'unroutable';
  /** Each queue once, in the same order everywhere. Frozen. */
  readonly queues: readonly string[];
}

export interface FollowerOptions {
  /** Seeds the hash tables, as in {@link RouterOptions}. */
  readonly seed?: bigint | undefined;
}

export interface RecordOptions {
  /** How many changes are kept for those that follow; whoever is further behind gets a snapshot. Default: 1,000. */
  readonly capacity?: number | undefined;
  /** Tells this history from any other, one before a restart included. Default: a random number. */
  readonly epoch?: number | bigint | undefined;
}

/** Where a router is: in which history, and how far. */
export interface Position {
  readonly epoch: number | bigint;
  readonly revision: number;
}

/** What brings a copy up to date. */
export type Update =
  | { readonly type: 'changes'; readonly since: Position; readonly changes: readonly Change[] }
  /** Everything anew. In JSON the bytes are an array of numbers. */
  | {
      readonly type: 'snapshot';
      readonly epoch: number | bigint;
      readonly bytes: Uint8Array | readonly number[];
    };

/** An operation, and the revision that it led to. */
export interface Change {
  readonly revision: number;
  readonly operation: Operation;
}

/** Why a message goes where it goes, exchange by exchange. */
export interface Trace extends Routing {
  readonly hops: readonly Hop[];
  /** Bindings that did not match, nearest first; left out if there are none or none were asked for. */
  readonly nearMisses?: readonly NearMiss[];
  /** The same in words, a line for each exchange and each binding that matched. */
  readonly text: string;
}

export interface ExplainOptions {
  /** How many bindings that nearly matched to tell. Default: 0. */
  readonly nearMisses?: number | undefined;
}

/** One exchange on the way of a message. */
export interface Hop {
  readonly exchange: string;
  readonly kind: ExchangeKind;
  /** How the message came here. */
  readonly via:
    | { readonly type: 'publish' }
    | { readonly type: 'binding'; readonly exchange: string }
    | { readonly type: 'alternate'; readonly exchange: string };
  readonly matches: readonly Match[];
  /** What became of the alternate exchange; only where nothing matched. */
  readonly alternate?:
    | { readonly type: 'none' }
    | { readonly type: 'missing'; readonly exchange: string }
    | { readonly type: 'followed'; readonly exchange: string }
    | { readonly type: 'cycleCut'; readonly exchange: string };
}

/** A binding that matched, and what came of it. */
export interface Match {
  readonly binding: Binding;
  readonly effect: 'delivered' | 'duplicateSuppressed' | 'followed' | 'cycleCut';
  readonly how: How;
  /** The key that matched, where the sender selected it and the routing key did not match. */
  readonly selected?: SelectedKey;
}

/** How a binding matched. */
export type How =
  /** The exchange asks nothing of a binding. */
  | { readonly type: 'always' }
  /** The exchange chose it among all: by a hash, or at random. */
  | { readonly type: 'chosen' }
  /** The binding key is the routing key. */
  | { readonly type: 'key' }
  /** The binding key is a pattern of whole words. */
  | { readonly type: 'words'; readonly words: readonly WordMatch[] }
  /** A pattern over characters: what Kombu stored, or a binding key with a `*` glued to a word. */
  | { readonly type: 'expression'; readonly pattern: Bytes }
  /** The queue listens to the Redis channel of a fanout exchange of Kombu. */
  | { readonly type: 'channel' }
  | {
      readonly type: 'headers';
      readonly mode: 'all' | 'any';
      readonly headers: readonly HeaderVerdict[];
    };

/** A word of a binding key, and the words of the routing key that it took. */
export interface WordMatch {
  readonly token: Bytes;
  readonly kind: 'literal' | 'star' | 'hash';
  readonly took: readonly Bytes[];
}

/** An argument of a headers binding, and the header of the message that it is compared with. */
export interface HeaderVerdict {
  readonly name: Bytes;
  readonly verdict: 'equal' | 'present' | 'missing' | 'differentValue' | 'differentType';
  /** The argument, as text; left out where the header only has to be there. */
  readonly wanted?: string;
  /** The header, as text; left out where there is none. */
  readonly found?: string;
}

/** A key that the sender selected beside the routing key. */
export interface SelectedKey {
  readonly header: 'CC' | 'BCC';
  readonly key: Bytes;
}

/** A binding that did not match. */
export interface NearMiss {
  readonly binding: Binding;
  /** How many words or arguments would have to be others, fewer or more: 1 is nearest. */
  readonly distance: number;
  readonly mismatch: Mismatch;
  /** The key that came nearest, where that is not the routing key. */
  readonly selected?: SelectedKey;
  /** A binding to put in its place that matches. */
  readonly suggestion?: Binding;
}

/** Where a binding failed. */
export type Mismatch =
  | { readonly type: 'key'; readonly expected: Bytes; readonly found: Bytes }
  | {
      readonly type: 'word';
      /** The words of the binding key that could be matched. */
      readonly words: readonly WordMatch[];
      /** Which word of the routing key failed, from 0. */
      readonly at: number;
      /** The word of the binding key that was to take it; left out if the binding key ends there. */
      readonly expected?: Bytes;
      /** The word of the routing key; left out if the routing key ends there. */
      readonly found?: Bytes;
    }
  | { readonly type: 'expression'; readonly pattern: Bytes }
  | { readonly type: 'channel' }
  | {
      /** A random exchange drew another binding. */
      readonly type: 'draw';
      /** How many bindings it drew from, this one included. */
      readonly among: number;
    }
  | {
      /** The hash of the message fell into a bucket of a consistent-hash exchange that is not this binding's. */
      readonly type: 'bucket';
      /** The bucket that it fell into, from 0; left out if there are no buckets at all. */
      readonly found?: number;
      /** How many buckets the exchange has. */
      readonly among: number;
      /** The buckets of this binding, side by side, the first counted from 0; left out if it owns none. */
      readonly own?: { readonly first: number; readonly count: number };
    }
  | {
      readonly type: 'headers';
      readonly mode: 'all' | 'any';
      readonly headers: readonly HeaderVerdict[];
      /** The first that failed; left out if there is none that counts. */
      readonly at?: number;
    };

/** What `lint` found. */
export interface Report {
  /** The worst first; of one severity in the order of codes, and of one code in the order of the topology. */
  readonly findings: readonly Finding[];
}

/** Something that is wrong, or will be. */
export interface Finding {
  /** What it is: a stable word. */
  readonly code: FindingCode;
  /** Messages are lost or a broker refuses it; probably a mistake; worth knowing. */
  readonly severity: 'error' | 'warning' | 'info';
  readonly culprit: /** `at` is its place in the bindings of `topology()`. */
    | { readonly type: 'binding'; readonly at: number; readonly binding: Binding }
    | { readonly type: 'exchange'; readonly name: string }
    | { readonly type: 'exchanges'; readonly names: readonly string[] }
    | { readonly type: 'queue'; readonly name: string };
  /** What is wrong, for people. */
  readonly sentence: string;
  /** Keys that dialects answer differently; only for `dialect-trap`. */
  readonly keys?: readonly {
    readonly key: Bytes;
    readonly matches: readonly Dialect[];
    readonly misses: readonly Dialect[];
  }[];
  /** What to do about it, where that is certain. It never changes the way of a message. */
  readonly fix?:
    | { readonly type: 'removeBinding'; readonly at: number }
    | { readonly type: 'replaceBinding'; readonly at: number; readonly binding: Binding };
}

export type FindingCode =
  | 'alternate-missing'
  | 'dead-letter-missing'
  | 'invalid-pattern'
  | 'duplicate-binding'
  | 'shadowed-binding'
  | 'never-matches'
  | 'unreachable-queue'
  | 'unreachable-exchange'
  | 'dead-end-exchange'
  | 'exchange-cycle'
  | 'alternate-loop'
  | 'too-many-hashes'
  | 'cost-over-budget'
  | 'dialect-trap'
  | 'kombu-invalid-pattern'
  | 'kombu-name'
  | 'undecided';

export interface DiffOptions {
  /** How many messages to show for an exchange, at most. Default: 5. */
  readonly witnesses?: number | undefined;
  /** Whether keys with line feeds count, which dialects read differently and nobody publishes. Default: true. */
  readonly lineFeeds?: boolean | undefined;
}

/** What differs between two routers: as data, and in what messages do. */
export interface Diff {
  readonly structure: {
    readonly exchanges: Changes<Exchange>;
    readonly queues: Changes<Queue>;
    readonly bindings: { readonly added: readonly Binding[]; readonly removed: readonly Binding[] };
    readonly policies: Changes<Policy>;
  };
  /** Every exchange that one can publish to on either side, by name. */
  readonly behaviour: readonly ExchangeDiff[];
  /** Whether it is certain that no message tells the two apart. */
  readonly behavesTheSame: boolean;
  /** Whether one does. */
  readonly behavesDifferently: boolean;
}

export interface Changes<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
  readonly changed: readonly { readonly before: T; readonly after: T }[];
}

/** What messages to one exchange do on both sides. */
export interface ExchangeDiff {
  readonly exchange: string;
  readonly verdict: 'same' | 'differs' | 'undecided';
  /** Messages that tell the sides apart; left out if there are none. */
  readonly witnesses?: readonly Witness[];
}

/** A message that gets other queues. */
export interface Witness {
  readonly routingKey: Bytes;
  readonly headers?: Table;
  readonly before: Answer;
  readonly after: Answer;
}

export interface Answer {
  readonly outcome: 'routed' | 'unroutable' | 'unknown-exchange' | 'internal-exchange';
  readonly queues: readonly string[];
}

/** Kombu's binding tables: the members of each set, by its key in Redis. */
export type BindingSets = { readonly [key: string]: readonly string[] };

export interface BindingSetsOptions {
  readonly layout?: Layout | undefined;
  /** The kinds of exchanges, which the sets do not say. Default: `topic` if a member has a pattern, else `direct`. */
  readonly kinds?: { readonly [exchange: string]: ExchangeKind } | undefined;
}

/** The settings of a Celery app that say which queues there are, under Celery's names; others are skipped. */
export interface CeleryConfig {
  readonly task_queues?: unknown;
  readonly task_routes?: unknown;
  readonly task_default_queue?: string | null | undefined;
  readonly task_default_exchange?: string | null | undefined;
  readonly task_default_exchange_type?: string | null | undefined;
  readonly task_default_routing_key?: string | null | undefined;
  readonly [other: string]: unknown;
}

/** A value of JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** A message to be published over Kombu's Redis wire. */
export interface Publish {
  readonly exchange: string;
  readonly routingKey: string;
  readonly headers?: { readonly [name: string]: Json } | undefined;
  readonly body: string | Uint8Array;
  /** Default: `text/plain` for a string, `application/data` for bytes. */
  readonly contentType?: string | undefined;
  /** Default: `utf-8` for a string, `binary` for bytes. */
  readonly contentEncoding?: string | undefined;
  /** Properties by their wire names: `correlation_id`, `reply_to`, `message_id` … */
  readonly properties?: { readonly [name: string]: Json } | undefined;
  /** As Kombu on Redis has it: **0 is taken first**. Default: 0. */
  readonly priority?: number | undefined;
  /** Milliseconds. Kombu writes it down and nobody enforces it. */
  readonly expiration?: number | undefined;
  /** Default: false. Redis keeps both kinds alike. */
  readonly transient?: boolean | undefined;
  /** Gives each copy the address of its own queue, so that a restored copy comes back to that queue alone. */
  readonly returnToQueue?: boolean | undefined;
  /** How the peers name their keys; must be the same everywhere. */
  readonly layout?: Layout | undefined;
  /** Makes the delivery tag of one copy. Default: random UUIDs, as Kombu's are. */
  readonly deliveryTag?: (() => string) | undefined;
}

/** A call of a Celery task (protocol 2) to be sent over Kombu's Redis wire. */
export interface TaskPublish {
  /** `''` is the default exchange: the key names the queue, as Celery does it by default. */
  readonly exchange: string;
  readonly routingKey: string;
  /** The name under which the task is registered. */
  readonly name: string;
  /** The id of this call; the result is kept under it. */
  readonly id: string;
  readonly args?: readonly Json[] | undefined;
  readonly kwargs?: { readonly [name: string]: Json } | undefined;
  /** Not before: ISO 8601 with an offset. */
  readonly eta?: string | undefined;
  /** Not after: ISO 8601 with an offset. */
  readonly expires?: string | undefined;
  /** The same in milliseconds from now, for the property `expiration`. */
  readonly expiresMs?: number | undefined;
  readonly retries?: number | undefined;
  /** Seconds until the worker kills the task. */
  readonly timeLimit?: number | undefined;
  /** Seconds until the task sees `SoftTimeLimitExceeded`. */
  readonly softTimeLimit?: number | undefined;
  /** Default: `id`. */
  readonly rootId?: string | undefined;
  readonly parentId?: string | undefined;
  readonly group?: string | undefined;
  readonly groupIndex?: number | undefined;
  /** A name to show instead of the task's. */
  readonly shadow?: string | undefined;
  /** Who sent it. */
  readonly origin?: string | undefined;
  readonly replyTo?: string | undefined;
  readonly ignoreResult?: boolean | undefined;
  /** As Kombu on Redis has it: **0 is taken first**. Default: 0. */
  readonly priority?: number | undefined;
  /** Headers of one's own, behind Celery's. */
  readonly headers?: { readonly [name: string]: Json } | undefined;
  /** Signatures to call with the result. */
  readonly callbacks?: readonly Signature[] | undefined;
  /** Signatures to call after a failure. */
  readonly errbacks?: readonly Signature[] | undefined;
  /** The rest of a chain, the next signature last. */
  readonly chain?: readonly Signature[] | undefined;
  /** The signature to call when the whole group is done. */
  readonly chord?: Signature | undefined;
  readonly returnToQueue?: boolean | undefined;
  readonly layout?: Layout | undefined;
  readonly deliveryTag?: (() => string) | undefined;
}

/** A Celery signature as JSON: `task`, `args`, `kwargs`, `options`, `subtask_type`, `immutable`. */
export type Signature = { readonly [name: string]: Json };

/** A binding table of Kombu's, as Redis holds it. */
export interface BindingTable {
  readonly exchange: string;
  /** Kombu stores no types. Default: `topic` if any row has a stored text, else `direct`. */
  readonly kind?: 'direct' | 'fanout' | 'topic' | undefined;
  /** The members of the set, in any order. */
  readonly rows: readonly (string | Uint8Array)[];
  readonly layout?: Layout | undefined;
}

/** A row of a binding table that routes nothing, because routing by it would be wrong. */
export interface Quarantined {
  /** Bytes that are not printable as `\x06`. */
  readonly row: string;
  readonly code: string;
  readonly message: string;
}

/** The `transport_options` of Kombu that change names, under Kombu's own words; others are skipped. */
export interface Layout {
  readonly global_keyprefix?: string | undefined;
  readonly sep?: string | undefined;
  readonly priority_steps?: readonly number[] | undefined;
  readonly fanout_prefix?: boolean | string | undefined;
  readonly fanout_patterns?: boolean | undefined;
  readonly db?: number | undefined;
  readonly [other: string]: unknown;
}

/** Redis commands, in order, that any client may send. */
export interface Plan extends Routing {
  /** Whether they belong between `MULTI` and `EXEC`. */
  readonly atomic: boolean;
  readonly commands: readonly Command[];
}

/** A Redis command: its name and its arguments, to be sent as UTF-8. */
export type Command = readonly [name: string, ...args: string[]];

/** What a broker answers to a method that it refuses. */
export interface Reply {
  readonly scope: 'channel' | 'connection';
  readonly code: number;
  readonly name: string;
}
