// What Kombu cannot store and keyrail's host keeps beside it: written by `keyrail topology import` and `keyrail bind`,
// followed by every client of the package. What the host itself would do with each message is asked of `keyrail route`.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Router as FullRouter } from 'keyrail/full';
import { Publisher } from 'keyrail/redis';
import { CLIENTS } from './support/clients.mjs';
import { startPeer, startRedis, until } from './support/servers.mjs';

const KEYRAIL =
  process.env.KEYRAIL_BIN ?? join(import.meta.dirname, '..', '..', 'target', 'release', 'keyrail');

const TOPOLOGY = {
  exchanges: [
    { name: 'events', kind: 'topic', durable: true, alternateExchange: 'lost' },
    { name: 'inner', kind: 'direct', durable: true, internal: true },
    { name: 'lost', kind: 'topic', durable: true },
    { name: 'typed', kind: 'headers', durable: true },
    { name: 'news', kind: 'fanout', durable: true },
    { name: 'relay', kind: 'topic', durable: true },
    { name: 'ring', kind: 'x-consistent-hash', durable: true },
  ],
  queues: ['audit', 'eu', 'unknown', 'invoices', 'big', 'paper', 'a', 'b', 'c'].map((name) => ({
    name,
    durable: true,
  })),
  bindings: [
    { source: 'events', destination: { queue: 'audit' }, routingKey: 'order.#' },
    { source: 'events', destination: { exchange: 'inner' }, routingKey: '#.paid' },
    { source: 'inner', destination: { queue: 'eu' }, routingKey: 'order.eu.paid' },
    { source: 'lost', destination: { queue: 'unknown' }, routingKey: '#' },
    {
      source: 'typed',
      destination: { queue: 'invoices' },
      arguments: [
        ['kind', 'S', 'invoice'],
        ['x-match', 'S', 'all'],
      ],
    },
    { source: 'typed', destination: { queue: 'big' }, arguments: [['n', 'l', '9007199254740993']] },
    { source: 'news', destination: { queue: 'paper' } },
    { source: 'relay', destination: { exchange: 'news' }, routingKey: 'relay.#' },
    { source: 'relay', destination: { queue: 'audit' }, routingKey: 'relay.audit' },
    ...['c', 'a', 'b'].map((queue) => ({ source: 'ring', destination: { queue }, routingKey: '7' })),
  ],
};

/** A message, and the queues that get it. */
const MESSAGES = [
  [{ exchange: 'events', routingKey: 'order.eu.paid' }, ['audit', 'eu']],
  [{ exchange: 'events', routingKey: 'order.us.paid' }, ['audit']],
  // A binding took it, though the exchange behind it did not: no alternate is asked.
  [{ exchange: 'events', routingKey: 'x.paid' }, []],
  [{ exchange: 'events', routingKey: 'nothing' }, ['unknown']],
  [{ exchange: 'lost', routingKey: 'k' }, ['unknown']],
  [{ exchange: 'typed', routingKey: '', headers: { kind: 'invoice' } }, ['invoices']],
  [{ exchange: 'typed', routingKey: '', headers: { kind: 'letter' } }, []],
  [{ exchange: 'typed', routingKey: '' }, []],
];

const folder = mkdtempSync(join(tmpdir(), 'keyrail-registry-'));
let redis;
let peer;
before(async () => {
  redis = await startRedis();
  peer = await startPeer(redis);
});
after(async () => {
  await peer?.stop();
  await redis?.stop();
  rmSync(folder, { recursive: true });
});

/** The host, on this Redis. */
async function keyrail(...args) {
  const options = { encoding: 'utf8', env: { ...process.env, KEYRAIL_REDIS: redis.url } };
  // `route` exits with 1 where no queue gets the message, and has said so.
  const { stdout } = await promisify(execFile)(KEYRAIL, args, options).catch((error) => {
    if (args[0] === 'route' && error.code === 1) return error;
    throw error;
  });
  return stdout;
}

async function written(topology = TOPOLOGY, ...flags) {
  await redis.look.flushall();
  await imported(topology, ...flags);
}

async function imported(topology, ...flags) {
  const file = join(folder, 'topology.json');
  writeFileSync(file, JSON.stringify(topology));
  await keyrail('topology', 'import', '--topology', file, ...flags);
}

async function byHost({ exchange, routingKey, headers = {} }) {
  const flags = Object.entries(headers).flatMap(([name, value]) => ['--header', `${name}=${value}`]);
  const answer = JSON.parse(await keyrail('route', '-x', exchange, '-k', routingKey, '--json', ...flags));
  return [...answer.queues].sort();
}

const publishers = [];
afterEach(() => {
  for (const publisher of publishers.splice(0)) publisher.close();
});

for (const { name, watches, open } of CLIENTS) {
  describe(name, () => {
    let opened;
    before(async () => {
      opened = await open(redis);
    });
    after(() => opened.close());

    const publisherOf = (options) => {
      const publisher = new Publisher(opened.client, options);
      publishers.push(publisher);
      return publisher;
    };

    test('alternates, exchanges behind exchanges and headers, as the host routes them', async () => {
      await written();
      const publisher = publisherOf();
      for (const [message, queues] of MESSAGES) {
        const sent = await publisher.publish({ ...message, body: 'x' });
        assert.deepEqual([...sent.queues].sort(), queues, JSON.stringify(message));
        assert.equal(sent.outcome, queues.length > 0 ? 'routed' : 'unroutable');
        assert.deepEqual(await byHost(message), queues, JSON.stringify(message));
      }
      assert.deepEqual(publisher.quarantined, []);
      const copies = MESSAGES.flatMap(([, queues]) => queues);
      for (const queue of new Set(copies)) {
        assert.equal(await redis.look.llen(queue), copies.filter((one) => one === queue).length, queue);
      }
      // The header is a 64-bit integer with more digits than a number of JavaScript has.
      const plain = await publisher.publish({
        exchange: 'typed',
        routingKey: '',
        body: 'x',
        headers: { n: 9007199254740992 },
      });
      assert.equal(plain.outcome, 'unroutable');
      await assert.rejects(publisher.publish({ exchange: 'inner', routingKey: 'k', body: 'x' }), {
        code: 'internal-exchange',
      });
    });

    test('a consistent-hash exchange: the same queue as the host', async () => {
      await written();
      const publisher = publisherOf();
      const reached = new Set();
      for (let at = 0; at < 12; at++) {
        const message = { exchange: 'ring', routingKey: `k${at}` };
        const { queues } = await publisher.publish({ ...message, body: 'x' });
        assert.deepEqual(queues, await byHost(message), message.routingKey);
        reached.add(queues[0]);
      }
      assert.ok(reached.size > 1);
    });

    test('a binding of a consistent-hash exchange that owns no buckets gets nothing', async () => {
      await written();
      const ring = (await redis.look.smembers('keyrail.binding')).filter((row) => row.includes('"ring"'));
      const [first] = ring.filter((row) => JSON.parse(row).destination.queue === 'a');
      const second = first.replace('"7"', '"3"');
      assert.notEqual(second, first);
      await redis.look.sadd('keyrail.binding', second);
      await redis.look.srem('keyrail.binding', first);
      const publisher = publisherOf();
      for (let at = 0; at < 12; at++) {
        const message = { exchange: 'ring', routingKey: `k${at}` };
        const { queues } = await publisher.publish({ ...message, body: 'x' });
        assert.notDeepEqual(queues, ['a']);
        assert.deepEqual(queues, await byHost(message), message.routingKey);
      }
    });

    test('a fanout exchange: a push to the queue that keyrail bound, a channel for those that listen', async (t) => {
      await written();
      const publisher = publisherOf();
      const message = { exchange: 'news', routingKey: '', body: 'hello' };
      assert.deepEqual(await publisher.publish(message), {
        outcome: 'routed',
        queues: ['paper'],
        receivers: 0,
      });
      const queue = `listener ${name}`;
      // Keys count at a fanout exchange of Kombu's: an empty one hears only messages without a routing key.
      await peer.call('listen', { exchange: 'news', queue, key: 'relay.*' });
      t.after(() => peer.call('deaf', { queue }));
      const relayed = { exchange: 'relay', routingKey: 'relay.audit', body: 'relayed' };
      const sent = await until('somebody listens', async () => {
        await peer.call('heard', { queue });
        const published = await publisher.publish(relayed);
        return published.receivers === 1 && published;
      });
      assert.deepEqual(
        { ...sent, queues: [...sent.queues].sort() },
        {
          outcome: 'routed',
          queues: ['audit', 'paper'],
          receivers: 1,
        },
      );
      const heard = await until('it is heard', async () => {
        const messages = await peer.call('heard', { queue });
        return messages.length > 0 && messages;
      });
      assert.equal(heard.at(-1), 'relayed');
      const copy = await peer.call('get', { queue: 'audit' });
      assert.deepEqual(
        [copy.body, copy.info.exchange, copy.info.routing_key],
        ['relayed', 'relay', 'relay.audit'],
      );
    });

    test('rows of Kombu beside bindings of keyrail, and a bad one', async () => {
      await written();
      await peer.call('bind', { exchange: 'events', kind: 'topic', queue: 'late', key: '*.late' });
      await redis.look.sadd('_kombu.binding.inner', 'no row');
      const publisher = publisherOf();
      // What was written before may be reported only now, and a table that is dropped for it is no longer in use.
      await until('the row is named', async () => {
        const { queues } = await publisher.publish({ exchange: 'events', routingKey: 'x.late', body: 'x' });
        assert.deepEqual(queues, ['late']);
        const named = publisher.quarantined.map(({ exchange, row }) => [exchange, row].join());
        return named.join() === 'inner,no row';
      });
    });

    test('what the host guesses is guessed', async () => {
      await written();
      await redis.look.hdel('keyrail.exchange', 'inner');
      const message = { exchange: 'events', routingKey: 'order.eu.paid' };
      const args = ['route', '-x', message.exchange, '-k', message.routingKey, '--json'];
      const { guessed } = JSON.parse(await keyrail(...args));
      assert.deepEqual(guessed, ['inner']);
      const publisher = publisherOf();
      await until('it is read', async () => {
        assert.deepEqual((await publisher.publish({ ...message, body: 'x' })).outcome, 'routed');
        return publisher.guessed.join() === guessed.join();
      });
    });

    test('a change by the host is followed', async () => {
      await written();
      const publisher = publisherOf(watches ? {} : { maxAge: 0 });
      const send = async () => {
        const message = { exchange: 'typed', routingKey: '', body: 'x', headers: { kind: 'letter' } };
        return (await publisher.publish(message)).queues;
      };
      assert.deepEqual(await send(), []);
      if (watches) await until('changes are reported', () => publisher.tracking);
      assert.deepEqual(await send(), []);
      await keyrail('bind', '-x', 'typed', '-q', 'letters', '-a', 'kind=letter');
      await until('the binding is followed', async () => (await send()).join() === 'letters');
      // Far from the exchange that is published to: one that it leads to.
      const further = {
        source: 'typed',
        destination: { exchange: 'lost' },
        arguments: [['kind', 'S', 'letter']],
      };
      await imported({ ...TOPOLOGY, bindings: [...TOPOLOGY.bindings, further] });
      await until(
        'and the next exchange',
        async () => (await send()).toSorted().join() === 'letters,unknown',
      );
      await redis.look.srem('_kombu.binding.lost', ...(await redis.look.smembers('_kombu.binding.lost')));
      await until('and its table', async () => (await send()).join() === 'letters');
    });

    test('a global prefix stands before these keys too', async () => {
      await written(TOPOLOGY, '--transport-options', '{"global_keyprefix":"shop:"}');
      const publisher = publisherOf({ layout: { global_keyprefix: 'shop:' } });
      const sent = await publisher.publish({ exchange: 'events', routingKey: 'nothing', body: 'x' });
      assert.deepEqual(sent.queues, ['unknown']);
      assert.equal(await redis.look.llen('shop:unknown'), 1);
    });

    test('an entry that is no JSON, and a key of another type, are named', async () => {
      await written();
      await redis.look.hset('keyrail.exchange', 'bad', '{');
      const publisher = publisherOf({ maxAge: 0 });
      const message = { exchange: 'events', routingKey: 'k', body: 'x' };
      await assert.rejects(publisher.publish(message), {
        code: 'invalid-registry',
        message: '`keyrail.exchange` holds `{`, expected a JSON object',
      });
      await redis.look.del('keyrail.exchange');
      await redis.look.set('keyrail.exchange', 'text');
      await assert.rejects(publisher.publish(message), { code: 'wrong-type' });
    });
  });
}

test('policies need the router of keyrail/full, and are refused without it', async (t) => {
  const policy = { name: 'p', pattern: '^desk', definition: [['alternate-exchange', 'S', 'lost']] };
  await written({ ...TOPOLOGY, policies: [policy] });
  const { client, close } = await CLIENTS[0].open(redis);
  t.after(close);
  const publisher = new Publisher(client);
  publishers.push(publisher);
  await assert.rejects(publisher.publish({ exchange: 'events', routingKey: 'k', body: 'x' }), {
    code: 'invalid-policy-pattern',
  });

  const full = new Publisher(client, { Router: FullRouter, exchanges: { desk: 'direct' } });
  publishers.push(full);
  const send = async (exchange, routingKey) =>
    (await full.publish({ exchange, routingKey, body: 'x' })).queues;
  assert.deepEqual(await send('desk', 'k'), ['unknown']);
  assert.deepEqual(await send('events', 'order.us'), ['audit']);
  // `order.#` was written in the dialect of Kombu 5.7, where `#` asks for a word.
  const bare = { exchange: 'events', routingKey: 'order' };
  assert.deepEqual(await send(bare.exchange, bare.routingKey), ['unknown']);
  assert.deepEqual(await byHost(bare), ['unknown']);
});
