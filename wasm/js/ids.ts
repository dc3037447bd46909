import { encoder } from './encode.js';
import { invalid, KeyrailError } from './error.js';
import type { Routes } from './routes.js';
import { expected, isDetached, isSize, text } from './shape.js';

/** What stands for "no such exchange". */
const UNKNOWN_EXCHANGE = 0xffff_ffff;

/** Writes the ids of the queues that a key leads to, and gives their number. */
export function routeInto(
  routes: Routes,
  exchangeId: number,
  routingKey: string | Uint8Array,
  ids: Uint32Array,
): number {
  if (!isSize(exchangeId)) throw expected('an id from exchangeId()', exchangeId, 'exchangeId');
  if (!(ids instanceof Uint32Array)) throw expected('a Uint32Array', ids, 'ids');
  if (ids.length === 0 && isDetached(ids)) throw invalid('ids is detached: its buffer was transferred');
  const length = routes.write(routingKey);
  const core = routes.drawn();
  const count =
    (length < 0 ? core.routeLong(exchangeId, allBytes(routingKey)) : core.route(exchangeId, length)) >>> 0;
  if (count === UNKNOWN_EXCHANGE) {
    throw new KeyrailError('exchange-not-found', `there is no exchange with the id ${exchangeId}`);
  }
  if (count > ids.length) {
    throw new KeyrailError(
      'ids-too-short',
      `ids has room for ${ids.length}, the message goes to ${count} queues`,
    );
  }
  const start = core.idsAddress() >>> 2;
  const words = routes.engine.words();
  for (let at = 0; at < count; at++) ids[at] = words[start + at] as number;
  return count;
}

function allBytes(key: string | Uint8Array): Uint8Array {
  return typeof key === 'string' ? encoder.encode(text(key, 'routingKey')) : key;
}
