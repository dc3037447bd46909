import { encoder } from './encode.js';
import type { Memory } from './memory.js';
import type { Routes } from './routes.js';
import { expected, read } from './shape.js';
import { MESSAGE } from './shapes.js';
import type { Message, Routing } from './types.js';

/** How many keys cross the boundary at once. */
const BATCH = 256;

/** The longest key in a batch: AMQP's limit, so that none is too long for a router. */
const BATCHED_KEY = 255;

/** Messages as the batch wants them. */
interface Batch {
  /** The exchange of all, or of each. */
  readonly exchanges: string | string[];
  readonly keys: (string | Uint8Array)[];
  /** Messages with more than an exchange and a key, in their places. */
  readonly others?: (Message | undefined)[];
}

/** Where many messages go, in their order. */
export function routeMany(routes: Routes, first: unknown, routingKeys: unknown): Routing[] {
  const batch = typeof first === 'string' ? keysOf(first, routingKeys) : partsOf(first);
  const routings = new Array<Routing>(batch.keys.length);
  for (let start = 0; start < routings.length; start += BATCH) {
    routeSome(routes, batch, start, Math.min(start + BATCH, routings.length), routings);
  }
  return routings;
}

function routeSome(
  routes: Routes,
  { exchanges, keys, others }: Batch,
  start: number,
  end: number,
  routings: Routing[],
): void {
  const { core, answers, engine } = routes;
  const together = !routes.draws && routes.keyBytes >= BATCHED_KEY;
  const places: number[] = [];
  const unknown: string[] = [];
  const memories: Memory[] = [];
  for (let at = start; at < end; at++) {
    const exchange = typeof exchanges === 'string' ? exchanges : (exchanges[at] as string);
    const key = keys[at] as string | Uint8Array;
    const other = others?.[at];
    if (other !== undefined) {
      routings[at] = routes.message(other);
      continue;
    }
    if (!together || typeof key !== 'string' || key.length > BATCHED_KEY) {
      routings[at] = routes.key(exchange, key);
      continue;
    }
    const memory = routes.memory(exchange);
    const known = memory.find(key);
    if (known !== undefined) {
      routings[at] = known;
      continue;
    }
    places.push(at);
    unknown.push(key);
    memories.push(memory);
  }
  const count = places.length;
  if (count === 0) return;

  // All keys in one text and its bytes in one go. Where a unit is a byte, lengths are known.
  const text = unknown.join('');
  const { read, written } = encoder.encodeInto(text, routes.input(text.length));
  const answered = read === text.length && written === read && answers.numbers(count);
  const pairs = core.batch(BATCH) >>> 2;
  if (answered) {
    const words = engine.words();
    for (let which = 0; which < count; which++) {
      words[pairs + which * 2] = (memories[which] as Memory).id;
      words[pairs + which * 2 + 1] = (unknown[which] as string).length;
    }
    core.answerBatch(count);
  }
  for (let which = 0; which < count; which++) {
    const key = unknown[which] as string;
    const memory = memories[which] as Memory;
    // The words are taken anew each time: naming the queues of an answer may make the memory grow.
    const answer = answered
      ? answers.numbered(engine.words()[pairs + which * 2] as number)
      : routes.answer(memory, key);
    routings[places[which] as number] = answer;
    memory.keep(key, answer);
  }
}

// Both read everything before anything is routed: a getter of the caller may change the router.

function keysOf(exchange: string, routingKeys: unknown): Batch {
  if (!Array.isArray(routingKeys)) throw expected('an array', routingKeys, 'routingKeys');
  return { exchanges: exchange, keys: [...routingKeys] };
}

function partsOf(messages: unknown): Batch {
  if (!Array.isArray(messages)) throw expected('an array or the name of an exchange', messages, 'messages');
  const exchanges: string[] = [];
  const keys: (string | Uint8Array)[] = [];
  const others: (Message | undefined)[] = [];
  for (let at = 0; at < messages.length; at++) {
    const message = messages[at];
    const other = isBare(message) ? undefined : (read(message, MESSAGE, `messages[${at}]`) as Message);
    const { exchange, routingKey } = other ?? message;
    exchanges.push(exchange);
    keys.push(routingKey);
    others.push(other);
  }
  return { exchanges, keys, others };
}

/** Whether routing sees nothing of a message but its exchange and key. What is no message at all is refused elsewhere. */
export function isBare(message: unknown): message is Message {
  if (typeof message !== 'object' || message === null) return false;
  for (const name in message) if (name !== 'exchange' && name !== 'routingKey') return false;
  return true;
}
