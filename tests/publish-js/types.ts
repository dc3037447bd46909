// What the compiler must accept and refuse. Checked by `npm run typecheck`, never run.
import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';
import { KeyrailError } from 'keyrail';
import { type AsyncResult, Celery, TaskError } from 'keyrail/celery';
import { createClient as createCeleryClient, createWorker } from 'keyrail/celery-node';
import { ioredis, nodeRedis, Publisher, type RedisClient, upstash } from 'keyrail/redis';
import { createClient } from 'redis';
import { createClient as createClient5 } from 'redis5';

export async function accepted(): Promise<void> {
  const clients: RedisClient[] = [
    ioredis(new Redis()),
    ioredis(new Redis5()),
    nodeRedis(createClient()),
    nodeRedis(createClient({ RESP: 2 })),
    nodeRedis(createClient5()),
    upstash({ url: 'https://redis.test', token: 'x', fetch }),
    { send: async (commands) => commands.map(([name, ...args]) => [name, args.length]) },
  ];
  const [client] = clients as [RedisClient];

  using publisher = new Publisher(client, {
    exchanges: { events: 'topic', news: 'fanout' },
    layout: { global_keyprefix: 'shop:', db: 1, visibility_timeout: 60 },
    maxAge: 0,
    onQuarantine: ({ exchange, row, code, message }) => void [exchange, row, code, message],
    onGuess: (exchange) => void (exchange satisfies string),
  });
  const { outcome, queues, receivers } = await publisher.publish({
    exchange: 'events',
    routingKey: 'a.b',
    body: new Uint8Array(),
    headers: { n: 1 },
  });
  const known: 'routed' | 'unroutable' = outcome;
  const listening: number | undefined = receivers;
  for (const queue of queues) void (queue satisfies string);
  void [known, listening, publisher.tracking, publisher.quarantined[0]?.exchange, publisher.guessed[0]];

  using celery = new Celery(client, { backend: client, queue: 'jobs', resultPrefix: 'r:' });
  const result: AsyncResult<number> = await celery.sendTask<number>(
    'shop.add',
    [2, 3],
    { k: null },
    {
      countdown: 1.5,
      expires: new Date(),
      link: { task: 'shop.log', args: [] },
      headers: { tenant: 'a' },
    },
  );
  const sum: number = await result.get({ timeout: 1000, signal: AbortSignal.timeout(5) });
  const unknown: unknown = await celery.asyncResult('id').get();
  const state: string = await result.status();
  void [sum, unknown, state, (await result.meta())?.traceback];

  const old = createCeleryClient('redis://', 'redis://', 'celery');
  const answer = old.createTask('tasks.add').applyAsync([1, 2], { a: 'b' });
  void [answer.taskId, await answer.get(1000, 100), await answer.status()];
  await old.disconnect();
}

export function failed(error: unknown): string | undefined {
  if (error instanceof TaskError) return (error satisfies KeyrailError).exceptionType;
  return error instanceof KeyrailError ? error.code : undefined;
}

export async function refused(client: RedisClient, publisher: Publisher, celery: Celery): Promise<void> {
  // @ts-expect-error a client has `send`
  new Publisher({});
  // @ts-expect-error a client of ioredis must be wrapped
  new Publisher(new Redis());
  // @ts-expect-error Kombu has no headers exchanges on Redis
  new Publisher(client, { exchanges: { a: 'headers' } });
  // @ts-expect-error the layout is the publisher's
  publisher.publish({ exchange: '', routingKey: 'q', body: '', layout: {} });
  // @ts-expect-error a message has a body
  publisher.publish({ exchange: '', routingKey: 'q' });
  // @ts-expect-error no such option
  celery.sendTask('t', [], {}, { countdwn: 1 });
  // @ts-expect-error arguments are JSON
  celery.sendTask('t', [new Date()]);
  // @ts-expect-error a token is needed
  upstash({ url: 'https://redis.test' });
  // @ts-expect-error a result is not known before it is there
  (await celery.sendTask('t')).get().toFixed();
  // @ts-expect-error there is no worker
  createWorker().start();
}
