import { decode } from './decode.js';
import { encode } from './encode.js';
import { guarded } from './error.js';
import type { Routes } from './routes.js';
import { object, read, text } from './shape.js';
import { PUBLISH, TASK } from './shapes.js';
import type { Message, Plan, Publish, TaskPublish } from './types.js';

// The Redis commands that publish a message: what was asked for is checked and completed here, the module writes them.

const TEXT = { contentType: 'text/plain', contentEncoding: 'utf-8' };
const BYTES = { contentType: 'application/data', contentEncoding: 'binary' };

export function plan(routes: Routes, publish: Publish): Plan {
  const { deliveryTag, ...content } = object(publish, 'publish') as unknown as Publish;
  const data = read(content, PUBLISH, 'publish') as Publish;
  const { exchange, routingKey, headers } = data;
  const { message_id, correlation_id } = data.properties ?? {};
  const hashed = { messageId: textOf(message_id), correlationId: textOf(correlation_id) };
  const deliveryTags = tags(routes, { exchange, routingKey, headers, ...hashed }, deliveryTag);
  const kind = typeof data.body === 'string' ? TEXT : BYTES;
  return guarded(
    () => decode(routes.core.plan(encode({ ...kind, ...data, ...hashed, deliveryTags }))) as Plan,
  );
}

export function planTask(routes: Routes, task: TaskPublish): Plan {
  const { deliveryTag, ...call } = object(task, 'task') as unknown as TaskPublish;
  const data = read(call, TASK, 'task') as TaskPublish;
  const { exchange, routingKey } = data;
  const deliveryTags = tags(routes, { exchange, routingKey }, deliveryTag);
  return guarded(() => decode(routes.core.planTask(encode({ ...data, deliveryTags }))) as Plan);
}

/** A tag for each copy of a message: one at least, since a fanout and the default exchange have one whatever the route. */
function tags(routes: Routes, message: Message, tag = () => crypto.randomUUID() as string): string[] {
  return Array.from({ length: Math.max(1, routes.copies(message)) }, () => text(tag(), 'deliveryTag()'));
}

/** A property, if an exchange can hash it. */
function textOf(property: unknown): string | undefined {
  return typeof property === 'string' ? property : undefined;
}
