import type { NearMiss } from 'keyrail/full/web';
import { bindingId } from '../graph/binding.ts';
import { Condition, Ends } from '../parts/binding.tsx';
import { Cells } from '../parts/cells.tsx';
import { changeBinding } from '../store/changes.ts';
import { answer } from '../store/store.ts';
import { distanceText, missCells } from '../text/cells.ts';

/** The bindings that failed, nearest first, each with the word or header that it failed at. */
export function Misses() {
  const said = answer.value;
  const misses = ('trace' in said && said.trace.nearMisses) || [];
  return (
    <section class="misses" aria-labelledby="misses-title">
      <h2 id="misses-title">Near misses</h2>
      {misses.length === 0 && <p class="none">Every binding on the way matches.</p>}
      <ul class="rules">
        {misses.map((miss) => (
          <Miss key={bindingId(miss.binding)} miss={miss} />
        ))}
      </ul>
    </section>
  );
}

function Miss({ miss }: { miss: NearMiss }) {
  const { binding, suggestion } = miss;
  return (
    <li class="rule" data-miss={binding.source}>
      <Ends binding={binding}>{distanceText(miss)}</Ends>
      <Cells cells={missCells(miss)} />
      {suggestion && (
        <button type="button" class="fix" onClick={() => changeBinding(binding, suggestion)}>
          Bind <Condition binding={suggestion} /> instead
        </button>
      )}
    </li>
  );
}
