/** How long a connection without a subscription stays open, for the next one. */
const LINGER = 1000;

interface Subscriber<C> {
  connect(): Promise<C>;
  close(connection: C): void;
  subscribe(connection: C, channel: string): Promise<unknown>;
  unsubscribe(connection: C, channel: string): Promise<unknown>;
}

/** One connection for all subscriptions: made with the first one, closed a second after the last one. */
export class Subscriptions<C> {
  #subscriber: Subscriber<C>;
  #connection: Promise<C> | undefined;
  #listeners = new Map<string, Set<() => void>>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(subscriber: Subscriber<C>) {
    this.#subscriber = subscriber;
  }

  async subscribe(channel: string, listener: () => void): Promise<() => void> {
    clearTimeout(this.#timer);
    let listeners = this.#listeners.get(channel);
    const first = !listeners;
    if (!listeners) {
      listeners = new Set();
      this.#listeners.set(channel, listeners);
    }
    listeners.add(listener);
    this.#connection ??= this.#subscriber.connect();
    const connecting = this.#connection;
    try {
      const connection = await connecting;
      // Also if another one is under way: its reply may not be here yet, and asking twice is harmless.
      await this.#subscriber.subscribe(connection, channel);
    } catch (error) {
      this.#remove(channel, listener);
      if (first && this.#connection === connecting) this.close();
      throw error;
    }
    return () => this.#remove(channel, listener);
  }

  message(channel: string): void {
    for (const listener of this.#listeners.get(channel) ?? []) listener();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#connection?.then(
      (connection) => this.#subscriber.close(connection),
      () => {},
    );
    this.#connection = undefined;
    this.#listeners.clear();
  }

  #remove(channel: string, listener: () => void): void {
    const listeners = this.#listeners.get(channel);
    if (!listeners?.delete(listener) || listeners.size > 0) return;
    this.#listeners.delete(channel);
    this.#connection
      ?.then((connection) => this.#subscriber.unsubscribe(connection, channel))
      .catch(() => {
        // The connection is gone, and the subscription with it.
      });
    if (this.#listeners.size === 0) {
      this.#timer = setTimeout(() => {
        if (this.#listeners.size === 0) this.close();
      }, LINGER);
    }
  }
}
