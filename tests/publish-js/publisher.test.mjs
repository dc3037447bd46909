// Messages from JavaScript to real Redis, read by a real Kombu: every kind of exchange through every client.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Publisher } from 'keyrail/redis';
import { CLIENTS } from './support/clients.mjs';
import { startPeer, startRedis, until } from './support/servers.mjs';

let redis;
let peer;
before(async () => {
  redis = await startRedis();
  peer = await startPeer(redis);
});
after(async () => {
  await peer?.stop();
  await redis?.stop();
});

const publishers = [];
afterEach(() => {
  for (const publisher of publishers.splice(0)) publisher.close();
});

function publisherOf(client, options) {
  const publisher = new Publisher(client, options);
  publishers.push(publisher);
  return publisher;
}

for (const { name, watches, open } of CLIENTS) {
  describe(name, () => {
    let opened;
    before(async () => {
      opened = await open(redis);
    });
    after(() => opened.close());
    beforeEach(() => redis.look.flushall());

    const publisher = (options) => publisherOf(opened.client, options);

    test('topic: each queue gets one copy, in one transaction, and Kombu reads it', async () => {
      await peer.call('bind', { exchange: 'ev', kind: 'topic', queue: 'all', key: '#' });
      await peer.call('bind', { exchange: 'ev', kind: 'topic', queue: 'eu', key: 'order.eu.*' });
      await peer.call('bind', { exchange: 'ev', kind: 'topic', queue: 'us', key: 'order.us.*' });
      const to = publisher();
      const sent = await to.publish({
        exchange: 'ev',
        routingKey: 'order.eu.paid',
        body: '{"n": 1}',
        contentType: 'application/json',
        headers: { tenant: 'ä' },
        properties: { correlation_id: 'c1' },
      });
      assert.deepEqual([sent.outcome, [...sent.queues].sort()], ['routed', ['all', 'eu']]);
      const tags = [];
      for (const queue of ['all', 'eu']) {
        const { body, headers, properties, info, type } = await peer.call('get', { queue });
        assert.deepEqual([body, headers, type], [{ n: 1 }, { tenant: 'ä' }, 'application/json']);
        assert.deepEqual([info.exchange, info.routing_key], ['ev', 'order.eu.paid']);
        assert.equal(properties.correlation_id, 'c1');
        tags.push(properties.delivery_tag);
      }
      assert.notEqual(tags[0], tags[1]);
      assert.equal(await peer.call('get', { queue: 'us' }), null);
    });

    test('direct, and an unroutable key', async () => {
      await peer.call('bind', { exchange: 'desk', kind: 'direct', queue: 'red', key: 'r' });
      const to = publisher();
      assert.deepEqual(await to.publish({ exchange: 'desk', routingKey: 'r', body: 'x' }), {
        outcome: 'routed',
        queues: ['red'],
      });
      const before = (await redis.look.keys('*')).sort();
      const nowhere = { outcome: 'unroutable', queues: [] };
      assert.deepEqual(await to.publish({ exchange: 'desk', routingKey: 'g', body: 'x' }), nowhere);
      assert.deepEqual(await to.publish({ exchange: 'no such', routingKey: 'r', body: 'x' }), nowhere);
      assert.deepEqual((await redis.look.keys('*')).sort(), before);
      assert.equal((await peer.call('get', { queue: 'red' })).body, 'x');
    });

    test('the default exchange needs no table; priorities choose the list', async () => {
      const to = publisher();
      for (const priority of [0, 3, 5, 9]) {
        await to.publish({ exchange: '', routingKey: 'plain', body: String(priority), priority });
      }
      const lists = ['plain', 'plain\x06\x163', 'plain\x06\x166', 'plain\x06\x169'];
      assert.deepEqual(await Promise.all(lists.map((list) => redis.look.llen(list))), [1, 2, 0, 1]);
      // 0 is taken first.
      const order = [];
      for (let n = 0; n < 4; n++) order.push((await peer.call('get', { queue: 'plain' })).body);
      assert.deepEqual(order, ['0', '3', '5', '9']);
    });

    test('fanout: whoever listens, and nobody', async () => {
      const queue = `fan ${name}`;
      const to = publisher({ exchanges: { news: 'fanout' } });
      const message = { exchange: 'news', routingKey: '', body: 'breaking' };
      assert.deepEqual(await to.publish(message), { outcome: 'unroutable', queues: [], receivers: 0 });
      await peer.call('listen', { exchange: 'news', queue });
      const sent = await until('somebody listens', async () => {
        // Kombu subscribes when it is about to wait.
        await peer.call('heard', { queue });
        const published = await to.publish(message);
        return published.receivers === 1 && published;
      });
      assert.deepEqual(sent, { outcome: 'routed', queues: [], receivers: 1 });
      const heard = await until('it is heard', async () => {
        const messages = await peer.call('heard', { queue });
        return messages.length > 0 && messages;
      });
      assert.equal(heard[0], 'breaking');
      await peer.call('deaf', { queue });
    });

    test('a layout of its own', async () => {
      await redis.look.sadd('shop:_kombu.binding.ev', 'k::::q');
      const to = publisher({ layout: { global_keyprefix: 'shop:', sep: '::', priority_steps: [0, 5] } });
      assert.equal(
        (await to.publish({ exchange: 'ev', routingKey: 'k', body: 'x', priority: 7 })).outcome,
        'routed',
      );
      assert.equal(await redis.look.llen('shop:q::5'), 1);
    });

    test('names that are not ASCII', async () => {
      await peer.call('bind', { exchange: 'größe', kind: 'topic', queue: 'schlänge 🦊', key: 'ä.*' });
      const to = publisher();
      const sent = await to.publish({ exchange: 'größe', routingKey: 'ä.ß', body: 'ü' });
      assert.deepEqual(sent.queues, ['schlänge 🦊']);
      assert.equal((await peer.call('get', { queue: 'schlänge 🦊' })).body, 'ü');
    });

    test('a poisoned row is skipped and named', async () => {
      await peer.call('bind', { exchange: 'ev', kind: 'topic', queue: 'good', key: 'a.#' });
      await redis.look.sadd(
        '_kombu.binding.ev',
        '*a\x06\x16^*a$\x06\x16bad',
        Buffer.from([255, 6, 22, 6, 22, 113]),
      );
      await redis.look.sadd('_kombu.binding.ev', 'no row');
      const heard = [];
      const to = publisher({ onQuarantine: (row) => heard.push(row) });
      assert.deepEqual((await to.publish({ exchange: 'ev', routingKey: 'a.b', body: 'x' })).queues, ['good']);
      const codes = heard.map(({ exchange, code }) => `${exchange} ${code}`).sort();
      assert.deepEqual(codes, ['ev invalid-pattern', 'ev member-field-count', 'ev member-not-utf8']);
      assert.ok(
        heard.some(({ row }) => row === '*a\\x06\\x16^*a$\\x06\\x16bad'),
        JSON.stringify(heard),
      );
      assert.ok(
        heard.some(({ row }) => row === '\\xff\\x06\\x16\\x06\\x16q'),
        JSON.stringify(heard),
      );
    });

    test('an exchange whose type nobody tells is guessed and named', async () => {
      for (const exchange of ['desk', 'told']) {
        await peer.call('bind', { exchange, kind: 'direct', queue: 'red', key: 'r' });
      }
      await redis.look.sadd('_kombu.binding.amq.direct', 'r\x06\x16\x06\x16red');
      await peer.call('bind', { exchange: 'loud', kind: 'fanout', queue: 'ear', key: '' });
      await peer.call('bind', { exchange: 'ev', kind: 'topic', queue: 'all', key: '#' });
      const heard = [];
      const to = publisher({ exchanges: { told: 'direct' }, onGuess: (exchange) => heard.push(exchange) });
      const outcomes = [];
      for (const exchange of ['desk', 'told', 'amq.direct', 'loud', 'ev', 'celeryev', '']) {
        const { outcome, receivers } = await to.publish({ exchange, routingKey: 'r', body: 'x' });
        outcomes.push(receivers ?? outcome);
      }
      // What listens to `loud` gets nothing; Celery's own is known to be a fanout exchange, to which nobody listens here.
      assert.deepEqual(outcomes, ['routed', 'routed', 'routed', 'unroutable', 'routed', 0, 'routed']);
      // Whoever begins to watch drops what was read before, and reads again.
      assert.deepEqual([...new Set(heard)], ['desk', 'loud']);
      await until('both are read', async () => {
        for (const exchange of ['desk', 'loud']) await to.publish({ exchange, routingKey: 'r', body: 'x' });
        return [...to.guessed].sort().join() === 'desk,loud';
      });
    });

    test('a ZSET where a SET belongs, and a queue that is no list', async () => {
      await redis.look.zadd('_kombu.binding.zs', 0, 'k\x06\x16\x06\x16q');
      await redis.look.sadd('_kombu.binding.two', 'k\x06\x16\x06\x16good', 'k\x06\x16\x06\x16str');
      await redis.look.set('str', 'x');
      const to = publisher();
      await assert.rejects(to.publish({ exchange: 'zs', routingKey: 'k', body: 'x' }), {
        name: 'KeyrailError',
        code: 'wrong-type',
        message: /`_kombu\.binding\.zs`.*WRONGTYPE.*celery-redis-plus/,
      });
      await assert.rejects(to.publish({ exchange: 'two', routingKey: 'k', body: 'x' }), {
        name: 'KeyrailError',
        code: 'wrong-type',
        message: /exchange `two`/,
      });
      await assert.rejects(to.publish({ exchange: '', routingKey: 'str', body: 'x' }), {
        code: 'wrong-type',
      });
      // The publisher stays usable.
      assert.equal((await to.publish({ exchange: '', routingKey: 'q', body: 'x' })).outcome, 'routed');
    });

    const told = watches ? test : () => {};
    told('a queue bound or deleted by a Python peer', async () => {
      await peer.call('bind', { exchange: 'ev', kind: 'topic', queue: 'one', key: 'k' });
      const to = publisher();
      const send = async () =>
        [...(await to.publish({ exchange: 'ev', routingKey: 'k', body: 'x' })).queues].sort();
      assert.deepEqual(await send(), ['one']);
      await until('it tracks', () => to.tracking);
      await send();
      // Nothing but the message of Redis can make it read again: tables have no age here.
      await peer.call('bind', { exchange: 'ev', kind: 'topic', queue: 'two', key: '#' });
      await until('the new queue gets it', async () => (await send()).join() === 'one,two');
      await peer.call('unbind', { exchange: 'ev', kind: 'topic', queue: 'two', key: '#' });
      await until('the deleted one does not', async () => (await send()).join() === 'one');
      await redis.look.flushall();
      await until('all are gone', async () => (await send()).join() === '');
    });

    test('a table is read once while nothing changes', async () => {
      await peer.call('bind', { exchange: 'ev', kind: 'topic', queue: 'one', key: 'k' });
      const to = publisher({ maxAge: 60_000 });
      const send = () => to.publish({ exchange: 'ev', routingKey: 'k', body: 'x' });
      await Promise.all([send(), send(), send()]);
      if (watches) await until('it tracks', () => to.tracking);
      await send();
      const reads = () =>
        redis.look.info('commandstats').then((text) => /cmdstat_smembers:calls=(\d+)/.exec(text)[1]);
      const before = await reads();
      for (let n = 0; n < 20; n++) await send();
      assert.equal(await reads(), before);
      // A change of another exchange is none of this one's.
      await peer.call('bind', { exchange: 'other', kind: 'topic', queue: 'q', key: 'k' });
      for (let n = 0; n < 20; n++) await send();
      assert.equal(await reads(), before);
      to.refresh();
      await send();
      assert.equal(await reads(), String(Number(before) + 1));
    });
  });
}

describe('by age', () => {
  test('a table is used for maxAge and not longer; 0 reads it every time', async () => {
    await redis.look.flushall();
    const { open } = CLIENTS.find(({ watches }) => !watches);
    const { client, close } = await open(redis);
    const aged = publisherOf(client, { maxAge: 400 });
    const fresh = publisherOf(client, { maxAge: 0 });
    const send = async (to) =>
      (await to.publish({ exchange: 'ev', routingKey: 'k', body: 'x' })).queues.length;
    await redis.look.sadd('_kombu.binding.ev', 'k\x06\x16\x06\x16one');
    const start = performance.now();
    assert.deepEqual([await send(aged), await send(fresh)], [1, 1]);
    await redis.look.sadd('_kombu.binding.ev', 'k\x06\x16\x06\x16two');
    assert.equal(await send(fresh), 2);
    const old = await send(aged);
    // On a busy machine the age may be over already.
    if (performance.now() - start < 400) assert.equal(old, 1);
    await until('the age is over', async () => (await send(aged)) === 2);
    assert.ok(performance.now() - start >= 400);
    assert.equal(aged.tracking, false);
    await close();
  });
});
