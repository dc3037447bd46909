import { having, havingAlso, type Shape } from './shape.js';

// What each argument must look like. `types.ts` says the same to the compiler; this says it to everybody else.

const DECLARED = { durable: 'boolean', autoDelete: 'boolean', arguments: 'table' } as const;

const BOUND = {
  routingKey: 'bytes',
  arguments: 'table',
  dialect: { oneOf: ['amqp', 'kombu57', 'kombu56'] },
} as const;

export const ROUTER_OPTIONS: Shape = having({
  predeclaredExchanges: 'boolean',
  seed: 'uint64',
  limits: having({ keyBytes: 'size', bindings: 'size', answers: 'size' }),
});

export const BINDING: Shape = having(
  {
    source: 'string',
    // Which of the two, and that there is one, is the core's business.
    destination: having({ queue: 'string', exchange: 'string' }),
    ...BOUND,
    pattern: 'string',
  },
  'source',
  'destination',
);

const EXCHANGE: Shape = having(
  {
    name: 'string',
    kind: { oneOf: ['direct', 'fanout', 'headers', 'topic', 'x-consistent-hash', 'x-random'] },
    ...DECLARED,
    internal: 'boolean',
    alternateExchange: 'string',
  },
  'name',
  'kind',
);

const QUEUE: Shape = having({ name: 'string', ...DECLARED, exclusive: 'boolean' }, 'name');

export const APPLY_TO = {
  oneOf: ['all', 'exchanges', 'queues', 'classic_queues', 'quorum_queues', 'streams'],
};

const POLICY = {
  name: 'string',
  pattern: 'string',
  applyTo: APPLY_TO,
  priority: 'integer',
  definition: 'table',
} as const;

export const TOPOLOGY: Shape = having({
  exchanges: { list: EXCHANGE },
  queues: { list: QUEUE },
  bindings: { list: BINDING },
  policies: { list: having(POLICY, 'name', 'pattern') },
});

export const EXCHANGE_OPTIONS: Shape = having(
  {
    kind: 'string',
    passive: 'boolean',
    ...DECLARED,
    internal: 'boolean',
    alternateExchange: 'string',
  },
  'kind',
);

export const QUEUE_OPTIONS: Shape = having({ passive: 'boolean', ...DECLARED, exclusive: 'boolean' });

export const DELETE_EXCHANGE_OPTIONS: Shape = having({ ifUnused: 'boolean' });

export const DELETE_QUEUE_OPTIONS: Shape = having({ ifUnused: 'boolean', ifEmpty: 'boolean' });

const QUEUE_BIND: Shape = having(
  { op: 'string', queue: 'string', exchange: 'string', ...BOUND, pattern: 'string' },
  'queue',
  'exchange',
);

const EXCHANGE_BIND: Shape = having(
  { op: 'string', destination: 'string', source: 'string', ...BOUND },
  'destination',
  'source',
);

/** By `op`. */
export const OPERATIONS: ReadonlyMap<unknown, Shape> = new Map<unknown, Shape>([
  [
    'exchange.declare',
    having(
      {
        op: 'string',
        exchange: 'string',
        kind: 'string',
        passive: 'boolean',
        ...DECLARED,
        internal: 'boolean',
      },
      'exchange',
    ),
  ],
  ['exchange.delete', having({ op: 'string', exchange: 'string', ifUnused: 'boolean' }, 'exchange')],
  [
    'queue.declare',
    having({ op: 'string', queue: 'string', passive: 'boolean', ...DECLARED, exclusive: 'boolean' }, 'queue'),
  ],
  [
    'queue.delete',
    having({ op: 'string', queue: 'string', ifUnused: 'boolean', ifEmpty: 'boolean' }, 'queue'),
  ],
  ['queue.bind', QUEUE_BIND],
  ['queue.unbind', QUEUE_BIND],
  ['exchange.bind', EXCHANGE_BIND],
  ['exchange.unbind', EXCHANGE_BIND],
  ['policy.set', having({ op: 'string', ...POLICY }, 'name', 'pattern')],
  ['policy.clear', having({ op: 'string', name: 'string' }, 'name')],
]);

export const MESSAGE: Shape = having(
  {
    exchange: 'string',
    routingKey: 'bytes',
    headers: 'table',
    messageId: 'string',
    correlationId: 'string',
    timestamp: 'integer',
    random: 'fraction',
  },
  'exchange',
  'routingKey',
);

export const FOLLOWER_OPTIONS: Shape = having({ seed: 'uint64' });

export const RECORD_OPTIONS: Shape = having({ capacity: 'size', epoch: 'wide' });

export const POSITION: Shape = having({ epoch: 'wide', revision: 'revision' }, 'epoch', 'revision');

// What the operation is, `OPERATIONS` says.
const CHANGE: Shape = having({ revision: 'revision', operation: 'object' }, 'revision', 'operation');

/** By `type`. */
export const UPDATES: Readonly<Record<'changes' | 'snapshot', Shape>> = {
  changes: having({ type: 'string', since: POSITION, changes: { list: CHANGE } }, 'since', 'changes'),
  snapshot: having({ type: 'string', epoch: 'wide', bytes: 'octets' }, 'epoch', 'bytes'),
};

export const EXPLAIN_OPTIONS: Shape = having({ nearMisses: 'size' });

/** Kombu has more transport options; those that change no name are skipped. */
export const LAYOUT: Shape = havingAlso({
  global_keyprefix: 'string',
  sep: 'string',
  priority_steps: { list: 'size' },
  fanout_prefix: 'data',
  fanout_patterns: 'boolean',
  db: 'size',
});

export const BINDING_TABLE: Shape = having(
  {
    exchange: 'string',
    kind: { oneOf: ['direct', 'fanout', 'topic'] },
    rows: { list: 'bytes' },
    layout: LAYOUT,
  },
  'exchange',
  'rows',
);

export const PUBLISH: Shape = having(
  {
    exchange: 'string',
    routingKey: 'string',
    headers: 'object',
    body: 'bytes',
    contentType: 'string',
    contentEncoding: 'string',
    properties: 'object',
    priority: 'size',
    expiration: 'size',
    transient: 'boolean',
    returnToQueue: 'boolean',
    layout: LAYOUT,
  },
  'exchange',
  'routingKey',
  'body',
);

export const TASK: Shape = having(
  {
    exchange: 'string',
    routingKey: 'string',
    name: 'string',
    id: 'string',
    args: { list: 'data' },
    kwargs: 'object',
    eta: 'string',
    expires: 'string',
    expiresMs: 'size',
    retries: 'size',
    timeLimit: 'data',
    softTimeLimit: 'data',
    rootId: 'string',
    parentId: 'string',
    group: 'string',
    groupIndex: 'size',
    shadow: 'string',
    origin: 'string',
    replyTo: 'string',
    ignoreResult: 'boolean',
    priority: 'size',
    headers: 'object',
    callbacks: { list: 'object' },
    errbacks: { list: 'object' },
    chain: { list: 'object' },
    chord: 'object',
    returnToQueue: 'boolean',
    layout: LAYOUT,
  },
  'exchange',
  'routingKey',
  'name',
  'id',
);
