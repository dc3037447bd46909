import type { Command } from 'keyrail';

/**
 * What keyrail needs from a Redis client. One method is enough:
 *
 * ```ts
 * const client: RedisClient = {
 *   send: (commands) => Promise.all(commands.map(([name, ...args]) => mine.command(name, args))),
 * };
 * ```
 *
 * keyrail decides what is sent; a client only sends it.
 */
export interface RedisClient {
  /**
   * Sends commands in this order and resolves to their replies; between `MULTI` and `EXEC` if `atomic` is true, which
   * is the case only if there are several. Rejects if the server refuses one of them.
   *
   * Bulk strings may come as bytes or as text. Bytes are better where names of queues might not be UTF-8.
   */
  send(commands: readonly Command[], atomic: boolean): Promise<readonly unknown[]>;

  /**
   * Tells `watcher` whenever a key that begins with one of `prefixes` changes, from any client, until the function that it
   * returns is called. Returns at once; a client that cannot do this leaves it out.
   */
  watch?(prefixes: readonly string[], watcher: Watcher): () => void;

  /**
   * Calls `listener` for every message on a channel, once it has resolved, until the function that it resolves to is
   * called. A client that cannot do this leaves it out.
   */
  subscribe?(channel: string, listener: () => void): Promise<() => void>;
}

/** What a client says while it watches keys. */
export interface Watcher {
  /** From now on every change is reported. */
  live(): void;
  /** From now on changes may be missed, until the next `live`. */
  lost(): void;
  /** This key changed, or any of them if the client does not know which. */
  changed(key?: string): void;
}
