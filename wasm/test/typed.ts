// What `Router.typed` must accept and refuse. Checked by `npm run typecheck`, never run.
import { type QueueName, Router, type TypedRouter } from 'keyrail';
import { Router as FullRouter } from 'keyrail/full';

const TOPOLOGY = {
  exchanges: [
    { name: 'events', kind: 'topic' },
    { name: 'desk', kind: 'direct' },
    { name: 'news', kind: 'fanout' },
    { name: 'typed', kind: 'headers' },
    { name: 'empty', kind: 'topic' },
    { name: 'inner', kind: 'topic', internal: true },
    { name: 'ring', kind: 'topic' },
    { name: 'guarded', kind: 'direct', alternateExchange: 'desk' },
    { name: 'old', kind: 'topic' },
  ],
  queues: [{ name: 'audit' }, { name: 'eu' }],
  bindings: [
    { source: 'events', destination: { queue: 'audit' }, routingKey: 'order.#' },
    { source: 'events', destination: { queue: 'eu' }, routingKey: '*.eu.*' },
    { source: 'events', destination: { queue: 'eu' }, routingKey: 'a.#.b.#.c' },
    { source: 'events', destination: { exchange: 'inner' }, routingKey: 'in.#' },
    { source: 'inner', destination: { queue: 'eu' }, routingKey: '#.out' },
    { source: 'ring', destination: { exchange: 'ring' }, routingKey: '#' },
    { source: 'desk', destination: { queue: 'audit' }, routingKey: 'red' },
    { source: 'desk', destination: { queue: 'eu' } },
    { source: 'news', destination: { queue: 'eu' } },
    { source: 'typed', destination: { queue: 'eu' }, arguments: { kind: 'invoice' } },
    { source: 'guarded', destination: { queue: 'eu' }, routingKey: 'blue' },
    { source: 'old', destination: { queue: 'eu' }, routingKey: 'a.*', dialect: 'kombu57' },
    { source: 'amq.topic', destination: { queue: 'eu' }, routingKey: '*' },
  ],
} as const;

const router = Router.typed(TOPOLOGY);

export function accepted(dynamic: string, region: 'eu' | 'us', bytes: Uint8Array): void {
  router.route({ exchange: 'events', routingKey: 'order' });
  router.route({ exchange: 'events', routingKey: 'order.eu.paid', headers: { n: 1 } });
  router.route({ exchange: 'events', routingKey: 'x.eu.' });
  router.route({ exchange: 'events', routingKey: 'a.b.c' });
  router.route({ exchange: 'events', routingKey: 'a.1.2.b.b.3.c' });
  router.route({ exchange: 'events', routingKey: 'in.and.out' });
  router.route({ exchange: 'desk', routingKey: 'red' });
  router.route({ exchange: 'desk', routingKey: '' });
  router.route({ exchange: 'news', routingKey: 'whatever' });
  router.route({ exchange: 'typed', routingKey: 'whatever' });
  router.route({ exchange: 'guarded', routingKey: 'blue' });
  router.route({ exchange: 'guarded', routingKey: 'red' });
  router.route({ exchange: 'old', routingKey: 'anything' });
  router.route({ exchange: 'amq.topic', routingKey: 'word' });
  router.route({ exchange: '', routingKey: 'audit' });

  router.route('events', 'order.eu.paid');
  router.route('', 'eu');
  router.routeMany('events', ['order', 'x.eu.y']);
  router.routeMany([{ exchange: 'desk', routingKey: 'red' }]);
  const names: readonly ('audit' | 'eu')[] = router.routeMany('desk', ['red'])[0]?.queues ?? [];

  // Keys that the compiler does not know.
  router.route('events', dynamic);
  router.routeMany('events', [dynamic]);
  router.route({ exchange: 'events', routingKey: dynamic });
  router.route({ exchange: 'events', routingKey: bytes });
  router.route({ exchange: 'events', routingKey: `order.${dynamic}` });
  router.route({ exchange: 'events', routingKey: `order.${region}` });

  const queues: readonly ('audit' | 'eu')[] = router.explain({ exchange: 'desk', routingKey: 'red' }).queues;
  const name: QueueName<typeof TOPOLOGY> = 'audit';
  router.queueId(name);
  router.exchangeId('inner');

  // The same router, for whatever the types do not cover.
  const plain: Router = router;
  plain.route({ exchange: 'later', routingKey: 'k' });
  using written: TypedRouter<{
    readonly exchanges: readonly [{ readonly name: 'x'; readonly kind: 'fanout' }];
  }> = Router.typed({ exchanges: [{ name: 'x', kind: 'fanout' }] });
  // The router with everything has the same types, and its own methods.
  const full = FullRouter.typed(TOPOLOGY);
  full.route('desk', 'red');
  full.lint();
  const all: FullRouter = full;
  void [queues, written, names, all];

  // Not a constant: nothing is known, and nothing refused.
  const widened = Router.typed({
    exchanges: [{ name: dynamic, kind: 'topic' }],
    bindings: [{ source: dynamic, destination: { queue: dynamic }, routingKey: dynamic }],
  });
  widened.route({ exchange: 'any', routingKey: 'any' });
}

export function refused(region: 'eu' | 'us'): void {
  // @ts-expect-error no such exchange
  router.route({ exchange: 'evnts', routingKey: 'order.paid' });
  // @ts-expect-error an internal exchange takes no publishes
  router.route({ exchange: 'inner', routingKey: 'in.out' });
  // @ts-expect-error no binding takes it
  router.route({ exchange: 'events', routingKey: 'ordre.paid' });
  // @ts-expect-error one word too few
  router.route({ exchange: 'events', routingKey: 'x.eu' });
  // @ts-expect-error one word too many
  router.route({ exchange: 'events', routingKey: 'x.eu.y.z' });
  // @ts-expect-error the words are there, in another order
  router.route({ exchange: 'events', routingKey: 'a.c.b' });
  // @ts-expect-error `#` takes whole words
  router.route({ exchange: 'events', routingKey: 'orders' });
  // @ts-expect-error the next exchange does not take it
  router.route({ exchange: 'events', routingKey: 'in.and' });
  // @ts-expect-error an empty key has no words
  router.route({ exchange: 'amq.topic', routingKey: '' });
  // @ts-expect-error a direct exchange compares the whole key
  router.route({ exchange: 'desk', routingKey: 'red.1' });
  // @ts-expect-error `*` is a letter to a direct exchange
  router.route({ exchange: 'desk', routingKey: '*' });
  // @ts-expect-error nothing is bound
  router.route({ exchange: 'empty', routingKey: 'k' });
  // @ts-expect-error a cycle reaches nobody
  router.route({ exchange: 'ring', routingKey: 'k' });
  // @ts-expect-error neither the exchange nor its alternate takes it
  router.route({ exchange: 'guarded', routingKey: 'green' });
  // @ts-expect-error no such queue
  router.route({ exchange: '', routingKey: 'audt' });
  // @ts-expect-error one of the two cannot match
  router.route({ exchange: 'desk', routingKey: region === 'eu' ? 'red' : 'rde' });
  // @ts-expect-error no such exchange
  router.route('evnts', 'order.paid');
  // @ts-expect-error no binding takes it
  router.route('events', 'ordre.paid');
  // @ts-expect-error an exchange and a key
  router.route('events');
  // @ts-expect-error one of them cannot match
  router.routeMany('desk', ['red', 'rde']);
  // @ts-expect-error no such exchange
  router.routeMany([{ exchange: 'evnts', routingKey: 'red' }]);
  // @ts-expect-error no binding takes it
  FullRouter.typed(TOPOLOGY).route('events', 'ordre.paid');
  // @ts-expect-error the same for explain
  router.explain({ exchange: 'events', routingKey: 'ordre.paid' });
  // @ts-expect-error no such queue
  router.queueId('audt');
  // @ts-expect-error no such exchange
  router.exchangeId('evnts');
  // @ts-expect-error names of this topology's queues
  const other: readonly 'other'[] = router.route({ exchange: 'desk', routingKey: 'red' }).queues;
  // @ts-expect-error no such kind
  Router.typed({ exchanges: [{ name: 'x', kind: 'topc' }] });
  void other;
}
