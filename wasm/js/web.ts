import { KeyrailError } from './error.js';
import { start, started } from './module.js';

/** Where the module comes from: an address, a response, its bytes, or the module itself. */
export type Source = string | URL | Response | BufferSource | WebAssembly.Module;

/**
 * Makes the other exports usable: fetches the module, compiling while it arrives. Without a source, the file beside
 * this one. Calling it again does nothing.
 */
export async function init(source: Source | PromiseLike<Source> = fromHere()): Promise<void> {
  const given = await source;
  if (started()) return;
  try {
    start(await compiled(given));
  } catch (cause) {
    if (cause instanceof KeyrailError) throw cause;
    throw new KeyrailError('not-loaded', `the module could not be loaded: ${String(cause)}`, { cause });
  }
}

function fromHere(): URL {
  return new URL('./keyrail.wasm', import.meta.url);
}

async function compiled(source: Source): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return WebAssembly.compile(source);
  const response = source instanceof Response ? source : await fetch(source);
  if (!response.ok) {
    throw new KeyrailError('not-loaded', `the module could not be loaded: HTTP status ${response.status}`);
  }
  // Browsers stream only what is served as WebAssembly, and some servers do not know the type.
  const typed = response.headers.get('content-type')?.startsWith('application/wasm');
  return typed ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}

export * from './index.js';
