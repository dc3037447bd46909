import { BaseRouter, coreOf, make } from '../base.js';
import { decode } from '../decode.js';
import { encode } from '../encode.js';
import { guarded, KeyrailError } from '../error.js';
import { functionsOf } from '../functions.js';
import { expected, read, text } from '../shape.js';
import type {
  BindingSets,
  BindingSetsOptions,
  CeleryConfig,
  Definitions,
  Dialect,
  Diff,
  DiffOptions,
  Layout,
  Report,
  Table,
} from '../types.js';
import type { Core } from './keyrail_bg.js';
import { engine } from './module.js';
import {
  CELERY_OPTIONS,
  DEFINITIONS,
  DEFINITIONS_OPTIONS,
  DIFF_OPTIONS,
  SETS_OPTIONS,
  TO_SETS_OPTIONS,
  VHOST,
} from './shapes.js';

/** A router with all that keyrail can do: it also takes policies, and patterns in binding tables that are not Kombu's. */
export class Router extends BaseRouter {
  /** @internal */
  static override readonly engine = engine;

  /** A router with one virtual host (`/` if it is not said) of RabbitMQ's `definitions.json`, as text or parsed. */
  static fromDefinitions(definitions: Definitions | string, options: { vhost?: string } = {}): Router {
    const data = read(parsed(definitions), DEFINITIONS, 'definitions');
    const { vhost = '/' } = read(options, VHOST, 'options') as { vhost?: string };
    return make(Router, () => engine.Core.fromDefinitions(encode(data), vhost));
  }

  /** A router with what Kombu's publishers see in the binding tables of Redis, as `SMEMBERS` answers for each key. */
  static fromBindingSets(sets: BindingSets, options: BindingSetsOptions = {}): Router {
    const data = read(sets, 'object', 'sets');
    const { layout = {}, kinds = {} } = read(options, SETS_OPTIONS, 'options') as BindingSetsOptions;
    return make(Router, () => engine.Core.fromBindingSets(encode(data), encode(layout), encode(kinds)));
  }

  /** A router with the exchanges, queues and bindings that a Celery app declares, by its settings. */
  static fromCeleryConfig(config: CeleryConfig, options: { dialect?: Dialect } = {}): Router {
    const data = read(config, 'object', 'config');
    const { dialect = 'amqp' } = read(options, CELERY_OPTIONS, 'options') as { dialect?: Dialect };
    return make(Router, () => engine.Core.fromCeleryConfig(encode(data), encode(dialect)));
  }

  /** A router with what is written in lines such as `logs topic: a.*.c -> q1`. */
  static fromLines(lines: string): Router {
    const checked = text(lines, 'lines');
    return make(Router, () => engine.Core.fromLines(checked));
  }

  /**
   * RabbitMQ's `definitions.json` of this router: of it alone, or those that are given `within`, in which it takes the
   * place of its virtual host (`/` if it is not said).
   */
  toDefinitions(options: { vhost?: string; within?: Definitions } = {}): Definitions {
    const { vhost = '/', within } = read(options, DEFINITIONS_OPTIONS, 'options') as typeof options;
    return guarded(
      () => decode(fullCoreOf(this).toDefinitions(vhost, within && encode(within))) as Definitions,
    );
  }

  /** Kombu's binding tables that hold these bindings; those of the dialect `amqp` are written in `dialect`. */
  toBindingSets(options: { layout?: Layout; dialect?: Dialect } = {}): BindingSets {
    const checked = read(options, TO_SETS_OPTIONS, 'options') as typeof options;
    const { layout = {}, dialect = 'kombu57' } = checked;
    return guarded(
      () => decode(fullCoreOf(this).toBindingSets(encode(layout), encode(dialect))) as BindingSets,
    );
  }

  /** Lines that {@link fromLines} reads. */
  toLines(): string {
    return guarded(() => fullCoreOf(this).toLines());
  }

  /**
   * What is wrong with the topology, or will be: bindings that do nothing, exchanges and queues that nothing reaches,
   * cycles, dangling names, and patterns that brokers read differently. About linear in the bindings; at most a second
   * or two where patterns are hard to compare.
   */
  lint(): Report {
    return guarded(() => decode(fullCoreOf(this).lint()) as Report);
  }

  /**
   * What another router does differently: what was added, removed and changed, and for each exchange a message that gets
   * other queues, or the statement that there is none.
   */
  diff(after: Router, options: DiffOptions = {}): Diff {
    if (!(after instanceof Router)) throw expected('a Router', after, 'after');
    const { witnesses = 5, lineFeeds = true } = read(options, DIFF_OPTIONS, 'options') as DiffOptions;
    return guarded(() => decode(fullCoreOf(this).diff(fullCoreOf(after), witnesses, lineFeeds)) as Diff);
  }
}

const functions = functionsOf(engine);

/** The headers on every delivered copy of a message: all but `BCC`. */
export const deliveredHeaders: (headers: Table) => Table = functions.deliveredHeaders;

/** The Redis key of the binding table of an exchange, a set. */
export const bindingTableKey: (exchange: string, layout?: Layout) => string = functions.bindingTableKey;

/** The instance of the large module; `coreOf` says that of the small one. */
const fullCoreOf = coreOf as (router: Router) => unknown as (router: Router) => Core;

function parsed(definitions: Definitions | string): unknown {
  if (typeof definitions !== 'string') return definitions;
  try {
    return JSON.parse(definitions);
  } catch (cause) {
    throw new KeyrailError('invalid-json', `the definitions are not JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
}
