import { guarded } from '../error.js';
import { engine } from './module.js';

/** Makes the other exports usable, with a module that the caller compiled from `keyrail/full.wasm`. */
export function init(module: WebAssembly.Module): void {
  guarded(() => engine.start(module));
}

export * from './index.js';
