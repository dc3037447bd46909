// The scripts of dist/: one for each entry, and once what entries share. Without comments and under short names, since
// every program downloads them: the types beside them say what there is, and maps say where it comes from.
import { basename, dirname, join, relative } from 'node:path';
import { rolldown } from 'rolldown';

/** By the name in dist/. The tests import `module` to look at the memory. */
const ENTRIES = [
  ...['inline', 'workerd', 'edge-light', 'web', 'bare', 'module'],
  ...['full/inline', 'full/workerd', 'full/edge-light', 'full/web', 'full/bare'],
  ...['redis/index', 'celery/index', 'celery-node/index'],
];

const ENTRY = new RegExp(`/js/(${[...ENTRIES, 'index'].join('|')})\\.ts$`);

/**
 * What entries share. The small module and the one with everything are apart, as each program has one of them; the rest
 * is there once for both, so that their errors are of one class.
 */
const SHARED = [
  { name: 'keyrail_bg', test: /\/pkg\/keyrail_bg\.js$/ },
  { name: 'full/keyrail_bg', test: /\/pkg\/full\/keyrail_bg\.js$/ },
  { name: 'module', test: /\/js\/(module|router)\.ts$/ },
  { name: 'full/router', test: /\/js\/full\/(module|router|shapes)\.ts$/ },
  { name: 'load', test: /\/js\/load\.ts$/ },
  { name: 'base', test: (id) => /\/js\/[\w-]+\.ts$/.test(id) && !ENTRY.test(id) },
];

/** No scripts, or one that is all data: files beside the entry that names them. */
const BESIDE = /^\.\/(base64\.js|keyrail\.wasm(\?module)?)$/;

/** Bundles the package in `root`. `bindings` has the texts of the bindings by the file that they replace. */
export async function bundle(root, bindings) {
  const files = {
    name: 'files',
    resolveId(source, importer) {
      if (BESIDE.test(source)) return { id: source, external: true };
      if (basename(source) !== 'keyrail_bg.js') return null;
      return join(root, 'pkg', relative(join(root, 'js'), dirname(importer)), 'keyrail_bg.js');
    },
    load: (id) => bindings.get(id),
  };
  const build = await rolldown({
    cwd: root,
    input: Object.fromEntries(ENTRIES.map((name) => [name, join('js', `${name}.ts`)])),
    // The package imports itself by its name, so that a program has each class once.
    external: [/^keyrail(\/|$)/, 'ioredis'],
    plugins: [files],
    preserveEntrySignatures: 'allow-extension',
    transform: { target: 'es2022' },
  });
  await build.write({
    dir: 'dist',
    chunkFileNames: '[name].js',
    codeSplitting: { groups: SHARED, includeDependenciesRecursively: false },
    comments: false,
    // People see the names of classes when they print an object.
    minify: { codegen: true, compress: true, mangle: { keepNames: { class: true, function: false } } },
    sourcemap: true,
  });
  await build.close();
}
