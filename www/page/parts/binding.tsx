import type { Binding } from 'keyrail/full/web';
import type { ComponentChildren } from 'preact';
import { bindingLabel } from '../graph/binding.ts';
import { DEFAULT_EXCHANGE, PREDECLARED } from '../graph/graph.ts';
import { loaded } from '../store/store.ts';
import { shortened, visible } from '../text/names.ts';

/** From which exchange to which queue or exchange a binding leads, and a word on it. */
export function Ends({ binding, children }: { binding: Binding; children: ComponentChildren }) {
  const { source, destination } = binding;
  const [kind, name] =
    'queue' in destination ? ['queue', destination.queue] : ['exchange', destination.exchange];
  return (
    <p class="ends">
      <Name name={source === '' ? DEFAULT_EXCHANGE : source} /> <span aria-hidden="true">→</span>
      <span class="unseen"> to {kind} </span> <Name name={name} /> <small>{children}</small>
    </p>
  );
}

/** When a binding matches, in a few words. */
export function Condition({ binding }: { binding: Binding }) {
  const label = labelOf(binding);
  return <code title={visible(label)}>{shortened(label, 44)}</code>;
}

export function labelOf(binding: Binding): string {
  const { source } = binding;
  const exchanges = loaded.value?.topology.exchanges;
  const kind = exchanges?.find(({ name }) => name === source)?.kind ?? PREDECLARED.get(source) ?? 'direct';
  return bindingLabel(binding, kind);
}

/** A name as its own direction has it, cut in the middle if it is long. */
export function Name({ name }: { name: string }) {
  return <bdi title={visible(name)}>{shortened(name, 36)}</bdi>;
}
