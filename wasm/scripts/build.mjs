// Assembles the npm package in dist/ from js/ and from pkg/, where scripts/wasm.sh left the module and its binding.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { shortened } from './binding.mjs';
import { bundle } from './bundle.mjs';

const root = join(import.meta.dirname, '..');
const pkg = join(root, 'pkg');
const dist = join(root, 'dist');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

rmSync(dist, { recursive: true, force: true });

/** The small module and the one with everything; each has its own directory. */
const modules = ['', 'full'];

/** Bindings by the file that the generator wrote. */
const bindings = new Map();

for (const directory of modules) {
  const from = (name) => join(pkg, directory, name);
  const to = (name) => join(dist, directory, name);
  mkdirSync(join(dist, directory), { recursive: true });

  const { wasm, binding } = shortened(
    readFileSync(from('keyrail_bg.wasm')),
    readFileSync(from('keyrail_bg.js'), 'utf8'),
  );
  bindings.set(from('keyrail_bg.js'), binding);
  writeFileSync(to('keyrail.wasm'), wasm);
  writeFileSync(to('base64.js'), `export default '${wasm.toString('base64')}';\n`);

  // The compiler finds these types beside the scripts: `rootDirs` lays pkg/ over js/. None of them is shipped.
  writeFileSync(from('base64.d.ts'), 'declare const base64: string;\nexport default base64;\n');
  const types = readFileSync(from('keyrail.d.ts'), 'utf8');
  const more = `
    export const imports: WebAssembly.ModuleImports;
    export function __wbg_set_wasm(exports: WebAssembly.Exports): void;
  `;
  writeFileSync(from('keyrail_bg.d.ts'), types + more);
}

const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
execFileSync(process.execPath, [join(typescript, 'bin', 'tsc'), '-p', root], { stdio: 'inherit' });

// What the types of no entry reach; some of it would name the binding's types.
const types = readdirSync(dist, { recursive: true }).filter((name) => name.endsWith('.d.ts'));
const reached = reachable(Object.values(manifest.exports).flatMap(({ types }) => types ?? []));
for (const name of types) if (!reached.has(join(dist, name))) rmSync(join(dist, name));

await bundle(root, bindings);

/** These files of types, and those that they name. */
function reachable(entries) {
  const found = new Set();
  const visit = (file) => {
    if (found.has(file)) return;
    found.add(file);
    for (const [, path] of readFileSync(file, 'utf8').matchAll(/["'](\.[^"']+)\.js["']/g)) {
      visit(join(dirname(file), `${path}.d.ts`));
    }
  };
  for (const entry of entries) visit(join(root, entry));
  return found;
}
