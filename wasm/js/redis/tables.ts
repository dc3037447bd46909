import { bindingTableKey, KeyrailError, type Layout, Router } from 'keyrail';
import type { RedisClient } from './client.js';
import { assemble, type Reach } from './reach.js';
import { type Registry, RegistryKeys, reachOf, readRegistry } from './registry.js';
import { redisError, rowsOf } from './replies.js';
import type { Kind, QuarantinedRow, RouterOf } from './types.js';

interface Table extends Reach {
  /** The keys of the tables that were read for it. */
  readonly keys: readonly string[];
  readonly readAt: number;
  /** Whether changes have been reported since before it was read. */
  readonly watched: boolean;
  freed: boolean;
}

export interface TablesOptions {
  readonly exchanges: ReadonlyMap<string, Kind>;
  readonly layout: Layout;
  readonly maxAge: number;
  readonly maker: RouterOf;
  readonly onQuarantine: ((row: QuarantinedRow) => void) | undefined;
  readonly onGuess: ((exchange: string) => void) | undefined;
}

/**
 * The binding tables that were read, by exchange.
 *
 * A table is used as long as every change since it was read would have been reported; where that cannot be had, until
 * it is too old.
 */
export class Tables {
  #client: RedisClient;
  #options: TablesOptions;
  #kept = new Map<string, Table>();
  #reading = new Map<string, Promise<Table>>();
  #keys = new Map<string, string>();
  #own: RegistryKeys;
  /** Routes the default exchange, which has no table. */
  #none: Reach = {
    router: new Router({ predeclaredExchanges: false }),
    quarantined: [],
    guessed: [],
    fansOut: false,
  };
  /** Grows with every change that might concern a table that is being read. */
  #changes = 0;
  #live = false;
  #closed = false;
  #stop: (() => void) | undefined;

  constructor(client: RedisClient, options: TablesOptions) {
    this.#client = client;
    this.#options = options;
    this.#own = new RegistryKeys(options.layout.global_keyprefix);
  }

  get tracking(): boolean {
    return this.#live;
  }

  quarantined(): QuarantinedRow[] {
    return [...this.#kept.values()].flatMap((table) => table.quarantined);
  }

  guessed(): string[] {
    return [...new Set([...this.#kept.values()].flatMap((table) => table.guessed))];
  }

  /** Calls `plan` with all that a publish to the exchange can reach. `plan` must not keep it. */
  async use<T>(exchange: string, plan: (reach: Reach) => T): Promise<T> {
    for (;;) {
      if (this.#closed) throw new KeyrailError('closed', 'the publisher was closed');
      if (exchange === '') return plan(this.#none);
      const table = this.#fresh(exchange) ?? (await this.#read(exchange));
      // Between the reading and this line, others may have used and dropped it.
      if (table.freed) continue;
      try {
        return plan(table);
      } finally {
        if (this.#kept.get(exchange) !== table) free(table);
      }
    }
  }

  drop(): void {
    this.#changes++;
    for (const exchange of [...this.#kept.keys()]) this.#forget(exchange);
  }

  close(): void {
    this.#stop?.();
    this.#live = false;
    this.#closed = true;
    this.drop();
    this.#none.router.free();
  }

  #fresh(exchange: string): Table | undefined {
    const table = this.#kept.get(exchange);
    if (!table) return undefined;
    if (table.watched && this.#live) return table;
    if (performance.now() - table.readAt < this.#options.maxAge) return table;
    this.#forget(exchange);
    return undefined;
  }

  async #read(exchange: string): Promise<Table> {
    this.#watch();
    const keeps = this.#live || this.#options.maxAge > 0;
    // Who wants it read before every publish gets a reading that began after the publish.
    if (!keeps) return this.#fetch(exchange);
    let reading = this.#reading.get(exchange);
    if (!reading) {
      reading = this.#fetch(exchange).finally(() => this.#reading.delete(exchange));
      this.#reading.set(exchange, reading);
    }
    return reading;
  }

  async #fetch(exchange: string): Promise<Table> {
    const changes = this.#changes;
    const readAt = performance.now();
    const [rows, registry] = await Promise.all([this.#rows(exchange), readRegistry(this.#client, this.#own)]);
    const tables = new Map([[exchange, rows]]);
    const others = registry ? reachOf(registry, exchange).filter((name) => name !== exchange) : [];
    const theirs = await Promise.all(others.map((name) => this.#rows(name)));
    others.forEach((name, at) => {
      tables.set(name, theirs[at] ?? []);
    });
    return this.#keep(exchange, tables, registry, readAt, changes);
  }

  /** Kombu's rows of an exchange. Of one that is named as a fanout there are none to follow: it is a channel. */
  async #rows(exchange: string): Promise<readonly (string | Uint8Array)[]> {
    if (exchange === '' || this.#options.exchanges.get(exchange) === 'fanout') return [];
    const key = this.#key(exchange);
    let replies: readonly unknown[];
    try {
      replies = await this.#client.send([['SMEMBERS', key]], false);
    } catch (cause) {
      throw redisError(`the binding table \`${key}\` cannot be read`, cause);
    }
    return rowsOf(replies, key);
  }

  #keep(
    exchange: string,
    tables: ReadonlyMap<string, readonly (string | Uint8Array)[]>,
    registry: Registry | undefined,
    readAt: number,
    changes: number,
  ): Table {
    const { layout, exchanges: kinds, maker, onQuarantine, onGuess } = this.#options;
    const reach = assemble({ exchange, tables, registry, kinds, layout, maker });
    const keys = [...tables.keys()].map((name) => this.#key(name));
    const table: Table = { ...reach, keys, readAt, watched: this.#live, freed: false };
    // Something changed while it was on its way: good for whoever asked before, and for nobody after.
    if (changes === this.#changes && !this.#closed) {
      this.#forget(exchange);
      this.#kept.set(exchange, table);
    }
    for (const row of reach.quarantined) onQuarantine?.(row);
    for (const name of reach.guessed) onGuess?.(name);
    return table;
  }

  #forget(exchange: string): void {
    const table = this.#kept.get(exchange);
    this.#kept.delete(exchange);
    if (table) free(table);
  }

  #key(exchange: string): string {
    let key = this.#keys.get(exchange);
    if (key === undefined) {
      key = bindingTableKey(exchange, this.#options.layout);
      this.#keys.set(exchange, key);
    }
    return key;
  }

  #watch(): void {
    if (this.#stop || !this.#client.watch) return;
    this.#stop = this.#client.watch([bindingTableKey('', this.#options.layout), this.#own.prefix], {
      live: () => {
        // What was read before may have changed unseen.
        this.drop();
        this.#live = !this.#closed;
      },
      lost: () => {
        this.#live = false;
        this.drop();
      },
      changed: (key) => this.#changed(key),
    });
  }

  #changed(key: string | undefined): void {
    // keyrail's own keys may lead anywhere.
    if (key === undefined || this.#own.all.includes(key)) {
      this.drop();
      return;
    }
    let known = false;
    for (const one of this.#keys.values()) known ||= one === key;
    if (!known) return;
    this.#changes++;
    for (const [exchange, table] of this.#kept) if (table.keys.includes(key)) this.#forget(exchange);
  }
}

function free(table: Table): void {
  table.freed = true;
  table.router.free();
}
