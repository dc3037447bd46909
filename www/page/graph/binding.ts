import type { Binding, ExchangeKind, Value } from 'keyrail/full/web';
import { bytesText, entries, json, valueText } from '../text/values.ts';

/** The same for two bindings exactly if they are the same binding: the trace is matched with the drawing by it. */
export function bindingId(binding: Binding): string {
  const { source, destination, routingKey = '', arguments: table, dialect = 'amqp', pattern } = binding;
  const end = 'queue' in destination ? ['q', destination.queue] : ['e', destination.exchange];
  return json([source, end, routingKey, table ?? {}, dialect, pattern ?? null]);
}

/** When the binding matches, in a few words: its key, or the headers that it compares. */
export function bindingLabel(binding: Binding, kind: ExchangeKind): string {
  const condition = kind === 'headers' ? headersLabel(binding) : keyLabel(binding, kind);
  const { dialect = 'amqp' } = binding;
  return dialect === 'amqp' ? condition : `${condition}  ${dialect}`;
}

function keyLabel(binding: Binding, kind: ExchangeKind): string {
  const key = bytesText(binding.routingKey);
  if (kind === 'fanout') return 'every message';
  if (kind === 'x-consistent-hash') return `weight ${key}`;
  if (kind === 'x-random') return 'one at random';
  return key === '' ? 'the empty key' : key;
}

function headersLabel(binding: Binding): string {
  const all = entries(binding.arguments);
  const mode = all.find(([name]) => name === 'x-match')?.[1] ?? 'all';
  // As in RabbitMQ: names that begin with `x-` are compared only in the modes that say so.
  const withX = String(mode).endsWith('-with-x');
  const compared = all.filter(([name]) => name !== 'x-match' && (withX || !name.startsWith('x-')));
  return [String(mode), ...compared.map(headerLabel)].join(' ');
}

/** A header without a value only has to be there. */
function headerLabel([name, value]: [string, Value]): string {
  return value === null ? name : `${name}=${valueText(value)}`;
}
