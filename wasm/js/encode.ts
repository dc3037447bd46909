import { invalid } from './error.js';

export const encoder = new TextEncoder();

/**
 * Writes plain data as the module reads it: an octet that says what follows, then the value, little-endian. The other
 * side is `src/node.rs`.
 */
export function encode(data: unknown): Uint8Array {
  // Enough for an operation; what needs more is copied some times on its way.
  let octets = new Uint8Array(512);
  let view = new DataView(octets.buffer);
  let length = 0;

  /** Where so many more octets go. */
  function room(count: number): number {
    const start = length;
    length += count;
    if (length > octets.length) {
      const written = octets;
      octets = new Uint8Array(length * 2);
      octets.set(written);
      view = new DataView(octets.buffer);
    }
    return start;
  }

  function tag(octet: number): void {
    const at = room(1);
    octets[at] = octet;
  }

  function count(number: number): void {
    const at = room(4);
    view.setUint32(at, number, true);
  }

  function text(value: string): void {
    const start = room(4 + value.length * 3) + 4;
    const { written } = encoder.encodeInto(value, octets.subarray(start));
    view.setUint32(start - 4, written, true);
    length = start + written;
  }

  function write(value: unknown): void {
    if (value === null || value === undefined) {
      tag(0);
    } else if (typeof value === 'boolean') {
      tag(value ? 2 : 1);
    } else if (typeof value === 'number') {
      tag(3);
      const at = room(8);
      view.setFloat64(at, value, true);
    } else if (typeof value === 'bigint') {
      const signed = BigInt.asIntN(64, value) === value;
      const bits = BigInt.asUintN(64, value);
      if (!signed && bits !== value) throw invalid(`the BigInt ${value} has more than 64 bits`);
      tag(signed ? 4 : 5);
      const at = room(8);
      view.setBigUint64(at, bits, true);
    } else if (typeof value === 'string') {
      tag(6);
      text(value);
    } else if (value instanceof Uint8Array) {
      tag(7);
      count(value.length);
      const at = room(value.length);
      octets.set(value, at);
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

  write(data);
  return octets.subarray(0, length);
}
