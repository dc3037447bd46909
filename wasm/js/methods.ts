import { invalid } from './error.js';
import { expected, read } from './shape.js';
import { BINDING, OPERATIONS } from './shapes.js';
import type { Binding, Change, Operation, Table } from './types.js';

/** The alternate exchange is an argument in AMQP. One that is given in both ways is refused: which one was meant? */
export function withAlternate(table: Table, alternate: string): Table {
  const name = 'alternate-exchange';
  const names = Array.isArray(table) ? table.map(([name]) => name) : Object.keys(table);
  if (names.includes(name))
    throw invalid(`options.alternateExchange and options.arguments both have \`${name}\``);
  if (Array.isArray(table)) return [...table, [name, 'S', alternate]];
  return { ...table, [name]: alternate } as Table;
}

/** A binding as the AMQP method that makes or removes it. */
export function bindOperation(verb: 'bind' | 'unbind', binding: Binding): object {
  const { source, destination, ...bound } = read(binding, BINDING, 'binding') as Binding;
  const { queue, exchange } = destination as { queue?: string; exchange?: string };
  if ((queue === undefined) === (exchange === undefined)) {
    throw invalid('binding.destination must have either `queue` or `exchange`');
  }
  if (queue !== undefined) return { ...bound, op: `queue.${verb}`, queue, exchange: source };
  if (bound.pattern !== undefined) throw invalid('binding.pattern is for queues: Kombu binds nothing else');
  return { ...bound, op: `exchange.${verb}`, destination: exchange, source };
}

/** An operation of the caller's, checked and copied. */
export function checkedOperation(operation: Operation, path: string): object {
  const op = typeof operation === 'object' && operation !== null ? operation.op : undefined;
  const shape = OPERATIONS.get(op);
  if (!shape) throw expected([...OPERATIONS.keys()].join(', '), op, `${path}.op`);
  return read(operation, shape, path) as object;
}

/** A change of another router, which says `null` where nothing was said. */
export function checkedChange({ revision, operation }: Change, at: number): object {
  const said = Object.fromEntries(Object.entries(operation).filter(([, value]) => value !== null));
  return { revision, operation: checkedOperation(said as Operation, `update.changes[${at}].operation`) };
}
