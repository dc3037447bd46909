// The clients under test, each on the same Redis: two over TCP in two versions, and one over HTTP. The newer versions
// speak RESP3 unless they are told otherwise, the older ones RESP2.
import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { ioredis, nodeRedis, upstash } from 'keyrail/redis';
import { createClient } from 'redis';
import { createClient as createClient5 } from 'redis5';
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
    name: 'ioredis 5',
    watches: true,
    async open(redis) {
      const client = new Redis5(redis.url);
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
    name: 'node-redis 5',
    watches: true,
    async open(redis) {
      const client = createClient5({ url: redis.url });
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
