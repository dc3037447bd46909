import { KeyrailError } from 'keyrail';
import { type Ioredis, ioredis, type RedisClient } from 'keyrail/redis';

type Quitting = Ioredis & { quit(): Promise<unknown> };

/** The part of the package `ioredis` that is used. */
interface Peer {
  readonly Redis: new (url: string, options: object) => Quitting;
}

/** A connection of ioredis that is opened when it is first needed, and the client on top of it. */
export class Connection {
  readonly url: string;
  readonly client: RedisClient;
  #options: object;
  #closed = false;
  #opened: Promise<{ redis: Quitting; client: RedisClient }> | undefined;

  constructor(url: unknown, options: object, what: string) {
    if (typeof url !== 'string' || !/^rediss?:\/\//.test(url)) {
      throw new KeyrailError(
        'unsupported-url',
        `the ${what} is \`${safe(String(url))}\`, expected redis://… or rediss://…: keyrail/celery-node has no AMQP`,
      );
    }
    this.url = url;
    this.#options = options;
    this.client = {
      send: async (commands, atomic) => (await this.#open()).client.send(commands, atomic),
      subscribe: async (channel, listener) => {
        const { client } = await this.#open();
        // ioredis() always listens.
        return client.subscribe?.(channel, listener) ?? (() => {});
      },
      watch: (prefix, watcher) => {
        let stop: (() => void) | undefined;
        let stopped = false;
        this.#open().then(
          ({ client }) => {
            if (!stopped) stop = client.watch?.(prefix, watcher);
          },
          () => {
            // Whoever sends hears of it.
          },
        );
        return () => {
          stopped = true;
          stop?.();
        };
      },
    };
  }

  async ready(): Promise<void> {
    await this.client.send([['PING']], false);
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (!this.#opened) return;
    const { redis } = await this.#opened;
    await redis.quit();
  }

  async #open() {
    if (this.#closed) throw new KeyrailError('closed', 'the client was disconnected');
    this.#opened ??= this.#make();
    return this.#opened;
  }

  async #make() {
    // `as string` keeps the compiler from looking for a package that only its users install.
    const { Redis }: Peer = await import('ioredis' as string).catch((cause) => {
      const message = 'keyrail/celery-node needs the package ioredis beside it: npm install ioredis';
      throw new KeyrailError('missing-dependency', message, { cause });
    });
    const redis = new Redis(this.url, this.#options);
    redis.on('error', () => {
      // Each command that fails says so itself.
    });
    return { redis, client: ioredis(redis) };
  }
}

/** Without user and password. */
function safe(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//***@');
}
