import { useComputed } from '@preact/signals';
import { curve, into, type Line } from '../graph/layout.ts';
import { HEAD } from '../graph/measures.ts';
import { layout, lit } from '../store/store.ts';

/** One way from an exchange to what it feeds, in the dark. */
export function EdgeLine({ line: { edge, path } }: { line: Line }) {
  return <path class="edge" d={path} data-alternate={edge.row.kind === 'otherwise' ? '' : undefined} />;
}

/** The ways that the message takes, on top of all others: what is drawn later covers what was drawn before. */
export function LitLines() {
  const lines = useComputed(() => {
    const { edges } = lit.value;
    return layout.value.lines.filter(({ edge }) => edges.has(edge.id));
  });
  return (
    <>
      {lines.value.map(({ edge, path }) => (
        <path
          key={edge.id}
          class="edge"
          d={path}
          data-effect={lit.value.edges.get(edge.id)}
          data-alternate={edge.row.kind === 'otherwise' ? '' : undefined}
        />
      ))}
      <LinesByName />
    </>
  );
}

/** From the default exchange to the queues that the key names: no binding is drawn for each queue there is. */
function LinesByName() {
  const paths = useComputed(() => {
    const { exchanges, queues } = layout.value;
    const from = exchanges.find(({ node }) => node.name === '');
    if (!from) return [];
    return lit.value.byName.flatMap((name) => {
      const to = queues.find(({ node }) => node.name === name);
      return to ? [{ name, path: curve({ x: from.x + from.width, y: from.y + HEAD / 2 }, into(to)) }] : [];
    });
  });
  return (
    <>
      {paths.value.map(({ name, path }) => (
        <path key={name} class="edge" d={path} data-effect="delivered" />
      ))}
    </>
  );
}
