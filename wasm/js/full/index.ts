export { KeyrailError } from '../error.js';
export type * from '../types.js';
export { bindingTableKey, deliveredHeaders, Router } from './router.js';
