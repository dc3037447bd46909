import { useComputed } from '@preact/signals';
import { curve, into } from '../graph/layout.ts';
import { HEAD, MARGIN, PUBLISHER } from '../graph/measures.ts';
import { answer, exchange, layout } from '../store/store.ts';

/** Stands beside the exchange that the message is published to. */
export function Publisher() {
  const { width, height } = PUBLISHER;
  const target = useComputed(() => layout.value.exchanges.find(({ node }) => node.name === exchange.value));
  const y = useComputed(() => (target.value ? target.value.y + (HEAD - height) / 2 : MARGIN));
  const place = useComputed(() => `translate(${MARGIN} ${y.value})`);
  const path = useComputed(() => {
    const from = { x: MARGIN + width, y: y.value + height / 2 };
    return target.value ? curve(from, into(target.value)) : '';
  });
  const effect = useComputed(() => ('trace' in answer.value ? 'followed' : undefined));
  const [right, tip, bottom] = [width - 12, height / 2, height];
  return (
    <>
      <path class="edge" d={path} data-effect={effect} />
      <g class="publisher" transform={place}>
        <path
          d={`M 8 0 H ${right} L ${width} ${tip} L ${right} ${bottom} H 8 a 8 8 0 0 1 -8 -8 V 8 a 8 8 0 0 1 8 -8 Z`}
        />
        <text x="13" y={tip + 4.3}>
          publisher
        </text>
      </g>
    </>
  );
}
