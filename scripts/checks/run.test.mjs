// Types `make run` as a stranger would, then does what the README's first screen says.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

const root = new URL('../../', import.meta.url);
// Everything is built by now (section "run" needs it), so this is start-up time on a busy machine.
const PATIENCE = 60_000;

let server;
let output = '';
let address;

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

async function until(what, condition) {
  const deadline = Date.now() + PATIENCE;
  while (!condition()) {
    assert.equal(server.exitCode, null, `make run ended before ${what}:\n${output}`);
    assert.ok(Date.now() < deadline, `no ${what} in ${PATIENCE} ms:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

before(async () => {
  const listen = `127.0.0.1:${await freePort()}`;
  address = `http://${listen}`;
  // A process group of its own, so that an interrupt reaches make and the server as Ctrl-C does.
  server = spawn('make', ['run', `ARGS=--listen ${listen}`], { cwd: root, detached: true });
  for (const stream of [server.stdout, server.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  await until('address', () => output.includes(address));
});

after(() => {
  if (server?.exitCode === null && server.signalCode === null) process.kill(-server.pid, 'SIGKILL');
});

test('it serves the page at the address it prints', async () => {
  const response = await fetch(`${address}/`);
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type'), /^text\/html/);
  const page = await response.text();
  const assets = [...page.matchAll(/(?:src|href)="([^":]+\.(?:js|css))"/g)].map(([, path]) => path);
  assert.ok(assets.length > 0, 'the page names no script and no style');
  for (const path of assets) {
    const asset = await fetch(new URL(path, address));
    assert.equal(asset.status, 200, path);
  }
});

test('the first screen of the README is what it prints', async () => {
  const readme = readFileSync(new URL('README.md', root), 'utf8');
  const [, screen] = /```\n\$ make run\n([\s\S]*?)```/.exec(readme) ?? [];
  assert.ok(screen, 'the README shows the output of `make run`');
  const shown = screen.trim().replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, address);
  await until('last line of the first screen', () => output.includes(shown.split('\n').at(-1)));
  assert.ok(output.includes(shown), `the README shows\n${shown}\nand it prints\n${output}`);
});

test('the curl lines of the README publish a message and read it back', async () => {
  const readme = readFileSync(new URL('README.md', root), 'utf8');
  const lines = readme.split('\n').filter((line) => line.startsWith('curl '));
  assert.equal(lines.length, 2, 'the README shows a curl line that publishes and one that reads back');
  const answers = [];
  for (const line of lines) {
    const command = line
      .replace(/^curl /, 'curl --silent --show-error --fail-with-body --max-time 10 ')
      .replace(/127\.0\.0\.1:\d+/, new URL(address).host);
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { cwd: root });
    answers.push(JSON.parse(stdout));
  }
  const [published, received] = answers;
  const sent = JSON.parse(/-d '(.*)'/.exec(lines[0])[1]);
  assert.equal(published.outcome, 'routed');
  assert.ok(published.queues.includes(received.queue), 'it is read from a queue that it was routed to');
  assert.equal(received.routingKey, sent.routingKey);
  assert.equal(received.body, sent.body);
});

test('an interrupt ends it at once', async () => {
  const ended = once(server, 'exit');
  process.kill(-server.pid, 'SIGINT');
  const late = setTimeout(() => process.kill(-server.pid, 'SIGKILL'), 5_000);
  const [, signal] = await ended;
  clearTimeout(late);
  assert.notEqual(signal, 'SIGKILL', 'the server ignored the interrupt');
});
