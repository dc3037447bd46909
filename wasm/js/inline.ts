import base64 from './base64.js';
import { start } from './module.js';

// The module comes with the code: nothing to fetch or to read, nothing that a bundler could lose, nothing to await.
start(new WebAssembly.Module(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))));

export * from './index.js';
