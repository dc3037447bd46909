// The page in a real Chromium: as plain files under the server's policy, and from `keyrail serve` itself.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { launch } from './chromium.mjs';

const ROOT = join(import.meta.dirname, '..', '..');
const DIST = join(ROOT, 'www', 'dist');
const SHOP = join(ROOT, 'examples', 'shop', 'definitions.json');
const ARTIFACTS = process.env.KEYRAIL_ARTIFACTS ?? join(ROOT, 'tests', 'artifacts');
const KEYRAIL = process.env.KEYRAIL_BIN ?? join(ROOT, 'target', 'release', 'keyrail');
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

/** What the page itself may weigh, gzipped: HTML, style and script. The module has a budget of its own. */
const PAGE_BUDGET = 40 * 1024;

const EU_PAID = ['audit.lake', 'audit.log', 'billing.invoicing', 'eu.fulfilment', 'eu.vat', 'notify.mail'];

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

/** A tab on the page, with everything that went wrong in it. */
async function visit(address, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  const wrong = [];
  const requests = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') wrong.push(message.text());
  });
  page.on('pageerror', (error) => wrong.push(String(error)));
  page.on('dialog', (dialog) => {
    wrong.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => requests.push(new URL(request.url()).pathname));
  await page.addInitScript(() => {
    globalThis.violations = [];
    addEventListener('securitypolicyviolation', (event) => {
      globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  await page.goto(address);
  await page.waitForSelector('#drawing');
  /** Nothing was logged, thrown or forbidden. */
  const clean = async () => {
    assert.deepEqual(wrong, []);
    assert.deepEqual(await page.evaluate(() => globalThis.violations), []);
  };
  return { page, requests, clean };
}

const publish = async (page, exchange, key) => {
  await page.selectOption('#exchange', exchange);
  await page.fill('#routing-key', key);
};

const litQueues = (page) =>
  page.$$eval('[data-queue][data-lit]', (found) => found.map(({ dataset }) => dataset.queue).sort());

const litExchanges = (page) =>
  page.$$eval('[data-exchange][data-lit]', (found) => found.map(({ dataset }) => dataset.exchange).sort());

/** The cells of each binding, in a line. */
const cells = (page, rules) =>
  page.$$eval(`${rules} .cells`, (all) =>
    all.map((list) =>
      Array.from(list.children, ({ dataset, children }) =>
        [dataset.state, ...Array.from(children, (child) => child.textContent)].join(' '),
      ).join(' | '),
    ),
  );

const outcome = (page) => page.getAttribute('.answer', 'data-outcome');

const open = (page, name, content) =>
  page.setInputFiles('#file', {
    name,
    mimeType: 'application/json',
    buffer: Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content)),
  });

describe('as plain files under the policy of the server', () => {
  let server;
  let address;

  before(async () => {
    const policy = (await readFile(join(ROOT, 'www', 'csp.txt'), 'utf8')).trim();
    server = createServer(async ({ url }, response) => {
      const { pathname } = new URL(url, 'http://localhost');
      const name = pathname === '/' ? '/index.html' : pathname;
      try {
        const body = await readFile(join(DIST, name));
        const type = TYPES[extname(name)];
        response.writeHead(200, { 'content-type': type, 'content-security-policy': policy }).end(body);
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    address = `http://127.0.0.1:${server.address().port}/`;
  });

  after(() => server?.close());

  test('the shop is drawn, the key box has the focus, and nobody is asked for anything', async () => {
    const { page, requests, clean } = await visit(address);
    assert.equal(await page.$$eval('[data-exchange]', (all) => all.length), 10);
    assert.equal(await page.$$eval('[data-queue]', (all) => all.length), 18);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'routing-key');
    assert.equal(await page.getAttribute('[data-source]', 'data-source'), 'example');
    assert.ok(
      requests.every((path) => path === '/' || path.startsWith('/assets/') || path === '/favicon.svg'),
    );
    await clean();
    await page.close();
  });

  test('typing a key lights up exactly the queues that get the message', async () => {
    const { page, clean } = await visit(address);
    await page.selectOption('#exchange', 'shop.orders');
    await page.fill('#routing-key', '');
    await page.locator('#routing-key').pressSequentially('order.eu.paid');
    assert.deepEqual(await litQueues(page), EU_PAID);
    assert.deepEqual(await litExchanges(page), [
      'shop.audit',
      'shop.notify',
      'shop.orders',
      'shop.orders.eu',
    ]);
    assert.match(await page.textContent('.answer h2'), /^6 queues get this message$/);
    assert.match(await page.textContent('#trace'), /`order\.\*\.paid` matches: queue `billing\.invoicing`/);
    assert.equal(await page.$$eval('tr[data-effect="delivered"]', (rows) => rows.length), 6);
    await clean();
    await page.close();
  });

  test('the alternate exchange takes what matches nothing', async () => {
    const { page, clean } = await visit(address);
    await publish(page, 'shop.orders', 'order.uk.cancelled');
    assert.deepEqual(await litQueues(page), ['unrouted.review']);
    assert.equal(await page.$$eval('.edge[data-effect="alternate"]', (lines) => lines.length), 1);
    assert.match(
      await page.textContent('.answer'),
      /Nothing matched in shop\.orders, so its alternate exchange/,
    );
    await clean();
    await page.close();
  });

  test('that nobody gets a message, or that it is refused, is said in words', async () => {
    const { page, clean } = await visit(address);
    await publish(page, '', 'nobody');
    assert.equal(await outcome(page), 'unroutable');
    assert.deepEqual(await litQueues(page), []);
    assert.match(await page.textContent('.answer'), /No queue gets this message.*no queue has that name/);
    await page.fill('#routing-key', 'eu.vat');
    assert.deepEqual(await litQueues(page), ['eu.vat']);
    await page.fill('#routing-key', 'k'.repeat(256));
    assert.equal(await outcome(page), 'refused');
    assert.match(await page.textContent('.answer'), /255/);
    await clean();
    await page.close();
  });

  test('headers have types: the number 9 matches, the text "9" does not', async () => {
    const { page, clean } = await visit(address);
    await publish(page, 'shop.invoices', '');
    await page.click('#add-header');
    await page.fill('.header:nth-of-type(1) .name', 'priority');
    await page.fill('.header:nth-of-type(1) .value', '9');
    assert.equal(await page.textContent('.header .type'), 'number');
    assert.deepEqual(await litQueues(page), ['invoices.urgent']);
    await page.fill('.header:nth-of-type(1) .value', '"9"');
    assert.equal(await page.textContent('.header .type'), 'text');
    assert.deepEqual(await litQueues(page), ['unrouted.review']);
    await page.fill('.header:nth-of-type(1) .name', 'booked');
    await page.fill('.header:nth-of-type(1) .value', 'true');
    assert.deepEqual(await litQueues(page), ['audit.lake', 'audit.log']);
    await page.click('.header .remove');
    assert.equal(await page.locator('.header').count(), 0);
    await clean();
    await page.close();
  });

  test('the examples are one click each', async () => {
    const { page, clean } = await visit(address);
    const expected = [EU_PAID, ['invoices.erp', 'invoices.print'], ['unrouted.review']];
    for (const [at, queues] of expected.entries()) {
      await page.click(`.chip >> nth=${at}`);
      assert.deepEqual(await litQueues(page), queues);
    }
    await clean();
    await page.close();
  });

  test('a typed key is taken apart: each word of each binding is a cell', async () => {
    const { page, clean } = await visit(address);
    await publish(page, 'shop.orders', 'order.eu.return.broken.glass');
    assert.deepEqual(await cells(page, '[data-match="shop.orders"]'), [
      'literal order | wildcard * eu | literal return | wildcard # broken.glass',
      'literal order | literal eu | wildcard # return.broken.glass',
    ]);
    // The first word that did not fit, and what the binding needed there.
    await publish(page, 'shop.orders', 'order.uk.paid.late');
    const [nearest] = await cells(page, '[data-miss="shop.orders"]');
    assert.equal(nearest, 'literal order | wildcard * uk | literal paid | failed end late');
    assert.equal(await page.textContent('.misses .rule small >> nth=0'), '1 word off');
    await publish(page, 'shop.invoices', '');
    await page.click('#add-header');
    await page.fill('.header .name', 'priority');
    await page.fill('.header .value', '"9"');
    const headers = await cells(page, '[data-miss="shop.invoices"]');
    assert.ok(headers.includes('failed priority=9 9, another type'), headers.join('\n'));
    await clean();
    await page.close();
  });

  test('a near miss is mended by a click, and the click is undone by another', async () => {
    const { page, clean } = await visit(address);
    await publish(page, 'shop.orders', 'order.uk.paid.late');
    assert.deepEqual(await litQueues(page), ['unrouted.review']);
    const miss = page.locator('.misses .rule', { hasText: 'billing.invoicing' });
    await miss.locator('.fix', { hasText: 'order.*.paid.#' }).click();
    assert.deepEqual(await litQueues(page), ['billing.invoicing']);
    assert.match(await page.textContent('.answer h2'), /^One queue gets this message$/);
    assert.equal(await page.locator('tr[data-effect="delivered"]', { hasText: 'order.*.paid.#' }).count(), 1);
    assert.match(await page.textContent('.changes'), /^1 change in this page/);
    await page.click('#undo');
    assert.deepEqual(await litQueues(page), ['unrouted.review']);
    assert.equal(await page.locator('.changes').count(), 0);
    assert.match(await page.textContent('.counts'), /39 bindings/);
    await clean();
    await page.close();
  });

  test('the dialects stand side by side, and a badge says where they differ', async () => {
    const { page, clean } = await visit(address);
    const queuesOf = (dialect) =>
      page.$$eval(`[data-dialect="${dialect}"] li`, (all) => all.map((item) => item.title).sort());
    await publish(page, 'shop.orders', 'order.eu.paid');
    assert.equal(await page.textContent('.dialects .badge'), 'agree');
    for (const dialect of ['amqp', 'kombu57', 'kombu56']) assert.deepEqual(await queuesOf(dialect), EU_PAID);
    // In Kombu 5.6 `*` takes several words.
    await publish(page, 'shop.orders', 'order.uk.north.paid');
    assert.equal(await page.textContent('.dialects .badge'), 'differ');
    assert.deepEqual(await queuesOf('amqp'), ['unrouted.review']);
    assert.deepEqual(await queuesOf('kombu57'), ['unrouted.review']);
    assert.deepEqual(await queuesOf('kombu56'), ['billing.invoicing', 'notify.mail']);
    assert.equal(await page.locator('[data-dialect="kombu56"] [data-apart]').count(), 2);
    await clean();
    await page.close();
  });

  test('findings have code, severity, a sentence and a fix that a click applies', async () => {
    const { page, clean } = await visit(address);
    await open(page, 'logs.json', {
      exchanges: [{ name: 'logs', kind: 'topic', alternateExchange: 'lost<b>' }],
      queues: [{ name: 'all' }],
      bindings: ['#', '*.error'].map((routingKey) => ({
        source: 'logs',
        destination: { queue: 'all' },
        routingKey,
      })),
    });
    const missing = page.locator('[data-finding="alternate-missing"]');
    assert.match(await missing.textContent(), /Error alternate-missing.*exchange logs.*lost<b>/);
    const shadowed = page.locator('[data-finding="shadowed-binding"]');
    assert.match(await shadowed.textContent(), /Warning shadowed-binding.*\*\.error/);
    await page.click('.findings summary');
    await page.click('[data-finding="dialect-trap"] .fix');
    assert.equal(await page.textContent('.dialects .badge'), 'agree');
    await shadowed.locator('.fix').click();
    await shadowed.waitFor({ state: 'detached' });
    assert.match(await page.textContent('.counts'), /1 binding$/);
    assert.equal(await missing.count(), 1);
    await page.click('#undo');
    await shadowed.waitFor();
    await clean();
    await page.close();
  });

  test('the page works by keyboard, and a result is announced', async () => {
    const { page, clean } = await visit(address);
    await page.focus('.chip');
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'routing-key');
    await page.keyboard.type('order.us.paid');
    const announced = page.locator('[role=status][aria-live=polite]', { hasText: 'us.salestax' });
    await announced.waitFor({ state: 'attached' });
    assert.match(await announced.textContent(), /^6 queues get this message: .*us\.fulfilment/);
    await page.focus('#file');
    assert.equal(await page.evaluate(() => document.activeElement.type), 'file');
    await clean();
    await page.close();
  });

  test('hostile names are text: nothing runs, nothing turns, nothing overflows', async () => {
    const { page, clean } = await visit(address);
    const names = [
      '<img src=x onerror=alert(1)>',
      '"><script>globalThis.ran = true</script>',
      "'-alert(1)-'",
      'javascript:alert(1)',
      'evil\u202Egnp.exe',
      'x'.repeat(255),
      'W'.repeat(255),
      '🐇'.repeat(63),
      `z${'\u0301'.repeat(100)}`,
      '__proto__',
      'constructor',
      '\u0000\u0007 \u200B',
    ];
    const exchanges = names.map((name) => ({
      name: `${name}`,
      kind: 'topic',
      alternateExchange: '</text><b>no',
    }));
    const bindings = names.map((name) => ({
      source: name,
      destination: { queue: name },
      routingKey: name.length > 200 ? '#' : `${name}.#`,
    }));
    await open(page, '<b>names</b>.json', { exchanges, queues: names.map((name) => ({ name })), bindings });
    await page.waitForSelector('[data-source="file"]');
    assert.equal(await page.textContent('[data-source] b'), '<b>names</b>.json');
    for (const name of names) {
      await publish(page, name, name);
      assert.deepEqual(await litQueues(page), [name], JSON.stringify(name));
    }
    assert.equal(await page.locator('img, script:not([src]), #app b b, #app iframe').count(), 0);
    assert.equal(await page.evaluate(() => globalThis.ran), undefined);
    const texts = await page.$$eval('[data-queue] title', (all) => all.map((title) => title.textContent));
    assert.ok(texts.includes('queue <img src=x onerror=alert(1)>'));
    assert.ok(texts.includes('queue evil\\u{202E}gnp.exe'));
    assert.ok(texts.includes(`queue ${'x'.repeat(255)}`));
    assert.doesNotMatch(await page.textContent('#app'), /[\p{Cf}\p{Co}]/u);
    const overflowing = await page.$$eval('#drawing .box', (boxes) =>
      boxes.flatMap((box) => {
        // What a viewport of its own clips ends where that ends.
        const end = (text) => {
          const clip = text.closest('svg.clip');
          if (clip) return clip.x.baseVal.value + clip.width.baseVal.value;
          return text.getBBox().x + text.getBBox().width;
        };
        const texts = [...box.parentElement.querySelectorAll('text')];
        return texts.filter((text) => end(text) > box.width.baseVal.value).map((text) => text.textContent);
      }),
    );
    assert.deepEqual(overflowing, []);
    await mkdir(ARTIFACTS, { recursive: true });
    await page.screenshot({ path: join(ARTIFACTS, 'page-hostile-names.png'), fullPage: true });
    await clean();
    await page.close();
  });

  test('a file that cannot be opened changes nothing and says what is wrong, where', async () => {
    const { page, clean } = await visit(address);
    const refused = async (content, words) => {
      await open(page, 'broken.json', content);
      await page.locator('[role=alert]', { hasText: words }).waitFor();
      assert.equal(await page.$$eval('[data-queue]', (all) => all.length), 18);
      assert.deepEqual(await litQueues(page), EU_PAID);
    };
    await refused(Buffer.from('{\n  "queues": [oops]\n}'), /line 2, column 14.*oops/s);
    await refused(Buffer.from([0x7b, 0xff, 0x7d]), /not UTF-8/);
    await refused({ exchanges: [{ name: 'x', kind: 'sideways' }] }, /exchanges\[0\]\.kind/);
    await refused({ queues: [{ name: 'q'.repeat(256) }] }, /255/);
    await refused({ bindings: [{ source: 'x', destination: { queue: 'q' } }] }, /bindings\[0\]/);
    // The mended file is opened, and the complaint is gone.
    await open(page, 'mended.json', JSON.parse(await readFile(SHOP, 'utf8')));
    await page.waitForSelector('[data-source="file"]');
    assert.equal(await page.locator('[role=alert]').count(), 0);
    await clean();
    await page.close();
  });

  test('files may be dropped, and one of several virtual hosts is shown', async () => {
    const { page, clean } = await visit(address);
    const exchange = (vhost, name) => ({ name, vhost, type: 'fanout', durable: true });
    const text = JSON.stringify({
      rabbit_version: '3.10.8',
      exchanges: [exchange('east', 'in.east'), exchange('west', 'in.west')],
    });
    await page.evaluate((text) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], 'two.json'));
      document.body.dispatchEvent(
        new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }),
      );
    }, text);
    await page.waitForSelector('[data-exchange="in.east"]');
    await page.selectOption('.vhost select', 'west');
    await page.waitForSelector('[data-exchange="in.west"]');
    assert.equal(await page.locator('[data-exchange="in.east"]').count(), 0);
    await clean();
    await page.close();
  });

  test('a key press is drawn within a frame, also with a thousand bindings', async (t) => {
    const { page, clean } = await visit(address);
    const queues = Array.from({ length: 200 }, (_, at) => ({ name: `queue.${at}` }));
    const bindings = Array.from({ length: 1000 }, (_, at) => ({
      source: 'many',
      destination: { queue: `queue.${at % 200}` },
      routingKey: at % 10 === 0 ? `a.${at % 70}.#` : `*.${at}`,
    }));
    await open(page, 'many.json', { exchanges: [{ name: 'many', kind: 'topic' }], queues, bindings });
    await page.waitForSelector('[data-exchange="many"]');
    const { script, frame } = await page.evaluate(async () => {
      const box = document.querySelector('#routing-key');
      const script = [];
      const frame = [];
      for (let at = 0; at < 40; at++) {
        await new Promise(requestAnimationFrame);
        const start = performance.now();
        box.value = `a.${(at % 7) * 10}.x`;
        box.dispatchEvent(new InputEvent('input', { bubbles: true }));
        // Signals and panels change their elements in microtasks, before the browser paints.
        for (let turn = 0; turn < 10; turn++) await Promise.resolve();
        script.push(performance.now() - start);
        const lit = document.querySelectorAll('[data-queue][data-lit]').length;
        if (lit === 0) throw new Error(`nothing is lit for ${box.value}`);
        await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
        frame.push(performance.now() - start);
      }
      const median = (times) => times.sort((a, b) => a - b)[times.length / 2];
      return { script: median(script), frame: median(frame) };
    });
    t.diagnostic(
      `a key press takes ${script.toFixed(1)} ms, until it is painted ${frame.toFixed(1)} ms (medians)`,
    );
    // How long painting takes is the machine's business: this one has neither a graphics card nor idle cores.
    assert.ok(script < 16, `the median is ${script} ms`);
    await clean();
    await page.close();
  });

  test('a topology that is too large to draw is still answered', async () => {
    const { page, clean } = await visit(address);
    const queues = Array.from({ length: 3000 }, (_, at) => ({ name: `queue.${at}` }));
    const bindings = queues.map(({ name }, at) => ({
      source: 'big',
      destination: { queue: name },
      routingKey: `k.${at}`,
    }));
    await open(page, 'big.json', { exchanges: [{ name: 'big', kind: 'topic' }], queues, bindings });
    await page.waitForSelector('.too-large');
    await publish(page, 'big', 'k.2999');
    assert.match(await page.textContent('.answer'), /One queue gets this message.*queue\.2999/);
    await clean();
    await page.close();
  });

  test('it fits a telephone, a tablet and a screen, light and dark', async () => {
    await mkdir(ARTIFACTS, { recursive: true });
    const views = [390, 820, 1440].flatMap((width) => ['light', 'dark'].map((scheme) => [width, scheme]));
    for (const [width, colorScheme] of views) {
      const { page, clean } = await visit(address, { viewport: { width, height: 900 }, colorScheme });
      await publish(page, 'shop.orders', 'order.uk.north.paid');
      const { scroll, client } = await page.evaluate(() => ({
        scroll: document.documentElement.scrollWidth,
        client: document.documentElement.clientWidth,
      }));
      assert.ok(scroll <= client, `the page is ${scroll} wide in a window of ${client}`);
      await page.screenshot({ path: join(ARTIFACTS, `page-${width}-${colorScheme}.png`), fullPage: true });
      await clean();
      await page.close();
    }
  });

  test('the page keeps its budget', async (t) => {
    const html = await readFile(join(DIST, 'index.html'), 'utf8');
    const named = [...html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map(([, name]) => name);
    const script = await readFile(
      join(
        DIST,
        named.find((name) => name.endsWith('.js')),
      ),
      'utf8',
    );
    const module = /[\w-]+\.wasm/.exec(script)[0];
    const weigh = async (name) => gzipSync(await readFile(join(DIST, name)), { level: 9 }).length;
    const page = [await weigh('index.html'), ...(await Promise.all(named.map(weigh)))].reduce(
      (a, b) => a + b,
    );
    t.diagnostic(`gzipped: page ${page} bytes, module ${await weigh(join('assets', module))} bytes`);
    assert.ok(page <= PAGE_BUDGET, `${page} bytes are more than ${PAGE_BUDGET}`);
  });
});

describe('from `keyrail serve`', () => {
  let serve;
  let address;

  before(async () => {
    assert.ok(existsSync(KEYRAIL), `there is no ${KEYRAIL}: build it with scripts/release.sh keyrail`);
    serve = spawn(KEYRAIL, ['serve', '--topology', SHOP, '--listen', '127.0.0.1:0'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    address = await new Promise((resolve, reject) => {
      let said = '';
      const listen = (chunk) => {
        said += chunk;
        const found = /http:\/\/127\.0\.0\.1:\d+\//.exec(said);
        if (found) resolve(found[0]);
      };
      serve.stdout.on('data', listen);
      serve.stderr.on('data', listen);
      serve.on('error', reject);
      serve.on('exit', (code) => reject(new Error(`keyrail serve ended with ${code}:\n${said}`)));
      setTimeout(() => reject(new Error(`keyrail serve named no address:\n${said}`)), 10_000).unref();
    });
  });

  after(async () => {
    if (!serve || serve.exitCode !== null) return;
    const ended = new Promise((resolve) => serve.on('exit', resolve));
    serve.kill('SIGTERM');
    await ended;
  });

  test('the topology comes from the server, and typing lights it up', async () => {
    const { page, requests, clean } = await visit(address);
    assert.ok(requests.includes('/v1/topology'));
    assert.equal(await page.getAttribute('[data-source]', 'data-source'), 'server');
    assert.equal(await page.$$eval('[data-queue]', (all) => all.length), 18);
    await publish(page, 'shop.orders', 'order.eu.paid');
    assert.deepEqual(await litQueues(page), EU_PAID);
    await mkdir(ARTIFACTS, { recursive: true });
    await page.screenshot({ path: join(ARTIFACTS, 'page-serve.png'), fullPage: true });
    await publish(page, 'shop.orders', 'order.uk.cancelled');
    assert.deepEqual(await litQueues(page), ['unrouted.review']);
    await publish(page, 'shop.invoices', '');
    await page.click('#add-header');
    await page.fill('.header .name', 'priority');
    await page.fill('.header .value', '9');
    assert.deepEqual(await litQueues(page), ['invoices.urgent']);
    await clean();
    await page.close();
  });

  test('page and server give the same answer', async () => {
    const { page, clean } = await visit(address);
    for (const key of [
      'order.us.paid',
      'order.apac.shipped',
      'order.eu.return.damaged',
      'order.uk.cancelled',
    ]) {
      await publish(page, 'shop.orders', key);
      const answered = await page.evaluate(async (key) => {
        const body = JSON.stringify({ exchange: 'shop.orders', routingKey: key });
        const headers = { 'content-type': 'application/json' };
        const response = await fetch('/v1/route', { method: 'POST', headers, body });
        return { status: response.status, ...(await response.json()) };
      }, key);
      assert.deepEqual(await litQueues(page), answered.queues?.toSorted(), JSON.stringify(answered));
    }
    await clean();
    await page.close();
  });

  test('every answer carries the policy, and what is not there is not found', async () => {
    for (const path of ['', 'nothing.js', 'assets/', '..%2f..%2fCargo.toml']) {
      const response = await fetch(new URL(path, address));
      assert.equal(response.status, path === '' ? 200 : 404, path);
      assert.match(
        response.headers.get('content-security-policy') ?? '',
        /default-src 'none'.*trusted-types 'none'/,
      );
    }
  });
});
