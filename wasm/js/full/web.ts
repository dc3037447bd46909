import { load } from '../load.js';
import { engine } from './module.js';

/** Where the module comes from: an address, a response, its bytes, or the module itself. */
export type ModuleSource = string | URL | Response | BufferSource | WebAssembly.Module;

/**
 * Makes the other exports usable: fetches the module, compiling while it arrives. Without a source, the file beside
 * this one. Calling it again does nothing.
 */
export async function init(source: ModuleSource | PromiseLike<ModuleSource> = fromHere()): Promise<void> {
  await load(engine, source);
}

function fromHere(): URL {
  return new URL('./keyrail.wasm', import.meta.url);
}

export * from './index.js';
