import { KeyrailError } from 'keyrail';
import type { TaskMeta } from './types.js';

/** A task failed or was revoked: what the worker says about it. Its `code` is `task-failed` or `task-revoked`. */
export class TaskError extends KeyrailError {
  readonly taskId: string;
  /** The exception's class, such as `ValueError`. */
  readonly exceptionType: string;
  /** The module of the class, such as `builtins`. */
  readonly exceptionModule: string | undefined;
  /** The arguments of the exception, as JSON. */
  readonly exceptionArgs: readonly unknown[];
  /** Python's traceback as text. */
  readonly traceback: string | undefined;

  constructor(taskId: string, meta: TaskMeta, message?: string) {
    const { type, module, args } = exception(meta.result);
    const revoked = meta.status === 'REVOKED';
    const words = args.map((arg) => (typeof arg === 'string' ? arg : JSON.stringify(arg))).join(', ');
    super(revoked ? 'task-revoked' : 'task-failed', message ?? (words ? `${type}: ${words}` : type));
    this.taskId = taskId;
    this.exceptionType = type;
    this.exceptionModule = module;
    this.exceptionArgs = args;
    this.traceback = typeof meta.traceback === 'string' ? meta.traceback : undefined;
  }

  static {
    Object.defineProperty(TaskError.prototype, 'name', { value: 'TaskError', configurable: true });
  }
}

/** `exc_message` holds the arguments of an exception, or its text where they could not be kept. */
function exception(result: unknown): { type: string; module: string | undefined; args: readonly unknown[] } {
  if (typeof result !== 'object' || result === null) {
    return { type: 'Exception', module: undefined, args: result === null ? [] : [result] };
  }
  const { exc_type, exc_module, exc_message } = result as Record<string, unknown>;
  const args = Array.isArray(exc_message) ? exc_message : [exc_message];
  return {
    type: typeof exc_type === 'string' ? exc_type : 'Exception',
    module: typeof exc_module === 'string' ? exc_module : undefined,
    args: args.filter((arg) => arg !== undefined && arg !== null),
  };
}
