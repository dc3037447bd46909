// The quick starts of the npm page: title, code, and what it prints.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const page = readFileSync(join(import.meta.dirname, '..', '..', '..', 'wasm', 'README.md'), 'utf8');
const [, section] = /^## Quick start$([\s\S]*?)^## /m.exec(page);

export const quickStarts = [...section.matchAll(/^### (.*)\n\n```(?:js|html)\n([\s\S]*?)^```$/gm)].map(
  ([, title, code]) => ({ title, code, prints: /\/\/ (.*)$/m.exec(code)[1] }),
);
