import { KeyrailError } from './error.js';
import * as glue from './keyrail_bg.js';

interface Exports extends WebAssembly.Exports {
  readonly memory: WebAssembly.Memory;
  readonly __wbindgen_start: () => void;
}

let memory: WebAssembly.Memory | undefined;
let bytes = new Uint8Array(0);
let words = new Uint32Array(0);

/**
 * Instantiates the module that all routers share. The first one stays: whoever imports two entries of this package
 * gets one instance.
 */
export function start(module: WebAssembly.Module): void {
  if (memory) return;
  const { exports } = new WebAssembly.Instance(module, {
    './keyrail_bg.js': glue as WebAssembly.ModuleImports,
  });
  const instance = exports as Exports;
  glue.__wbg_set_wasm(instance);
  instance.__wbindgen_start();
  memory = instance.memory;
}

export function started(): boolean {
  return memory !== undefined;
}

/** The binding's class, once there is an instance. */
export function core(): typeof glue.Core {
  if (!memory) {
    throw new KeyrailError('not-initialised', 'the module is not loaded yet: await or call init() first');
  }
  return glue.Core;
}

/** The module's memory as bytes. Whenever it grows, every view of it becomes empty and must be taken again. */
export function memoryBytes(): Uint8Array<ArrayBuffer> {
  if (bytes.length === 0 && memory) bytes = new Uint8Array(memory.buffer);
  return bytes;
}

/** The module's memory as 32-bit words. */
export function memoryWords(): Uint32Array<ArrayBuffer> {
  if (words.length === 0 && memory) words = new Uint32Array(memory.buffer);
  return words;
}
