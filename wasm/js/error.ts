import type { Reply } from './types.js';

/** What every call throws, and nothing else. `code` is stable; the message is for people. */
export class KeyrailError extends Error {
  readonly code: string;
  /** A broker's answer to the same method; only where a broker would have one. */
  declare readonly reply?: Reply;

  constructor(code: string, message: string, options?: { reply?: Reply | undefined; cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    if (options?.reply) this.reply = options.reply;
  }

  static {
    // On the prototype, as with the built-in errors: an own property would be printed with every error.
    Object.defineProperty(KeyrailError.prototype, 'name', { value: 'KeyrailError', configurable: true });
  }
}

/** A value of the wrong type or form: the caller's mistake. */
export function invalid(message: string): KeyrailError {
  return new KeyrailError('invalid-argument', message);
}

/** Runs a call into the module; what the module throws becomes a `KeyrailError`. */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw keyrailError(error);
  }
}

function keyrailError(error: unknown): KeyrailError {
  if (error instanceof KeyrailError) return error;
  // As `src/error.rs` writes it.
  if (typeof error === 'string') {
    const [code = '', scope, number, name, ...message] = error.split('\n');
    const reply = scope ? ({ scope, code: Number(number), name } as Reply) : undefined;
    return new KeyrailError(code, message.join('\n'), { reply });
  }
  return new KeyrailError('internal', `keyrail failed: ${String(error)}`, { cause: error });
}
