import { type Command, KeyrailError } from 'keyrail';
import type { RedisClient } from './client.js';
import { Subscriptions } from './subscriptions.js';
import { INVALIDATE, keepTracking, trackingCommand } from './tracking.js';

/** The part of ioredis (5 or newer) that is used. */
export interface Ioredis {
  readonly options: { readonly keyPrefix?: string | undefined };
  call(command: string, ...args: string[]): Promise<unknown>;
  callBuffer(command: string, ...args: string[]): Promise<unknown>;
  multi(): IoredisTransaction;
  // biome-ignore lint/suspicious/noExplicitAny: the options of ioredis are its own business
  duplicate(override?: any): Ioredis;
  connect(): Promise<void>;
  disconnect(): void;
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  // biome-ignore lint/suspicious/noExplicitAny: listeners differ by event
  on(event: string, listener: (...args: any[]) => void): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: listeners differ by event
  off(event: string, listener: (...args: any[]) => void): unknown;
}

export interface IoredisTransaction {
  call(command: string, ...args: string[]): unknown;
  exec(): Promise<[error: Error | null, reply: unknown][] | null>;
}

/**
 * A client of ioredis, 5 or newer. Tables are kept until Redis says that they changed.
 *
 * Beside the given client it opens a connection for these messages, and one while somebody waits for a result; both
 * end with the client.
 */
export function ioredis(client: Ioredis): RedisClient {
  if (client.options?.keyPrefix) {
    const hint = 'set layout.global_keyprefix instead, which also names channels';
    throw new KeyrailError(
      'invalid-argument',
      `the option keyPrefix is \`${client.options.keyPrefix}\`: ${hint}`,
    );
  }
  const subscriptions = subscriptionsOf(client);
  client.on('end', () => subscriptions.close());
  return {
    send: (commands, atomic) => (atomic ? transaction(client, commands) : each(client, commands)),
    watch(prefixes, watcher) {
      const stop = keepTracking((onLost) => track(client, prefixes, watcher.changed, onLost), watcher);
      // Whoever was elsewhere for a while may come back to another server.
      const dropped = () => watcher.changed();
      client.on('close', dropped);
      client.on('end', stop);
      return () => {
        client.off('close', dropped);
        client.off('end', stop);
        stop();
      };
    },
    subscribe: (channel, listener) => subscriptions.subscribe(channel, listener),
  };
}

function each(client: Ioredis, commands: readonly Command[]): Promise<unknown[]> {
  return Promise.all(commands.map(([name, ...args]) => client.callBuffer(name, ...args)));
}

async function transaction(client: Ioredis, commands: readonly Command[]): Promise<unknown[]> {
  const multi = client.multi();
  for (const [name, ...args] of commands) multi.call(name, ...args);
  const replies = await multi.exec();
  if (!replies) throw new KeyrailError('redis-error', 'the transaction was not executed: EXEC answered nil');
  return replies.map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}

const SINGLE = {
  lazyConnect: true,
  autoResubscribe: false,
  retryStrategy: () => null,
  maxRetriesPerRequest: 0,
};

async function track(
  client: Ioredis,
  prefixes: readonly string[],
  changed: (key?: string) => void,
  onLost: () => void,
): Promise<{ close(): void }> {
  // Over RESP3 ioredis keeps these messages to itself.
  const listener = client.duplicate({ ...SINGLE, protocol: 2 });
  listener.on('error', () => {
    // `close` follows.
  });
  listener.on('close', onLost);
  // It joins several keys with a comma, and FLUSHALL's null to nothing.
  listener.on('message', (_: string, keys: string) =>
    changed(keys === '' || keys.includes(',') ? undefined : keys),
  );
  try {
    await listener.connect();
    await listener.call(...(trackingCommand(await listener.call('CLIENT', 'ID'), prefixes) as [string]));
    await listener.subscribe(INVALIDATE);
  } catch (error) {
    listener.disconnect();
    throw error;
  }
  return { close: () => listener.disconnect() };
}

function subscriptionsOf(client: Ioredis): Subscriptions<Ioredis> {
  const subscriptions: Subscriptions<Ioredis> = new Subscriptions({
    async connect() {
      const listener = client.duplicate({ lazyConnect: true });
      listener.on('error', () => {
        // It reconnects, and whoever waits for a result also asks from time to time.
      });
      listener.on('message', (channel: string) => subscriptions.message(channel));
      await listener.connect();
      return listener;
    },
    close: (listener) => listener.disconnect(),
    subscribe: (listener, channel) => listener.subscribe(channel),
    unsubscribe: (listener, channel) => listener.unsubscribe(channel),
  });
  return subscriptions;
}
