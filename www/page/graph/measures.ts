import { width } from '../text/names.ts';
import type { ExchangeNode, GraphNode } from './graph.ts';

// Sizes in the drawing, in CSS pixels at full size. The style sheet sets the fonts to match.

/** The head of an exchange, with its name and kind. */
export const HEAD = 42;
/** A line of an exchange's table. */
export const ROW = 19;
/** Below the last line. */
export const FOOT = 7;
export const QUEUE = 28;
/** The room of a line that passes a column by. */
export const SLOT = 4;

/** Between columns: room for lines to change height. */
export const CHANNEL = 84;
export const PUBLISHER = { width: 92, height: 34, channel: 58 };
/** Around the drawing. */
export const MARGIN = 6;

/** Characters before a label is cut, and what the fonts need for each. */
export const NAME_CELLS = 26;
export const LABEL_CELLS = 32;
const NAME_ADVANCE = 8;
const LABEL_ADVANCE = 6.75;

/** The distance that neighbours in a column keep. */
export function distance(above: { node: unknown }, below: { node: unknown }): number {
  if (!above.node && !below.node) return 7;
  if (!above.node || !below.node) return 11;
  return isQueue(above.node) ? 8 : 18;
}

function isQueue(node: unknown): boolean {
  return (node as GraphNode).type === 'queue';
}

export function nodeHeight(node: ExchangeNode): number {
  return node.rows.length === 0 ? HEAD : HEAD + node.rows.length * ROW + FOOT;
}

export function nodeWidth(node: GraphNode): number {
  const name = Math.min(width(node.name), NAME_CELLS) * NAME_ADVANCE;
  if (node.type === 'queue') return Math.ceil(Math.max(110, name + 46));
  const labels = node.rows.map(({ label }) => Math.min(width(label), LABEL_CELLS));
  return Math.ceil(Math.max(150, name + 60, Math.max(0, ...labels) * LABEL_ADVANCE + 30));
}
