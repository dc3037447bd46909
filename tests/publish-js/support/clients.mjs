// The clients under test, each on the same Redis: two over TCP, one over HTTP.
import { Redis } from 'ioredis';
import { ioredis, nodeRedis, upstash } from 'keyrail/redis';
import { createClient } from 'redis';
import { startRest } from './rest.mjs';

/** Name, whether it can watch, and how to open it. */
export const CLIENTS = [
  {
    name: 'ioredis',
    watches: true,
    async open(redis) {
      const client = new Redis(redis.url);
      return { client: ioredis(client), close: () => client.quit() };
    },
  },
  {
    name: 'ioredis with RESP2',
    watches: true,
    async open(redis) {
      const client = new Redis(redis.url, { protocol: 2 });
      return { client: ioredis(client), close: () => client.quit() };
    },
  },
  {
    name: 'node-redis',
    watches: true,
    async open(redis) {
      const client = createClient({ url: redis.url });
      client.on('error', () => {});
      await client.connect();
      return { client: nodeRedis(client), close: () => client.close() };
    },
  },
  {
    name: 'node-redis with RESP2',
    watches: true,
    async open(redis) {
      const client = createClient({ url: redis.url, RESP: 2, maintNotifications: 'disabled' });
      client.on('error', () => {});
      await client.connect();
      return { client: nodeRedis(client), close: () => client.close() };
    },
  },
  {
    name: 'fetch',
    watches: false,
    async open(redis) {
      const rest = await startRest(redis);
      return { client: upstash(rest), close: () => rest.stop() };
    },
  },
];
