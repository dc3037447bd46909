/// <reference lib="esnext.disposable" preserve="true" />
export type { RedisClient, Watcher } from './client.js';
export { type Ioredis, ioredis } from './ioredis.js';
export { type NodeRedis, nodeRedis } from './node-redis.js';
export { Publisher } from './publisher.js';
export type {
  Kind,
  Outgoing,
  OutgoingTask,
  Published,
  PublisherOptions,
  QuarantinedRow,
  RouterOf,
} from './types.js';
export { type UpstashOptions, upstash } from './upstash.js';
