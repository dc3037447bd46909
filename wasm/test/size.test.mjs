// What a program downloads. README.md names the sizes; whoever adds to one of them moves its limit, and says what for.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const dist = join(import.meta.dirname, '..', 'dist');

/**
 * Units of 1,024 bytes: what was reached, and for the modules some hundredths more, since another version of the compiler
 * gives another size. The aims for them, 60 and 120, are not met: see README.md.
 */
const LIMITS = {
  'keyrail.wasm': 195,
  'full/keyrail.wasm': 393,
  'inline.js and what it imports': 9.2,
  'full/inline.js and what it imports': 10,
};

/** By the program, as scripts/wasm.sh says it: Node's own zlib compresses otherwise, and not alike in each version. */
function compressed(bytes) {
  return execFileSync('gzip', ['-9', '-c'], { input: bytes }).length;
}

/** This script and all that it imports from the package, but for the module's bytes. */
function scripts(file, found = new Set()) {
  if (found.has(file) || file.endsWith('base64.js')) return found;
  found.add(file);
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/\b(?:from|import)\s*["'](\.[^"']+)["']/g)) {
    scripts(join(dirname(file), name), found);
  }
  return found;
}

for (const [name, limit] of Object.entries(LIMITS)) {
  test(`${name}: ${limit} KB at most`, (context) => {
    const file = join(dist, name.split(' ')[0]);
    const files = file.endsWith('.js') ? [...scripts(file)] : [file];
    // A binding that is not found would make everything small.
    if (file.endsWith('.js')) assert.ok(files.some((script) => script.endsWith('keyrail_bg.js')));
    const size = compressed(Buffer.concat(files.map((file) => readFileSync(file))));
    context.diagnostic(`${size} bytes`);
    assert.ok(size <= limit * 1024, `${size} bytes of gzip -9`);
  });
}

test('the small module has no regular expressions', () => {
  const [small, full] = ['keyrail.wasm', 'full/keyrail.wasm'].map((name) =>
    readFileSync(join(dist, name), 'latin1'),
  );
  // A text of regex-lite's, which is where it is needed; its absence elsewhere then means something.
  const text = 'found unclosed character class';
  assert.ok(full.includes(text), 'keyrail/full has regex-lite');
  assert.ok(!small.includes(text), 'keyrail has regex-lite');
});

test('no module names a directory of the machine that built it', () => {
  for (const name of ['keyrail.wasm', 'full/keyrail.wasm']) {
    const text = readFileSync(join(dist, name), 'latin1');
    // What panics name instead; the search means something if one of them is there.
    assert.ok(text.includes('core/src/'), `${name} names no source file`);
    const root = join(import.meta.dirname, '..', '..');
    for (const path of [root, homedir(), '.cargo', 'registry/src']) {
      assert.ok(!text.includes(path), `${name} has ${path}`);
    }
  }
});

test('no file of the package names a directory of the machine that built it', () => {
  const files = readdirSync(dist, { recursive: true }).filter((name) => /\.(js|map|ts)$/.test(name));
  assert.ok(files.some((name) => name.endsWith('.map')));
  for (const name of files) {
    const text = readFileSync(join(dist, name), 'utf8');
    for (const path of [join(import.meta.dirname, '..', '..'), homedir()])
      assert.ok(!text.includes(path), `${name} has ${path}`);
  }
});

test('what is in the modules is told by name', () => {
  const script = join(import.meta.dirname, '..', 'scripts', 'parts.mjs');
  const printed = execFileSync(process.execPath, [script], { encoding: 'utf8' }).trimEnd().split('\n');
  const rows = printed.slice(2).map((line) => line.split('|').map((cell) => cell.trim()));
  const parts = new Map(
    rows.map(([, name, ...sizes]) => [name, sizes.slice(0, 2).map((size) => Number(size) || 0)]),
  );
  for (const at of [0, 1]) {
    const of = (name) => parts.get(name)[at];
    const sum = [...parts.keys()].filter((name) => !/^(all code|data)$/.test(name)).map(of);
    assert.equal(
      sum.reduce((a, b) => a + b),
      of('all code'),
    );
    assert.ok(of('all code') < readFileSync(join(dist, ['keyrail.wasm', 'full/keyrail.wasm'][at])).length);
    assert.ok(of('indexes') > 10_000 && of('explain') > 5_000);
    assert.ok(of('everything else') < of('all code') / 50, 'most functions belong to a part');
    // One module has them, the other does not.
    for (const name of ['`diff`', '`lint`', 'regex-lite']) assert.equal(of(name) > 0, at === 1, name);
  }
});
