import type { Edge, ExchangeNode, Graph, GraphNode, Row } from './graph.ts';
import type { Layers } from './layers.ts';
import { HEAD, nodeHeight, QUEUE, ROW, SLOT } from './measures.ts';

/** Something that takes room in a column: an exchange, a queue, or the way of lines that pass the column by. */
export interface Item {
  readonly id: string;
  readonly column: number;
  readonly height: number;
  /** Lines of the exchange, in the order of drawing. */
  rows: Row[];
  readonly node: GraphNode | undefined;
  y: number;
}

/** A piece of lines between neighbouring columns. */
export interface Segment {
  readonly from: Item;
  readonly row: Row | undefined;
  readonly to: Item;
}

export interface Columns {
  readonly columns: Item[][];
  /** `gaps[n]` are the segments between columns `n` and `n + 1`. */
  readonly gaps: Segment[][];
  readonly itemOf: ReadonlyMap<GraphNode, Item>;
  /** The slots that a line passes on its way, from left to right. */
  readonly slotsOf: ReadonlyMap<Edge, readonly Item[]>;
}

/**
 * Puts everything into columns. Lines to the same place that pass the same column share a slot there: they run
 * together as rails do, and the drawing grows with the number of nodes, not of bindings.
 */
export function columnsOf(graph: Graph, layers: Layers): Columns {
  const columns: Item[][] = Array.from({ length: layers.last + 1 }, () => []);
  const gaps: Segment[][] = Array.from({ length: layers.last }, () => []);
  const itemOf = new Map<GraphNode, Item>();
  const slotsOf = new Map<Edge, Item[]>();
  const slots = new Map<string, Item>();
  const joined = new Set<string>();

  const add = (id: string, column: number, height: number, node?: GraphNode): Item => {
    const rows = node?.type === 'exchange' ? [...node.rows] : [];
    const item: Item = { id, column, height, rows, node, y: 0 };
    columns[column]?.push(item);
    if (node) itemOf.set(node, item);
    return item;
  };
  const columnOf = (node: GraphNode): number =>
    node.type === 'queue' ? layers.last : (layers.depth.get(node as ExchangeNode) ?? 0);
  const slot = (to: Item, column: number): Item => {
    const id = `${column} ${to.id}`;
    const there = slots.get(id) ?? add(id, column, SLOT);
    slots.set(id, there);
    return there;
  };
  const join = (from: Item, row: Row | undefined, to: Item): void => {
    const id = `${row?.id ?? from.id}\n${to.id}`;
    if (joined.has(id)) return;
    joined.add(id);
    gaps[from.column]?.push({ from, row, to });
  };

  for (const node of graph.exchanges) add(node.id, columnOf(node), nodeHeight(node), node);
  for (const node of graph.queues) add(node.id, layers.last, QUEUE, node);
  for (const edge of graph.edges) {
    const from = itemOf.get(edge.from);
    const to = itemOf.get(edge.to);
    if (!from || !to || layers.back.has(edge)) continue;
    const way: Item[] = [];
    for (let column = from.column + 1; column < to.column; column++) way.push(slot(to, column));
    slotsOf.set(edge, way);
    const stops = [...way, to];
    for (const [at, stop] of stops.entries())
      join(stops[at - 1] ?? from, at === 0 ? edge.row : undefined, stop);
  }
  return { columns, gaps, itemOf, slotsOf };
}

/** Where a segment leaves, from the top of its item. */
export function leaves({ from, row }: Segment): number {
  return row ? HEAD + (from.rows.indexOf(row) + 0.5) * ROW : from.height / 2;
}

/** Where segments arrive, from the top of the item. */
export function arrives(item: Item): number {
  return item.node?.type === 'exchange' ? HEAD / 2 : item.height / 2;
}
