// The package as npm would publish it: what is in the tarball, and what the linters of packages say about it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { before, test } from 'node:test';
import { project as makeProject, run, TOOLS } from './support/project.mjs';

let project;
let manifest;
let packed;
before(async () => {
  project = await makeProject('packing');
  manifest = JSON.parse(readFileSync(join(project.installed, 'package.json'), 'utf8'));
  const listed = execFileSync('tar', ['-tzf', project.tarball], { encoding: 'utf8' });
  packed = listed
    .trimEnd()
    .split('\n')
    .map((name) => posix.relative('package', name))
    .sort();
});

const tool = (name, ...path) => join(TOOLS, name, ...path);

test('publint --strict', async () => {
  const said = await run(project, process.execPath, [
    tool('publint', 'src', 'cli.js'),
    'run',
    project.tarball,
    '--strict',
  ]);
  assert.match(said, /All good!/);
});

test('Are the types wrong?', async () => {
  // ESM alone: Node 20.19 and newer `require` it too, which the tests of the runtimes show.
  const options = [
    '--profile',
    'esm-only',
    '--exclude-entrypoints',
    'keyrail.wasm',
    'full.wasm',
    '--format',
    'json',
  ];
  const cli = tool('@arethetypeswrong/cli', 'dist', 'index.js');
  const said = await run(project, process.execPath, [cli, project.tarball, ...options]);
  const { analysis, problems = {} } = JSON.parse(said);
  const found = Object.keys(analysis.entrypoints).sort();
  const entries = Object.keys(manifest.exports).filter((entry) => !entry.endsWith('.wasm'));
  assert.deepEqual(found, entries.sort());
  const ignored = new Set(['node10', 'node16-cjs']);
  const bad = Object.values(problems)
    .flat()
    .filter((problem) => !ignored.has(problem.resolutionKind));
  assert.deepEqual(bad, []);
});

test('no dependencies, and nothing that runs while it is installed', () => {
  assert.equal(manifest.dependencies, undefined);
  assert.equal(manifest.optionalDependencies, undefined);
  assert.equal(manifest.bundleDependencies, undefined);
  for (const peer of Object.keys(manifest.peerDependencies ?? {})) {
    assert.ok(manifest.peerDependenciesMeta[peer]?.optional, `${peer} is not optional`);
  }
  const hooks = [
    'preinstall',
    'install',
    'postinstall',
    'prepublish',
    'preprepare',
    'prepare',
    'postprepare',
  ];
  assert.deepEqual(
    hooks.filter((hook) => manifest.scripts?.[hook]),
    [],
  );
  assert.ok(!packed.some((name) => name.endsWith('binding.gyp')));
  assert.deepEqual(
    readdirSync(join(project.folder, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['keyrail'],
  );
});

test('the tarball holds what an entry reaches, what people read, and nothing else', (t) => {
  const people = [
    'LICENSE-APACHE',
    'LICENSE-MIT',
    'README.md',
    'docs/publishing.md',
    'docs/size.md',
    'docs/speed.md',
    'package.json',
  ];
  const wanted = new Set([...people, ...reached(Object.values(manifest.exports).flatMap(targets))]);
  assert.deepEqual(packed, [...wanted].sort());
  for (const name of packed) t.diagnostic(`${statSync(join(project.installed, name)).size} ${name}`);
});

function targets(entry) {
  return typeof entry === 'string' ? [entry] : Object.values(entry).flatMap(targets);
}

/** These files, those that they import, and beside each script its types and its map if it has some. */
function reached(entries) {
  const found = new Set();
  const visit = (file) => {
    if (found.has(file)) return;
    found.add(file);
    if (!/\.(js|d\.ts)$/.test(file)) return;
    const types = file.replace(/(\.d\.ts|\.js)$/, '.d.ts');
    if (packed.includes(types)) visit(types);
    const text = readFileSync(join(project.installed, file), 'utf8');
    const map = /^\/\/# sourceMappingURL=(.*)$/m.exec(text)?.[1];
    if (map) visit(posix.join(dirname(file), map));
    for (const [, path] of text.matchAll(/(?:from|import|import\(|new URL\()\s*["'`](\.[^"'`]*)["'`]/g)) {
      const target = posix.join(dirname(file), path.replace(/\?module$/, ''));
      visit(file.endsWith('.d.ts') ? target.replace(/\.js$/, '.d.ts') : target);
    }
  };
  for (const entry of entries) visit(posix.normalize(entry));
  return found;
}
