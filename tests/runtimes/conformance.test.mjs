// The packed package in every runtime: all recorded vectors, through the public API of both its modules.
//
// The same files run everywhere: the questions, the program that puts them (tests/targets/scenarios.mjs) and one line
// that imports the package. Only how the answers get out differs. The conformance runner writes the questions, and what
// the only right answers are.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { askPage, BROWSERS, HEAD, launch, serve, viteBuild, webpackBuild } from './support/browsers.mjs';
import { askEdgeRuntime, askWorkerd } from './support/edge.mjs';
import { PROGRAMS } from './support/programs.mjs';
import { project as makeProject, ROOT } from './support/project.mjs';

const VECTORS = join(ROOT, 'tests', 'vectors');
const files = readdirSync(VECTORS).filter((name) => name.endsWith('.jsonl'));
const asked = execFileSync(
  join(ROOT, 'target', 'release', 'keyrail-conformance'),
  ['--print-questions', ...files.map((name) => join(VECTORS, name))],
  { encoding: 'utf8', maxBuffer: 64 << 20 },
)
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line));

/** What every entry leaves: who it is, and a line of answers for each question. */
const ANSWERS = `
  import { player } from './scenarios.mjs';
  import questions from './questions.mjs';

  function runtime() {
    const { Deno, Bun, EdgeRuntime, process, navigator } = globalThis;
    if (Deno) return 'Deno ' + Deno.version.deno;
    if (Bun) return 'Bun ' + Bun.version;
    if (EdgeRuntime) return 'EdgeRuntime ' + EdgeRuntime;
    if (process?.versions?.node && !navigator?.userAgent?.startsWith('Cloudflare')) return 'Node ' + process.version;
    return navigator.userAgent;
  }

  export default (...modules) =>
    JSON.stringify({ runtime: runtime(), answers: modules.map((keyrail) => questions.map(player(keyrail))) });
`;

const IMPORT = `
  import * as small from 'keyrail';
  import * as full from 'keyrail/full';
  import answers from './answers.mjs';
`;
const ENTRIES = {
  'main.mjs': `${IMPORT} console.log(answers(small, full));`,
  'main.cjs': `
    const small = require('keyrail');
    const full = require('keyrail/full');
    const { default: answers } = require('./answers.mjs');
    console.log(answers(small, full));`,
  'worker.mjs': `${IMPORT} export default { fetch: () => new Response(answers(small, full)) };`,
  'edge.mjs': `${IMPORT} export default () => new Response(answers(small, full));`,
  'page.mjs': `${IMPORT} globalThis.answer = answers(small, full);`,
  'plain.mjs': `
    import * as small from '/node_modules/keyrail/dist/inline.js';
    import * as full from '/node_modules/keyrail/dist/full/inline.js';
    import answers from './answers.mjs';
    globalThis.answer = answers(small, full);`,
  'streamed.mjs': `
    import * as small from '/node_modules/keyrail/dist/web.js';
    import * as full from '/node_modules/keyrail/dist/full/web.js';
    import answers from './answers.mjs';
    await Promise.all([small.init(), full.init()]);
    globalThis.answer = answers(small, full);`,
};
const PAGES = ['page', 'plain', 'streamed'];

let project;
let server;
before(async () => {
  project = await makeProject('conformance');
  server = await serve(project.folder);
  copyFileSync(join(ROOT, 'tests', 'targets', 'scenarios.mjs'), join(project.folder, 'scenarios.mjs'));
  const questions = asked.map(({ question }) => question);
  project.write('questions.mjs', `export default ${JSON.stringify(questions)};\n`);
  project.write('answers.mjs', ANSWERS);
  for (const [name, code] of Object.entries(ENTRIES)) project.write(name, code);
  for (const name of PAGES) {
    project.write(`${name}.html`, `${HEAD}<script type="module" src="/${name}.mjs"></script>`);
  }
});
after(() => server?.close());

/** What `keyrail` refuses and `keyrail/full` plays: the policies, whose patterns are regular expressions. */
const ONLY_FULL = asked.map(({ id }) => id).filter((id) => id.startsWith('policy-'));

/** Compares with what the recorded broker did; says how many agreed. */
function judge(t, said, is) {
  const { runtime, answers } = JSON.parse(said);
  assert.match(runtime, is);
  assert.equal(answers.length, 2);
  for (const [at, name, without] of [
    [0, 'keyrail', ONLY_FULL],
    [1, 'keyrail/full', []],
  ]) {
    assert.equal(answers[at].length, asked.length);
    const wrong = asked.flatMap(({ id, answer }, which) => {
      const given = answers[at][which];
      return isDeepStrictEqual(JSON.parse(given), answer) ? [] : [{ id, answer, given }];
    });
    const shown = wrong.map(
      (one) => `${one.id}\n  expected ${JSON.stringify(one.answer)}\n  actual   ${one.given}`,
    );
    t.diagnostic(`${runtime}: ${name}: ${asked.length - wrong.length} scenarios agree`);
    assert.deepEqual(
      wrong.map(({ id }) => id),
      without,
      `${name}:\n${shown.slice(0, 3).join('\n')}`,
    );
  }
}

test('every vector is asked', () => {
  const lines = files.flatMap((name) => readFileSync(join(VECTORS, name), 'utf8').split('\n'));
  assert.equal(asked.length, lines.filter((line) => line.trim()).length);
  assert.ok(files.length >= 4 && asked.length > 1000);
});

test('a wrong answer, a missing one and another runtime are told', () => {
  const right = asked.map(({ answer }) => JSON.stringify(answer));
  const small = right.map((answer, at) => (ONLY_FULL.includes(asked[at].id) ? '{"failure":""}' : answer));
  const quiet = { diagnostic() {} };
  const judged = (answers, runtime = 'Node v20.19.0') =>
    judge(quiet, JSON.stringify({ runtime, answers }), /^Node/);
  judged([small, right]);
  assert.throws(() => judged([small.with(7, '{"answers":[]}'), right]), /keyrail:/);
  assert.throws(() => judged([small, right.with(7, '{"answers":[]}')]), /keyrail\/full:/);
  assert.throws(() => judged([right, right]), /keyrail:/);
  assert.throws(() => judged([small, right.slice(1)]));
  assert.throws(() => judged([small]));
  assert.throws(() => judged([small, right], 'Deno 2.9.6'));
});

for (const [name, { is, run }] of Object.entries(PROGRAMS)) {
  test(`${name}: import`, async (t) => judge(t, await run(project, 'main.mjs'), is));
  if (name === 'Deno') continue;
  test(`${name}: require`, async (t) => judge(t, await run(project, 'main.cjs'), is));
}

test('workerd', async (t) => {
  judge(t, await askWorkerd(join(project.folder, 'worker.mjs')), /^Cloudflare-Workers$/);
});

test('edge-runtime', async (t) => {
  judge(t, await askEdgeRuntime(join(project.folder, 'edge.mjs')), /^EdgeRuntime edge-runtime$/);
});

/** Each bundler builds its page once, for both browsers. */
const builds = new Map();
function built(build) {
  if (!builds.has(build)) builds.set(build, build(project, 'page'));
  return builds.get(build);
}

for (const name of Object.keys(BROWSERS)) {
  const is = { Chromium: /Chrome\//, Firefox: /Firefox\// }[name];
  let browser;
  const ask = async (t, path) => {
    browser ??= await launch(name);
    judge(t, await askPage(browser, server.origin + path), is);
  };
  test(`${name}: plain modules`, (t) => ask(t, '/plain.html'));
  test(`${name}: keyrail/web`, (t) => ask(t, '/streamed.html'));
  test(`${name}: a build of Vite's`, async (t) => ask(t, await built(viteBuild)));
  test(`${name}: a build of webpack's`, async (t) => ask(t, await built(webpackBuild)));
  after(() => browser?.close());
}
