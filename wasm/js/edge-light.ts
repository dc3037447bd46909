// `?module` asks the bundler of an edge runtime for the compiled module.
import module from './keyrail.wasm?module';
import { start } from './module.js';

start(module);

export * from './index.js';
