import { useComputed } from '@preact/signals';
import { DEFAULT_EXCHANGE, type ExchangeNode, type QueueNode, type Row } from '../graph/graph.ts';
import type { Box } from '../graph/layout.ts';
import { HEAD, LABEL_CELLS, NAME_CELLS, ROW } from '../graph/measures.ts';
import { exchange, lit } from '../store/store.ts';
import { shortened, visible } from '../text/names.ts';
import { KindIcon } from './icons.tsx';

/** An exchange with its table: one line for each condition, where the lines of the drawing start. */
export function ExchangeBox({ box }: { box: Box<ExchangeNode> }) {
  const { node, x, y, width, height, rows } = box;
  const name = node.name === '' ? DEFAULT_EXCHANGE : node.name;
  const on = useComputed(() => (lit.value.nodes.has(node.id) ? '' : undefined));
  // What is not there has no kind; the drawing of one is a guess.
  const kind = node.missing ? 'missing' : `${node.kind}${node.internal ? ', internal' : ''}`;
  const pick = () => {
    if (!node.missing) exchange.value = node.name;
  };
  return (
    // The select does the same for the keyboard; to assistive technology the drawing is one picture.
    // biome-ignore lint/a11y/noStaticElementInteractions: see above
    <g
      class="exchange"
      transform={`translate(${x} ${y})`}
      data-exchange={node.name}
      data-lit={on}
      onClick={pick}
    >
      <title>{`${kind} exchange ${visible(name)}`}</title>
      <rect class="box" width={width} height={height} rx="9" />
      <path class="arrow" d={`M -6 ${HEAD / 2 - 4.5} L 0 ${HEAD / 2} L -6 ${HEAD / 2 + 4.5} Z`} />
      <g transform={`translate(21 ${HEAD / 2})`}>
        <KindIcon kind={node.kind} />
      </g>
      <Name name={name} x={38} y={19} room={width - 44} />
      <text class="note" x="38" y="32">
        {kind}
      </text>
      {rows.map((row, at) => (
        <RowLine key={row.id} row={row} y={HEAD + at * ROW} width={width} />
      ))}
    </g>
  );
}

function RowLine({ row, y, width }: { row: Row; y: number; width: number }) {
  const on = useComputed(() => (lit.value.rows.has(row.id) ? '' : undefined));
  return (
    <g class="row" transform={`translate(0 ${y})`} data-kind={row.kind} data-lit={on}>
      <title>{visible(row.label)}</title>
      <rect x="4" width={width - 8} height={ROW} rx="4" />
      <text x="12" y="13.5">
        {shortened(row.label, LABEL_CELLS)}
      </text>
      <circle cx={width} cy={ROW / 2} r="3" />
    </g>
  );
}

/** Its own viewport clips it: of the widest letters fewer fit than the layout, which cannot measure, assumes. */
function Name({ name, x, y, room }: { name: string; x: number; y: number; room: number }) {
  return (
    <svg class="clip" x={x} y="0" width={room} height={y + 6} aria-hidden="true">
      <text class="name" y={y}>
        {shortened(name, NAME_CELLS)}
      </text>
    </svg>
  );
}

/** A queue: messages one after the other. */
export function QueueBox({ box }: { box: Box<QueueNode> }) {
  const { node, x, y, width, height } = box;
  const on = useComputed(() => (lit.value.nodes.has(node.id) ? '' : undefined));
  const middle = height / 2;
  return (
    <g class="queue" transform={`translate(${x} ${y})`} data-queue={node.name} data-lit={on}>
      <title>{`queue ${visible(node.name)}`}</title>
      <rect class="box" width={width} height={height} rx={middle} />
      <path class="arrow" d={`M -6 ${middle - 4.5} L 0 ${middle} L -6 ${middle + 4.5} Z`} />
      <path class="bars" d={`M 13 ${middle - 5} v 10 M 17 ${middle - 5} v 10 M 21 ${middle - 5} v 10`} />
      <Name name={node.name} x={30} y={middle + 4.3} room={width - 40} />
    </g>
  );
}
