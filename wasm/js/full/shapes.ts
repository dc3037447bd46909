import { having, havingAlso, type Shape } from '../shape.js';
import { APPLY_TO, LAYOUT } from '../shapes.js';

// What the arguments of imports, exports and comparisons must look like.

const DEFINED = { vhost: 'string', durable: 'boolean', auto_delete: 'boolean', arguments: 'table' } as const;

const DEFINED_EXCHANGE: Shape = havingAlso(
  { name: 'string', type: 'string', ...DEFINED, internal: 'boolean' },
  'name',
  'type',
);

const DEFINED_QUEUE: Shape = havingAlso({ name: 'string', ...DEFINED }, 'name');

const DEFINED_BINDING: Shape = havingAlso(
  {
    source: 'string',
    vhost: 'string',
    destination: 'string',
    destination_type: { oneOf: ['queue', 'exchange'] },
    routing_key: 'bytes',
    arguments: 'table',
  },
  'source',
  'destination',
  'destination_type',
);

const DEFINED_POLICY: Shape = havingAlso(
  {
    name: 'string',
    vhost: 'string',
    pattern: 'string',
    'apply-to': APPLY_TO,
    priority: 'integer',
    definition: 'table',
  },
  'name',
  'pattern',
);

/** RabbitMQ exports much that routing does not ask for. */
export const DEFINITIONS: Shape = havingAlso({
  policies: { list: DEFINED_POLICY },
  exchanges: { list: DEFINED_EXCHANGE },
  queues: { list: DEFINED_QUEUE },
  bindings: { list: DEFINED_BINDING },
});

const DIALECTS = { oneOf: ['amqp', 'kombu57', 'kombu56'] } as const;

export const VHOST: Shape = having({ vhost: 'string' });

export const DEFINITIONS_OPTIONS: Shape = having({ vhost: 'string', within: 'object' });

export const DIFF_OPTIONS: Shape = having({ witnesses: 'size', lineFeeds: 'boolean' });

/** `kinds` is by the name of an exchange. */
export const SETS_OPTIONS: Shape = having({ layout: LAYOUT, kinds: 'object' });

export const TO_SETS_OPTIONS: Shape = having({ layout: LAYOUT, dialect: DIALECTS });

export const CELERY_OPTIONS: Shape = having({ dialect: DIALECTS });
