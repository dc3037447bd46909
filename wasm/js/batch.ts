import { expected, read } from './shape.js';
import { MESSAGE } from './shapes.js';
import type { Message } from './types.js';

/** Messages as the batch wants them. */
export interface Batch {
  /** The exchange of all, or of each. */
  readonly exchanges: string | string[];
  readonly keys: (string | Uint8Array)[];
  /** Messages with more than an exchange and a key, in their places. */
  readonly others?: (Message | undefined)[];
}

// Both read everything before anything is routed: a getter of the caller may change the router.

export function keysOf(exchange: string, routingKeys: unknown): Batch {
  if (!Array.isArray(routingKeys)) throw expected('an array', routingKeys, 'routingKeys');
  const keys: (string | Uint8Array)[] = [];
  for (let at = 0; at < routingKeys.length; at++) keys.push(routingKeys[at]);
  return { exchanges: exchange, keys };
}

export function partsOf(messages: unknown): Batch {
  if (!Array.isArray(messages)) throw expected('an array or the name of an exchange', messages, 'messages');
  const exchanges: string[] = [];
  const keys: (string | Uint8Array)[] = [];
  const others: (Message | undefined)[] = [];
  for (let at = 0; at < messages.length; at++) {
    const message = messages[at];
    if (typeof message !== 'object' || message === null)
      throw expected('an object', message, `messages[${at}]`);
    let other: Message | undefined;
    for (const name in message) {
      if (name !== 'exchange' && name !== 'routingKey')
        other = read(message, MESSAGE, `messages[${at}]`) as Message;
    }
    exchanges.push(other === undefined ? message.exchange : '');
    keys.push(other === undefined ? message.routingKey : '');
    others.push(other);
  }
  return { exchanges, keys, others };
}
