const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Reads plain data as the module writes it: see `encode` for the form. The other side is `src/write.rs`. */
export function decode(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;

  function count(): number {
    at += 4;
    return view.getUint32(at - 4, true);
  }

  function text(): string {
    const start = at + 4;
    at = start + count();
    return decoder.decode(bytes.subarray(start, at));
  }

  function value(): unknown {
    switch (bytes[at++]) {
      case 0:
        return null;
      case 1:
        return false;
      case 2:
        return true;
      case 3:
        at += 8;
        return view.getFloat64(at - 8, true);
      case 6:
        return text();
      case 8:
        return Array.from({ length: count() }, value);
      default:
        // As `JSON.parse` does it: also `__proto__` becomes a field like any other.
        return Object.fromEntries(Array.from({ length: count() }, () => [text(), value()]));
    }
  }

  return value();
}
