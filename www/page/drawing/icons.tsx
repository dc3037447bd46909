import type { ExchangeKind } from 'keyrail/web';

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
