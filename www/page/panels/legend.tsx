import { KindIcon } from '../drawing/icons.tsx';

const KINDS = [
  ['direct', 'the key is equal'],
  ['topic', '* is a word, # any number'],
  ['fanout', 'every message'],
  ['headers', 'the headers match'],
] as const;

/** What the signs in the drawing mean. Hidden from screen readers, which read the table. */
export function Legend() {
  return (
    <ul class="legend" aria-hidden="true">
      {KINDS.map(([kind, meaning]) => (
        <li key={kind}>
          <svg width="18" height="18" viewBox="-9 -9 18 18" aria-hidden="true">
            <KindIcon kind={kind} />
          </svg>
          <b>{kind}</b> {meaning}
        </li>
      ))}
      <li>
        <svg width="34" height="10" viewBox="0 0 34 10" aria-hidden="true">
          <path class="edge" data-alternate d="M 1 5 H 33" />
        </svg>
        <b>otherwise</b> alternate exchange
      </li>
    </ul>
  );
}
