import { join } from 'node:path';
import { runnerImport } from 'vite';

/** A module of page/: Vite turns TypeScript into what this Node runs, the same way as for the page. */
export async function load(path) {
  const { module } = await runnerImport(join(import.meta.dirname, '..', 'page', path), {
    configFile: false,
    logLevel: 'error',
  });
  return module;
}
