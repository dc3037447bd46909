import { computed } from '@preact/signals';
import { type Binding, type Dialect, KeyrailError, Router, type Topology } from 'keyrail/full/web';
import { PREDECLARED } from '../graph/graph.ts';
import { loaded, message } from './store.ts';

/** The dialects, as people call them. */
export const DIALECTS: readonly (readonly [dialect: Dialect, name: string])[] = [
  ['amqp', 'RabbitMQ'],
  ['kombu57', 'Kombu 5.7'],
  ['kombu56', 'Kombu 5.6'],
];

/** The topology as one dialect reads it. */
export interface Reading {
  readonly dialect: Dialect;
  readonly name: string;
  readonly router: Router;
  /** Bindings with keys that this dialect cannot execute. They are left out. */
  readonly refused: number;
}

/** What one dialect does with the message. */
export interface DialectAnswer extends Pick<Reading, 'dialect' | 'name' | 'refused'> {
  readonly queues: readonly string[];
}

/** Each dialect is a router of its own; more bindings than this would keep the browser busy for seconds. */
const COMPARABLE = 20_000;

let last: readonly Reading[] = [];

const readings = computed(() => {
  for (const { router } of last) router.free();
  const topology = loaded.value?.topology;
  const few = topology && (topology.bindings?.length ?? 0) <= COMPARABLE;
  last = few ? DIALECTS.map(([dialect, name]) => ({ dialect, name, ...reread(topology, dialect) })) : [];
  return last;
});

/** None if there are too many bindings, or if the message is refused. */
export const dialectAnswers = computed<readonly DialectAnswer[]>(() => {
  try {
    return readings.value.map(({ dialect, name, refused, router }) => ({
      dialect,
      name,
      refused,
      // By name: each dialect finds them in an order of its own.
      queues: router.route({ ...message.value, random: 0 }).queues.toSorted(),
    }));
  } catch (error) {
    if (error instanceof KeyrailError) return [];
    throw error;
  }
});

/** Only topic exchanges read patterns. A text that Kombu stored is dropped: the binding is bound anew. */
export function reread(topology: Topology, dialect: Dialect): Pick<Reading, 'router' | 'refused'> {
  const kinds = new Map(topology.exchanges?.map(({ name, kind }) => [name, kind]));
  const isTopic = ({ source }: Binding) => (kinds.get(source) ?? PREDECLARED.get(source)) === 'topic';
  const bindings = (topology.bindings ?? []).map((binding): Binding => {
    if (!isTopic(binding)) return binding;
    const { pattern: _, ...rest } = binding;
    return { ...rest, dialect };
  });
  try {
    return { router: Router.fromTopology({ ...topology, bindings }), refused: 0 };
  } catch (error) {
    if (!(error instanceof KeyrailError)) throw error;
  }
  const others = bindings.filter((binding) => !isTopic(binding));
  const router = Router.fromTopology({ ...topology, bindings: others });
  const refused = bindings.filter(isTopic).filter((binding) => !binds(router, binding));
  return { router, refused: refused.length };
}

function binds(router: Router, binding: Binding): boolean {
  try {
    router.bind(binding);
    return true;
  } catch (error) {
    if (error instanceof KeyrailError) return false;
    throw error;
  }
}
