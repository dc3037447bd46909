import { computed, effect, signal } from '@preact/signals';
import type { Finding, Topology } from 'keyrail/full/web';
import { changeBinding } from './changes.ts';
import { compose, loaded, type Source, source } from './store.ts';

/** Above this, looking takes long enough to be asked for. */
const AT_ONCE = 5_000;

/** What the router finds wrong with the topology; nothing yet if nobody looked. */
export const findings = signal<readonly Finding[] | undefined>(undefined);

/** Whether looking is left to a click. */
export const waits = computed(() => (loaded.value?.topology.bindings?.length ?? 0) > AT_ONCE);

/** What was looked at: places in it are places nowhere else. */
let seen: Topology | undefined;

export function look(): void {
  findings.value = loaded.value?.router.lint().findings;
  seen = loaded.value?.topology;
}

/** Looks anew at every topology, once it is on the screen. Returns what stops it. */
export function keepLooking(): () => void {
  let shown: Source | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = effect(() => {
    clearTimeout(timer);
    const later = loaded.value !== undefined && !waits.value;
    // A change leaves the list as it was until the new one is there, so that nothing jumps.
    if (!later || source.value !== shown) findings.value = undefined;
    shown = source.value;
    if (later) timer = setTimeout(look);
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}

/** Changes the topology as a finding proposes. */
export function apply(fix: NonNullable<Finding['fix']>): void {
  const binding = seen?.bindings?.[fix.at];
  if (binding && seen === loaded.value?.topology)
    changeBinding(binding, fix.type === 'replaceBinding' ? fix.binding : undefined);
}

/** Publishes a key that tells the dialects apart. */
export function tryKey({ culprit }: Finding, key: string): void {
  if (culprit.type === 'binding') compose(culprit.binding.source, key);
}
