import { decode } from './decode.js';
import { encode } from './encode.js';
import { guarded, KeyrailError } from './error.js';
import type { Core } from './keyrail_bg.js';
import { checkedChange } from './methods.js';
import type { Routes } from './routes.js';
import { expected, object, read } from './shape.js';
import { POSITION, RECORD_OPTIONS, UPDATES } from './shapes.js';
import type { Position, RecordOptions, Update } from './types.js';

// One router that writes its changes down, and others that follow it. Epochs have 64 bits in the module, and are numbers
// outside where that is exact.

export function record(handle: Core, options: RecordOptions): void {
  const checked = read(options, RECORD_OPTIONS, 'options') as RecordOptions;
  const { capacity = 1000, epoch = Math.floor(Math.random() * Number.MAX_SAFE_INTEGER) } = checked;
  if (!handle.becomeSource(BigInt(epoch), capacity)) {
    throw new KeyrailError('read-only', 'the router records its changes already, or follows another');
  }
}

export function positionOf(handle: Core): Position | undefined {
  const epoch = handle.epoch();
  if (epoch === undefined) return undefined;
  const number = Number(epoch);
  return { epoch: Number.isSafeInteger(number) ? number : epoch, revision: handle.revision() };
}

export function since(handle: Core, position?: Position): Update {
  const here = positionOf(handle);
  if (here === undefined || handle.follows()) {
    throw new KeyrailError('not-recording', 'the router writes no changes down: call record() first');
  }
  if (position !== undefined) {
    const { epoch, revision } = read(position, POSITION, 'position') as Position;
    const changes = guarded(() => handle.changesSince(BigInt(epoch), revision));
    if (changes !== undefined)
      return { type: 'changes', since: { epoch, revision }, changes: decode(changes) } as Update;
  }
  return { type: 'snapshot', epoch: here.epoch, bytes: handle.toSnapshot() };
}

export function follow(routes: Routes, update: Update): void {
  const checked = updateOf(update);
  const { core } = routes;
  if (!core.follows()) throw new KeyrailError('not-following', 'only a router of Router.follower() follows');
  routes.forget(true);
  try {
    guarded(() => take(core, checked));
  } finally {
    routes.look();
  }
}

/** What `follow` is given, checked and copied. */
function updateOf(update: Update): Update {
  const type = object(update, 'update').type as Update['type'];
  const shape = Object.hasOwn(UPDATES, String(type)) ? UPDATES[type] : undefined;
  if (!shape) throw expected(Object.keys(UPDATES).join(' or '), type, 'update.type');
  return read(update, shape, 'update') as Update;
}

function take(handle: Core, update: Update): void {
  if (update.type === 'snapshot') {
    handle.followSnapshot(BigInt(update.epoch), Uint8Array.from(update.bytes));
  } else {
    const { epoch, revision } = update.since;
    handle.followChanges(BigInt(epoch), revision, encode(update.changes.map(checkedChange)));
  }
}
