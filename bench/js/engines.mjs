// One entry an engine: `build` takes the bindings and gives a function from a key to its queues (numbers or
// their text, possibly with duplicates), or where there is a `batch`, from so many keys to as many answers; `spell`
// turns a key into the engine's spelling before anything is measured.
import mqemitter from 'mqemitter';
import qlobber from 'qlobber';
import { getRoutingKeyPattern } from 'smqp';

const { Qlobber, QlobberDedup } = qlobber;

const topics = (kind) => {
  if (kind !== 'topic') throw new Error('this engine takes topic tables only');
};
const amqp = { separator: '.', wildcard_one: '*', wildcard_some: '#', match_empty_levels: true };

/** Its guards against patterns that take exponential time refuse the hostile tables; `unguarded` lifts them. */
const glob = (Matcher, limits) => ({
  build(rows, kind) {
    topics(kind);
    const matcher = new Matcher({ ...amqp, ...limits });
    try {
      for (const [pattern, queue] of rows) matcher.add(pattern, queue);
    } catch ({ message }) {
      throw new Error(`refuses the table: ${message}`);
    }
    return (key) => matcher.match(key);
  },
});
const unguarded = { max_words: Number.POSITIVE_INFINITY, max_wildcard_somes: Number.POSITIVE_INFINITY };

export const engines = {
  qlobber: glob(Qlobber),
  'qlobber-dedup': glob(QlobberDedup),
  'qlobber-unguarded': glob(QlobberDedup, unguarded),

  // A broker in a process: each binding is asked in turn, by the matcher that it compiled.
  smqp: {
    build(rows, kind) {
      topics(kind);
      const bindings = rows.map(([pattern, queue]) => ({ pattern: getRoutingKeyPattern(pattern), queue }));
      return (key) => {
        const found = [];
        for (const { pattern, queue } of bindings) if (pattern.test(key)) found.push(queue);
        return found;
      };
    },
  },

  // MQTT's spelling. Its matcher alone is asked: emitting would put a queue of callbacks on top.
  mqemitter: {
    spell: (key) => key.replaceAll('.', '/'),
    build(rows, kind) {
      topics(kind);
      const emitter = mqemitter();
      const mqtt = { '*': '+', '#': '#' };
      for (const [pattern, queue] of rows) {
        const topic = pattern.split('.').map((word) => mqtt[word] ?? word);
        // It takes functions alone, and the bench wants numbers: the matcher takes both.
        emitter._matcher.add(topic.join('/'), queue);
      }
      return (key) => emitter._matcher.match(key);
    },
  },

  // What one would write in front of it for keys that come again: never emptied, for a table that never changes.
  'qlobber-map': {
    build(rows, kind) {
      const match = engines.qlobber.build(rows, kind);
      const known = new Map();
      return (key) => {
        let found = known.get(key);
        if (found === undefined) {
          found = match(key);
          known.set(key, found);
        }
        return found;
      };
    },
  },

  // The npm package, names in and names out; needs `make wasm`.
  'keyrail-npm': {
    async build(rows, kind) {
      const router = await routerOf(rows, kind);
      return (routingKey) => router.route('bench', routingKey).queues;
    },
  },
  'keyrail-npm-batch': {
    batch: 64,
    async build(rows, kind) {
      const router = await routerOf(rows, kind);
      return (routingKeys) => router.routeMany('bench', routingKeys);
    },
  },
};

async function routerOf(rows, kind) {
  const { Router } = await import('keyrail');
  const router = new Router();
  router.declareExchange('bench', { kind });
  for (const queue of new Set(rows.map(([, queue]) => String(queue)))) router.declareQueue(queue);
  for (const [routingKey, queue] of rows) {
    router.bind({ source: 'bench', destination: { queue: String(queue) }, routingKey });
  }
  return router;
}
