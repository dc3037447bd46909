import type { ExchangeKind } from 'keyrail/full/web';

/** A sign for each kind of exchange, around the origin; a shape of its own each, so that colour need not tell. */
const SHAPES: Record<ExchangeKind, { readonly body: string; readonly sign: string }> = {
  // One way through.
  direct: { body: 'M -8 -8 H 8 V 8 H -8 Z', sign: 'M -4.5 0 H 4 M 1 -3 L 4 0 L 1 3' },
  // A star, as in `*`.
  topic: {
    body: 'M -8.5 0 L 0 -8.5 L 8.5 0 L 0 8.5 Z',
    sign: 'M 0 -4 V 4 M -3.5 -2 L 3.5 2 M -3.5 2 L 3.5 -2',
  },
  // Out to everywhere.
  fanout: { body: 'M -8 -5 L 6 -9 V 9 L -8 5 Z', sign: 'M -5 0 L 3 -5 M -5 0 H 4 M -5 0 L 3 5' },
  // Lines of a form.
  headers: {
    body: 'M -5 -8 H 5 L 8 -5 V 5 L 5 8 H -5 L -8 5 V -5 Z',
    sign: 'M -4 -3 H 4 M -4 0 H 4 M -4 3 H 1',
  },
  // A ring with its buckets.
  'x-consistent-hash': {
    body: 'M -8.5 0 A 8.5 8.5 0 1 1 8.5 0 A 8.5 8.5 0 1 1 -8.5 0 Z',
    sign: 'M -4 0 A 4 4 0 1 1 4 0 A 4 4 0 1 1 -4 0 M 0 -6 V -2 M 0 6 V 2',
  },
  // A die.
  'x-random': {
    body: 'M -6 -8 H 6 L 8 -6 V 6 L 6 8 H -6 L -8 6 V -6 Z',
    sign: 'M -4 -3.5 h 1 M 3 -3.5 h 1 M -0.5 0 h 1 M -4 3.5 h 1 M 3 3.5 h 1',
  },
};

export function KindIcon({ kind }: { kind: ExchangeKind }) {
  const { body, sign } = SHAPES[kind];
  return (
    <g class="kind" data-kind={kind}>
      <path class="body" d={body} />
      <path class="sign" d={sign} />
    </g>
  );
}
