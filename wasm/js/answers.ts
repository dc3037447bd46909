import type { Engine } from './engine.js';
import type { Core } from './keyrail_bg.js';
import type { Routing } from './types.js';

/** Different sets of queues that are kept, and their names altogether: what exceeds it is made anew. */
const KEPT_ANSWERS = 1 << 16;
const KEPT_NAMES = 1 << 20;

/** Whether keeping pays is looked at so often. */
const WATCHED = 8192;
/** If no more than an eighth of the answers had been there before, nothing is kept for so many. */
const SLEEP = 256 * 1024;

/** Where a router is, and its side there; asking for that throws once it was freed. */
interface Module {
  readonly engine: Engine;
  readonly core: Core;
}

/**
 * The frozen answers of a router.
 *
 * The module gives each set of queues a number, so that what is known by its number need not be made again. Where nearly
 * every message goes to other queues than all before it, both the numbers and what is kept cost more than they save: then
 * each answer is made for itself, and dies young.
 */
export class Answers {
  readonly #module: Module;
  /** Names of queues by id; dropped when a queue is deleted, since its id may be given out again. */
  #names: string[] = [];
  /** By the module's numbers, and how many names they have. */
  #kept: Routing[] = [];
  #keptNames = 0;
  #asked = 0;
  #made = 0;
  #asleep = 0;

  constructor(module: Module) {
    this.#module = module;
  }

  /** Whether the module is to number the answers to the next messages, so many. */
  numbers(messages: number): boolean {
    if (this.#asleep > 0) {
      this.#asleep--;
      return false;
    }
    this.#asked += messages;
    if (this.#asked > WATCHED) this.#judge();
    return true;
  }

  /** The answer that has this number. */
  numbered(number: number): Routing {
    return this.#kept[number] ?? this.#keep(number);
  }

  /** The answer with so many queues, whose ids are at this address. */
  fresh(count: number, address: number): Routing {
    const start = address >>> 2;
    const queues = new Array<string>(count);
    let words = this.#module.engine.words();
    for (let at = 0; at < count; at++) {
      const id = words[start + at] as number;
      let name = this.#names[id];
      if (name === undefined) {
        name = this.name(id) ?? '';
        // A name that is read may have made the memory grow.
        words = this.#module.engine.words();
      }
      queues[at] = name;
    }
    return Object.freeze({
      outcome: count > 0 ? 'routed' : 'unroutable',
      queues: Object.freeze(queues),
    } as const);
  }

  name(id: number): string | undefined {
    const known = this.#names[id];
    if (known !== undefined) return known;
    const name = this.#module.core.queueName(id);
    if (name !== undefined) this.#names[id] = name;
    return name;
  }

  /** Drops what a change may make wrong. */
  forget(names: boolean): void {
    this.#kept = [];
    this.#keptNames = 0;
    if (names) this.#names = [];
  }

  #keep(number: number): Routing {
    const count = this.#module.core.answerLength(number) >>> 0;
    const answer = this.fresh(count, this.#module.core.answerAddress(number));
    this.#kept[number] = answer;
    this.#keptNames += count;
    this.#made++;
    if (this.#keptNames > KEPT_NAMES) this.#asked = WATCHED;
    return answer;
  }

  /** Makes room for other answers. Those that are remembered by their key stay. */
  #judge(): void {
    if (this.#made > (this.#asked / 8) * 7) this.#asleep = SLEEP;
    if (this.#asleep > 0 || this.#kept.length >= KEPT_ANSWERS || this.#keptNames > KEPT_NAMES) {
      this.#module.core.forget();
      this.forget(false);
    }
    this.#asked = 0;
    this.#made = 0;
  }
}
