import { invalid } from './error.js';

/**
 * What an argument must look like.
 *
 * Every structured argument is checked and copied before it crosses into the module. The copy is plain data, so no
 * getter, proxy or cycle of the caller runs inside a call, where an exception would leave the module's stack unwound;
 * and an error can name the place.
 */
export type Shape =
  | 'boolean'
  | 'bytes'
  | 'data'
  | 'fraction'
  | 'integer'
  | 'object'
  | 'octets'
  | 'revision'
  | 'size'
  | 'string'
  | 'table'
  | 'uint64'
  | 'wide'
  | { readonly oneOf: readonly string[] }
  | { readonly list: Shape }
  | ObjectShape;

interface ObjectShape {
  readonly fields: Readonly<Record<string, Shape>>;
  /** The fields that must be there. */
  readonly required: readonly string[];
  /** Whether fields that are not listed are skipped. */
  readonly others?: boolean;
}

/** An object with these fields and no others, of which some must be there. */
export function having(fields: ObjectShape['fields'], ...required: string[]): ObjectShape {
  return { fields, required };
}

/** The same where other fields are skipped. */
export function havingAlso(fields: ObjectShape['fields'], ...required: string[]): ObjectShape {
  return { fields, required, others: true };
}

const HEX = having({ hex: 'string' }, 'hex');

/** Deeper than any table that the core takes; a cycle ends here. */
const MAX_DEPTH = 200;

/** UTF-16 units of one string: a bound on what a single value may allocate. */
const MAX_STRING = 1 << 24;

/** Values that are taken as they are: what is expected, and whether it is that. */
const TAKEN: Readonly<Record<string, readonly [expected: string, is: (value: unknown) => boolean]>> = {
  boolean: ['true or false', (value) => typeof value === 'boolean'],
  size: ['a whole number below 2 ** 32', isSize],
  integer: ['a whole number', Number.isSafeInteger],
  fraction: ['a number from 0 to 1', (value) => typeof value === 'number' && value >= 0 && value <= 1],
  uint64: ['a bigint from 0n to 2n ** 64n - 1n', isUint64],
  wide: ['a whole number from 0 or a bigint', (value) => isUint64(value) || isRevision(value)],
  revision: ['a whole number from 0', isRevision],
};

export function read(value: unknown, shape: Shape, path: string): unknown {
  if (shape === 'string') return text(value, path);
  if (shape === 'bytes') return bytes(value, path);
  if (shape === 'table') return table(value, path);
  if (shape === 'object') return plain(object(value, path), path, 0);
  if (shape === 'data') return plain(value, path, 0);
  if (shape === 'octets') {
    if (isBytes(value)) return copied(value, path);
    if (Array.isArray(value) && value.every((octet) => isSize(octet) && octet < 256))
      return Uint8Array.from(value);
    throw expected('a Uint8Array or an array of octets', value, path);
  }
  if (typeof shape === 'string') {
    const [what, is] = TAKEN[shape] as (typeof TAKEN)[string];
    if (!is(value)) throw expected(what, value, path);
    return value;
  }
  if ('oneOf' in shape) {
    if (!shape.oneOf.includes(value as string)) throw expected(shape.oneOf.join(', '), value, path);
    return value;
  }
  if ('list' in shape) {
    if (!Array.isArray(value)) throw expected('an array', value, path);
    return Array.from(value, (item, at) => read(item, shape.list, `${path}[${at}]`));
  }
  return fields(value, shape, path);
}

/** A number that the module can hold as an id, a length or a count. */
export function isSize(value: unknown): value is number {
  return typeof value === 'number' && value >>> 0 === value;
}

function isRevision(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isUint64(value: unknown): boolean {
  return typeof value === 'bigint' && BigInt.asUintN(64, value) === value;
}

function fields(value: unknown, shape: ObjectShape, path: string): object {
  const source = object(value, path);
  if (!shape.others) {
    for (const name of Object.keys(source)) {
      if (!Object.hasOwn(shape.fields, name)) {
        throw invalid(`${path} has no field \`${name}\`, only ${Object.keys(shape.fields).join(', ')}`);
      }
    }
  }
  const copy = plainObject();
  for (const [name, field] of Object.entries(shape.fields)) {
    const item = Object.hasOwn(source, name) ? source[name] : undefined;
    if (item !== undefined) copy[name] = read(item, field, `${path}.${name}`);
    else if (shape.required.includes(name)) throw invalid(`${path}.${name} is missing`);
  }
  return copy;
}

export function text(value: unknown, path: string): string {
  if (typeof value !== 'string') throw expected('a string', value, path);
  if (value.length > MAX_STRING)
    throw invalid(`${path} has ${value.length} characters, at most ${MAX_STRING}`);
  if (!value.isWellFormed()) throw invalid(`${path} has a lone surrogate, which UTF-8 cannot hold`);
  return value;
}

/** A `Uint8Array`, also of another realm, such as a test runner's sandbox. */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === '[object Uint8Array]';
}

/** Whether the memory of a view was transferred to somebody else. Node 20 has no other way to ask. */
export function isDetached(view: ArrayBufferView): boolean {
  try {
    new Uint8Array(view.buffer);
    return false;
  } catch {
    return true;
  }
}

function bytes(value: unknown, path: string): unknown {
  if (typeof value === 'string') return text(value, path);
  if (isBytes(value)) return copied(value, path);
  if (typeof value === 'object' && value !== null) {
    const { hex } = fields(value, HEX, path) as { hex: string };
    if (hex.length % 2 || /[^0-9a-f]/i.test(hex))
      throw expected('pairs of hexadecimal digits', hex, `${path}.hex`);
    return Uint8Array.from({ length: hex.length / 2 }, (_, at) => Number.parseInt(hex.substr(at * 2, 2), 16));
  }
  throw expected('a string or a Uint8Array', value, path);
}

function copied(value: Uint8Array, path: string): Uint8Array {
  if (value.length > MAX_STRING) throw invalid(`${path} has ${value.length} bytes, at most ${MAX_STRING}`);
  return new Uint8Array(value);
}

function table(value: unknown, path: string): unknown {
  if (!Array.isArray(value)) return plain(object(value, path), path, 0);
  const odd = value.findIndex((entry) => !Array.isArray(entry));
  if (odd >= 0) throw expected('[name, tag, value]', value[odd], `${path}[${odd}]`);
  return plain(value, path, 0);
}

/** Copies a value of a table, whatever its form; which forms there are is the core's business. */
function plain(value: unknown, path: string, depth: number): unknown {
  if (depth > MAX_DEPTH) throw invalid(`${path.slice(0, 40)}… nests deeper than ${MAX_DEPTH} levels`);
  switch (typeof value) {
    case 'string':
      return text(value, path);
    case 'boolean':
    case 'bigint':
      return value;
    case 'number':
      if (!Number.isFinite(value)) throw expected('a finite number', value, path);
      return value;
    case 'object':
      break;
    default:
      throw expected('data', value, path);
  }
  if (value === null) return null;
  if (isBytes(value)) return copied(value, path);
  if (Array.isArray(value)) return Array.from(value, (item, at) => plain(item, `${path}[${at}]`, depth + 1));
  const copy = plainObject();
  for (const [name, item] of Object.entries(object(value, path))) {
    if (item !== undefined) copy[text(name, `${path}, a name`)] = plain(item, `${path}.${name}`, depth + 1);
  }
  return copy;
}

/** Without a prototype, so that `__proto__` is a name like any other. */
function plainObject(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>;
}

/** An object of no class: a `Map`, a `Date` or a promise would otherwise be taken for an empty table. */
export function object(value: unknown, path: string): Record<string, unknown> {
  if (Object.prototype.toString.call(value) !== '[object Object]')
    throw expected('a plain object', value, path);
  return value as Record<string, unknown>;
}

export function expected(what: string, value: unknown, path: string): Error {
  return invalid(`${path} is ${shown(value)}, expected ${what}`);
}

/** A value in a few words. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `\`${value.length > 40 ? `${value.slice(0, 40)}…` : value}\``;
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return Object.prototype.toString.call(value).slice(1, -1);
  return String(value);
}
