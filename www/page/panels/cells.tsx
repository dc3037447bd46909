import { shortened, visible } from '../text/names.ts';
import type { Cell } from '../text/cells.ts';

/** Beyond this many parts nobody reads on; a hostile key has a hundred. */
const MOST = 16;

/** The parts of a binding's condition side by side, and what of the message stands against each. */
export function Cells({ cells }: { cells: readonly Cell[] }) {
  return (
    <ol class="cells">
      {cells.slice(0, MOST).map((cell, at) => (
        // Words have no name but their place.
        // biome-ignore lint/suspicious/noArrayIndexKey: a cell is what stands at its place
        <li key={at} data-state={cell.state} title={visible(cell.spoken)}>
          <code>{shortened(cell.text, 32)}</code>
          {cell.below !== undefined && <span>{shortened(cell.below, 32)}</span>}
        </li>
      ))}
      {cells.length > MOST && <li data-state="untried">and {cells.length - MOST} more</li>}
    </ol>
  );
}
