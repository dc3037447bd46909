import type { Watcher } from './client.js';

/** Where Redis writes the keys that changed, for connections that speak RESP2. */
export const INVALIDATE = '__redis__:invalidate';

const FIRST_DELAY = 100;
const LONGEST_DELAY = 5000;

/** One connection that reports changes, until it is closed or lost. */
export interface TrackingConnection {
  close(): void;
}

/**
 * Keeps a connection that reports changed keys, and makes a new one whenever it is lost: tracking belongs to a
 * connection and is gone with it.
 *
 * The connection redirects to itself what happens to keys of a prefix (`CLIENT TRACKING ON REDIRECT <own id> BCAST PREFIX …`),
 * so the connection that publishes needs no tracking, no RESP3 and no setting. Redis 6 or newer.
 */
export function keepTracking(
  connect: (onLost: () => void) => Promise<TrackingConnection>,
  watcher: Watcher,
): () => void {
  let stopped = false;
  let connection: TrackingConnection | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let delay = FIRST_DELAY;

  const retry = () => {
    if (stopped) return;
    timer = setTimeout(open, delay);
    // Waiting for a server that is gone keeps no program alive.
    (timer as { unref?: () => void }).unref?.();
    delay = Math.min(delay * 2, LONGEST_DELAY);
  };

  const open = async () => {
    let lost = false;
    const onLost = () => {
      if (lost) return;
      lost = true;
      if (!connection) return;
      connection = undefined;
      watcher.lost();
      retry();
    };
    try {
      const made = await connect(onLost);
      if (stopped || lost) {
        made.close();
        retry();
        return;
      }
      connection = made;
      delay = FIRST_DELAY;
      watcher.live();
    } catch {
      // Nobody is told: until it is live, tables are read again when they are too old.
      retry();
    }
  };
  void open();

  return () => {
    stopped = true;
    clearTimeout(timer);
    connection?.close();
    connection = undefined;
  };
}

/** The commands that make a connection report its prefixes; the subscription to {@link INVALIDATE} comes after them. */
export function trackingCommand(id: unknown, prefixes: readonly string[]): string[] {
  const each = prefixes.flatMap((prefix) => ['PREFIX', prefix]);
  return ['CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id), 'BCAST', ...each];
}
