// The runtimes at the edge: a worker is bundled as its host's tools do it, and asked over its `fetch`.
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EdgeRuntime } from 'edge-runtime';
import { build } from 'esbuild';
import { Miniflare } from 'miniflare';

const REQUEST = ['http://edge.test/', { headers: { 'x-key': 'order.eu.paid' } }];

/** What a worker (`export default { fetch }`) answers in workerd, as deployed in 2024: before modules could be compiled. */
export async function askWorkerd(file) {
  const worker = await startWorkerd(file);
  try {
    return await text(await worker.dispatchFetch(...REQUEST));
  } finally {
    await worker.dispose();
  }
}

/** The worker, running; `dispose` ends it. */
export async function startWorkerd(file, options = {}) {
  const folder = join(dirname(file), `workerd-${basename(file, '.mjs')}`);
  const bundle = join(folder, 'worker.mjs');
  await build({
    entryPoints: { worker: file },
    bundle: true,
    format: 'esm',
    conditions: ['workerd', 'worker', 'browser'],
    // Beside the bundle, from where the runtime imports it as a compiled module.
    loader: { '.wasm': 'copy' },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    logLevel: 'error',
  });
  const worker = new Miniflare({
    host: '127.0.0.1',
    port: 0,
    modules: true,
    modulesRoot: folder,
    scriptPath: bundle,
    modulesRules: [{ type: 'CompiledWasm', include: ['**/*.wasm'] }],
    compatibilityDate: '2024-01-01',
    ...options,
  });
  await worker.ready;
  return worker;
}

/** What a handler (`export default (request) => response`) answers in Vercel's edge-runtime. */
export async function askEdgeRuntime(file) {
  const modules = new Map();
  const bundled = await build({
    stdin: {
      contents: `
        import handler from ${JSON.stringify(file)};
        addEventListener('fetch', (event) => event.respondWith(handler(event.request)));`,
      resolveDir: dirname(file),
    },
    bundle: true,
    write: false,
    format: 'iife',
    conditions: ['edge-light', 'browser'],
    plugins: [compiledModules(modules)],
    logLevel: 'error',
  });
  if (modules.size === 0)
    throw new Error('the bundle imports no compiled module: the condition was not followed');
  const runtime = new EdgeRuntime({
    initialCode: bundled.outputFiles[0].text,
    extend: (context) => Object.assign(context, Object.fromEntries(modules)),
  });
  return text(await runtime.dispatchFetch(...REQUEST));
}

/** The host compiles what is imported with `?module`, and hands it in. */
function compiledModules(modules) {
  return {
    name: 'compiled-modules',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /\.wasm\?module$/ }, ({ path, resolveDir }) => ({
        path: join(resolveDir, path.slice(0, -'?module'.length)),
        namespace: 'compiled-module',
      }));
      onLoad({ filter: /.*/, namespace: 'compiled-module' }, ({ path }) => {
        const name = `module_${modules.size}`;
        modules.set(name, new WebAssembly.Module(readFileSync(path)));
        return { contents: `export default globalThis.${name};` };
      });
    },
  };
}

async function text(response) {
  const answer = await response.text();
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${answer.slice(0, 500)}`);
  return answer;
}
