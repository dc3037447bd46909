// What is written is what Kombu and Celery themselves write for the same call, byte for byte but for what is random.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Redis } from 'ioredis';
import { Celery } from 'keyrail/celery';
import { ioredis, Publisher } from 'keyrail/redis';
import { startPeer, startRedis } from './support/servers.mjs';

let redis;
let peer;
let client;
before(async () => {
  redis = await startRedis();
  peer = await startPeer(redis);
  client = new Redis(redis.url);
});
after(async () => {
  client?.disconnect();
  await peer?.stop();
  await redis?.stop();
});
beforeEach(() => redis.look.flushall());

/** The only element of a list, without its tag; the list is empty afterwards. */
async function taken(list) {
  assert.equal(await redis.look.llen(list), 1, list);
  const text = await redis.look.rpop(list);
  const tag =
    /"delivery_tag": "([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"}}$/.exec(text);
  assert.ok(tag, text);
  return text.replace(tag[1], 'TAG');
}

test('messages as Kombu', async () => {
  const publisher = new Publisher(ioredis(client));
  const properties = {
    reply_to: 'rq',
    correlation_id: 'c1',
    message_id: 'm1',
    app_id: 'app',
    timestamp: 1_700_000_000,
  };
  const headers = {
    'x-text': 'ä "quoted"',
    'x-int': 7,
    'x-float': 2.5,
    'x-null': null,
    'x-list': [1, { a: 'b' }],
  };
  for (const [exchange, kind, key] of [
    ['', 'direct', 'q'],
    ['ev', 'topic', 'a.b'],
    ['desk', 'direct', 'k'],
  ]) {
    if (exchange) await peer.call('bind', { exchange, kind, queue: 'q', key });
    const common = { exchange, kind, key, headers, expiration: 1.5, priority: 4, ...properties };
    await peer.call('publish', { ...common, body: 'tëxt' });
    const kombu = await taken('q\x06\x163');
    await publisher.publish({
      exchange,
      routingKey: key,
      body: 'tëxt',
      headers,
      properties,
      expiration: 1500,
      priority: 4,
    });
    assert.equal(await taken('q\x06\x163'), kombu);
  }
  publisher.close();
});

test('tasks as Celery', async () => {
  const celery = new Celery(ioredis(client), { origin: 'me@here' });
  const calls = [
    [[2, 3], {}, {}, {}],
    [['ä', null, true, 2.5, [1], { k: 'v' }], { y: 'ß' }, {}, {}],
    [
      [],
      {},
      { eta: '2100-01-01T00:00:00.123456+00:00', retries: 2, priority: 9, shadow: 'other' },
      { eta: '2100-01-01T00:00:00.123456+00:00', retries: 2, priority: 9, shadow: 'other' },
    ],
    [
      [1],
      {},
      { time_limit: 30, soft_time_limit: 20, headers: { tenant: 't1' }, ignore_result: true },
      { timeLimit: 30, softTimeLimit: 20, headers: { tenant: 't1' }, ignoreResult: true },
    ],
    [
      [],
      {},
      { root_id: 'r', parent_id: 'p', group_id: 'g', group_index: 3 },
      { rootId: 'r', parentId: 'p', groupId: 'g', groupIndex: 3 },
    ],
  ];
  for (const [args, kwargs, options, ours] of calls) {
    const id = crypto.randomUUID();
    const list = options.priority === 9 ? 'celery\x06\x169' : 'celery';
    const own = { task_id: id, reply_to: 'rq' };
    await peer.call('send_task', { name: 'shop.seen', args, kwargs, ...own, ...options });
    const theirs = (await taken(list)).replace(/"origin": "[^"]*"/, '"origin": "me@here"');
    await celery.sendTask('shop.seen', args, kwargs, { taskId: id, replyTo: 'rq', ...ours });
    assert.equal(await taken(list), theirs);
  }
  celery.close();
});

test('relative times as Celery, but for the microseconds that a Date has not', async () => {
  const celery = new Celery(ioredis(client));
  await peer.call('send_task', { name: 'shop.seen', args: [], kwargs: {}, countdown: 60, expires: 120 });
  const theirs = JSON.parse(await redis.look.rpop('celery'));
  const before = Date.now();
  await celery.sendTask('shop.seen', [], {}, { countdown: 60, expires: 120 });
  const after = Date.now();
  const ours = JSON.parse(await redis.look.rpop('celery'));
  assert.equal(ours.properties.expiration, theirs.properties.expiration);
  for (const [name, seconds] of [
    ['eta', 60],
    ['expires', 120],
  ]) {
    assert.match(ours.headers[name], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00$/);
    assert.equal(ours.headers[name].slice(-6), theirs.headers[name].slice(-6));
    const time = Date.parse(ours.headers[name]) - seconds * 1000;
    assert.ok(before <= time && time <= after, ours.headers[name]);
  }
  celery.close();
});
