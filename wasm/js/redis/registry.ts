import { type Binding, type Exchange, KeyrailError, type Policy, type Queue } from 'keyrail';
import type { RedisClient } from './client.js';
import { membersOf, redisError, unexpected } from './replies.js';

/**
 * What Kombu cannot store and keyrail keeps beside it, under `keyrail.`: types and alternates of exchanges, headers and
 * exchange-to-exchange bindings, queues of fanout exchanges, buckets, policies. keyrail's host on Redis writes it.
 */
export interface Registry {
  readonly exchanges: ReadonlyMap<string, Exchange>;
  readonly queues: readonly Queue[];
  /**
   * Those that own buckets of a consistent-hash exchange come first, in the order of their buckets. Others of such an
   * exchange have none, so they lead nowhere, and are left out: a router would give them some.
   */
  readonly bindings: readonly Binding[];
  readonly policies: readonly Policy[];
}

/** The names of its keys, behind the global prefix. */
export class RegistryKeys {
  readonly prefix: string;
  readonly exchanges: string;
  readonly queues: string;
  readonly bindings: string;
  readonly buckets: string;
  readonly policies: string;
  readonly all: readonly string[];

  constructor(globalPrefix = '') {
    this.prefix = `${globalPrefix}keyrail.`;
    this.exchanges = `${this.prefix}exchange`;
    this.queues = `${this.prefix}queue`;
    this.bindings = `${this.prefix}binding`;
    this.buckets = `${this.prefix}bucket`;
    this.policies = `${this.prefix}policy`;
    this.all = [this.exchanges, this.queues, this.bindings, this.buckets, this.policies];
  }
}

/** Reads all of it, at one moment; nothing if there is none, which costs one command. */
export async function readRegistry(client: RedisClient, keys: RegistryKeys): Promise<Registry | undefined> {
  const what = `keyrail's own keys \`${keys.prefix}*\` cannot be read`;
  const send: RedisClient['send'] = async (commands, atomic) => {
    try {
      return await client.send(commands, atomic);
    } catch (cause) {
      throw redisError(what, cause);
    }
  };
  const [found] = (await send([['EXISTS', ...keys.all]], false)) ?? [];
  if (found instanceof Error) throw redisError(what, found);
  const count = typeof found === 'bigint' ? Number(found) : found;
  if (typeof count !== 'number') throw unexpected(`EXISTS \`${keys.exchanges}\` …`, found, 'a number');
  if (count === 0) return undefined;

  // Values alone: clients differ in how they give a hash, and each value says its own name.
  const commands = [
    ['HVALS', keys.exchanges],
    ['HVALS', keys.queues],
    ['SMEMBERS', keys.bindings],
    ['HKEYS', keys.buckets],
    ['HVALS', keys.buckets],
    ['HVALS', keys.policies],
  ] as const;
  const replies = await send(commands, true);
  const texts = commands.map(([name, key], at) => membersOf(replies?.[at], `${name} \`${key}\``).map(textOf));
  const [exchanges, queues, bindings, owners, turns, policies] = texts as [
    string[],
    string[],
    string[],
    string[],
    string[],
    string[],
  ];
  const declared = new Map(
    exchanges
      .map((text) => entry<Exchange>(keys.exchanges, text))
      .map((exchange) => [exchange.name, exchange]),
  );
  const owning = new Set(owners);
  const leads = (text: string, { source }: Binding) =>
    owning.has(text) || declared.get(source)?.kind !== 'x-consistent-hash';
  return {
    exchanges: declared,
    queues: queues.map((text) => entry<Queue>(keys.queues, text)),
    bindings: inOrder(bindings, owners, turns)
      .map((text) => [text, entry<Binding>(keys.bindings, text)] as const)
      .filter(([text, binding]) => leads(text, binding))
      .map(([, binding]) => binding),
    policies: policies.map((text) => entry<Policy>(keys.policies, text)),
  };
}

/** Owners of buckets by their turns and then by their texts; the others by their texts, since a set has no order. */
function inOrder(bindings: readonly string[], owners: readonly string[], turns: readonly string[]): string[] {
  const turn = new Map(owners.map((owner, at) => [owner, Number(turns[at])]));
  const of = (binding: string) => turn.get(binding) ?? Number.POSITIVE_INFINITY;
  return [...bindings].sort((a, b) => {
    const [left, right] = [of(a), of(b)];
    if (left !== right) return left < right ? -1 : 1;
    return a < b ? -1 : 1;
  });
}

function textOf(member: string | Uint8Array): string {
  return typeof member === 'string' ? member : new TextDecoder().decode(member);
}

/** Long 64-bit integers become text, which tables take too: `JSON.parse` would round 2^53 + 1. */
function entry<T>(key: string, text: string): T {
  try {
    const value = JSON.parse(text.replace(/("[lLT]"\s*,\s*)(-?\d{16,})(?![\d.eE])/g, '$1"$2"'));
    if (typeof value === 'object' && value !== null) return value as T;
  } catch {
    // Said below.
  }
  throw new KeyrailError(
    'invalid-registry',
    `\`${key}\` holds \`${text.slice(0, 80)}\`, expected a JSON object`,
  );
}

/** The exchange, and all that its bindings and alternates lead to. With policies: every exchange, and their alternates. */
export function reachOf(registry: Registry, exchange: string): string[] {
  const ways = new Map<string, string[]>();
  const way = (from: string, to: string | undefined) => {
    if (to === undefined) return;
    const others = ways.get(from);
    if (others) others.push(to);
    else ways.set(from, [to]);
  };
  for (const { source, destination } of registry.bindings) {
    if ('exchange' in destination) way(source, destination.exchange);
  }
  for (const { name, alternateExchange } of registry.exchanges.values()) way(name, alternateExchange);
  const found = new Set([exchange]);
  const alternates = registry.policies.flatMap(({ definition }) => alternateIn(definition));
  if (alternates.length > 0) {
    for (const name of [...registry.exchanges.keys(), ...alternates]) found.add(name);
  }
  // A set that grows while it is walked is walked to its end.
  for (const name of found) for (const other of ways.get(name) ?? []) found.add(other);
  return [...found];
}

/** A policy's alternate exchange, out of a table in either form. */
function alternateIn(definition: Policy['definition'] = []): string[] {
  const entries = Array.isArray(definition)
    ? definition.map(([name, , value]) => [name, value])
    : Object.entries(definition);
  return entries.flatMap(([name, value]) =>
    name === 'alternate-exchange' && typeof value === 'string' ? [value] : [],
  );
}
