// Assembles the npm package in dist/ from js/ and from pkg/, where scripts/wasm.sh left the module and its binding.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const pkg = join(root, 'pkg');
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);

const wasm = readFileSync(join(pkg, 'keyrail_bg.wasm'));
writeFileSync(join(pkg, 'base64.js'), `export default '${wasm.toString('base64')}';\n`);
writeFileSync(join(pkg, 'base64.d.ts'), 'declare const base64: string;\nexport default base64;\n');

// The compiler finds the binding's types beside the binding: `rootDirs` lays pkg/ over js/. The binding itself knows
// two more functions, for whoever instantiates the module. None of these types is shipped.
const types = readFileSync(join(pkg, 'keyrail.d.ts'), 'utf8');
const start = 'export function __wbg_set_wasm(exports: WebAssembly.Exports): void;\n';
writeFileSync(join(pkg, 'keyrail_bg.d.ts'), types + start);

const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
execFileSync(process.execPath, [join(typescript, 'bin', 'tsc'), '-p', root], { stdio: 'inherit' });

// What the public types do not reach, and what would name the binding's types.
for (const name of ['module', 'shape', 'shapes']) rmSync(join(dist, `${name}.d.ts`));

// Types leave a script behind that says nothing; `.d.ts` files need none beside them.
for (const name of readdirSync(dist, { recursive: true }).filter((name) => name.endsWith('.js'))) {
  if (readFileSync(join(dist, name), 'utf8').trim() === 'export {};') rmSync(join(dist, name));
}

copyFileSync(join(pkg, 'base64.js'), join(dist, 'base64.js'));
copyFileSync(join(pkg, 'keyrail_bg.js'), join(dist, 'keyrail_bg.js'));
copyFileSync(join(pkg, 'keyrail_bg.wasm'), join(dist, 'keyrail.wasm'));
