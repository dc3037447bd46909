import { batch } from '@preact/signals';
import { type Binding, Router, type Topology } from 'keyrail/full/web';
import { bindingId } from '../graph/binding.ts';
import { changes, loaded, notice } from './store.ts';

// Changes of the topology in the page alone; the file or server that it came from keeps what it has.

/** Puts another binding in the place of one, or nothing. */
export function changeBinding(binding: Binding, next?: Binding): void {
  const { topology } = loaded.value ?? {};
  if (!topology) return;
  const changed = withBinding(topology, binding, next);
  if (become(changed)) changes.value = [...changes.value, topology];
}

export function undo(): void {
  const before = changes.value.at(-1);
  if (before && become(before)) changes.value = changes.value.slice(0, -1);
}

/** The topology with another binding in the place of one. */
export function withBinding(topology: Topology, binding: Binding, next?: Binding): Topology {
  const id = bindingId(binding);
  const bindings = topology.bindings ?? [];
  const at = bindings.findIndex((other) => bindingId(other) === id);
  if (at < 0) return topology;
  return { ...topology, bindings: bindings.toSpliced(at, 1, ...(next ? [next] : [])) };
}

function become(topology: Topology): boolean {
  const before = loaded.value;
  if (!before) return false;
  try {
    const router = Router.fromTopology(topology);
    batch(() => {
      loaded.value = { ...before, router, topology: router.topology() };
      notice.value = '';
    });
  } catch (error) {
    notice.value = `The change cannot be made: ${error instanceof Error ? error.message : String(error)}.`;
    return false;
  }
  before.router.free();
  return true;
}
