import type { Shape } from './shape.js';

// What each argument must look like. `types.ts` says the same to the compiler; this says it to everybody else.

const DECLARED = { durable: 'boolean', autoDelete: 'boolean', arguments: 'table' } as const;

const BOUND = {
  routingKey: 'bytes',
  arguments: 'table',
  dialect: { oneOf: ['amqp', 'kombu57', 'kombu56'] },
} as const;

export const ROUTER_OPTIONS: Shape = {
  fields: {
    predeclaredExchanges: 'boolean',
    seed: 'uint64',
    limits: { fields: { keyBytes: 'size', bindings: 'size', answers: 'size' } },
  },
};

export const BINDING: Shape = {
  fields: {
    source: 'string',
    // Which of the two, and that there is one, is the core's business.
    destination: { fields: { queue: 'string', exchange: 'string' } },
    ...BOUND,
    pattern: 'string',
  },
  required: ['source', 'destination'],
};

const EXCHANGE: Shape = {
  fields: {
    name: 'string',
    kind: { oneOf: ['direct', 'fanout', 'headers', 'topic', 'x-consistent-hash', 'x-random'] },
    ...DECLARED,
    internal: 'boolean',
    alternateExchange: 'string',
  },
  required: ['name', 'kind'],
};

const QUEUE: Shape = { fields: { name: 'string', ...DECLARED, exclusive: 'boolean' }, required: ['name'] };

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

export const TOPOLOGY: Shape = {
  fields: {
    exchanges: { list: EXCHANGE },
    queues: { list: QUEUE },
    bindings: { list: BINDING },
    policies: { list: { fields: POLICY, required: ['name', 'pattern'] } },
  },
};

export const EXCHANGE_OPTIONS: Shape = {
  fields: {
    kind: 'string',
    passive: 'boolean',
    ...DECLARED,
    internal: 'boolean',
    alternateExchange: 'string',
  },
  required: ['kind'],
};

export const QUEUE_OPTIONS: Shape = { fields: { passive: 'boolean', ...DECLARED, exclusive: 'boolean' } };

export const DELETE_EXCHANGE_OPTIONS: Shape = { fields: { ifUnused: 'boolean' } };

export const DELETE_QUEUE_OPTIONS: Shape = { fields: { ifUnused: 'boolean', ifEmpty: 'boolean' } };

const QUEUE_BIND: Shape = {
  fields: { op: 'string', queue: 'string', exchange: 'string', ...BOUND, pattern: 'string' },
  required: ['queue', 'exchange'],
};

const EXCHANGE_BIND: Shape = {
  fields: { op: 'string', destination: 'string', source: 'string', ...BOUND },
  required: ['destination', 'source'],
};

/** By `op`. */
export const OPERATIONS: ReadonlyMap<unknown, Shape> = new Map<unknown, Shape>([
  [
    'exchange.declare',
    {
      fields: {
        op: 'string',
        exchange: 'string',
        kind: 'string',
        passive: 'boolean',
        ...DECLARED,
        internal: 'boolean',
      },
      required: ['exchange'],
    },
  ],
  [
    'exchange.delete',
    { fields: { op: 'string', exchange: 'string', ifUnused: 'boolean' }, required: ['exchange'] },
  ],
  [
    'queue.declare',
    {
      fields: { op: 'string', queue: 'string', passive: 'boolean', ...DECLARED, exclusive: 'boolean' },
      required: ['queue'],
    },
  ],
  [
    'queue.delete',
    {
      fields: { op: 'string', queue: 'string', ifUnused: 'boolean', ifEmpty: 'boolean' },
      required: ['queue'],
    },
  ],
  ['queue.bind', QUEUE_BIND],
  ['queue.unbind', QUEUE_BIND],
  ['exchange.bind', EXCHANGE_BIND],
  ['exchange.unbind', EXCHANGE_BIND],
  ['policy.set', { fields: { op: 'string', ...POLICY }, required: ['name', 'pattern'] }],
  ['policy.clear', { fields: { op: 'string', name: 'string' }, required: ['name'] }],
]);

export const MESSAGE: Shape = {
  fields: {
    exchange: 'string',
    routingKey: 'bytes',
    headers: 'table',
    messageId: 'string',
    correlationId: 'string',
    timestamp: 'integer',
    random: 'fraction',
  },
  required: ['exchange', 'routingKey'],
};

export const FOLLOWER_OPTIONS: Shape = { fields: { seed: 'uint64' } };

export const RECORD_OPTIONS: Shape = { fields: { capacity: 'size', epoch: 'wide' } };

export const POSITION: Shape = {
  fields: { epoch: 'wide', revision: 'revision' },
  required: ['epoch', 'revision'],
};

const CHANGE: Shape = {
  // What the operation is, `OPERATIONS` says.
  fields: { revision: 'revision', operation: 'object' },
  required: ['revision', 'operation'],
};

/** By `type`. */
export const UPDATES: Readonly<Record<'changes' | 'snapshot', Shape>> = {
  changes: {
    fields: { type: 'string', since: POSITION, changes: { list: CHANGE } },
    required: ['since', 'changes'],
  },
  snapshot: { fields: { type: 'string', epoch: 'wide', bytes: 'octets' }, required: ['epoch', 'bytes'] },
};

export const EXPLAIN_OPTIONS: Shape = { fields: { nearMisses: 'size' } };

/** Kombu has more transport options; those that change no name are skipped. */
export const LAYOUT: Shape = {
  fields: {
    global_keyprefix: 'string',
    sep: 'string',
    priority_steps: { list: 'size' },
    fanout_prefix: 'data',
    fanout_patterns: 'boolean',
    db: 'size',
  },
  others: 'skipped',
};

export const BINDING_TABLE: Shape = {
  fields: {
    exchange: 'string',
    kind: { oneOf: ['direct', 'fanout', 'topic'] },
    rows: { list: 'bytes' },
    layout: LAYOUT,
  },
  required: ['exchange', 'rows'],
};

export const PUBLISH: Shape = {
  fields: {
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
  required: ['exchange', 'routingKey', 'body'],
};

export const TASK: Shape = {
  fields: {
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
  required: ['exchange', 'routingKey', 'name', 'id'],
};
