import { EXAMPLES } from '../store/examples.ts';
import { compose, loaded } from '../store/store.ts';

/** Messages worth trying, those whose exchange is there. */
export function Examples() {
  const there = new Set(loaded.value?.topology.exchanges?.map(({ name }) => name));
  const fitting = EXAMPLES.filter(({ exchange }) => there.has(exchange));
  if (fitting.length === 0) return null;
  return (
    <fieldset class="examples">
      <legend>Try</legend>
      {fitting.map(({ title, exchange, key, headers }) => (
        <button key={title} type="button" class="chip" onClick={() => compose(exchange, key, headers)}>
          {title}
        </button>
      ))}
    </fieldset>
  );
}
