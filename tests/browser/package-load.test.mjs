// The npm package in a real Chromium, as a page without a bundler loads it: inline, and streamed by `keyrail/web`.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, extname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './chromium.mjs';

const DIST = join(import.meta.dirname, '..', '..', 'wasm', 'dist');
const TYPES = { '.js': 'text/javascript', '.wasm': 'application/wasm' };

// As strict as a page can be that runs WebAssembly: nothing inline, nothing from elsewhere.
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";

const ROUTE = `
  const router = new Router();
  router.declareExchange('events', { kind: 'topic' });
  router.declareQueue('audit');
  router.bind({ source: 'events', destination: { queue: 'audit' }, routingKey: 'order.#' });
  const { queues } = router.route({ exchange: 'events', routingKey: 'order.eu.paid', headers: { n: 1 } });
  let code;
  try { router.route({ exchange: 'nope', routingKey: '' }); } catch (error) { code = error.code; }
  globalThis.result = { queues, code };
`;

/** Modules that the pages load, beside those of the package. */
const SCRIPTS = {
  '/inline.js': `import { Router } from '/dist/inline.js';${ROUTE}`,
  '/web.js': `import { init, Router } from '/dist/web.js'; await init();${ROUTE}`,
  '/untyped.js': `import { init, Router } from '/dist/web.js'; await init('/untyped/keyrail.wasm');${ROUTE}`,
};

async function serve(request, response) {
  const { pathname } = new URL(request.url, 'http://localhost');
  response.setHeader('content-security-policy', POLICY);
  if (pathname in SCRIPTS) {
    response.setHeader('content-type', 'text/javascript');
    return response.end(SCRIPTS[pathname]);
  }
  if (pathname.startsWith('/page/')) {
    response.setHeader('content-type', 'text/html');
    return response.end(`<!doctype html><script type="module" src="/${basename(pathname)}.js"></script>`);
  }
  const file = await readFile(join(DIST, basename(pathname))).catch(() => undefined);
  if (!file) {
    response.statusCode = 404;
    return response.end();
  }
  const untyped = pathname.startsWith('/untyped/');
  response.setHeader('content-type', untyped ? 'application/octet-stream' : TYPES[extname(pathname)]);
  return response.end(file);
}

const server = createServer(serve);
let browser;
let origin;

before(async () => {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
  browser = await launch();
});

after(async () => {
  await browser?.close();
  server.close();
});

for (const [name, what] of [
  ['inline', 'the default entry brings the module along'],
  ['web', 'the web entry streams it'],
  ['untyped', 'the web entry copes with a server that does not know the type'],
]) {
  test(`${name}: ${what}`, async () => {
    const page = await browser.newPage();
    const problems = [];
    const requests = [];
    page.on('console', (message) => problems.push(message.text()));
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('request', (request) => requests.push(new URL(request.url()).pathname));
    await page.goto(`${origin}/page/${name}`);
    const found = await page
      .waitForFunction(() => globalThis.result, undefined, { timeout: 20_000 })
      .catch((error) => {
        throw new Error(`no result; the page said: ${problems.join('; ') || 'nothing'}`, { cause: error });
      });
    assert.deepEqual(await found.jsonValue(), { queues: ['audit'], code: 'exchange-not-found' });
    assert.deepEqual(problems, []);
    assert.equal(requests.filter((path) => path.endsWith('.wasm')).length, name === 'inline' ? 0 : 1);
    await page.close();
  });
}
