// What the compiler must accept and refuse. Checked by `npm run typecheck`, never run.
import { type Binding, deliveredHeaders, KeyrailError, Router, type Topology, type Trace } from 'keyrail';
import { init as initBare } from 'keyrail/bare';
import { type Diff, Router as Full } from 'keyrail/full';
import { init as initFull } from 'keyrail/full/web';
import { init, Router as WebRouter } from 'keyrail/web';

export function accepted(module: WebAssembly.Module): Promise<void> {
  using router = new Router({ predeclaredExchanges: false, seed: 7n, limits: { keyBytes: 1024 } });
  router.declareExchange('events', { kind: 'topic', alternateExchange: undefined });
  router.declareQueue('audit');
  router.bind({
    source: 'events',
    destination: { queue: 'audit' },
    routingKey: 'order.#',
    dialect: 'kombu57',
  });
  router.bind({ source: 'events', destination: { exchange: 'more' }, arguments: [['n', 'I', 3]] });
  router.apply({ op: 'queue.bind', queue: 'audit', exchange: 'events', routingKey: new Uint8Array([97]) });

  const { outcome, queues } = router.route({
    exchange: 'events',
    routingKey: 'a',
    headers: { n: 1n, list: [null] },
  });
  const first: string | undefined = queues[0];
  const known: 'routed' | 'unroutable' = outcome;
  const count: number = router.routeInto(router.exchangeId('events') ?? 0, 'a', new Uint32Array(8));
  const trace: Trace = router.explain({ exchange: 'events', routingKey: 'a' });
  for (const hop of trace.hops) if (hop.via.type === 'binding') void hop.via.exchange;
  for (const [name, ...args] of router.plan({ exchange: '', routingKey: 'q', body: 'x' }).commands)
    void [name, args];

  const topology: Topology = router.topology();
  Router.fromTopology(topology).free();
  Full.fromDefinitions('{}', { vhost: '/' }).free();
  const full: Full = Full.fromTopology(topology);
  const diff: Diff = full.diff(Full.fromLines(full.toLines()), { witnesses: 1 });
  for (const { routingKey } of diff.behaviour[0]?.witnesses ?? []) void routingKey;
  void [full.toDefinitions({ within: {} }), full.toBindingSets({ dialect: 'kombu56' }), full.lint().findings];
  void Full.fromBindingSets({ set: ['member'] }, { kinds: { x: 'topic' } });
  void Full.fromCeleryConfig({ task_queues: [], anything: 1 }, { dialect: 'kombu57' });

  const many: readonly string[] = router.routeMany('events', ['a', new Uint8Array(1)])[0]?.queues ?? [];
  const more = router.routeMany([{ exchange: 'events', routingKey: 'a' }]);
  const routing: 'routed' | 'unroutable' = router.route('events', 'a').outcome;
  router.record({ capacity: 10, epoch: 7n });
  const copy: Router = Router.follower({ seed: 1n });
  copy.follow(router.since(copy.position));
  const same: Router = Router.fromSnapshot(router.toSnapshot());
  void [many, more, routing, same];
  const binding: Binding | undefined = topology.bindings?.[0];
  void [first, known, count, binding, deliveredHeaders({ BCC: [] }), new WebRouter()];

  initBare(module);
  return Promise.all([init(new URL('https://example.org/keyrail.wasm')), initFull()]).then(() => undefined);
}

export function refused(router: Router, error: unknown): void {
  // @ts-expect-error the kind is not optional
  router.declareExchange('x', {});
  // @ts-expect-error no such kind
  router.declareExchange('x', { kind: 'x-mine' });
  // @ts-expect-error no such option
  router.declareQueue('q', { durble: true });
  // @ts-expect-error names are text
  router.declareQueue(5);
  // @ts-expect-error a destination is a queue or an exchange
  router.bind({ source: 'x', destination: 'q' });
  // @ts-expect-error no such dialect
  router.bind({ source: 'x', destination: { queue: 'q' }, dialect: 'kombu' });
  // @ts-expect-error no such field type
  router.bind({ source: 'x', destination: { queue: 'q' }, arguments: [['n', 'q', 3]] });
  // @ts-expect-error a message has a routing key
  router.route({ exchange: 'x' });
  // @ts-expect-error a date is no AMQP value
  router.route({ exchange: 'x', routingKey: 'k', headers: { at: new Date() } });
  // @ts-expect-error frozen
  router.route({ exchange: 'x', routingKey: 'k' }).queues.push('q');
  // @ts-expect-error no linting in the small module
  router.lint();
  // @ts-expect-error two arguments, or one message
  router.route('x');
  // @ts-expect-error keys, not one key
  router.routeMany('x', 'k');
  // @ts-expect-error a position has a revision
  router.since({ epoch: 1 });
  // @ts-expect-error frozen
  router.routeMany('x', ['k'])[0]?.queues.push('q');
  // @ts-expect-error ids are 32 bits wide
  router.routeInto(0, 'k', [0]);
  // @ts-expect-error no such method
  router.apply({ op: 'queue.drop', queue: 'q' });
  // @ts-expect-error read only
  router.revision = 1;
  // @ts-expect-error a seed is a bigint
  new Router({ seed: 5 });
  // @ts-expect-error a body is text or bytes
  router.plan({ exchange: '', routingKey: 'q', body: { n: 1 } });
  if (error instanceof KeyrailError) {
    const code: number | undefined = error.reply?.code;
    // @ts-expect-error read only
    error.code = String(code);
  }
}
