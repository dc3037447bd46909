// The module's memory: views of it end when it grows, and what is freed is used again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Router } from '../dist/inline.js';
import { engine } from '../dist/module.js';

const memoryBytes = () => engine.bytes();

function table(bindings) {
  const queues = Array.from({ length: 100 }, (_, at) => ({ name: `q${at}` }));
  return {
    exchanges: [{ name: 't', kind: 'topic' }],
    queues,
    bindings: Array.from({ length: bindings }, (_, at) => ({
      source: 't',
      destination: { queue: `q${at % 100}` },
      routingKey: `region.${at}.*`,
    })),
  };
}

test('a router keeps working when another one makes the memory grow', () => {
  const small = Router.fromTopology(table(10));
  const exchange = small.exchangeId('t');
  const ids = new Uint32Array(4);
  const route = () => {
    assert.deepEqual(small.route({ exchange: 't', routingKey: 'region.7.x' }).queues, ['q7']);
    assert.equal(small.routeInto(exchange, 'region.7.x', ids), 1);
    assert.equal(small.queueName(ids[0]), 'q7');
  };
  route();
  const before = memoryBytes().length;
  const large = Router.fromTopology(table(100_000));
  assert.ok(memoryBytes().length > before, 'the memory grew');
  route();
  assert.deepEqual(large.route({ exchange: 't', routingKey: 'region.54321.x' }).queues, ['q21']);
  large.free();
  small.free();
});

test('one route may itself make the memory grow', () => {
  const wide = new Router();
  wide.declareExchange('f', { kind: 'fanout' });
  for (let at = 0; at < 20_000; at++) {
    wide.declareQueue(`queue ${at}`);
    wide.bind({ source: 'f', destination: { queue: `queue ${at}` } });
  }
  const { queues } = wide.route({ exchange: 'f', routingKey: '' });
  assert.equal(queues.length, 20_000);
  assert.equal(queues[19_999], 'queue 19999');
  const ids = new Uint32Array(20_000);
  assert.equal(wide.routeInto(wide.exchangeId('f'), '', ids), 20_000);
  assert.equal(wide.queueName(ids[12_345]), queues[12_345]);
  wide.free();
});

test('a hundred thousand binds and unbinds, errors among them, leave the memory as it was', () => {
  const router = new Router();
  router.declareExchange('t', { kind: 'topic' });
  router.declareQueue('q');
  const cycle = (count) => {
    for (let at = 0; at < count; at++) {
      const binding = { source: 't', destination: { queue: 'q' }, routingKey: `a.${at % 1000}.*.#` };
      router.bind(binding);
      router.route({ exchange: 't', routingKey: 'a.5.b' });
      if (at % 10 === 0) assert.throws(() => router.bind({ ...binding, arguments: [['a', 'q', 1]] }));
      router.unbind(binding);
    }
  };
  cycle(2000);
  const before = memoryBytes().length;
  cycle(100_000);
  assert.equal(memoryBytes().length, before);
  assert.deepEqual(router.topology().bindings, []);
});

test('routers that are freed leave the memory to the next ones', () => {
  const one = () => Router.fromTopology(table(2000)).free();
  for (let at = 0; at < 20; at++) one();
  const before = memoryBytes().length;
  for (let at = 0; at < 100; at++) one();
  assert.equal(memoryBytes().length, before);
});
