export { KeyrailError } from './error.js';
export { bindingTableKey, deliveredHeaders, Router } from './router.js';
export type {
  ExchangeName,
  PublishableName,
  QueueName,
  Routable,
  TypedMessage,
  TypedRouter,
  TypedRouting,
} from './typed.js';
export type * from './types.js';
