import { KeyrailError } from './error.js';
import type { Core } from './keyrail_bg.js';

interface Exports extends WebAssembly.Exports {
  readonly memory: WebAssembly.Memory;
  readonly __wbindgen_start: () => void;
}

/** What the generator made to reach the module. */
export interface Binding<Class extends typeof Core = typeof Core> {
  readonly Core: Class;
  /** What the module imports. */
  readonly imports: WebAssembly.ModuleImports;
  readonly connect: (exports: WebAssembly.Exports) => void;
}

/** A module with its binding and its memory, which all routers of an entry share. */
export class Engine<Class extends typeof Core = typeof Core> {
  readonly #binding: Binding<Class>;
  #memory: WebAssembly.Memory | undefined;
  #bytes = new Uint8Array(0);
  #words = new Uint32Array(0);

  constructor(binding: Binding<Class>) {
    this.#binding = binding;
  }

  /** Instantiates the module. The first one stays: whoever imports two entries of this package gets one instance. */
  start(module: WebAssembly.Module): void {
    if (this.#memory) return;
    const { exports } = new WebAssembly.Instance(module, {
      './keyrail_bg.js': this.#binding.imports,
    });
    const instance = exports as Exports;
    this.#binding.connect(instance);
    instance.__wbindgen_start();
    this.#memory = instance.memory;
  }

  get started(): boolean {
    return this.#memory !== undefined;
  }

  /** The binding's class, once there is an instance. */
  get Core(): Class {
    if (!this.#memory) {
      throw new KeyrailError('not-initialised', 'the module is not loaded yet: await or call init() first');
    }
    return this.#binding.Core;
  }

  /** The memory as bytes. Whenever it grows, every view of it becomes empty and must be taken again. */
  bytes(): Uint8Array<ArrayBuffer> {
    if (this.#bytes.length === 0 && this.#memory) this.#bytes = new Uint8Array(this.#memory.buffer);
    return this.#bytes;
  }

  /** The memory as 32-bit words. */
  words(): Uint32Array<ArrayBuffer> {
    if (this.#words.length === 0 && this.#memory) this.#words = new Uint32Array(this.#memory.buffer);
    return this.#words;
  }
}

/** The module from its bytes as text. */
export function decoded(base64: string): WebAssembly.Module {
  return new WebAssembly.Module(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
}
