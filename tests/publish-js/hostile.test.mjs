// Clients that throw, hang up or answer nonsense: an error that names the culprit, and a publisher that stays usable.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { Redis } from 'ioredis';
import { Celery } from 'keyrail/celery';
import { ioredis, nodeRedis, Publisher, upstash } from 'keyrail/redis';
import { createClient } from 'redis';
import { freePort, startRedis, until } from './support/servers.mjs';

const closing = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function publisherOf(client, options) {
  const publisher = new Publisher(client, options);
  closing.push(() => publisher.close());
  return publisher;
}

const ROW = 'k\x06\x16\x06\x16q';
const MESSAGE = { exchange: 'ev', routingKey: 'k', body: 'x' };

/** A client that answers with what it is given, by command; of keyrail's own keys there are none. */
function answering(answers) {
  return {
    sent: [],
    async send(commands) {
      this.sent.push(...commands);
      const given = { EXISTS: [0], ...answers }[commands[0][0]];
      return typeof given === 'function' ? given(commands) : given;
    },
  };
}

describe('a client of a few lines', () => {
  test('one method is enough', async () => {
    const client = answering({ SMEMBERS: [[ROW]], LPUSH: [1] });
    const sent = await publisherOf({ send: (commands) => client.send(commands) }).publish(MESSAGE);
    assert.deepEqual(sent, { outcome: 'routed', queues: ['q'] });
    assert.deepEqual(
      client.sent.map(([name, key]) => [name, key]),
      [
        ['SMEMBERS', '_kombu.binding.ev'],
        ['EXISTS', 'keyrail.exchange'],
        ['LPUSH', 'q'],
      ],
    );
  });

  test('text or bytes, an array or a Set', async () => {
    const bytes = new TextEncoder().encode(ROW);
    for (const rows of [[ROW], [bytes], [Buffer.from(bytes)], new Set([ROW])]) {
      const client = answering({ SMEMBERS: [rows], LPUSH: [1] });
      assert.deepEqual((await publisherOf(client).publish(MESSAGE)).queues, ['q']);
    }
  });

  test('text that was not UTF-8 routes nothing', async () => {
    const client = answering({
      SMEMBERS: [['k\x06\x16\x06\x16q\ufffd', 'k\x06\x16\x06\x16\ud800', ROW]],
      LPUSH: [1],
    });
    const publisher = publisherOf(client);
    assert.deepEqual((await publisher.publish(MESSAGE)).queues, ['q']);
    assert.deepEqual(
      publisher.quarantined.map(({ exchange, code }) => [exchange, code]),
      [
        ['ev', 'member-not-utf8'],
        ['ev', 'member-not-utf8'],
      ],
    );
  });

  const refused = (code, message) => ({ name: 'KeyrailError', code, message });

  for (const [what, replies, shown] of [
    ['nil', [null], 'null'],
    ['a number', [7], '7'],
    ['text', ['OK'], '`OK`'],
    ['a map', [{ a: 1 }], 'Object'],
    ['a number as a member', [[1]], '1'],
    ['nothing', undefined, 'undefined'],
    ['too few', [], 'an array of 0'],
    ['too many', [[], []], 'an array of 2'],
  ]) {
    test(`the table is answered with ${what}`, async () => {
      const publisher = publisherOf(answering({ SMEMBERS: replies, LPUSH: [1] }));
      const { message, ...error } = await publisher.publish(MESSAGE).catch((caught) => caught);
      assert.equal(error.code, 'unexpected-reply');
      assert.ok(
        message.startsWith(`SMEMBERS \`_kombu.binding.ev\` was answered with ${shown}, expected `),
        message,
      );
      assert.equal((await publisher.publish({ ...MESSAGE, exchange: '' })).outcome, 'routed');
    });
  }

  for (const [what, replies] of [
    ['nil', [null]],
    ['text', ['QUEUED']],
    ['nothing', undefined],
    ['too few', []],
  ]) {
    test(`the push is answered with ${what}`, async () => {
      const publisher = publisherOf(answering({ SMEMBERS: [[ROW]], LPUSH: replies }));
      await assert.rejects(publisher.publish(MESSAGE), refused('unexpected-reply', /expected/));
    });
  }

  test('error replies that come as values', async () => {
    const error = new Error('WRONGTYPE Operation against a key');
    await assert.rejects(
      publisherOf(answering({ SMEMBERS: [error] })).publish(MESSAGE),
      refused('wrong-type', /kombu/),
    );
    const push = publisherOf(answering({ SMEMBERS: [[ROW]], LPUSH: [new Error('OOM command not allowed')] }));
    await assert.rejects(
      push.publish(MESSAGE),
      refused('redis-error', 'LPUSH `q` failed: OOM command not allowed'),
    );
  });

  test('it throws, whatever it throws, and works the next time', async () => {
    for (const thrown of [new Error('ECONNRESET'), 'ECONNRESET', null, undefined, { a: 1 }]) {
      let broken = true;
      const client = {
        send: async ([[name]]) => {
          if (broken) throw thrown;
          return { SMEMBERS: [[ROW]], EXISTS: [0], LPUSH: [1] }[name];
        },
      };
      const publisher = publisherOf(client);
      await assert.rejects(publisher.publish(MESSAGE), refused('redis-error', /^the binding table `_kombu/));
      await assert.rejects(
        publisher.publish({ ...MESSAGE, exchange: '' }),
        refused('redis-error', /^publishing to/),
      );
      broken = false;
      assert.equal((await publisher.publish(MESSAGE)).outcome, 'routed');
    }
    const throwing = publisherOf({
      send() {
        throw new Error('before any promise');
      },
    });
    await assert.rejects(throwing.publish(MESSAGE), refused('redis-error', /before any promise/));
  });

  test('arguments', async () => {
    assert.throws(() => new Publisher(null), refused('invalid-argument', /no method `send`/));
    assert.throws(() => new Publisher(new Map()), refused('invalid-argument', /no method `send`/));
    const client = answering({ SMEMBERS: [[ROW]], LPUSH: [1] });
    assert.throws(() => new Publisher(client, { maxAge: -1 }), refused('invalid-argument', /maxAge is -1/));
    assert.throws(
      () => new Publisher(client, { exchanges: { a: 'headers' } }),
      refused('invalid-argument', 'options.exchanges.a is `headers`, expected direct, fanout, topic'),
    );
    assert.throws(
      () => new Publisher(client, { Router: {} }),
      refused('invalid-argument', /^options\.Router/),
    );
    const publisher = publisherOf(client);
    const publish = (message) => publisher.publish(message);
    await assert.rejects(
      publish(undefined),
      refused('invalid-argument', 'exchange is undefined, expected a string'),
    );
    await assert.rejects(
      publish({ exchange: 'ev' }),
      refused('invalid-argument', 'publish.routingKey is missing'),
    );
    await assert.rejects(
      publish({ ...MESSAGE, body: 5 }),
      refused('invalid-argument', /^publish\.body is 5/),
    );
    await assert.rejects(publish({ ...MESSAGE, exchange: 'x'.repeat(256) }), refused('name-too-long', /256/));
    await assert.rejects(
      publish({ ...MESSAGE, routingKey: 'x'.repeat(256) }),
      refused('key-too-long', /256/),
    );
    await assert.rejects(
      publish({ ...MESSAGE, exchange: '\ud800' }),
      refused('invalid-argument', /surrogate/),
    );
    await assert.rejects(
      publisherOf(client, { layout: { db: 'x' } }).publish(MESSAGE),
      refused('invalid-argument', /db/),
    );
    publisher.close();
    publisher.close();
    await assert.rejects(publish(MESSAGE), refused('closed', /closed/));
  });
});

describe('changes while a table is on its way', () => {
  /** A client whose table is answered by hand, and that says it watches. */
  function byHand() {
    const waiting = [];
    let watcher;
    return {
      waiting,
      watcher: () => watcher,
      send([[name]]) {
        if (name !== 'SMEMBERS') return Promise.resolve([name === 'EXISTS' ? 0 : 1]);
        return new Promise((resolve) =>
          waiting.push((...queues) => resolve([queues.map((q) => `k\x06\x16\x06\x16${q}`)])),
        );
      },
      watch(_, given) {
        watcher = given;
        return () => {};
      },
    };
  }

  test('are not missed', async () => {
    const client = byHand();
    const publisher = publisherOf(client);
    const first = publisher.publish(MESSAGE);
    const second = publisher.publish(MESSAGE);
    await until('it was asked', () => client.waiting.length === 1);
    client.watcher().live();
    client.watcher().changed('_kombu.binding.ev');
    client.waiting.shift()('old');
    assert.deepEqual((await first).queues, ['old']);
    // One answer of before the change serves one publish; whoever else waited for it asks again.
    await until('the second asks again', () => client.waiting.length === 1);
    client.waiting.shift()('new');
    assert.deepEqual((await second).queues, ['new']);
    // Now it is kept.
    assert.deepEqual((await publisher.publish(MESSAGE)).queues, ['new']);
    client.watcher().changed('_kombu.binding.other');
    assert.deepEqual((await publisher.publish(MESSAGE)).queues, ['new']);
    for (const change of ['changed', 'lost', 'live']) {
      client.watcher()[change]();
      const next = publisher.publish(MESSAGE);
      await until(`it is asked again after ${change}`, () => client.waiting.length === 1);
      client.waiting.shift()(change);
      assert.deepEqual((await next).queues, [change]);
    }
  });

  test('closing while a table is on its way', async () => {
    const client = byHand();
    const publisher = publisherOf(client);
    const sent = publisher.publish(MESSAGE);
    await until('it was asked', () => client.waiting.length === 1);
    publisher.close();
    client.waiting.shift()('q');
    await sent.catch((error) => assert.equal(error.code, 'closed'));
  });
});

describe('connections that break', () => {
  for (const [name, open] of [
    [
      'ioredis',
      async (url) => {
        const client = new Redis(url, { retryStrategy: () => 20 });
        client.on('error', () => {});
        closing.push(() => client.disconnect());
        return ioredis(client);
      },
    ],
    [
      'node-redis',
      async (url) => {
        const client = createClient({ url, socket: { reconnectStrategy: () => 20 } });
        client.on('error', () => {});
        await client.connect();
        closing.push(() => client.destroy());
        return nodeRedis(client);
      },
    ],
  ]) {
    test(`${name}: a lost connection drops the table, and tracking comes back`, async () => {
      const redis = await startRedis();
      closing.push(() => redis.stop());
      await redis.look.sadd('_kombu.binding.ev', ROW);
      const publisher = publisherOf(await open(redis.url), { maxAge: 3_600_000 });
      await publisher.publish(MESSAGE);
      await until('it tracks', () => publisher.tracking);
      await publisher.publish(MESSAGE);

      // A binding that nobody is told of: tracking is off when it is made.
      await redis.look.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await until('it noticed', () => !publisher.tracking);
      await redis.look.sadd('_kombu.binding.ev', 'k\x06\x16\x06\x16two');
      const queues = async () => [...(await publisher.publish(MESSAGE)).queues].sort();
      await until('it tracks again', () => publisher.tracking);
      assert.deepEqual(await queues(), ['q', 'two']);
      await redis.look.sadd('_kombu.binding.ev', 'k\x06\x16\x06\x16three');
      await until('it is told again', async () => (await queues()).length === 3);

      // The connection that publishes.
      await redis.look.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await until('it publishes again', () => queues().catch(() => false));
      assert.equal((await queues()).length, 3);
    });
  }

  test('ioredis: keyPrefix would hide the names from keyrail', () => {
    const client = new Redis({ lazyConnect: true, keyPrefix: 'p:' });
    assert.throws(() => ioredis(client), {
      code: 'invalid-argument',
      message: /keyPrefix.*global_keyprefix/,
    });
  });

  test('a server without tracking: by age', async () => {
    const redis = await startRedis('--rename-command', 'CLIENT', '');
    closing.push(() => redis.stop());
    await redis.look.sadd('_kombu.binding.ev', ROW);
    const client = new Redis(redis.url);
    closing.push(() => client.disconnect());
    const publisher = publisherOf(ioredis(client), { maxAge: 200 });
    await publisher.publish(MESSAGE);
    await redis.look.sadd('_kombu.binding.ev', 'k\x06\x16\x06\x16two');
    await until('the age is over', async () => (await publisher.publish(MESSAGE)).queues.length === 2);
    assert.equal(publisher.tracking, false);
  });
});

describe('HTTP', () => {
  const over = (fetch) => publisherOf(upstash({ url: 'https://redis.test/', token: 't', fetch }));
  const json =
    (value, status = 200) =>
    async () =>
      new Response(JSON.stringify(value), { status });
  const refused = (message) => ({ name: 'KeyrailError', code: 'redis-error', message });

  test('what is no answer', async () => {
    const publish = (fetch) => over(fetch).publish({ exchange: '', routingKey: 'q', body: 'x' });
    await assert.rejects(publish(json({ error: 'WRONGPASS' }, 401)), refused(/WRONGPASS/));
    await assert.rejects(publish(json({}, 500)), refused(/HTTP 500/));
    await assert.rejects(
      publish(async () => new Response('<html>', { status: 502 })),
      refused(/HTTP 502.*`<html>`/),
    );
    await assert.rejects(publish(json({ other: 1 })), refused(/neither `result` nor `error`/));
    await assert.rejects(publish(json(null)), refused(/neither `result` nor `error`/));
    await assert.rejects(publish(json({ result: 'é' })), refused(/not base64/));
    await assert.rejects(publish(json({ result: null })), { code: 'unexpected-reply' });
    await assert.rejects(
      publish(async () => {
        throw new TypeError('fetch failed');
      }),
      refused(/fetch failed/),
    );
  });

  test('a server that does not answer', async () => {
    const port = await freePort();
    const publish = (options) => {
      const client = upstash({ url: `http://127.0.0.1:${port}`, token: 't', ...options });
      return publisherOf(client).publish({ exchange: '', routingKey: 'q', body: 'x' });
    };
    await assert.rejects(publish(), refused(/fetch failed/));
    const hanging = (_, { signal }) =>
      new Promise((_, reject) => {
        // Such a signal alone keeps no program alive, unlike a socket.
        const alive = setInterval(() => {}, 1000);
        signal.addEventListener('abort', () => {
          clearInterval(alive);
          reject(signal.reason);
        });
      });
    await assert.rejects(publish({ timeout: 20, fetch: hanging }), refused(/timeout/));
  });

  test('options', () => {
    assert.throws(() => upstash({ url: 'redis://x', token: 't' }), {
      code: 'invalid-argument',
      message: /url/,
    });
    assert.throws(() => upstash({ url: 'https://x' }), { code: 'invalid-argument', message: /token/ });
  });
});

describe('results', () => {
  const resultOf = (reply) => new Celery(answering({ GET: [reply] })).asyncResult('id');
  const bad = (message) => ({ name: 'KeyrailError', code: 'invalid-result', message });

  test('what is no result', async () => {
    await assert.rejects(resultOf('{').get(), bad(/^the result of task `id` is not JSON: /));
    await assert.rejects(resultOf('{"status": "SUCCESS", "result": NaN}').get(), bad(/not JSON/));
    await assert.rejects(resultOf('[]').get(), bad(/has no status: `\[\]`/));
    await assert.rejects(resultOf('null').get(), bad(/has no status/));
    await assert.rejects(resultOf(7).get(), bad(/no text in Redis but number/));
    await assert.rejects(resultOf(new Error('WRONGTYPE')).get(), {
      code: 'redis-error',
      message: /WRONGTYPE/,
    });
    assert.equal(await resultOf(null).status(), 'PENDING');
  });

  test('failures of every form', async () => {
    for (const [result, message, type] of [
      [{ exc_type: 'KeyError', exc_message: ['k'], exc_module: 'builtins' }, 'KeyError: k', 'KeyError'],
      [{ exc_type: 'E', exc_message: 'text' }, 'E: text', 'E'],
      [{ exc_type: 'E', exc_message: [{ a: 1 }, 'b'] }, 'E: {"a":1}, b', 'E'],
      [{ exc_type: 'E', exc_message: [] }, 'E', 'E'],
      [{}, 'Exception', 'Exception'],
      [null, 'Exception', 'Exception'],
      ['words', 'Exception: words', 'Exception'],
    ]) {
      const error = await resultOf(JSON.stringify({ status: 'FAILURE', result, traceback: null }))
        .get()
        .catch((e) => e);
      assert.deepEqual([error.name, error.message, error.exceptionType], ['TaskError', message, type]);
      assert.equal(error.traceback, undefined);
    }
  });

  test('how long to wait', async () => {
    const result = resultOf(null);
    await assert.rejects(result.get({ timeout: 0 }), { code: 'timeout' });
    await assert.rejects(result.get({ timeout: -1 }), { code: 'invalid-argument' });
    await assert.rejects(result.get({ interval: 'x' }), { code: 'invalid-argument' });
    await assert.rejects(result.get({ signal: AbortSignal.abort() }), { code: 'aborted' });
    // Longer than a timer can be.
    const waiting = result.get({ timeout: 1e12, interval: 1e12, signal: AbortSignal.timeout(30) });
    await assert.rejects(waiting, { code: 'aborted' });
  });
});
