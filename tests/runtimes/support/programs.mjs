// The runtimes that are programs, and how each runs a file of a project.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run, TOOLS } from './project.mjs';

const cpu = process.arch;
const bun = cpu === 'arm64' ? 'aarch64' : cpu;

/** The first of these files of node_modules that is there: what npm installed for this platform, whether or not scripts ran. */
function binary(...places) {
  const file = places.map((place) => join(TOOLS, place)).find((path) => existsSync(path));
  if (!file) throw new Error(`${places[0]} is missing: scripts/setup/runtimes.sh installs it`);
  return file;
}

function node(version) {
  const program = binary(`node-${version}-${cpu}/bin/node`);
  return (project, file) => run(project, program, ['--no-warnings', file]);
}

/** By name: what it says it is, and how it runs a file. */
export const PROGRAMS = {
  'Node, the oldest supported': { is: /^Node v20\.19\.0$/, run: node('oldest') },
  'Node, the newest': { is: /^Node v26\./, run: node('newest') },
  Deno: {
    is: /^Deno 2\./,
    // No permission is given, and nothing is fetched.
    run: (project, file) =>
      run(project, binary(`@deno/linux-${cpu}-glibc/deno`), ['run', '--no-prompt', '--no-remote', file], {
        DENO_DIR: join(project.folder, '.deno'),
        DENO_NO_UPDATE_CHECK: '1',
      }),
  },
  Bun: {
    is: /^Bun 1\./,
    // Its own installation moves the binary.
    run: (project, file) => run(project, binary(`@oven/bun-linux-${bun}/bin/bun`, 'bun/bin/bun.exe'), [file]),
  },
};
