import type { Binding, ExchangeKind, Topology } from 'keyrail/full/web';
import { bindingId, bindingLabel } from './binding.ts';

/** One line of an exchange's table: every binding with the same condition, or what happens otherwise. */
export interface Row {
  readonly id: string;
  readonly label: string;
  /** `otherwise` leads to the alternate exchange. */
  readonly kind: 'condition' | 'otherwise';
  readonly edges: Edge[];
}

export interface Edge {
  readonly id: string;
  readonly from: ExchangeNode;
  readonly row: Row;
  readonly to: GraphNode;
}

export interface ExchangeNode {
  readonly type: 'exchange';
  readonly id: string;
  readonly name: string;
  readonly kind: ExchangeKind;
  readonly internal: boolean;
  /** Named by a binding or as an alternate, but not there. */
  readonly missing: boolean;
  readonly rows: Row[];
}

export interface QueueNode {
  readonly type: 'queue';
  readonly id: string;
  readonly name: string;
}

export type GraphNode = ExchangeNode | QueueNode;

/** A topology as something to draw. */
export interface Graph {
  readonly exchanges: readonly ExchangeNode[];
  readonly queues: readonly QueueNode[];
  readonly edges: readonly Edge[];
  /** By `bindingId`: what lights up when that binding matches. */
  readonly edgeOf: ReadonlyMap<string, Edge>;
  /** By name of the exchange that has an alternate. */
  readonly alternateOf: ReadonlyMap<string, Edge>;
}

/** The default exchange has no name; people need one. */
export const DEFAULT_EXCHANGE = '(default)';

/** These exist in every virtual host, so no topology lists them. */
export const PREDECLARED: ReadonlyMap<string, ExchangeKind> = new Map([
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
  ['amq.topic', 'topic'],
]);

/**
 * Predeclared exchanges are drawn if something is bound to them or the message goes to them, else they would stand
 * around in every drawing; so is the default exchange.
 */
export function graphOf(topology: Topology, publishedTo: string): Graph {
  const exchanges = new Map<string, ExchangeNode>();
  const queues = new Map<string, QueueNode>();
  const edges: Edge[] = [];
  const edgeOf = new Map<string, Edge>();
  const alternateOf = new Map<string, Edge>();

  const exchange = (name: string): ExchangeNode => {
    const kind = name === '' ? 'direct' : PREDECLARED.get(name);
    return exchanges.get(name) ?? added(name, kind ?? 'direct', false, kind === undefined);
  };
  const added = (name: string, kind: ExchangeKind, internal: boolean, missing: boolean): ExchangeNode => {
    const node: ExchangeNode = { type: 'exchange', id: `e:${name}`, name, kind, internal, missing, rows: [] };
    exchanges.set(name, node);
    return node;
  };
  const queue = (name: string): QueueNode => {
    const node: QueueNode = queues.get(name) ?? { type: 'queue', id: `q:${name}`, name };
    queues.set(name, node);
    return node;
  };
  const row = (from: ExchangeNode, label: string, kind: Row['kind']): Row => {
    const there = from.rows.find((row) => row.label === label && row.kind === kind);
    if (there) return there;
    const made: Row = { id: `${from.id} ${from.rows.length}`, label, kind, edges: [] };
    from.rows.push(made);
    return made;
  };
  const edge = (from: ExchangeNode, row: Row, to: GraphNode): Edge => {
    const there = row.edges.find((edge) => edge.to === to);
    if (there) return there;
    const made: Edge = { id: `${row.id} ${to.id}`, from, row, to };
    row.edges.push(made);
    edges.push(made);
    return made;
  };
  const end = ({ destination }: Binding): GraphNode =>
    'queue' in destination ? queue(destination.queue) : exchange(destination.exchange);

  for (const { name, kind, internal } of topology.exchanges ?? [])
    added(name, kind, internal === true, false);
  for (const { name } of topology.queues ?? []) queue(name);
  for (const binding of topology.bindings ?? []) {
    const from = exchange(binding.source);
    edgeOf.set(
      bindingId(binding),
      edge(from, row(from, bindingLabel(binding, from.kind), 'condition'), end(binding)),
    );
  }
  // After the bindings, so that it is the last line of its exchange.
  for (const { name, alternateExchange } of topology.exchanges ?? []) {
    if (alternateExchange === undefined) continue;
    const from = exchange(name);
    alternateOf.set(name, edge(from, row(from, 'otherwise', 'otherwise'), exchange(alternateExchange)));
  }
  exchange(publishedTo);
  return { exchanges: [...exchanges.values()], queues: [...queues.values()], edges, edgeOf, alternateOf };
}
