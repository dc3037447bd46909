import type { Layout, Publish, Quarantined, Router, Routing, TaskPublish, Topology } from 'keyrail';

/** The exchange types of Kombu on Redis. */
export type Kind = 'direct' | 'fanout' | 'topic';

export interface PublisherOptions {
  /**
   * The types of exchanges, which Kombu does not store: **every fanout exchange must be named here**, unless keyrail has
   * stored its type, which counts more, or Celery declares it (`celeryev`, `celery.pidbox`). Of the others, one with a
   * wildcard text in its table is a topic exchange, and the rest are guessed to be direct: {@link onGuess} hears of them.
   */
  readonly exchanges?: { readonly [name: string]: Kind } | undefined;
  /** How the peers name their keys: Kombu's `broker_transport_options`, and the number of the database as `db`. */
  readonly layout?: Layout | undefined;
  /**
   * Milliseconds for which a table is used where changes are not reported. Default: 5,000. A binding made meanwhile is
   * not followed, and one removed meanwhile still is. 0 reads the table before every publish, as Kombu does.
   */
  readonly maxAge?: number | undefined;
  /**
   * The router of `keyrail/full`, where policies are among what keyrail keeps beside Kombu's tables: their patterns are
   * regular expressions, which the one of `keyrail` refuses.
   */
  readonly Router?: RouterOf | undefined;
  /** Hears of each row that cannot be followed, at each reading. */
  readonly onQuarantine?: ((row: QuarantinedRow) => void) | undefined;
  /**
   * Hears of each exchange that is guessed to be direct, at each reading: Kombu writes the same rows for a fanout exchange,
   * whose listeners would not get the message. Name it in {@link exchanges}.
   */
  readonly onGuess?: ((exchange: string) => void) | undefined;
}

/** What makes a router of a topology: the class of `keyrail` or of `keyrail/full`. */
export interface RouterOf {
  fromTopology(topology: Topology): Router;
}

/** A message; `layout` is the publisher's. */
export type Outgoing = Omit<Publish, 'layout'>;

/** A task; `layout` is the publisher's. */
export type OutgoingTask = Omit<TaskPublish, 'layout'>;

/** What became of a message. */
export interface Published extends Routing {
  /** How many listened; only where a fanout exchange was reached. If none did, and no queue got it, it is `unroutable`. */
  readonly receivers?: number;
}

/** A row that routes nothing, and whose table it is in. */
export interface QuarantinedRow extends Quarantined {
  readonly exchange: string;
}
