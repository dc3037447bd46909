import type { Routing } from './types.js';

/** Whether remembering pays is looked at so often. */
const WATCHED = 2048;
/** If less than a quarter was found, nothing is asked for so long. */
const SLEEP = 64 * 1024;

/** How many answers a router remembers, over all its exchanges. */
export interface Budget {
  left: number;
}

/**
 * What keys led to at an exchange, since the last change of the table. Finding a key here is several times cheaper than
 * encoding it for the module; keys that never come again make it sleep.
 *
 * A key that is a slice of a longer text keeps that text alive, as in any `Map`; the budget bounds how many.
 */
export class Memory {
  readonly #answers = new Map<string, Routing>();
  readonly #budget: Budget;
  #asked = 0;
  #found = 0;
  #asleep = 0;

  constructor(
    /** The name of the exchange, and its id. */
    readonly exchange: string,
    readonly id: number,
    budget: Budget,
  ) {
    this.#budget = budget;
    if (budget.left === 0) this.#asleep = Number.POSITIVE_INFINITY;
  }

  find(key: string): Routing | undefined {
    if (this.#asleep > 0) {
      this.#asleep--;
      return undefined;
    }
    const answer = this.#answers.get(key);
    if (answer !== undefined) this.#found++;
    if (++this.#asked === WATCHED) this.#judge();
    return answer;
  }

  keep(key: string, answer: Routing): void {
    if (this.#asleep > 0) return;
    if (this.#budget.left === 0) this.#drop();
    if (this.#budget.left === 0) return;
    this.#budget.left--;
    this.#answers.set(key, answer);
  }

  #judge(): void {
    if (this.#found < WATCHED / 4) {
      this.#drop();
      this.#asleep = SLEEP;
    }
    this.#asked = 0;
    this.#found = 0;
  }

  #drop(): void {
    this.#budget.left += this.#answers.size;
    this.#answers.clear();
  }
}
