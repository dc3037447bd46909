// A runtime of Cloudflare's kind compiles the file before the worker starts; compiling at run time is not allowed.
import module from './keyrail.wasm';
import { start } from './module.js';

start(module);

export * from './index.js';
