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
  #last: Promise<unknown> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(subscriber: Subscriber<C>) {
    this.#subscriber = subscriber;
  }

  async subscribe(channel: string, listener: () => void): Promise<() => void> {
    clearTimeout(this.#timer);
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    this.#connection ??= this.#subscriber.connect();
    const connecting = this.#connection;
    try {
      const connection = await connecting;
      // Also if there is a listener: its subscription may be under way, and asking twice is harmless.
      await this.#next(() => this.#subscriber.subscribe(connection, channel));
    } catch (error) {
      this.#remove(channel, listener);
      if (this.#connection === connecting && this.#listeners.size === 0) this.close();
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
    this.#next(async () => {
      // Somebody else may listen by now.
      if (this.#listeners.has(channel) || !this.#connection) return;
      await this.#subscriber.unsubscribe(await this.#connection, channel);
    }).catch(() => {
      // The connection is gone, and the subscription with it.
    });
    if (this.#listeners.size === 0) {
      this.#timer = setTimeout(() => {
        if (this.#listeners.size === 0) this.close();
      }, LINGER);
    }
  }

  /** One after the other: a client may forget a subscription that it made while it was ending the one before. */
  #next<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#last.then(step);
    this.#last = result.catch(() => {});
    return result;
  }
}
