import { Engine } from './engine.js';
import { Core, __wbg_set_wasm as connect, imports } from './keyrail_bg.js';

/** The small module: all but lint, diff, foreign patterns, imports and exports. */
export const engine = new Engine({ Core, imports, connect });
