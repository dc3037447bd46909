import type { Table, Value } from 'keyrail/full/web';
import { reads, typeName } from '../text/values.ts';

/** A header as it stands in the form. */
export interface HeaderField {
  readonly id: number;
  readonly name: string;
  readonly typed: string;
}

/** The type that the value has, to be shown beside it: `9` is a number, `"9"` is text. */
export function typeOf({ typed }: HeaderField): string {
  return typeName(reads(typed));
}

/** Headers of the message; fields without a name do not count. Of two with one name the later wins, as in a table. */
export function tableOf(fields: readonly HeaderField[]): Table | undefined {
  const named = fields.filter(({ name }) => name !== '');
  if (named.length === 0) return undefined;
  // Not by assignment: `__proto__` is a header like any other.
  return Object.fromEntries(named.map(({ name, typed }): [string, Value] => [name, reads(typed)]));
}
