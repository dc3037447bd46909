import { useComputed } from '@preact/signals';
import { drawable, layout } from '../store/store.ts';
import { EdgeLine, LitLines } from './edges.tsx';
import { ExchangeBox, QueueBox } from './nodes.tsx';
import { Publisher } from './publisher.tsx';

/**
 * The topology from left to right. Drawn once for each topology; what lights up are attributes that signals set, so a
 * key press costs the lines that change. Assistive technology gets the table instead, which says the same.
 */
export function Drawing() {
  const size = useComputed(() => ({ width: layout.value.width, height: layout.value.height }));
  if (!drawable.value) {
    return (
      <p class="too-large">
        This topology is too large to draw readably. The routes, the reasons and the table below are complete.
      </p>
    );
  }
  const { width, height } = size.value;
  const { lines, exchanges, queues } = layout.value;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable to be scrolled by keys
    <section class="scroller" tabIndex={0} aria-label="Drawing, scrollable">
      <svg
        id="drawing"
        role="img"
        aria-label="Exchanges, bindings and queues from left to right. The table below says the same."
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        data-wide={width > 1400 ? '' : undefined}
      >
        <g class="edges">
          {lines.map((line) => (
            <EdgeLine key={line.edge.id} line={line} />
          ))}
          <LitLines />
        </g>
        <Publisher />
        {exchanges.map((box) => (
          <ExchangeBox key={box.node.id} box={box} />
        ))}
        {queues.map((box) => (
          <QueueBox key={box.node.id} box={box} />
        ))}
      </svg>
    </section>
  );
}
