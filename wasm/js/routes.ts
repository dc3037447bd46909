import { Answers } from './answers.js';
import { encode, encoder } from './encode.js';
import type { Engine } from './engine.js';
import { guarded, KeyrailError } from './error.js';
import type { Core } from './keyrail_bg.js';
import { type Budget, Memory } from './memory.js';
import { expected, isBytes, read, text } from './shape.js';
import { MESSAGE } from './shapes.js';
import type { Message, Operation, Routing } from './types.js';

/** How many answers are remembered unless it is said. */
const ANSWERS = 1 << 15;

/** Room for every key of AMQP: a UTF-16 unit takes three bytes at most. */
const INPUT_BYTES = 1024;

/**
 * The way of a router's messages through its module, and what has to be known for it: the module's side of the router,
 * where keys are written, and what keys led to since the last change.
 */
export class Routes {
  readonly engine: Engine;
  readonly answers: Answers;
  #core: Core | undefined;
  /** The longest key. */
  keyBytes = 0;
  /** Whether there may be a random exchange, so that every message needs a number. */
  draws = false;
  /** Where the module reads keys. Empty after the memory grew. */
  #input = new Uint8Array(0);
  /** What keys led to, by the name of the exchange; dropped with every change. */
  readonly #memories = new Map<string, Memory>();
  /** That of the exchange that was asked last. */
  #memory: Memory | undefined;
  readonly #remembered: number;
  #budget: Budget;

  constructor(engine: Engine, core: Core, remembered = ANSWERS) {
    this.engine = engine;
    this.#core = core;
    this.answers = new Answers(this);
    this.#remembered = remembered;
    this.#budget = { left: remembered };
    this.look();
  }

  /** The module's side of the router. */
  get core(): Core {
    if (!this.#core) throw new KeyrailError('freed', 'the router was freed');
    return this.#core;
  }

  /** The same for a message that is about to be routed: random exchanges choose by this fraction. */
  drawn(random?: number): Core {
    const { core } = this;
    if (this.draws) core.draw(random ?? Math.random());
    return core;
  }

  // --- One message ---------------------------------------------------------------------------------------------------

  key(exchange: string, key: string | Uint8Array): Routing {
    const memory = this.memory(exchange);
    if (typeof key !== 'string') return this.answer(memory, key);
    const known = memory.find(key);
    if (known !== undefined) return known;
    const answer = this.answer(memory, key);
    memory.keep(key, answer);
    return answer;
  }

  /** Where a key leads, from the module. */
  answer({ exchange, id }: Memory, key: string | Uint8Array): Routing {
    const { answers } = this;
    const length = this.write(key);
    if (length < 0 || length > this.keyBytes) return this.message({ exchange, routingKey: key });
    const core = this.drawn();
    // INVARIANT: the id is that of an exchange, since a change drops what is remembered.
    if (answers.numbers(1)) return answers.numbered(core.answer(id, length));
    return answers.fresh(core.route(id, length), core.idsAddress());
  }

  /** Routes a message with whatever it has. */
  message(message: unknown): Routing {
    const count = this.copies(message);
    const { core, answers } = this;
    if (answers.numbers(1)) return answers.numbered(core.numbered());
    return answers.fresh(count, core.idsAddress());
  }

  /** Does the same, and gives no more than the number of its queues. */
  copies(message: unknown): number {
    const { random, ...data } = read(message, MESSAGE, 'message') as Message;
    return guarded(() => this.drawn(random).routeMessage(encode(data)));
  }

  // --- What is remembered --------------------------------------------------------------------------------------------

  /** What is remembered of an exchange that takes publishes. */
  memory(exchange: string): Memory {
    const last = this.#memory;
    return last !== undefined && exchange === last.exchange ? last : this.#lookUp(exchange);
  }

  /** Apart, since a function that makes another one for `guarded` costs every call of it. */
  #lookUp(exchange: string): Memory {
    let memory = this.#memories.get(exchange);
    if (!memory) {
      const name = text(exchange, 'message.exchange');
      const id = guarded(() => this.core.publishable(name)) >>> 0;
      // Where each message draws, no key leads to the same queues for sure.
      memory = new Memory(name, id, this.draws ? { left: 0 } : this.#budget);
      this.#memories.set(name, memory);
    }
    this.#memory = memory;
    return memory;
  }

  /** Every change goes through here. The operation is checked, plain data. */
  apply(operation: object): void {
    const { op, kind } = operation as { op: Operation['op']; kind?: string };
    this.forget(op === 'queue.delete');
    if (kind === 'x-random') this.draws = true;
    guarded(() => this.core.apply(encode(operation)));
  }

  /** Drops what a change may make wrong. */
  forget(names: boolean): void {
    this.#memory = undefined;
    this.#memories.clear();
    this.#budget = { left: this.#remembered };
    this.answers.forget(names);
  }

  /** Looks up what a router that is new, or follows another, may have otherwise. */
  look(): void {
    this.draws = this.core.draws();
    this.keyBytes = this.core.keyBytes();
  }

  free(): void {
    this.#core?.free();
    this.#core = undefined;
    // INVARIANT: nobody writes keys into memory that may be another router's by now.
    this.#input = new Uint8Array(0);
    this.forget(true);
  }

  // --- Keys ----------------------------------------------------------------------------------------------------------

  /** Where the module reads keys, with room for so many bytes. */
  input(bytes: number): Uint8Array<ArrayBuffer> {
    const size = Math.max(bytes, INPUT_BYTES);
    if (this.#input.length < size) {
      const start = this.core.input(size) >>> 0;
      this.#input = this.engine.bytes().subarray(start, start + size);
    }
    return this.#input;
  }

  /** Writes a key where the module reads it, and gives its length; -1 if it may not fit. */
  write(key: string | Uint8Array): number {
    const input = this.input(INPUT_BYTES);
    if (typeof key === 'string') {
      if (key.length > INPUT_BYTES / 3) return -1;
      const { written } = encoder.encodeInto(key, input);
      // Where a unit is a byte there are no surrogates, and nearly all keys are such.
      if (written !== key.length) text(key, 'routingKey');
      return written;
    }
    if (!isBytes(key)) throw expected('a string or a Uint8Array', key, 'routingKey');
    if (key.length > INPUT_BYTES) return -1;
    input.set(key);
    return key.length;
  }
}
