import type { Cell } from '../text/cells.ts';
import { shortened, visible } from '../text/names.ts';

/** Beyond this many parts nobody reads on; a hostile key has a hundred. */
const MOST = 16;

/** The parts of a binding's condition side by side, and what of the message stands against each. */
export function Cells({ cells }: { cells: readonly Cell[] }) {
  return (
    <ol class="cells">
      {cells.slice(0, MOST).map(Part)}
      {cells.length > MOST && <li data-state="untried">and {cells.length - MOST} more</li>}
    </ol>
  );
}

function Part({ state, text, below, spoken }: Cell, at: number) {
  return (
    <li key={at} data-state={state} title={visible(spoken)}>
      <code>{shortened(text, 32)}</code>
      {below !== undefined && <span>{shortened(below, 32)}</span>}
    </li>
  );
}
