import { invalid } from './error.js';

/**
 * Writes plain data as the module reads it: an octet that says what follows, then the value, little-endian. The other
 * side is `src/node.rs`.
 */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  length = 0;
  write(value);
  // A copy: an argument may be followed by another one.
  const bytes = octets.slice(0, length);
  // Large data is rare, and its buffer is not kept.
  if (octets.length > KEPT) resize(SMALLEST);
  return bytes;
}

const SMALLEST = 4096;
const KEPT = 1 << 20;

const encoder = new TextEncoder();
let octets = new Uint8Array(SMALLEST);
let view = new DataView(octets.buffer);
let length = 0;

function resize(size: number): void {
  octets = new Uint8Array(size);
  view = new DataView(octets.buffer);
}

/** Makes room for so many octets. */
function room(count: number): void {
  if (length + count <= octets.length) return;
  const written = octets.subarray(0, length);
  resize(Math.max(octets.length * 2, length + count));
  octets.set(written);
}

function tag(octet: number): void {
  room(9);
  octets[length++] = octet;
}

function count(number: number): void {
  room(4);
  view.setUint32(length, number, true);
  length += 4;
}

function text(value: string): void {
  room(4 + value.length * 3);
  const { written } = encoder.encodeInto(value, octets.subarray(length + 4));
  view.setUint32(length, written, true);
  length += 4 + written;
}

function write(value: unknown): void {
  if (value === null || value === undefined) {
    tag(0);
  } else if (typeof value === 'boolean') {
    tag(value ? 2 : 1);
  } else if (typeof value === 'number') {
    tag(3);
    view.setFloat64(length, value, true);
    length += 8;
  } else if (typeof value === 'bigint') {
    const signed = BigInt.asIntN(64, value) === value;
    const unsigned = BigInt.asUintN(64, value);
    if (!signed && unsigned !== value) throw invalid(`the BigInt ${value} has more than 64 bits`);
    tag(signed ? 4 : 5);
    view.setBigUint64(length, unsigned, true);
    length += 8;
  } else if (typeof value === 'string') {
    tag(6);
    text(value);
  } else if (value instanceof Uint8Array) {
    tag(7);
    count(value.length);
    room(value.length);
    octets.set(value, length);
    length += value.length;
  } else if (Array.isArray(value)) {
    tag(8);
    count(value.length);
    for (const item of value) write(item);
  } else {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    tag(9);
    count(entries.length);
    for (const [name, item] of entries) {
      text(name);
      write(item);
    }
  }
}
