// Every quick start of wasm/README.md, in the runtime that it is for, with the packed package. What stands behind the last
// `//` is what it prints or answers. Those that publish are run by tests/publish-js, which has a Redis and workers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { askPage, BROWSERS, HEAD, launch, serve, viteBuild, webpackBuild } from './support/browsers.mjs';
import { askEdgeRuntime, askWorkerd } from './support/edge.mjs';
import { PROGRAMS } from './support/programs.mjs';
import { project as makeProject } from './support/project.mjs';
import { quickStarts } from './support/readme.mjs';

let project;
let server;
let browsers;
before(async () => {
  project = await makeProject('quick-start');
  server = await serve(project.folder, { inline: true });
});
after(async () => {
  await Promise.all([...(browsers?.values() ?? [])].map((browser) => browser.close()));
  server?.close();
});

/** What a page wrote to its console, in each browser. */
async function inBrowsers(path) {
  if (!browsers) {
    browsers = new Map();
    for (const name of Object.keys(BROWSERS)) browsers.set(name, await launch(name));
  }
  const said = [];
  for (const browser of browsers.values()) said.push(await askPage(browser, server.origin + path, 'console'));
  return said;
}

const node = (file) => async (code) => {
  const names = ['Node, the oldest supported', 'Node, the newest'];
  project.write(file, code);
  return Promise.all(names.map((name) => PROGRAMS[name].run(project, file)));
};
const program = (name) => async (code) => {
  project.write('main.mjs', code);
  return [await PROGRAMS[name].run(project, 'main.mjs')];
};

/** By title: runs the code, gives what each runtime that it is for has said. */
const RUNTIMES = {
  'Node.js: import': node('main.mjs'),
  'Node.js: require': node('main.cjs'),
  Deno: program('Deno'),
  Bun: program('Bun'),
  Browsers: (code) => {
    project.write('browser.html', HEAD + code);
    return inBrowsers('/browser.html');
  },
  'Vite and webpack': async (code) => {
    project.write('page.mjs', code);
    project.write('page.html', `${HEAD}<script type="module" src="/page.mjs"></script>`);
    const built = [await viteBuild(project, 'page'), await webpackBuild(project, 'page')];
    return [...(await inBrowsers(built[0])), ...(await inBrowsers(built[1]))];
  },
  'Cloudflare Workers': async (code) => [await askWorkerd(project.write('worker.mjs', code))],
  'Vercel Edge': async (code) => [await askEdgeRuntime(project.write('edge.mjs', code))],
};

test('each runtime has one, and each of them is run', () => {
  const titles = quickStarts.map(({ title }) => title).filter((title) => !title.startsWith('keyrail/'));
  assert.deepEqual(titles, Object.keys(RUNTIMES));
});

for (const { title, code, prints } of quickStarts) {
  if (!Object.hasOwn(RUNTIMES, title)) continue;
  test(title, async (t) => {
    const said = await RUNTIMES[title](code);
    for (const one of said) assert.equal(one.trim(), prints);
    t.diagnostic(`${said.length} runs`);
    assert.ok(said.length >= 1 && code.trim().split('\n').length <= 7, 'a quick start is short');
  });
}
