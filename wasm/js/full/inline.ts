import { decoded } from '../engine.js';
import base64 from './base64.js';
import { engine } from './module.js';

// The module comes with the code: nothing to fetch or to read, nothing that a bundler could lose, nothing to await.
engine.start(decoded(base64));

export * from './index.js';
