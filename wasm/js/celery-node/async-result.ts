import type { KeyrailError } from 'keyrail';
import { TaskError, type TaskMeta } from 'keyrail/celery';

/** Asks for what became of a task. */
interface Source {
  get(options: { timeout?: number | undefined; interval?: number | undefined }): Promise<unknown>;
  meta(): Promise<TaskMeta | undefined>;
}

/** What `get` throws for a task that failed: celery-node's message and fields, and keyrail's. */
export type ResultError = TaskError & {
  readonly exc_type?: string;
  readonly exc_message?: unknown;
  readonly exc_module?: string;
};

/** The result of a call, with celery-node's methods. */
export class AsyncResult {
  readonly taskId: string;
  #sent: Promise<unknown>;
  #source: Source;

  constructor(taskId: string, source: Source, sent: Promise<unknown> = Promise.resolve()) {
    this.taskId = taskId;
    this.#source = source;
    this.#sent = sent;
  }

  /**
   * Waits for the result. Milliseconds; without a `timeout` it waits as long as it takes.
   *
   * Throws an error whose `message` is `FAILURE`, `REVOKED` or `TIMEOUT`, with the worker's `exc_type`, `exc_message`
   * and `exc_module`, as in celery-node; or why the task could not be sent.
   */
  async get(timeout?: number, interval?: number): Promise<unknown> {
    await this.#sent;
    try {
      // In celery-node 0 means no timeout.
      return await this.#source.get({ timeout: timeout || undefined, interval });
    } catch (error) {
      if (error instanceof TaskError) {
        const meta = await this.#source.meta();
        if (meta) throw Object.assign(new TaskError(this.taskId, meta, meta.status), meta.result);
      }
      if ((error as KeyrailError).code === 'timeout') (error as KeyrailError).message = 'TIMEOUT';
      throw error;
    }
  }

  /** The result, or `null` as long as there is none. */
  async result(): Promise<unknown> {
    await this.#sent;
    return (await this.#source.meta())?.result ?? null;
  }

  /** The state, or `null` as long as the worker wrote none. */
  async status(): Promise<string | null> {
    await this.#sent;
    return (await this.#source.meta())?.status ?? null;
  }
}
