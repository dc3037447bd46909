import { type Definitions, KeyrailError, Router, type Topology } from 'keyrail/full/web';
import { brokenAt } from '../text/json.ts';

/** A topology that somebody handed over, and the router made of it. */
export interface Loaded {
  readonly router: Router;
  readonly topology: Topology;
  readonly vhost: string | undefined;
  /** Of the document; one is chosen. */
  readonly vhosts: readonly string[];
}

/** What is wrong with a document, and where. */
export interface Problem {
  readonly message: string;
  /** The line around the place, and the place in it, if it is known. */
  readonly excerpt?: {
    readonly line: number;
    readonly column: number;
    readonly before: string;
    readonly after: string;
  };
}

/** Above this a browser would be busy for seconds with parsing alone. */
export const LARGEST_FILE = 64 * 1024 * 1024;

/** Reads RabbitMQ's `definitions.json` or keyrail's own JSON; which of the two it is, the document shows. */
export function load(text: string, vhost?: string): Loaded {
  const document: unknown = JSON.parse(text);
  if (!isDefinitions(document)) return made(Router.fromTopology(document as Topology), undefined, []);
  const vhosts = vhostsOf(document);
  const chosen = vhost ?? (vhosts.length === 0 || vhosts.includes('/') ? '/' : vhosts[0]);
  return made(Router.fromDefinitions(document, { vhost: chosen ?? '/' }), chosen, vhosts);
}

function made(router: Router, vhost: string | undefined, vhosts: readonly string[]): Loaded {
  return { router, topology: router.topology(), vhost, vhosts };
}

function isDefinitions(document: unknown): document is Definitions {
  if (typeof document !== 'object' || document === null) return false;
  if ('rabbit_version' in document || 'rabbitmq_version' in document || 'vhosts' in document) return true;
  return has(document, 'exchanges', 'type') || has(document, 'bindings', 'destination_type');
}

/** Whether the first entry of a list has a field. */
function has(document: object, list: string, field: string): boolean {
  const entries: unknown = (document as Record<string, unknown>)[list];
  const first: unknown = Array.isArray(entries) ? entries[0] : undefined;
  return typeof first === 'object' && first !== null && field in first;
}

function vhostsOf({ exchanges = [], queues = [] }: Definitions): string[] {
  // Checked by the router later; here a wrong document must only do no harm.
  const owners = [exchanges, queues].flat() as ({ vhost?: unknown } | null)[];
  const named = owners.map((owner) => owner?.vhost).filter((vhost) => typeof vhost === 'string');
  return [...new Set(named)].sort();
}

export function problemOf(error: unknown, text: string): Problem {
  if (error instanceof KeyrailError) return { message: error.message };
  if (!(error instanceof SyntaxError)) return { message: String(error) };
  const at = brokenAt(text);
  const start = text.lastIndexOf('\n', at - 1) + 1;
  const end = text.indexOf('\n', at);
  return {
    message: 'It is not JSON.',
    excerpt: {
      line: text.slice(0, at).split('\n').length,
      column: at - start + 1,
      before: text.slice(Math.max(start, at - 40), at),
      after: text.slice(at, Math.min(end < 0 ? text.length : end, at + 40)),
    },
  };
}
