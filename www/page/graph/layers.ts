import type { Edge, ExchangeNode, Graph } from './graph.ts';

export interface Layers {
  /** How many exchanges a message passes at most before it is here. */
  readonly depth: ReadonlyMap<ExchangeNode, number>;
  /** Lines that close a cycle. They lead back, so no layer can respect them. */
  readonly back: ReadonlySet<Edge>;
  /** The layer of the queues, right of all exchanges. */
  readonly last: number;
}

/** Longest paths from the left, in time linear in the number of edges; cycles are cut where a walk closes them. */
export function layersOf(graph: Graph): Layers {
  const back = new Set<Edge>();
  const finished: ExchangeNode[] = [];
  const state = new Map<ExchangeNode, 'open' | 'done'>();
  for (const start of graph.exchanges) walk(start);

  const depth = new Map<ExchangeNode, number>();
  // Whoever finished last has nobody before it: this order is topological once the back edges are out.
  for (const node of finished.reverse()) {
    const here = depth.get(node) ?? 0;
    depth.set(node, here);
    for (const edge of edgesOf(node)) {
      if (edge.to.type === 'queue' || back.has(edge)) continue;
      depth.set(edge.to, Math.max(depth.get(edge.to) ?? 0, here + 1));
    }
  }
  return { depth, back, last: Math.max(0, ...depth.values()) + 1 };

  function walk(start: ExchangeNode): void {
    if (state.has(start)) return;
    // A stack of its own: a chain of exchanges may be longer than the stack of the engine is deep.
    const path = [{ node: start, edges: edgesOf(start)[Symbol.iterator]() }];
    state.set(start, 'open');
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const { value: edge } = top.edges.next();
      if (!edge) {
        state.set(top.node, 'done');
        finished.push(top.node);
        path.pop();
      } else if (edge.to.type === 'exchange') {
        const seen = state.get(edge.to);
        if (seen === 'open') back.add(edge);
        if (seen !== undefined) continue;
        state.set(edge.to, 'open');
        path.push({ node: edge.to, edges: edgesOf(edge.to)[Symbol.iterator]() });
      }
    }
  }
}

function edgesOf(node: ExchangeNode): Edge[] {
  return node.rows.flatMap((row) => row.edges);
}
