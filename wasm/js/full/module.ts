import { Engine } from '../engine.js';
import * as glue from './keyrail_bg.js';

/** The module with everything. */
export const engine = new Engine(glue);
