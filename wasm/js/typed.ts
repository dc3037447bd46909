import type { BaseRouter } from './base.js';
import type {
  Binding,
  Dialect,
  Exchange,
  ExplainOptions,
  Message,
  Queue,
  Routing,
  Topology,
  Trace,
} from './types.js';

/**
 * A router whose topology the compiler knows: an exchange that is not in it, and a routing key that reaches no queue, are
 * errors at compile time. `Router.typed` makes one.
 *
 * Only what is certain is refused: a key that is no literal passes, and so does every key where headers, a hash, a policy
 * or a pattern of Kombu's decides. The types stay as the topology was; `const router: Router = typed` is the same router
 * without them, for changes, and for a message whose `CC` reaches what its key does not.
 */
export interface TypedRouter<T extends Topology> extends BaseRouter {
  route<X extends PublishableName<T>, K extends string | Uint8Array>(
    message: TypedMessage<T, X, K>,
  ): TypedRouting<T>;
  route<X extends PublishableName<T>, K extends string | Uint8Array>(
    exchange: X,
    routingKey: Routable<T, X, K>,
  ): TypedRouting<T>;
  /** Of messages as objects only the exchanges are looked at. */
  routeMany(messages: readonly (Message & { readonly exchange: PublishableName<T> })[]): TypedRouting<T>[];
  routeMany<X extends PublishableName<T>, K extends string | Uint8Array>(
    exchange: X,
    routingKeys: readonly Routable<T, X, K>[],
  ): TypedRouting<T>[];
  explain<X extends PublishableName<T>, K extends string | Uint8Array>(
    message: TypedMessage<T, X, K>,
    options?: ExplainOptions,
  ): Trace & TypedRouting<T>;
  exchangeId(name: ExchangeName<T>): number | undefined;
  queueId(name: QueueName<T>): number | undefined;
}

/** A message that an exchange of `T` may route. */
export interface TypedMessage<T extends Topology, X extends string, K extends string | Uint8Array>
  extends Omit<Message, 'exchange' | 'routingKey'> {
  readonly exchange: X;
  readonly routingKey: Routable<T, X, K>;
}

export interface TypedRouting<T extends Topology> extends Routing {
  readonly queues: readonly QueueName<T>[];
}

/** The names of the exchanges in a topology, and of those that are always there. */
export type ExchangeName<T extends Topology> = keyof Predeclared | Member<T['exchanges'], Exchange>['name'];

/** Those that take publishes: internal exchanges do not. */
export type PublishableName<T extends Topology> = Exclude<
  ExchangeName<T>,
  Extract<Member<T['exchanges'], Exchange>, { readonly internal: true }>['name']
>;

/** The names of the queues in a topology. */
export type QueueName<T extends Topology> = Member<T['queues'], Queue>['name'];

/** `K` itself, or a sentence that no key is if no queue can be reached by it. */
export type Routable<T extends Topology, X extends string, K extends string | Uint8Array> =
  IsLiteral<K> extends true
    ? K extends string
      ? Reaches<T, X, K, never> extends false
        ? `no queue is reached from \`${X}\` by \`${K}\``
        : K
      : K
    : K;

type Member<List, Default> = List extends readonly (infer Item extends Default)[] ? Item : never;

/** Not so for `string`, and not for a template such as `order.${string}`, which stand for many keys. */
type IsLiteral<K> = K extends string ? (Record<never, never> extends Record<K, 1> ? false : true) : false;

interface Predeclared {
  '': 'direct';
  'amq.direct': 'direct';
  'amq.fanout': 'fanout';
  'amq.headers': 'headers';
  'amq.match': 'headers';
  'amq.topic': 'topic';
}

/**
 * `true` if a queue can be reached, `false` if not; `boolean` never comes out of it. Each exchange is visited once
 * on a way, as the router does it.
 */
type Reaches<T extends Topology, X extends string, K extends string, Seen extends string> = X extends Seen
  ? false
  : X extends ''
    ? K extends QueueName<T>
      ? true
      : false
    : string extends Member<T['bindings'], Binding>['source']
      ? // The topology was not written down as a constant.
        true
      : true extends Leads<T, Slots<Index<T, X>, '?' | `=${K}`>, K, Seen | X>
        ? true
        : true extends LeadsIf<T, Slots<Index<T, X>, '.#' | '.*' | `.${First<K>}`>, Words<K>, K, Seen | X>
          ? true
          : AlternateReaches<T, ExchangeOf<T, X>, K, Seen | X>;

/**
 * The bindings of an exchange by what they begin with, made once: of two hundred bindings a key meets those of its own
 * first word. `=KEY` is a whole key, `.WORD` a pattern by its first word, and `?` what takes every key or cannot be told.
 */
type Index<T extends Topology, X extends string> = {
  [B in BindingsOf<T, X> as Slot<B, KindOf<T, X>>]: Entry<B>;
};

/** One for each of several bindings. */
type Entry<B> = B extends Binding ? { words: Words<KeyOf<B>>; to: B['destination'] } : never;

type Slot<B, Kind> = B extends { readonly dialect: Exclude<Dialect, 'amqp'> } | { readonly pattern: string }
  ? '?'
  : Kind extends 'direct' | 'topic'
    ? KeyOf<B> extends infer P extends string
      ? string extends P
        ? '?'
        : [Kind, P] extends ['topic', `${string}*${string}` | `${string}#${string}`]
          ? `.${First<P>}`
          : `=${P}`
      : '?'
    : '?';

type Slots<Table, Name extends string> = Name extends keyof Table ? Table[Name] : never;

/** Where these bindings lead, as a union of answers. */
type Leads<T extends Topology, E, K extends string, Seen extends string> = E extends { to: infer To }
  ? To extends { readonly exchange: infer Next extends string }
    ? Reaches<T, Next, K, Seen>
    : true
  : false;

/** The same for those of them that take the key. */
type LeadsIf<T extends Topology, E, W extends string[], K extends string, Seen extends string> = E extends {
  words: infer P extends string[];
}
  ? MatchesWords<P, W> extends true
    ? Leads<T, E, K, Seen>
    : false
  : false;

/** Where there are policies, any exchange may have an alternate one. */
type AlternateReaches<
  T extends Topology,
  E,
  K extends string,
  Seen extends string,
> = T['policies'] extends readonly [unknown, ...unknown[]]
  ? true
  : E extends { readonly alternateExchange: infer Next extends string }
    ? Reaches<T, Next, K, Seen>
    : E extends { readonly arguments: object }
      ? true
      : false;

type ExchangeOf<T extends Topology, X> = Extract<Member<T['exchanges'], Exchange>, { readonly name: X }>;
type BindingsOf<T extends Topology, X> = Extract<Member<T['bindings'], Binding>, { readonly source: X }>;
type KindOf<T extends Topology, X> = X extends keyof Predeclared ? Predeclared[X] : ExchangeOf<T, X>['kind'];

type KeyOf<B> = B extends { readonly routingKey: infer P } ? P : '';

/** The words of a key: none in the empty one. */
type Words<S> = S extends '' ? [] : S extends string ? Split<S, []> : never;

type First<S extends string> = S extends `${infer Word}.${string}` ? Word : S;

type Split<S extends string, Done extends string[]> = S extends `${infer Word}.${infer Rest}`
  ? Split<Rest, [...Done, Word]>
  : [...Done, S];

/** `*` takes a word, `#` any number of them. */
type MatchesWords<P extends string[], K extends string[]> = P extends [
  infer Token,
  ...infer Rest extends string[],
]
  ? Token extends '#'
    ? Rest extends []
      ? true
      : MatchesAfterHash<Rest, K>
    : K extends [infer Word, ...infer Left extends string[]]
      ? Token extends '*' | Word
        ? MatchesWords<Rest, Left>
        : false
      : false
  : K extends []
    ? true
    : false;

type MatchesAfterHash<P extends string[], K extends string[]> =
  MatchesWords<P, K> extends true
    ? true
    : K extends [unknown, ...infer Left extends string[]]
      ? MatchesAfterHash<P, Left>
      : false;
