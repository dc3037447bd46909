import { Engine } from './engine.js';
import * as glue from './keyrail_bg.js';

/** The small module: all but lint, diff, foreign patterns, imports and exports. */
export const engine = new Engine(glue);
