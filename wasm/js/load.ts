import type { Engine } from './engine.js';
import { KeyrailError } from './error.js';

/** Where the module comes from: an address, a response, its bytes, or the module itself. */
export type ModuleSource = string | URL | Response | BufferSource | WebAssembly.Module;

/** Starts the engine from wherever its module is, compiling while it arrives. */
export async function load(
  engine: Pick<Engine, 'start' | 'started'>,
  source: ModuleSource | PromiseLike<ModuleSource>,
): Promise<void> {
  const given = await source;
  if (engine.started) return;
  try {
    engine.start(await compiled(given));
  } catch (cause) {
    if (cause instanceof KeyrailError) throw cause;
    throw new KeyrailError('not-loaded', `the module could not be loaded: ${String(cause)}`, { cause });
  }
}

async function compiled(source: ModuleSource): Promise<WebAssembly.Module> {
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
