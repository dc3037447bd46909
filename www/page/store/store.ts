import { batch, computed, signal } from '@preact/signals';
import type { Message, Topology, Trace } from 'keyrail/full/web';
import { KeyrailError } from 'keyrail/full/web';
import { graphOf } from '../graph/graph.ts';
import { layoutOf } from '../graph/layout.ts';
import { DARK, light } from '../graph/light.ts';
import { type Loaded, load, type Problem, problemOf } from './document.ts';
import { type HeaderField, tableOf } from './headers.ts';

// The state of the page. Panels read signals and call the functions below; nobody else writes.

/** Where the topology comes from. */
export interface Source {
  readonly type: 'example' | 'server' | 'file';
  readonly name: string;
  readonly text: string;
}

/** What the router says to the message. */
export type Answer = { readonly trace: Trace } | { readonly error: string };

/** As many near misses as one reads. */
const NEAR_MISSES = 6;

/** The drawing is for people: beyond this nobody can read it, and laying it out would take longer than a frame. */
const DRAWABLE = { nodes: 400, bindings: 2000 };

export const source = signal<Source | undefined>(undefined);
export const loaded = signal<Loaded | undefined>(undefined);
/** Why the last file was refused. The page keeps what it had. */
export const problem = signal<(Problem & { readonly name: string }) | undefined>(undefined);
/** Said once, above everything: something did not go as it should, and what the page did about it. */
export const notice = signal('');

/** The topology before each change that was made in the page, the latest last. */
export const changes = signal<readonly Topology[]>([]);

export const exchange = signal('');
export const routingKey = signal('');
export const headers = signal<readonly HeaderField[]>([]);

export const message = computed<Message>(() => {
  const table = tableOf(headers.value);
  const plain = { exchange: exchange.value, routingKey: routingKey.value };
  return table ? { ...plain, headers: table } : plain;
});

export const answer = computed<Answer>(() => {
  const { router } = loaded.value ?? {};
  if (!router) return { error: '' };
  try {
    return { trace: router.explain(message.value, { nearMisses: NEAR_MISSES }) };
  } catch (error) {
    return { error: error instanceof KeyrailError ? error.message : String(error) };
  }
});

/** Of the exchange only this matters to the drawing: whether it would be missing. */
const guest = computed(() => {
  const listed = loaded.value?.topology.exchanges?.some(({ name }) => name === exchange.value);
  return listed ? undefined : exchange.value;
});

export const drawable = computed(() => {
  const { exchanges = [], queues = [], bindings = [] } = loaded.value?.topology ?? {};
  return exchanges.length + queues.length <= DRAWABLE.nodes && bindings.length <= DRAWABLE.bindings;
});

export const graph = computed(() => {
  const topology = drawable.value ? loaded.value?.topology : undefined;
  const first = topology?.exchanges?.[0]?.name;
  return graphOf(topology ?? {}, guest.value ?? first ?? '');
});

export const layout = computed(() => layoutOf(graph.value));

export const lit = computed(() => {
  const said = answer.value;
  return 'trace' in said ? light(graph.value, said.trace) : DARK;
});

/** Shows another topology, or says why not and keeps the one it has. */
export function open(from: Source, vhost?: string): boolean {
  let next: Loaded;
  try {
    next = load(from.text, vhost);
  } catch (error) {
    problem.value = { name: from.name, ...problemOf(error, from.text) };
    return false;
  }
  const before = loaded.value?.router;
  batch(() => {
    source.value = from;
    loaded.value = next;
    changes.value = [];
    problem.value = undefined;
    const { exchanges = [] } = next.topology;
    if (!exchanges.some(({ name }) => name === exchange.value)) exchange.value = busiest(next);
  });
  before?.free();
  return true;
}

/** The exchange that one most likely wants to publish to: not internal, not fed by others, most bindings. */
function busiest({ topology }: Loaded): string {
  const { exchanges = [], bindings = [] } = topology;
  const fed = new Set(
    bindings.map(({ destination }) => ('exchange' in destination ? destination.exchange : '')),
  );
  const count = new Map<string, number>();
  for (const { source } of bindings) count.set(source, (count.get(source) ?? 0) + 1);
  const open = exchanges.filter(({ internal }) => !internal);
  const entries = open.filter(({ name }) => !fed.has(name));
  const ranked = (entries.length > 0 ? entries : open).map(({ name }) => name);
  return ranked.sort((a, b) => (count.get(b) ?? 0) - (count.get(a) ?? 0))[0] ?? '';
}

let nextId = 0;

export function addHeader(name = '', typed = ''): void {
  headers.value = [...headers.value, { id: nextId++, name, typed }];
}

export function changeHeader(id: number, change: Partial<HeaderField>): void {
  headers.value = headers.value.map((field) => (field.id === id ? { ...field, ...change } : field));
}

export function removeHeader(id: number): void {
  headers.value = headers.value.filter((field) => field.id !== id);
}

/** Sets the whole message at once, so that it is drawn once. */
export function compose(to: string, key: string, table: Readonly<Record<string, string>> = {}): void {
  batch(() => {
    exchange.value = to;
    routingKey.value = key;
    headers.value = [];
    for (const [name, typed] of Object.entries(table)) addHeader(name, typed);
  });
}
