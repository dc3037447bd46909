// Pages of a project in real browsers, and the bundlers that make such pages.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import puppeteer from 'puppeteer-core';
import { build as vite } from 'vite';
import webpack from 'webpack';

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

// As strict as a page can be that runs WebAssembly: nothing inline, nothing from elsewhere.
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";

/** What every page begins with. Without the character set a script is read as Windows-1252. */
export const HEAD = '<!doctype html><meta charset="utf-8">';

export const BROWSERS = {
  Chromium: {
    browser: 'chrome',
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-sync',
    ],
  },
  Firefox: { browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr' },
};

/** A browser that stays until `close`. */
export function launch(name) {
  return puppeteer.launch({ headless: true, ...BROWSERS[name] });
}

/** Serves the files of a folder on a free port; a page may hold scripts itself only if `inline` is true. */
export async function serve(folder, { inline = false } = {}) {
  const server = createServer(async ({ url }, response) => {
    const path = normalize(decodeURIComponent(new URL(url, 'http://localhost').pathname));
    const file = await readFile(join(folder, path)).catch(() => undefined);
    if (!inline) response.setHeader('content-security-policy', POLICY);
    response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
    response.statusCode = file ? 200 : 404;
    response.end(file);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** Opens a page and waits for what its script leaves in `globalThis.answer`, or else for what it writes to its console. */
export async function askPage(browser, address, where = 'answer') {
  const page = await browser.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  const written = new Promise((resolve) => {
    page.on('console', (message) => {
      problems.push(message.text());
      resolve(message.text());
    });
  });
  try {
    await page.goto(address);
    if (where === 'console') return await within(written, problems);
    const found = await page.waitForFunction('globalThis.answer', { timeout: 60_000 }).catch((cause) => {
      throw new Error(`no answer; the page said: ${problems.join('; ') || 'nothing'}`, { cause });
    });
    return await found.jsonValue();
  } finally {
    await page.close();
  }
}

function within(written, problems) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing was written; ${problems.join('; ')}`)), 60_000);
  });
  return Promise.race([written, late]).finally(() => clearTimeout(timer));
}

/** Builds the page `NAME.html` of a project with Vite, as its default settings have it; where the result is. */
export async function viteBuild(project, name) {
  const outDir = join(project.folder, 'vite');
  await vite({
    root: project.folder,
    configFile: false,
    logLevel: 'error',
    build: { outDir, emptyOutDir: true, rollupOptions: { input: join(project.folder, `${name}.html`) } },
    base: '/vite/',
  });
  return `/vite/${name}.html`;
}

/** Builds the script `NAME.mjs` of a project with webpack; a page that loads it. */
export async function webpackBuild(project, name) {
  const compiler = webpack({
    mode: 'production',
    context: project.folder,
    entry: `./${name}.mjs`,
    output: { path: join(project.folder, 'webpack'), filename: `${name}.js` },
    performance: false,
  });
  const stats = await new Promise((resolve, reject) => {
    compiler.run((error, result) => (error ? reject(error) : resolve(result)));
  });
  await new Promise((resolve) => compiler.close(resolve));
  const { errors, warnings } = stats.toJson({ errors: true, warnings: true });
  const said = [...errors, ...warnings].map(({ message }) => message).join('\n');
  if (said) throw new Error(`webpack: ${said}`);
  project.write(`webpack-${name}.html`, `${HEAD}<script src="/webpack/${name}.js" defer></script>`);
  return `/webpack-${name}.html`;
}
