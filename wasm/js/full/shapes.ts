import type { Shape } from '../shape.js';
import { APPLY_TO, LAYOUT } from '../shapes.js';

// What the arguments of imports, exports and comparisons must look like.

const DEFINED = { vhost: 'string', durable: 'boolean', auto_delete: 'boolean', arguments: 'table' } as const;

const DEFINED_EXCHANGE: Shape = {
  fields: { name: 'string', type: 'string', ...DEFINED, internal: 'boolean' },
  required: ['name', 'type'],
  others: 'skipped',
};

const DEFINED_QUEUE: Shape = {
  fields: { name: 'string', ...DEFINED },
  required: ['name'],
  others: 'skipped',
};

const DEFINED_BINDING: Shape = {
  fields: {
    source: 'string',
    vhost: 'string',
    destination: 'string',
    destination_type: { oneOf: ['queue', 'exchange'] },
    routing_key: 'bytes',
    arguments: 'table',
  },
  required: ['source', 'destination', 'destination_type'],
  others: 'skipped',
};

const DEFINED_POLICY: Shape = {
  fields: {
    name: 'string',
    vhost: 'string',
    pattern: 'string',
    'apply-to': APPLY_TO,
    priority: 'integer',
    definition: 'table',
  },
  required: ['name', 'pattern'],
  others: 'skipped',
};

/** RabbitMQ exports much that routing does not ask for. */
export const DEFINITIONS: Shape = {
  fields: {
    policies: { list: DEFINED_POLICY },
    exchanges: { list: DEFINED_EXCHANGE },
    queues: { list: DEFINED_QUEUE },
    bindings: { list: DEFINED_BINDING },
  },
  others: 'skipped',
};

const DIALECTS = { oneOf: ['amqp', 'kombu57', 'kombu56'] } as const;

export const VHOST: Shape = { fields: { vhost: 'string' } };

export const DEFINITIONS_OPTIONS: Shape = { fields: { vhost: 'string', within: 'object' } };

export const DIFF_OPTIONS: Shape = { fields: { witnesses: 'size', lineFeeds: 'boolean' } };

/** `kinds` is by the name of an exchange. */
export const SETS_OPTIONS: Shape = { fields: { layout: LAYOUT, kinds: 'object' } };

export const TO_SETS_OPTIONS: Shape = { fields: { layout: LAYOUT, dialect: DIALECTS } };

export const CELERY_OPTIONS: Shape = { fields: { dialect: DIALECTS } };
