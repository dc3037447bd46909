// Tasks from JavaScript, run by a real Celery worker on real Redis, over TCP and over HTTP.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Celery, TaskError } from 'keyrail/celery';
import { CLIENTS } from './support/clients.mjs';
import { startRedis, startWorker } from './support/servers.mjs';

/** Generous, because the machine may be busy. */
const timeout = 30_000;

let redis;
let worker;
before(async () => {
  redis = await startRedis();
  worker = await startWorker(redis, ['celery', 'orders', 'eu', 'desk']);
});
after(async () => {
  await worker?.stop();
  await redis?.stop();
});

for (const { name, watches, open } of CLIENTS) {
  describe(name, () => {
    let opened;
    let celery;
    before(async () => {
      opened = await open(redis);
      celery = new Celery(opened.client, { exchanges: { 'shop.topic': 'topic' } });
    });
    after(async () => {
      celery.close();
      await opened.close();
    });

    test('a task and its result', async () => {
      const result = await celery.sendTask('shop.add', [2, 3]);
      assert.equal(await result.get({ timeout }), 5);
      assert.equal(await result.status(), 'SUCCESS');
      // Once more, and by the id alone.
      assert.equal(await celery.asyncResult(result.id).get({ timeout }), 5);
      assert.equal(await (await celery.sendTask('shop.add', [], { x: 'a', y: 'ä' })).get({ timeout }), 'aä');
    });

    test('the worker sees every option', async () => {
      const result = await celery.sendTask(
        'shop.seen',
        [1, [null]],
        { k: { deep: true } },
        {
          taskId: `id-${name}`,
          eta: new Date(Date.now() - 1000),
          expires: 600,
          retries: 2,
          headers: { tenant: 't1' },
          replyTo: 'rq',
          timeLimit: 30,
          softTimeLimit: 20,
          rootId: 'r',
          parentId: 'p',
          groupId: 'g',
          priority: 6,
        },
      );
      const { eta, expires, headers, ...seen } = await result.get({ timeout });
      assert.ok(Date.parse(eta) < Date.now() && Date.parse(expires) > Date.now());
      assert.equal(headers.tenant, 't1');
      assert.deepEqual(seen, {
        args: [1, [null]],
        kwargs: { k: { deep: true } },
        id: `id-${name}`,
        retries: 2,
        timelimit: [30, 20],
        reply_to: 'rq',
        origin: 'keyrail',
        exchange: '',
        routing_key: 'celery',
        priority: 6,
        root_id: 'r',
        parent_id: 'p',
        group: 'g',
      });
    });

    test('by queue, by direct and by topic exchange', async () => {
      const seen = async (options) => {
        const { exchange, routing_key } = await (await celery.sendTask('shop.seen', [], {}, options)).get({
          timeout,
        });
        return [exchange, routing_key];
      };
      assert.deepEqual(await seen({ queue: 'desk' }), ['', 'desk']);
      assert.deepEqual(await seen({ exchange: 'shop.direct', routingKey: 'desk' }), ['shop.direct', 'desk']);
      const key = 'order.us.new.york';
      assert.deepEqual(await seen({ exchange: 'shop.topic', routingKey: key }), ['shop.topic', key]);
      await assert.rejects(
        celery.sendTask('shop.seen', [], {}, { exchange: 'shop.topic', routingKey: 'x' }),
        {
          name: 'KeyrailError',
          code: 'unroutable',
          message: 'task `shop.seen` reaches no queue: exchange `shop.topic` has no binding for `x`',
        },
      );
      // A key alone goes to the exchange of the default queue, as in Celery.
      await assert.rejects(
        celery.sendTask('shop.seen', [], {}, { routingKey: 'x' }),
        /exchange `celery` has no/,
      );
    });

    test('a task that fails', async () => {
      const result = await celery.sendTask('shop.fail', ['nope', 7]);
      const error = await result.get({ timeout }).catch((caught) => caught);
      assert.ok(error instanceof TaskError && error instanceof Error);
      const {
        name: is,
        code,
        message,
        taskId,
        exceptionType,
        exceptionModule,
        exceptionArgs,
        traceback,
      } = error;
      assert.deepEqual(
        { is, code, message, taskId, exceptionType, exceptionModule, exceptionArgs },
        {
          is: 'TaskError',
          code: 'task-failed',
          message: 'ValueError: nope, 7',
          taskId: result.id,
          exceptionType: 'ValueError',
          exceptionModule: 'builtins',
          exceptionArgs: ['nope', 7],
        },
      );
      assert.match(traceback, /^Traceback \(most recent call last\):[\s\S]*ValueError: \('nope', 7\)/);
      assert.equal(await result.status(), 'FAILURE');
    });

    test('a task that does not exist, and one that came too late', async () => {
      const unknown = await celery.sendTask('shop.no_such_task');
      const late = await celery.sendTask('shop.add', [1, 1], {}, { expires: -1 });
      await assert.rejects(late.get({ timeout }), {
        code: 'task-revoked',
        exceptionType: 'TaskRevokedError',
      });
      assert.equal(await late.status(), 'REVOKED');
      await assert.rejects(unknown.get({ timeout }), { code: 'task-failed', exceptionType: 'NotRegistered' });
    });

    test('a countdown, and waiting in vain', async () => {
      const start = performance.now();
      const result = await celery.sendTask('shop.add', [1, 1], {}, { countdown: 1 });
      await assert.rejects(result.get({ timeout: 100, interval: 20 }), {
        name: 'KeyrailError',
        code: 'timeout',
        message: `task \`${result.id}\` is PENDING after 100 ms`,
      });
      // Where the client listens, the worker's message ends the wait long before the next question.
      assert.equal(await result.get(watches ? { timeout, interval: timeout } : { timeout }), 2);
      const waited = performance.now() - start;
      assert.ok(waited > 990 && waited < timeout / 2, `${waited} ms`);
      const signal = AbortSignal.timeout(20);
      await assert.rejects(celery.asyncResult('nobody sent it').get({ signal }), { code: 'aborted' });
    });

    test('bad options name the culprit', async () => {
      const send = (options, args = []) => celery.sendTask('shop.add', args, {}, options);
      const bad = (message) => ({ name: 'KeyrailError', code: 'invalid-argument', message });
      await assert.rejects(send({ countdwn: 1 }), bad(/^options has no field `countdwn`, only taskId, /));
      await assert.rejects(send({ countdown: 1, eta: new Date() }), bad(/`countdown` and `eta`/));
      await assert.rejects(send({ countdown: '1' }), bad('options.countdown is 1, expected seconds'));
      await assert.rejects(
        send({ eta: 'tomorrow' }),
        bad(/^options\.eta is `tomorrow`, expected a date or ISO 8601/),
      );
      await assert.rejects(send({ eta: '2100-01-01T00:00:00' }), bad(/with an offset/));
      await assert.rejects(send({ expires: new Date(Number.NaN) }), bad(/^options\.expires/));
      await assert.rejects(send({ queue: 'q', exchange: 'x' }), bad(/`queue` and `exchange`/));
      await assert.rejects(send({ priority: -1 }), bad(/^task\.priority is -1/));
      await assert.rejects(send({ headers: [] }), bad(/^task\.headers is an array/));
      await assert.rejects(send({}, [new Date()]), bad(/^task\.args\[0\] is /));
      await assert.rejects(send({}, [undefined]), bad(/^task\.args\[0\] is undefined/));
      await assert.rejects(send({}, 'ab'), bad(/^task\.args is `ab`, expected an array/));
      await assert.rejects(celery.sendTask(5), bad(/^task\.name is 5/));
      assert.throws(() => celery.asyncResult(''), bad(/taskId/));
    });
  });
}
