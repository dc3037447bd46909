export { KeyrailError } from './error.js';
export { bindingTableKey, deliveredHeaders, Router } from './router.js';
export type * from './types.js';
