import { type Command, type Message, type Plan, Router } from 'keyrail';
import type { Reach } from './reach.js';

/** What of a message decides where it goes. */
export type Routed = Pick<Message, 'exchange' | 'routingKey' | 'headers' | 'messageId' | 'correlationId'>;

/** Plans a message as if `exchange` were where it was sent. */
export type Planner = (router: Router, exchange: string) => Plan;

/**
 * The commands that bring a message to everybody: a push for each queue, and a `PUBLISH` for each fanout exchange on the
 * way, whose listeners Redis knows and no table.
 */
export function planOf({ router, fansOut }: Reach, routed: Routed, plan: Planner): Plan {
  const { exchange, routingKey } = routed;
  if (!fansOut) return plan(router, exchange);
  const { queues, channels } = waysOf(router, routed);
  if (channels.length === 0) return plan(router, exchange);
  const commands: Command[] = [];
  if (queues.length > 0) commands.push(...byQueues(exchange, String(routingKey), queues, plan));
  for (const channel of channels) commands.push(...byChannel(channel, plan));
  return { outcome: 'routed', queues, atomic: commands.length > 1, commands };
}

/** A queue of a fanout exchange gets its copy from the channel if Kombu bound it, and from a push if keyrail did. */
function waysOf(router: Router, routed: Routed): { queues: string[]; channels: string[] } {
  const queues = new Set<string>();
  const channels: string[] = [];
  for (const { exchange, kind, matches } of router.explain(routed).hops) {
    if (kind === 'fanout') channels.push(exchange);
    for (const { binding } of matches) {
      const listens = kind === 'fanout' && (binding.dialect ?? 'amqp') !== 'amqp';
      if ('queue' in binding.destination && !listens) queues.add(binding.destination.queue);
    }
  }
  return { queues: [...queues], channels };
}

/** A router that has nothing but these queues, under this key. */
function byQueues(exchange: string, routingKey: string, queues: string[], plan: Planner): readonly Command[] {
  using router = Router.fromTopology({
    exchanges: [{ name: exchange, kind: 'direct' }],
    queues: queues.map((name) => ({ name })),
    bindings: queues.map((queue) => ({ source: exchange, destination: { queue }, routingKey })),
  });
  return plan(router, exchange).commands;
}

function byChannel(exchange: string, plan: Planner): readonly Command[] {
  using router = Router.fromTopology({ exchanges: [{ name: exchange, kind: 'fanout' }] });
  return plan(router, exchange).commands;
}
