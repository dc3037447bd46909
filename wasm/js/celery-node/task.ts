import { type Json, KeyrailError } from 'keyrail';
import type { AsyncResult } from './async-result.js';
import type { Client } from './client.js';

/** A task by name. */
export class Task {
  readonly client: Client;
  readonly name: string;

  constructor(client: Client, name: string) {
    this.client = client;
    this.name = name;
  }

  /** Calls the task with these arguments. */
  delay(...args: Json[]): AsyncResult {
    return this.applyAsync(args);
  }

  /** Calls the task with positional arguments and arguments by name. */
  applyAsync(args: readonly Json[] = [], kwargs: { readonly [name: string]: Json } = {}): AsyncResult {
    // The words are celery-node's.
    if (args && !Array.isArray(args)) throw new KeyrailError('invalid-argument', 'args is not array');
    if (kwargs && typeof kwargs !== 'object')
      throw new KeyrailError('invalid-argument', 'kwargs is not object');
    return this.client.sendTask(this.name, args ?? [], kwargs ?? {});
  }
}
