import { arrives, type Columns, columnsOf, type Item } from './columns.ts';
import type { Edge, ExchangeNode, Graph, GraphNode, QueueNode, Row } from './graph.ts';
import { layersOf } from './layers.ts';
import { CHANNEL, HEAD, MARGIN, nodeWidth, PUBLISHER, ROW } from './measures.ts';
import { order } from './order.ts';
import { place } from './place.ts';

export interface Box<Node extends GraphNode> {
  readonly node: Node;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** From top to bottom. */
  readonly rows: readonly Row[];
}

export interface Line {
  readonly edge: Edge;
  /** For the attribute `d` of a path. */
  readonly path: string;
}

/** A drawing: what stands where. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly exchanges: readonly Box<ExchangeNode>[];
  readonly queues: readonly Box<QueueNode>[];
  readonly lines: readonly Line[];
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Lays a graph out from left to right: by depth, few crossings, level lines. The same graph always looks the same. */
export function layoutOf(graph: Graph): Layout {
  const layers = layersOf(graph);
  const all = columnsOf(graph, layers);
  order(all);
  place(all);
  const spans = spansOf(all);

  const boxes = new Map<GraphNode, Box<GraphNode>>();
  for (const [node, item] of all.itemOf) {
    const { x, width } = spans[item.column] as Span;
    boxes.set(node, { node, x, y: round(item.y + MARGIN), width, height: item.height, rows: item.rows });
  }
  const lines = graph.edges.map((edge) => ({ edge, path: pathOf(edge) }));
  const bottom = Math.max(0, ...all.columns.flat().map(({ y, height }) => y + height));
  const { x, width } = spans.at(-1) as Span;
  return {
    width: x + width + MARGIN,
    height: round(Math.max(bottom, PUBLISHER.height)) + 2 * MARGIN,
    exchanges: graph.exchanges.map((node) => boxes.get(node) as Box<ExchangeNode>),
    queues: graph.queues.map((node) => boxes.get(node) as Box<QueueNode>),
    lines,
  };

  function pathOf(edge: Edge): string {
    const from = boxes.get(edge.from) as Box<ExchangeNode>;
    const to = boxes.get(edge.to) as Box<GraphNode>;
    let here = outOf(from, edge.row);
    let path = `M ${here.x} ${here.y} `;
    for (const slot of all.slotsOf.get(edge) ?? []) {
      const { x, width } = spans[slot.column] as Span;
      const y = round(slot.y + arrives(slot) + MARGIN);
      path += `${bend(here, { x, y })} H ${x + width} `;
      here = { x: x + width, y };
    }
    return path + bend(here, into(to));
  }
}

/** Where lines leave an exchange's row. */
export function outOf(box: Box<GraphNode>, row: Row): Point {
  return { x: box.x + box.width, y: box.y + HEAD + (box.rows.indexOf(row) + 0.5) * ROW };
}

/** Where lines arrive, short of the arrow head that the box has there. */
export function into(box: Box<GraphNode>): Point {
  return { x: box.x - 5, y: box.y + (box.node.type === 'exchange' ? HEAD : box.height) / 2 };
}

export function curve(from: Point, to: Point): string {
  return `M ${from.x} ${from.y} ${bend(from, to)}`;
}

/** From left to right in an S; what leads back to the left gets a wider turn. */
function bend(from: Point, to: Point): string {
  const reach = to.x > from.x ? (to.x - from.x) / 2 : 90;
  return `C ${from.x + reach} ${from.y} ${to.x - reach} ${to.y} ${to.x} ${to.y}`;
}

interface Span {
  readonly x: number;
  readonly width: number;
}

/** A column is as wide as its widest box, and all its boxes are: the lines then have clear channels between them. */
function spansOf({ columns }: Columns): Span[] {
  let x = MARGIN + PUBLISHER.width + PUBLISHER.channel;
  return columns.map((column) => {
    const width = Math.max(0, ...column.map(widthOf));
    const span = { x, width };
    x += width + CHANNEL;
    return span;
  });
}

function widthOf({ node }: Item): number {
  return node ? nodeWidth(node) : 0;
}

/** Whole pixels keep horizontal lines sharp. */
function round(y: number): number {
  return Math.round(y);
}
