export { KeyrailError } from './error.js';
export { deliveredHeaders, Router } from './router.js';
export type * from './types.js';
