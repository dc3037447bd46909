import type { Match, Trace } from 'keyrail/full/web';
import { bindingId } from './binding.ts';
import type { Graph } from './graph.ts';

/** What became of a line in the drawing. */
export type Effect = Match['effect'] | 'alternate';

/** What of a drawing lights up. Everything by id, but for queues that the default exchange serves: by name. */
export interface Lit {
  readonly edges: ReadonlyMap<string, Effect>;
  readonly rows: ReadonlySet<string>;
  readonly nodes: ReadonlySet<string>;
  /** By `bindingId`; also where nothing is drawn. */
  readonly bindings: ReadonlyMap<string, Effect>;
  /** Exchanges that passed the message to their alternate. */
  readonly unmatched: ReadonlySet<string>;
  /** No binding leads from the default exchange to its queues, so no line is there to light up. */
  readonly byName: readonly string[];
}

export const DARK: Lit = {
  edges: new Map(),
  rows: new Set(),
  nodes: new Set(),
  bindings: new Map(),
  unmatched: new Set(),
  byName: [],
};

/** Follows a trace through the drawing. A duplicate counts: the way was taken, though the queue had its copy. */
export function light(graph: Graph, trace: Trace): Lit {
  const edges = new Map<string, Effect>();
  const rows = new Set<string>();
  const nodes = new Set<string>();
  const bindings = new Map<string, Effect>();
  const unmatched = new Set<string>();
  const byName: string[] = [];
  for (const { exchange, matches, alternate } of trace.hops) {
    nodes.add(`e:${exchange}`);
    for (const { binding, effect } of matches) {
      const id = bindingId(binding);
      bindings.set(id, effect);
      const edge = graph.edgeOf.get(id);
      if (edge) {
        rows.add(edge.row.id);
        if (!delivers(edges.get(edge.id))) edges.set(edge.id, effect);
      } else if (binding.source === '' && 'queue' in binding.destination) {
        byName.push(binding.destination.queue);
      }
    }
    if (alternate?.type !== 'followed') continue;
    unmatched.add(exchange);
    const otherwise = graph.alternateOf.get(exchange);
    if (otherwise) {
      rows.add(otherwise.row.id);
      edges.set(otherwise.id, 'alternate');
    }
  }
  for (const queue of trace.queues) nodes.add(`q:${queue}`);
  return { edges, rows, nodes, bindings, unmatched, byName };
}

function delivers(effect: Effect | undefined): boolean {
  return effect === 'delivered' || effect === 'followed';
}
