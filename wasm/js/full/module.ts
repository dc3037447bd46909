import { Engine } from '../engine.js';
import { Core, __wbg_set_wasm as connect, imports } from './keyrail_bg.js';

/** The module with everything. */
export const engine = new Engine({ Core, imports, connect });
