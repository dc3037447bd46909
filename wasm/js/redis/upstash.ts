import { KeyrailError } from 'keyrail';
import type { RedisClient } from './client.js';

export interface UpstashOptions {
  /** `UPSTASH_REDIS_REST_URL`. */
  readonly url: string;
  /** `UPSTASH_REDIS_REST_TOKEN`. */
  readonly token: string;
  /** Default: the global one. */
  readonly fetch?: typeof fetch | undefined;
  /** Milliseconds until a request is given up. Default: 10,000. */
  readonly timeout?: number | undefined;
}

/**
 * Redis over HTTP, by Upstash's REST form, with nothing but `fetch`: for edge workers, which open no sockets.
 *
 * It can neither watch nor listen: tables are kept for `maxAge`, results are asked for again and again.
 */
export function upstash(options: UpstashOptions): RedisClient {
  const { url, token, timeout = 10_000 } = options;
  const send = options.fetch ?? ((...args: Parameters<typeof fetch>) => fetch(...args));
  const base = String(url).replace(/\/+$/, '');
  if (!/^https?:\/\//.test(base)) throw invalid(`options.url is \`${base}\`, expected https://…`);
  if (typeof token !== 'string' || token === '') throw invalid('options.token is missing');

  const post = async (path: string, body: unknown): Promise<unknown> => {
    const response = await send(base + path, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        // Strings as base64: the bytes of Redis, whatever they are.
        'upstash-encoding': 'base64',
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(timeout),
    });
    return answer(response);
  };

  return {
    async send(commands, atomic) {
      if (commands.length === 1) return [result(await post('/', commands[0]))];
      const replies = await post(atomic ? '/multi-exec' : '/pipeline', commands);
      if (!Array.isArray(replies)) return [result(replies)];
      return replies.map(result);
    },
  };
}

async function answer(response: Response): Promise<unknown> {
  const text = await response.text();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new KeyrailError(
      'redis-error',
      `HTTP ${response.status} with a body that is not JSON: \`${text.slice(0, 80)}\``,
    );
  }
  const error = errorOf(value);
  if (!response.ok && error === undefined) {
    throw new KeyrailError('redis-error', `HTTP ${response.status}`);
  }
  return value;
}

/** The reply of one command: `{ result }` or `{ error }`. */
function result(reply: unknown): unknown {
  const error = errorOf(reply);
  if (error !== undefined) throw new Error(error);
  if (typeof reply !== 'object' || reply === null || !('result' in reply)) {
    throw new KeyrailError('redis-error', 'the HTTP answer has neither `result` nor `error`');
  }
  return decoded(reply.result);
}

function errorOf(reply: unknown): string | undefined {
  if (typeof reply !== 'object' || reply === null || !('error' in reply)) return undefined;
  return String(reply.error);
}

/** Numbers and `null` come as they are, and so does `OK`, which no base64 is. */
function decoded(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decoded);
  if (typeof value !== 'string' || value === 'OK') return value;
  try {
    return Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
  } catch {
    throw new KeyrailError('redis-error', `the HTTP answer \`${value.slice(0, 80)}\` is not base64`);
  }
}

function invalid(message: string): KeyrailError {
  return new KeyrailError('invalid-argument', message);
}
