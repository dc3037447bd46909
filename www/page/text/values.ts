import type { Bytes, Table, TypedEntry, Value } from 'keyrail/full/web';

/** Bytes as text; those that are not text as hexadecimal digits. */
export function bytesText(bytes: Bytes | undefined): string {
  if (bytes === undefined) return '';
  if (typeof bytes === 'string') return bytes;
  return `0x${bytes instanceof Uint8Array ? hex(bytes) : bytes.hex}`;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A value as one would type it: text without quotes, unless it would be read as something else. */
export function valueText(value: Value): string {
  if (typeof value === 'string') return reads(value) === value ? value : JSON.stringify(value);
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return bytesText(value);
  return json(value);
}

/** JSON that also knows large integers. Two values are the same exactly if this text is. */
export function json(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? part.toString() : part)) ?? '';
}

/** The entries of a table, however it is written; of typed entries, the value without its tag. */
export function entries(table: Table | undefined): [name: string, value: Value][] {
  if (table === undefined) return [];
  if (!isTyped(table)) return Object.entries(table);
  return table.map(([name, , value]) => [bytesText(name), value as Value]);
}

function isTyped(table: Table): table is readonly TypedEntry[] {
  return Array.isArray(table);
}

/** What somebody typed as a value: JSON if it is JSON, else the text itself. */
export function reads(typed: string): Value {
  if (/^-?\d+$/.test(typed) && !Number.isSafeInteger(Number(typed))) return BigInt(typed);
  try {
    return JSON.parse(typed) as Value;
  } catch {
    return typed;
  }
}

/** The type of a value, in a word. */
export function typeName(value: Value): string {
  if (value === null) return 'void';
  if (Array.isArray(value)) return 'list';
  switch (typeof value) {
    case 'string':
      return 'text';
    case 'bigint':
      return 'number';
    case 'object':
      return 'table';
    default:
      return typeof value;
  }
}
