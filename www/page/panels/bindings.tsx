import { useComputed } from '@preact/signals';
import type { Binding } from 'keyrail/full/web';
import { bindingId, bindingLabel } from '../graph/binding.ts';
import { DEFAULT_EXCHANGE, PREDECLARED } from '../graph/graph.ts';
import type { Effect } from '../graph/light.ts';
import { Name } from '../parts/binding.tsx';
import { lit, loaded } from '../store/store.ts';
import { shortened, visible } from '../text/names.ts';
import { EFFECTS } from '../text/verdict.ts';

/** More rows would be slower than reading them is useful. */
const ROWS = 1000;

interface Entry {
  readonly id: string;
  readonly source: string;
  readonly kind: string;
  readonly label: string;
  readonly destination: { readonly type: 'queue' | 'exchange'; readonly name: string };
  readonly alternate: boolean;
}

/** The drawing as a table: for screen readers, for small screens, and to look something up. */
export function Bindings() {
  const all = useComputed(entriesOf);
  const { length } = all.value;
  return (
    <section class="bindings" aria-labelledby="bindings-title">
      <h2 id="bindings-title">Bindings</h2>
      <table>
        <caption class="unseen">Every binding, and what it does with this message</caption>
        <thead>
          <tr>
            <th scope="col">Exchange</th>
            <th scope="col">when</th>
            <th scope="col">to</th>
            <th scope="col">this message</th>
          </tr>
        </thead>
        <tbody>
          {all.value.slice(0, ROWS).map((entry) => (
            <Line key={entry.id} entry={entry} />
          ))}
        </tbody>
      </table>
      {length === 0 && <p>There are no bindings.</p>}
      {length > ROWS && (
        <p>
          The first {ROWS} of {length}.
        </p>
      )}
    </section>
  );
}

function Line({ entry }: { entry: Entry }) {
  const effect = useComputed<Effect | undefined>(() => {
    if (!entry.alternate) return lit.value.bindings.get(entry.id);
    return lit.value.unmatched.has(entry.source) ? 'alternate' : undefined;
  });
  const word = useComputed(() => (effect.value ? EFFECTS[effect.value] : '–'));
  const { source, kind, label, destination } = entry;
  return (
    <tr data-effect={effect}>
      <td>
        <Name name={source === '' ? DEFAULT_EXCHANGE : source} /> <small>{kind}</small>
      </td>
      <td>
        <code title={visible(label)}>{shortened(label, 44)}</code>
      </td>
      <td>
        <Name name={destination.name} /> <small>{destination.type}</small>
      </td>
      <td>{word}</td>
    </tr>
  );
}

function entriesOf(): Entry[] {
  const { exchanges = [], bindings = [] } = loaded.value?.topology ?? {};
  const kinds = new Map(exchanges.map(({ name, kind }) => [name, kind]));
  const bound = bindings.map((binding): Entry => {
    const { source, destination } = binding;
    const kind = kinds.get(source) ?? PREDECLARED.get(source) ?? 'direct';
    return {
      id: bindingId(binding),
      source,
      kind,
      label: bindingLabel(binding, kind),
      destination: endOf(destination),
      alternate: false,
    };
  });
  const alternates = exchanges.flatMap(({ name, kind, alternateExchange }): Entry[] => {
    if (alternateExchange === undefined) return [];
    const destination = { type: 'exchange', name: alternateExchange } as const;
    return [{ id: `a:${name}`, source: name, kind, label: 'otherwise', destination, alternate: true }];
  });
  const all = [...bound, ...alternates];
  return all.sort((a, b) => (a.source < b.source ? -1 : a.source > b.source ? 1 : 0));
}

function endOf(destination: Binding['destination']): Entry['destination'] {
  return 'queue' in destination
    ? { type: 'queue', name: destination.queue }
    : { type: 'exchange', name: destination.exchange };
}
