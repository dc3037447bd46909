// node scripts/parts.mjs [MODULE]...: what is in the modules, as a table in Markdown. Bytes of code as shipped, not
// compressed, by what the name of each function says; the names are in pkg/, where scripts/wasm.sh leaves them.
//
// A function that was inlined counts where it went: what is generic and small stands with whoever uses it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const pkg = join(import.meta.dirname, '..', 'pkg');
const files = process.argv.slice(2);
if (files.length === 0) files.push(join(pkg, 'named.wasm'), join(pkg, 'full', 'named.wasm'));

/** The parts, each with what names of its functions look like; the first that fits counts. */
const PARTS = [
  ['indexes', core('index|chunks|slots|tags|hash|stamps|id|sort')],
  ['automaton of learned keys', core('automaton')],
  ['the way through the graph', core('walk|routes|cache|message|work|router::lookup')],
  ['declare, bind, unbind', core('router|binding|exchange|queue|same|error|limits')],
  ['policies', core('policy')],
  ['patterns', core('pattern')],
  ['explain', core('explain|trace', 'explain')],
  ['snapshots and deltas', core('snapshot|follow', '(changesSince|follow|fromSnapshot|toSnapshot)')],
  ['Kombu and Celery, plans', core('kombu', '(plan|fromRows|quarantine)'), /keyrail_wasm::(plan|task|table)/],
  ['`diff`', core('diff', 'diff')],
  ['`lint`', core('lint', 'lint')],
  ['lines', core('lines', '(from|to)Lines')],
  ['definitions, settings, sets', core('definitions', '(from|to)(Definitions|BindingSets|CeleryConfig)')],
  [
    'tables, topologies, operations',
    core('table|topology|operation|byte_string|dialect', '(fromT|t)opology'),
  ],
  ['regex-lite', /regex_lite/],
  ['values across the boundary', /keyrail_wasm|serde|wbindgen|wasm_bindgen|^core_/],
  ['memory', /dlmalloc|__rust_|___rustc/],
  ['standard library: text and numbers', /core\[\w+\]::(fmt|num|str|char|unicode)|<char>|<[fiu]\d+/],
  ['standard library: the rest', /\b(core|alloc|std)(::|\[)/],
  ['hash tables', /hashbrown|foldhash/],
];

/** Functions whose name begins with one of these modules of the core, or this export of the module. */
function core(modules, exported = '') {
  const begins = `^((?!keyrail_core).)*keyrail_core::(${modules})\\b`;
  return new RegExp(exported ? `${begins}|^core_${exported} ` : begins);
}

const REST = 'everything else';

const tables = files.map((file) => sizes(readFileSync(file)));
const row = (name, found) => `| ${name} | ${found.map((size) => size || 'none').join(' | ')} |`;
console.log(
  row(
    '',
    files.map((file) => (file.includes('full') ? '`keyrail/full`' : '`keyrail`')),
  ),
);
console.log(`|---|${files.map(() => '---|').join('')}`);
for (const name of [...PARTS.map(([name]) => name), REST, 'all code', 'data'])
  console.log(
    row(
      name,
      tables.map((table) => table.get(name)),
    ),
  );

/** Bytes by part. Throws where the module has no names, and where the parts would say nothing. */
function sizes(bytes) {
  const { bodies, names, data } = functions(bytes);
  if (names.size < bodies.length / 2)
    throw new Error('the module has no names: build it with scripts/wasm.sh');
  const found = new Map([['data', data]]);
  const add = (name, size) => found.set(name, (found.get(name) ?? 0) + size);
  for (const { index, size } of bodies) {
    const name = names.get(index) ?? '';
    add(PARTS.find(([, ...patterns]) => patterns.some((pattern) => pattern.test(name)))?.[0] ?? REST, size);
    add('all code', size);
  }
  return found;
}

/** The functions of a module with the sizes of their code, and their names: sections of imports, code, data, names. */
function functions(bytes) {
  let at = 8;
  const number = () => {
    let [result, shift, octet] = [0, 0, 0];
    do {
      octet = bytes[at++];
      result += (octet & 127) * 2 ** shift;
      shift += 7;
    } while (octet > 127);
    return result;
  };
  const text = () => {
    const length = number();
    at += length;
    return bytes.toString('utf8', at - length, at);
  };
  const limits = () => {
    const flags = bytes[at++];
    number();
    if (flags & 1) number();
  };

  const names = new Map();
  const bodies = [];
  let imported = 0;
  let data = 0;
  while (at < bytes.length) {
    const id = bytes[at++];
    const size = number();
    const end = at + size;
    if (id === 2) {
      for (let count = number(); count > 0; count--) {
        text();
        text();
        const kind = bytes[at++];
        if (kind === 0) imported++;
        if (kind === 0) number();
        else if (kind === 3) at += 2;
        else {
          if (kind === 1) at++;
          limits();
        }
      }
    } else if (id === 10) {
      for (let count = number(); count > 0; count--) {
        const length = number();
        bodies.push({ index: imported + bodies.length, size: length });
        at += length;
      }
    } else if (id === 11) {
      data = size;
    } else if (id === 0 && text() === 'name') {
      while (at < end) {
        const kind = bytes[at++];
        const next = number() + at;
        if (kind === 1) for (let count = number(); count > 0; count--) names.set(number(), text());
        at = next;
      }
    }
    at = end;
  }
  return { bodies, names, data };
}
