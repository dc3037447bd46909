/// <reference lib="esnext.disposable" preserve="true" />
export { Celery } from './celery.js';
export { AsyncResult } from './result.js';
export { TaskError } from './task-error.js';
export type { CeleryOptions, GetOptions, TaskMeta, TaskOptions } from './types.js';
