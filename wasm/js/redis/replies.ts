import { type Command, KeyrailError, type Plan } from 'keyrail';

/** The rows of a binding table, from the replies to one `SMEMBERS`. */
export function rowsOf(replies: unknown, key: string): (string | Uint8Array)[] {
  const reply = Array.isArray(replies) && replies.length === 1 ? replies[0] : replies;
  if (reply instanceof Error) throw redisError(`the binding table \`${key}\` cannot be read`, reply);
  const what = `SMEMBERS \`${key}\``;
  if (!Array.isArray(replies) || replies.length !== 1) throw unexpected(what, reply, 'the members of a set');
  return membersOf(reply, what).map((row) =>
    typeof row === 'string' && !faithful(row) ? notUtf8(row) : row,
  );
}

/** The strings that a command answers with. */
export function membersOf(reply: unknown, what: string): (string | Uint8Array)[] {
  if (reply instanceof Error) throw redisError(`${what} failed`, reply);
  const members = reply instanceof Set ? [...reply] : reply;
  if (!Array.isArray(members)) throw unexpected(what, reply, 'the members of a set');
  for (const member of members) {
    if (typeof member !== 'string' && !(member instanceof Uint8Array)) {
      throw unexpected(what, member, 'text or bytes as a member');
    }
  }
  return members;
}

/** A client that answers with text puts U+FFFD for bytes that are no UTF-8; such a row must route nothing. */
function faithful(row: string): boolean {
  return row.isWellFormed() && !row.includes('\ufffd');
}

function notUtf8(row: string): Uint8Array {
  const bytes = new TextEncoder().encode(row);
  // EF BF BD is what U+FFFD was encoded to; EF alone is no UTF-8.
  return bytes.filter((byte, at) => !(byte === 0xbd && bytes[at - 1] === 0xbf && bytes[at - 2] === 0xef));
}

/** The replies to a plan: `LPUSH` and `PUBLISH` both answer with a number. */
export function counts(plan: Plan, replies: unknown): number[] {
  if (!Array.isArray(replies) || replies.length !== plan.commands.length) {
    throw unexpected(`${plan.commands.length} commands`, replies, 'a reply for each');
  }
  return replies.map((reply, at) => {
    const [name, key] = plan.commands[at] as Command;
    const what = `${name} \`${key}\``;
    if (reply instanceof Error) throw redisError(`${what} failed`, reply);
    const count = typeof reply === 'bigint' ? Number(reply) : reply;
    if (typeof count !== 'number') throw unexpected(what, reply, 'a number');
    return count;
  });
}

/** What a client rejected with, as keyrail's own error. */
export function redisError(what: string, cause: unknown): KeyrailError {
  // An adapter that knows better: `closed`, `missing-dependency`.
  if (cause instanceof KeyrailError && cause.code !== 'redis-error') return cause;
  const said = cause instanceof Error ? cause.message : String(cause);
  if (/\bWRONGTYPE\b/.test(said)) {
    const hint = 'another library than Kombu may have written it, such as celery-redis-plus';
    return new KeyrailError('wrong-type', `${what}: ${said} (${hint})`, { cause });
  }
  return new KeyrailError('redis-error', `${what}: ${said}`, { cause });
}

export function unexpected(what: string, reply: unknown, expected: string): KeyrailError {
  return new KeyrailError(
    'unexpected-reply',
    `${what} was answered with ${shown(reply)}, expected ${expected}`,
  );
}

function shown(reply: unknown): string {
  if (typeof reply === 'string') return `\`${reply.slice(0, 40)}\``;
  if (Array.isArray(reply)) return `an array of ${reply.length}`;
  if (typeof reply === 'object' && reply !== null) return Object.prototype.toString.call(reply).slice(8, -1);
  return String(reply);
}
