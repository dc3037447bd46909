import { bindingTableKey, KeyrailError, type Layout, Router } from 'keyrail';
import type { RedisClient } from './client.js';
import { redisError, rowsOf } from './replies.js';
import type { Kind, QuarantinedRow } from './types.js';

interface Table {
  readonly router: Router;
  readonly quarantined: readonly QuarantinedRow[];
  readonly readAt: number;
  /** Whether changes have been reported since before it was read. */
  readonly watched: boolean;
  freed: boolean;
}

export interface TablesOptions {
  readonly exchanges: ReadonlyMap<string, Kind>;
  readonly layout: Layout;
  readonly maxAge: number;
  readonly onQuarantine: ((row: QuarantinedRow) => void) | undefined;
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
  /** Routes the default exchange, which has no table. */
  #none = new Router({ predeclaredExchanges: false });
  /** Grows with every change that might concern a table that is being read. */
  #changes = 0;
  #live = false;
  #closed = false;
  #stop: (() => void) | undefined;

  constructor(client: RedisClient, options: TablesOptions) {
    this.#client = client;
    this.#options = options;
  }

  get tracking(): boolean {
    return this.#live;
  }

  quarantined(): QuarantinedRow[] {
    return [...this.#kept.values()].flatMap((table) => table.quarantined);
  }

  /** Calls `plan` with a router that knows the exchange. `plan` must not keep it. */
  async use<T>(exchange: string, plan: (router: Router) => T): Promise<T> {
    for (;;) {
      if (this.#closed) throw new KeyrailError('closed', 'the publisher was closed');
      if (exchange === '') return plan(this.#none);
      const table = this.#fresh(exchange) ?? (await this.#read(exchange));
      // Between the reading and this line, others may have used and dropped it.
      if (table.freed) continue;
      try {
        return plan(table.router);
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
    this.#none.free();
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
    const kind = this.#options.exchanges.get(exchange);
    if (kind === 'fanout') return this.#keep(exchange, [], Number.POSITIVE_INFINITY, this.#changes);
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
    const key = this.#key(exchange);
    let replies: readonly unknown[];
    try {
      replies = await this.#client.send([['SMEMBERS', key]], false);
    } catch (cause) {
      throw redisError(`the binding table \`${key}\` cannot be read`, cause);
    }
    return this.#keep(exchange, rowsOf(replies, key), readAt, changes);
  }

  #keep(exchange: string, rows: readonly (string | Uint8Array)[], readAt: number, changes: number): Table {
    const { layout, exchanges, onQuarantine } = this.#options;
    const { router, quarantined } = Router.fromBindingTable({
      exchange,
      kind: exchanges.get(exchange),
      rows,
      layout,
    });
    const named = quarantined.map((row) => ({ exchange, ...row }));
    const table: Table = { router, quarantined: named, readAt, watched: this.#live, freed: false };
    // Something changed while it was on its way: good for whoever asked before, and for nobody after.
    if (changes === this.#changes && !this.#closed) {
      this.#forget(exchange);
      this.#kept.set(exchange, table);
    }
    for (const row of named) onQuarantine?.(row);
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
    this.#stop = this.#client.watch(bindingTableKey('', this.#options.layout), {
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
    if (key === undefined) this.drop();
    for (const [exchange, known] of this.#keys) {
      if (known !== key) continue;
      this.#changes++;
      this.#forget(exchange);
    }
  }
}

function free(table: Table): void {
  table.freed = true;
  table.router.free();
}
