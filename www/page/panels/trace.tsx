import type { Hop, Match } from 'keyrail/full/web';
import { bindingId } from '../graph/binding.ts';
import { Ends, labelOf } from '../parts/binding.tsx';
import { Cells } from '../parts/cells.tsx';
import { answer } from '../store/store.ts';
import { matchCells } from '../text/cells.ts';
import { visible } from '../text/names.ts';
import { EFFECTS } from '../text/verdict.ts';

/** The bindings that matched, exchange by exchange, and the router's own words. */
export function Trace() {
  const said = answer.value;
  const hops = 'trace' in said ? said.trace.hops : [];
  return (
    <section class="trace" aria-labelledby="trace-title">
      <h2 id="trace-title">Why</h2>
      {hops.every(({ matches }) => matches.length === 0) && <p class="none">No binding matches.</p>}
      <ul class="rules">
        {hops.flatMap((hop) =>
          hop.matches.map((match) => <Matched key={bindingId(match.binding)} hop={hop} match={match} />),
        )}
      </ul>
      <details>
        <summary>In words</summary>
        <pre id="trace">{'trace' in said ? lines(said.trace.text) : visible(said.error)}</pre>
      </details>
    </section>
  );
}

function Matched({ hop, match }: { hop: Hop; match: Match }) {
  const { binding, effect, how, selected } = match;
  const note = selected ? `${EFFECTS[effect]}, by ${selected.header}` : EFFECTS[effect];
  return (
    <li class="rule" data-match={hop.exchange} data-effect={effect}>
      <Ends binding={binding}>{note}</Ends>
      <Cells cells={matchCells(how, labelOf(binding))} />
    </li>
  );
}

/** Line breaks are the text's own: the router writes those in names as escapes. */
function lines(text: string): string {
  return text.trimEnd().split('\n').map(visible).join('\n');
}
