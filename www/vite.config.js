import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vite';

/** What every server sends as a header. A `<meta>` may not say who frames the page, and complains if it does. */
const policy = readFileSync(join(import.meta.dirname, 'csp.txt'), 'utf8')
  .trim()
  .replace(/ *frame-ancestors [^;]*;/, '');

/** A running `keyrail serve` to develop against, such as http://127.0.0.1:8787. */
const server = process.env.KEYRAIL_SERVE;

/** Static hosts send no policy of ours, so the page brings it along. Not in development: Vite injects inline styles. */
const contentSecurityPolicy = {
  name: 'content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      attrs: { 'http-equiv': 'Content-Security-Policy', content: policy },
      injectTo: 'head-prepend',
    },
  ],
};

/** The same mark that the crate sets when it embeds the page. */
const served = {
  name: 'served-by-keyrail',
  apply: 'serve',
  transformIndexHtml: (html) => (server ? html.replace('content="bundled"', 'content="server"') : html),
};

export default defineConfig({
  root: import.meta.dirname,
  // Relative addresses: the page works below any path.
  base: './',
  plugins: [contentSecurityPolicy, served],
  build: {
    target: 'es2022',
    // No data: addresses for code or module: the policy would refuse them.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // The example is read from beside this folder.
    fs: { allow: ['..'] },
    ...(server ? { proxy: { '/v1': server } } : {}),
  },
});
