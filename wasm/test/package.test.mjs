// The package as npm would publish it, unpacked where nothing else is: every entry, both module systems.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const root = join(import.meta.dirname, '..');
const project = mkdtempSync(join(tmpdir(), 'keyrail-package-'));
const installed = join(project, 'node_modules', 'keyrail');
after(() => rmSync(project, { recursive: true }));

before(() => {
  const npm = ['pack', '--silent', '--pack-destination', project];
  const tarball = execFileSync('npm', npm, { cwd: root, encoding: 'utf8' }).trim();
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(project, tarball), '-C', installed, '--strip-components=1']);
});

const ROUTE = `
  const router = new Router();
  router.declareQueue('q');
  console.log(router.route({ exchange: '', routingKey: 'q' }).queues.join());
`;

function run(name, code, ...flags) {
  writeFileSync(join(project, name), code);
  return execFileSync(process.execPath, [...flags, name], { cwd: project, encoding: 'utf8' }).trim();
}

test('import', () => {
  assert.equal(run('import.mjs', `import { Router } from 'keyrail';${ROUTE}`), 'q');
});

test('classes have the names that people see', () => {
  const code = `
    import { KeyrailError, Router } from 'keyrail';
    import { Router as Full } from 'keyrail/full';
    import { Publisher } from 'keyrail/redis';
    console.log(new Router(), Full.name, KeyrailError.name, Publisher.name);`;
  assert.equal(run('names.mjs', code), 'Router {} Router KeyrailError Publisher');
});

test('an entry exports what its types say', () => {
  const code = (entry) =>
    run('exports.mjs', `import * as all from 'keyrail${entry}'; console.log(Object.keys(all).join());`);
  const all = 'KeyrailError,Router,bindingTableKey,deliveredHeaders';
  assert.equal(code(''), all);
  for (const entry of ['/bare', '/web', '/full/bare', '/full/web']) assert.equal(code(entry), `${all},init`);
  assert.equal(code('/full'), all);
});

test('require', () => {
  assert.equal(run('require.cjs', `const { Router } = require('keyrail');${ROUTE}`, '--no-warnings'), 'q');
});

test('bare: the caller compiles', () => {
  const code = `
    import { readFileSync } from 'node:fs';
    import { init, Router } from 'keyrail/bare';
    try { new Router(); } catch (error) { console.log(error.code); }
    init(new WebAssembly.Module(readFileSync(new URL(import.meta.resolve('keyrail/keyrail.wasm')))));
    init(null);
    ${ROUTE}`;
  assert.equal(run('bare.mjs', code), 'not-initialised\nq');
});

test('web: bytes, and what is no module', () => {
  const code = `
    import { readFileSync } from 'node:fs';
    import { init, Router } from 'keyrail/web';
    for (const bad of [new Uint8Array([1, 2]), new Response('', { status: 404 }), 'nowhere:/', null]) {
      await init(bad).catch((error) => console.log(error.name, error.code));
    }
    await init(readFileSync(new URL(import.meta.resolve('keyrail/keyrail.wasm'))));
    await init();
    ${ROUTE}`;
  const refused = Array(4).fill('KeyrailError not-loaded').join('\n');
  assert.equal(run('web.mjs', code), `${refused}\nq`);
});

test('two entries share one instance', () => {
  const code = `
    import { Router } from 'keyrail';
    import { Router as Bare } from 'keyrail/bare';
    console.log(Router === Bare);
    ${ROUTE}`;
  assert.equal(run('both.mjs', code), 'true\nq');
});

const FULL = `
  const router = Router.fromLines('logs topic: a.# -> q');
  console.log(router.route('logs', 'a.b').queues.join(), router.lint().findings.map(({ code }) => code).join());
`;

test('full: import, require, bare and web', () => {
  assert.equal(run('full.mjs', `import { Router } from 'keyrail/full';${FULL}`), 'q dialect-trap');
  assert.equal(
    run('full.cjs', `const { Router } = require('keyrail/full');${FULL}`, '--no-warnings'),
    'q dialect-trap',
  );
  const file = "readFileSync(new URL(import.meta.resolve('keyrail/full.wasm')))";
  const bare = `
    import { readFileSync } from 'node:fs';
    import { init, Router } from 'keyrail/full/bare';
    init(new WebAssembly.Module(${file}));
    ${FULL}`;
  assert.equal(run('full-bare.mjs', bare), 'q dialect-trap');
  const web = `
    import { readFileSync } from 'node:fs';
    import { init, Router } from 'keyrail/full/web';
    await init(${file});
    ${FULL}`;
  assert.equal(run('full-web.mjs', web), 'q dialect-trap');
});

for (const name of ['keyrail.wasm', 'full/keyrail.wasm'])
  test(`${name} imports its binding and nothing else`, () => {
    const module = new WebAssembly.Module(readFileSync(join(installed, 'dist', name)));
    const from = new Set(WebAssembly.Module.imports(module).map((entry) => entry.module));
    assert.deepEqual([...from], ['./keyrail_bg.js']);
  });

test('publishing: each entry alone, by import and by require', () => {
  for (const [entry, name] of [
    ['redis', 'Publisher'],
    ['celery', 'Celery'],
    ['celery-node', 'createClient'],
  ]) {
    const code = `import { ${name} } from 'keyrail/${entry}'; console.log(typeof ${name});`;
    assert.equal(run(`${entry}.mjs`, code), 'function');
    const required = `const { ${name} } = require('keyrail/${entry}'); console.log(typeof ${name});`;
    assert.equal(run(`${entry}.cjs`, required, '--no-warnings'), 'function');
  }
});

test('what is in it', () => {
  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  assert.equal(manifest.dependencies, undefined);
  for (const hook of ['preinstall', 'install', 'postinstall'])
    assert.equal(manifest.scripts[hook], undefined);
  const files = readdirSync(installed).sort();
  assert.deepEqual(files, ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'dist', 'docs', 'package.json']);
  const dist = readdirSync(join(installed, 'dist'), { recursive: true });
  for (const name of dist.filter((name) => name.endsWith('.d.ts'))) {
    assert.doesNotMatch(readFileSync(join(installed, 'dist', name), 'utf8'), /keyrail_bg/, name);
  }
  const entries = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === 'string' ? [] : Object.values(entry),
  );
  for (const file of entries) assert.ok(dist.includes(file.replace('./dist/', '')), file);
});
