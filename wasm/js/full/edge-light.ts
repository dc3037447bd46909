// `?module` asks the bundler of an edge runtime for the compiled module.
import module from './keyrail.wasm?module';
import { engine } from './module.js';

engine.start(module);

export * from './index.js';
