import { type Binding, type Exchange, KeyrailError, type Layout, Router } from 'keyrail';
import type { Registry } from './registry.js';
import type { Kind, QuarantinedRow, RouterOf } from './types.js';

/** As much of the topology as a publish to one exchange can reach. */
export interface Reach {
  readonly router: Router;
  readonly quarantined: readonly QuarantinedRow[];
  /** The exchanges that are direct ones because nothing says what they are. */
  readonly guessed: readonly string[];
  /** Whether a fanout exchange lies on the way together with others: its listeners are reached over a channel. */
  readonly fansOut: boolean;
}

type Rows = readonly (string | Uint8Array)[];

export interface Read {
  readonly exchange: string;
  /** The rows of each exchange that can be reached. */
  readonly tables: ReadonlyMap<string, Rows>;
  readonly registry: Registry | undefined;
  readonly kinds: ReadonlyMap<string, Kind>;
  readonly layout: Layout;
  /** Makes the router, where there is more than one table of Kombu's. */
  readonly maker: RouterOf;
}

/** A router for what was read. Rows and bindings that cannot be followed are named; their neighbours route all the same. */
export function assemble(read: Read): Reach {
  const { exchange, tables, registry, kinds, layout } = read;
  const plain = !registry || (tables.size === 1 && !knows(registry, exchange));
  if (plain) {
    const rows = tables.get(exchange) ?? [];
    const { router, quarantined } = Router.fromBindingTable({
      exchange,
      kind: kinds.get(exchange),
      rows,
      layout,
    });
    const isDirect = () => router.explain({ exchange, routingKey: '' }).hops[0]?.kind === 'direct';
    const guessed = !kinds.has(exchange) && !isPredeclared(exchange) && isDirect() ? [exchange] : [];
    return { router, quarantined: quarantined.map((row) => ({ exchange, ...row })), guessed, fansOut: false };
  }
  return new Assembly(read, registry).reach();
}

/** Whether the registry has a word to say about an exchange that leads nowhere else. */
function knows(registry: Registry, exchange: string): boolean {
  return registry.exchanges.has(exchange) || registry.bindings.some(({ source }) => source === exchange);
}

/** Kombu's tables of several exchanges, joined with what keyrail keeps beside them. */
class Assembly {
  #registry: Registry;
  #maker: RouterOf;
  #exchanges: Exchange[] = [];
  #queues: Map<string, { readonly name: string }>;
  #bindings: Binding[] = [];
  #quarantined: QuarantinedRow[] = [];
  #guessed: string[] = [];

  constructor({ exchange, tables, kinds, layout, maker }: Read, registry: Registry) {
    this.#maker = maker;
    this.#registry = registry;
    this.#queues = new Map(registry.queues.map((queue) => [queue.name, queue]));
    for (const [name, rows] of tables) {
      const declared = registry.exchanges.get(name);
      const told = kinds.get(name);
      // Nobody says a word about it: it does not exist. But whoever publishes to it gets an answer, as from Kombu.
      if (!declared && !told && rows.length === 0 && name !== exchange) continue;
      this.#table(name, rows, declared, told, layout);
    }
  }

  #table(
    name: string,
    rows: Rows,
    declared: Exchange | undefined,
    told: Kind | undefined,
    layout: Layout,
  ): void {
    const kind = declared?.kind ?? told;
    // Kombu writes a row for three types alone; of the others it says no more than a direct one.
    const known = kind === undefined || kind === 'topic' || kind === 'fanout' ? kind : 'direct';
    const { router, quarantined } = Router.fromBindingTable({ exchange: name, kind: known, rows, layout });
    const { exchanges = [], queues = [], bindings = [] } = router.topology();
    router.free();
    const inferred = exchanges.find((exchange) => exchange.name === name)?.kind;
    if (!isPredeclared(name)) {
      this.#exchanges.push(declared ?? { name, kind: inferred ?? 'direct', durable: true });
      if (kind === undefined && inferred !== 'topic') this.#guessed.push(name);
    }
    for (const queue of queues) if (!this.#queues.has(queue.name)) this.#queues.set(queue.name, queue);
    this.#bindings.push(...bindings);
    this.#quarantined.push(...quarantined.map((row) => ({ exchange: name, ...row })));
  }

  reach(): Reach {
    for (const { destination } of this.#registry.bindings) {
      if (!('queue' in destination) || this.#queues.has(destination.queue)) continue;
      this.#queues.set(destination.queue, { name: destination.queue });
    }
    const topology = { exchanges: this.#exchanges, queues: [...this.#queues.values()] };
    const router = this.#maker.fromTopology({ ...topology, policies: this.#registry.policies });
    for (const binding of this.#bindings) this.#bind(router, binding);
    for (const binding of this.#registry.bindings) {
      // One end is not loaded, since nothing leads there: without effect.
      if (router.exchangeId(binding.source) !== undefined) this.#bind(router, binding);
    }
    const fansOut = this.#exchanges.some(({ kind }) => kind === 'fanout');
    return { router, quarantined: this.#quarantined, guessed: this.#guessed, fansOut };
  }

  #bind(router: Router, binding: Binding): void {
    try {
      router.bind(binding);
    } catch (error) {
      if (!(error instanceof KeyrailError)) throw error;
      const { source: exchange, destination, routingKey = '' } = binding;
      const to = 'queue' in destination ? destination.queue : destination.exchange;
      const row = `${typeof routingKey === 'string' ? routingKey : JSON.stringify(routingKey)} -> ${to}`;
      this.#quarantined.push({ exchange, row, code: error.code, message: error.message });
    }
  }
}

function isPredeclared(name: string): boolean {
  return name === '' || /^amq\.(direct|fanout|headers|match|topic|rabbitmq\.trace)$/.test(name);
}
