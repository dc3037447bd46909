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
      return guarded(() => engine.Core.deliveredHeaders(data) as Table);
    },
    bindingTableKey(exchange, layout = {}) {
      const name = text(exchange, 'exchange');
      const data = read(layout, LAYOUT, 'layout');
      return guarded(() => engine.Core.bindingTableKey(name, data));
    },
  };
}
