// An empty project in target/runtimes, with the packed package installed as a user would.
import { execFile } from 'node:child_process';
import { mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
export const ROOT = join(import.meta.dirname, '..', '..', '..');
export const TOOLS = join(import.meta.dirname, '..', 'node_modules');
const PACKAGE = join(ROOT, 'wasm');

/** Makes the project of this name anew. */
export async function project(name) {
  const folder = join(ROOT, 'target', 'runtimes', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { stdout } = await execute('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: PACKAGE,
  });
  const tarball = stdout.trim();
  const made = {
    folder,
    tarball: join(folder, tarball),
    installed: join(folder, 'node_modules', 'keyrail'),
    /** Writes a file of the project; the way to it. */
    write(file, text) {
      const path = join(folder, file);
      writeFileSync(path, text);
      return path;
    },
  };
  made.write('package.json', JSON.stringify({ name: 'empty', private: true, type: 'module' }));
  // Offline, since there is nothing else to fetch: the package has no dependencies.
  await execute('npm', ['install', '--offline', '--silent', `./${tarball}`], { cwd: folder });
  // A link to the workspace would prove nothing about the tarball.
  if (realpathSync(made.installed) !== made.installed) throw new Error(`${made.installed} is a link`);
  return made;
}

/** Runs a program in the project to its end; what it printed. */
export async function run(project, program, args, env = {}) {
  const { stdout } = await execute(program, args, {
    cwd: project.folder,
    env: { ...process.env, ...env },
    maxBuffer: 64 << 20,
    timeout: 120_000,
  });
  return stdout;
}
