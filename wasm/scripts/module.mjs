// A compiled module with other names for what it imports and exports.

/** Sections, and the kind of an import or export, by their numbers in the format. */
const IMPORTS = 2;
const EXPORTS = 7;
const FUNCTION = 0;

/** Names by those that were; what has none keeps its own. All else stays byte for byte. */
export function renamed(wasm, imported, exported) {
  const parts = [wasm.subarray(0, 8)];
  const reader = new Reader(wasm, 8);
  while (!reader.done) {
    const start = reader.at;
    const id = reader.byte();
    const content = new Reader(reader.bytes());
    if (id === IMPORTS) parts.push(section(id, importsOf(content, imported)));
    else if (id === EXPORTS) parts.push(section(id, exportsOf(content, exported)));
    else parts.push(wasm.subarray(start, reader.at));
  }
  return Buffer.concat(parts);
}

function importsOf(reader, names) {
  return reader.list(() => {
    const from = sized(reader.bytes());
    const name = reader.bytes();
    if (reader.byte() !== FUNCTION) throw new Error(`the module imports \`${name}\`, which is no function`);
    return Buffer.concat([from, named(name, names), Buffer.of(FUNCTION), number(reader.number())]);
  });
}

function exportsOf(reader, names) {
  return reader.list(() => {
    const name = named(reader.bytes(), names);
    return Buffer.concat([name, Buffer.of(reader.byte()), number(reader.number())]);
  });
}

function section(id, entries) {
  return Buffer.concat([Buffer.of(id), sized(Buffer.concat([number(entries.length), ...entries]))]);
}

function named(bytes, names) {
  return sized(Buffer.from(names.get(bytes.toString()) ?? bytes));
}

function sized(bytes) {
  return Buffer.concat([number(bytes.length), bytes]);
}

/** As the format writes numbers: seven bits a byte, the lowest first. */
function number(value) {
  const bytes = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
  return Buffer.of(...bytes, value);
}

class Reader {
  constructor(bytes, at = 0) {
    this.all = bytes;
    this.at = at;
  }

  get done() {
    return this.at === this.all.length;
  }

  byte() {
    return this.all[this.at++];
  }

  number() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value |= (byte & 127) << shift;
      if (byte < 128) return value >>> 0;
    }
  }

  /** As many as the number before them says. */
  bytes() {
    const length = this.number();
    this.at += length;
    return this.all.subarray(this.at - length, this.at);
  }

  list(entry) {
    return Array.from({ length: this.number() }, entry);
  }
}
