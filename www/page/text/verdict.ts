import type { Hop, Match, Trace } from 'keyrail/full/web';
import { visible } from './names.ts';

/** The result in a sentence or two, for people. */
export interface Verdict {
  readonly headline: string;
  readonly reason: string;
}

/** What a binding does with the message, or an alternate exchange. */
export const EFFECTS: Record<Match['effect'] | 'alternate', string> = {
  delivered: 'delivers',
  followed: 'goes on',
  duplicateSuppressed: 'has it already',
  cycleCut: 'has seen it',
  alternate: 'takes it',
};

export function verdictOf(trace: Trace): Verdict {
  const { queues, hops } = trace;
  if (queues.length === 0) return { headline: 'No queue gets this message', reason: whyNot(hops) };
  const headline =
    queues.length === 1 ? 'One queue gets this message' : `${queues.length} queues get this message`;
  return { headline, reason: detours(hops) };
}

/** The announcement for those who do not see the drawing. */
export function spoken(trace: Trace): string {
  const { headline, reason } = verdictOf(trace);
  const names = trace.queues.map(visible).join(', ');
  return [names ? `${headline}: ${names}.` : `${headline}.`, reason].join(' ').trim();
}

function detours(hops: readonly Hop[]): string {
  return hops
    .filter(({ alternate }) => alternate?.type === 'followed')
    .map(({ exchange }) => `Nothing matched in ${named(exchange)}, so its alternate exchange took it.`)
    .join(' ');
}

function whyNot(hops: readonly Hop[]): string {
  const first = hops[0];
  if (first?.exchange === '')
    return 'The default exchange knows it by the name of a queue, and no queue has that name.';
  const empty = hops.filter(({ matches }) => matches.length === 0);
  return empty.map(dead).join(' ');
}

function dead({ exchange, alternate }: Hop): string {
  const nothing = `Nothing matched in ${named(exchange)}`;
  switch (alternate?.type) {
    case 'followed':
      return `${nothing}, so its alternate exchange took it.`;
    case 'missing':
      return `${nothing}, and its alternate exchange ${named(alternate.exchange)} does not exist.`;
    case 'cycleCut':
      return `${nothing}, and its alternate exchange ${named(alternate.exchange)} had the message already.`;
    default:
      return `${nothing}, and it has no alternate exchange.`;
  }
}

function named(exchange: string): string {
  return exchange === '' ? 'the default exchange' : visible(exchange);
}
