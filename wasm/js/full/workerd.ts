// A runtime of Cloudflare's kind compiles the file before the worker starts; compiling at run time is not allowed.
import module from './keyrail.wasm';
import { engine } from './module.js';

engine.start(module);

export * from './index.js';
