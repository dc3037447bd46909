import type { Command } from 'keyrail';
import type { RedisClient } from './client.js';
import { Subscriptions } from './subscriptions.js';
import { INVALIDATE, keepTracking, trackingCommand } from './tracking.js';

/** The part of node-redis (the package `redis`, 5 or newer) that is used. */
export interface NodeRedis {
  // biome-ignore lint/suspicious/noExplicitAny: the options of node-redis are its own business
  sendCommand(args: string[], options?: any): Promise<any>;
  multi(): NodeRedisTransaction;
  // biome-ignore lint/suspicious/noExplicitAny: the options of node-redis are its own business
  duplicate(overrides?: any): NodeRedis;
  connect(): Promise<unknown>;
  destroy(): void;
  // biome-ignore lint/suspicious/noExplicitAny: keys that changed come as an array, messages as text
  subscribe(channel: string, listener: (message: any, channel: string) => void): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  // biome-ignore lint/suspicious/noExplicitAny: listeners differ by event
  on(event: string, listener: (...args: any[]) => void): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: listeners differ by event
  off(event: string, listener: (...args: any[]) => void): unknown;
}

export interface NodeRedisTransaction {
  addCommand(args: string[]): NodeRedisTransaction;
  exec(): Promise<unknown[]>;
}

/** Bulk strings as bytes; 36 is `$`, their sign on the wire. Where node-redis runs there is a `Buffer`. */
const BYTES = { typeMapping: { 36: (globalThis as { Buffer?: unknown }).Buffer } };

/**
 * A connected client of node-redis (the package `redis`), 5 or newer. Tables are kept until Redis says that they
 * changed.
 *
 * Beside the given client it opens a connection for these messages, and one while somebody waits for a result; both
 * end with the client.
 */
export function nodeRedis(client: NodeRedis): RedisClient {
  const subscriptions = subscriptionsOf(client);
  client.on('end', () => subscriptions.close());
  return {
    send: (commands, atomic) => (atomic ? transaction(client, commands) : each(client, commands)),
    watch(prefixes, watcher) {
      const stop = keepTracking((onLost) => track(client, prefixes, watcher.changed, onLost), watcher);
      // Whoever was elsewhere for a while may come back to another server.
      const dropped = () => watcher.changed();
      client.on('reconnecting', dropped);
      client.on('end', stop);
      return () => {
        client.off('reconnecting', dropped);
        client.off('end', stop);
        stop();
      };
    },
    subscribe: (channel, listener) => subscriptions.subscribe(channel, listener),
  };
}

function each(client: NodeRedis, commands: readonly Command[]): Promise<unknown[]> {
  return Promise.all(commands.map((command) => client.sendCommand([...command], BYTES)));
}

/** Rejects with the error of the first command that failed: `MultiErrorReply` would not say which one and why. */
async function transaction(client: NodeRedis, commands: readonly Command[]): Promise<unknown[]> {
  const multi = client.multi();
  for (const command of commands) multi.addCommand([...command]);
  try {
    return await multi.exec();
  } catch (error) {
    const { replies, errorIndexes } = error as { replies?: unknown[]; errorIndexes?: number[] };
    throw replies?.[errorIndexes?.[0] ?? -1] ?? error;
  }
}

/** What a connection for messages does without: RESP3, and what asks for it. */
const PLAIN = { RESP: 2, clientSideCache: undefined, emitInvalidate: false, maintNotifications: 'disabled' };

async function track(
  client: NodeRedis,
  prefixes: readonly string[],
  changed: (key?: string) => void,
  onLost: () => void,
): Promise<{ close(): void }> {
  const listener = client.duplicate(PLAIN);
  let open = false;
  const lost = () => {
    // node-redis reconnects by itself and subscribes again, but to a connection that tracks nothing.
    if (open) listener.destroy();
    open = false;
    onLost();
  };
  listener.on('error', lost);
  listener.on('end', onLost);
  try {
    const connecting = listener.connect();
    open = true;
    await connecting;
    await listener.sendCommand(trackingCommand(await listener.sendCommand(['CLIENT', 'ID']), prefixes));
    await listener.subscribe(INVALIDATE, (keys: string[] | null) => {
      if (!keys) changed();
      else for (const key of keys) changed(key);
    });
  } catch (error) {
    if (open) listener.destroy();
    open = false;
    throw error;
  }
  return {
    close() {
      if (open) listener.destroy();
      open = false;
    },
  };
}

function subscriptionsOf(client: NodeRedis): Subscriptions<NodeRedis> {
  const subscriptions: Subscriptions<NodeRedis> = new Subscriptions({
    async connect() {
      const listener = client.duplicate(PLAIN);
      listener.on('error', () => {
        // It reconnects, and whoever waits for a result also asks from time to time.
      });
      await listener.connect();
      return listener;
    },
    close: (listener) => listener.destroy(),
    subscribe: (listener, channel) => listener.subscribe(channel, (_, heard) => subscriptions.message(heard)),
    unsubscribe: (listener, channel) => listener.unsubscribe(channel),
  });
  return subscriptions;
}
