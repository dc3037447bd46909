import { decode } from './decode.js';
import { encode } from './encode.js';
import type { Engine } from './engine.js';
import { guarded } from './error.js';
import { read, text } from './shape.js';
import { LAYOUT } from './shapes.js';
import type { Layout, Table } from './types.js';

/** What the module answers without a router. */
export function functionsOf(engine: Pick<Engine, 'Core'>): {
  deliveredHeaders: (headers: Table) => Table;
  bindingTableKey: (exchange: string, layout?: Layout) => string;
} {
  return {
    deliveredHeaders(headers) {
      const data = read(headers, 'table', 'headers');
      return guarded(() => decode(engine.Core.deliveredHeaders(encode(data))) as Table);
    },
    bindingTableKey(exchange, layout = {}) {
      const name = text(exchange, 'exchange');
      const data = read(layout, LAYOUT, 'layout');
      return guarded(() => engine.Core.bindingTableKey(name, encode(data)));
    },
  };
}
