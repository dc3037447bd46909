// Assembles the npm package in dist/ from js/ and from pkg/, where scripts/wasm.sh left the module and its binding.
import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const pkg = join(root, 'pkg');
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true });

// The small module and the one with everything; each has its own directory.
const modules = ['', 'full'];

for (const directory of modules) {
  const from = (name) => join(pkg, directory, name);
  const wasm = readFileSync(from('keyrail_bg.wasm'));
  writeFileSync(from('base64.js'), `export default '${wasm.toString('base64')}';\n`);
  writeFileSync(from('base64.d.ts'), 'declare const base64: string;\nexport default base64;\n');

  // The compiler finds the binding's types beside the binding: `rootDirs` lays pkg/ over js/. The binding itself knows
  // one more function, for whoever instantiates the module. None of these types is shipped.
  const types = readFileSync(from('keyrail.d.ts'), 'utf8');
  const start = 'export function __wbg_set_wasm(exports: WebAssembly.Exports): void;\n';
  writeFileSync(from('keyrail_bg.d.ts'), types + start);
}

const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
execFileSync(process.execPath, [join(typescript, 'bin', 'tsc'), '-p', root], { stdio: 'inherit' });

// What the public types do not reach, and what would name the binding's types.
const inside = [
  'engine',
  'functions',
  'load',
  'memory',
  'module',
  'shape',
  'shapes',
  'full/module',
  'full/shapes',
];
for (const name of inside) rmSync(join(dist, `${name}.d.ts`));

// Types leave a script behind that says nothing; `.d.ts` files need none beside them.
for (const name of readdirSync(dist, { recursive: true }).filter((name) => name.endsWith('.js'))) {
  if (readFileSync(join(dist, name), 'utf8').trim() === 'export {};') rmSync(join(dist, name));
}

for (const directory of modules) {
  const [from, to] = [pkg, dist].map((root) => (name) => join(root, directory, name));
  copyFileSync(from('base64.js'), to('base64.js'));
  copyFileSync(from('keyrail_bg.js'), to('keyrail_bg.js'));
  copyFileSync(from('keyrail_bg.wasm'), to('keyrail.wasm'));
}
