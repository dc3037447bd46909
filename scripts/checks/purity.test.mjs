// Proves that the module reaches nothing but what it is handed: no clock, no randomness, no network, no storage.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const bytes = readFileSync(new URL('../../wasm/pkg/keyrail_bg.wasm', import.meta.url));
const glue = readFileSync(new URL('../../wasm/pkg/keyrail_bg.js', import.meta.url), 'utf8');

const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes));

test('the module imports from its binding only', () => {
  assert.ok(imports.length > 0, 'a module without imports could not even throw: is this the right file?');
  const foreign = imports.filter(
    ({ module, name }) => module !== './keyrail_bg.js' || !/^__(wbg|wbindgen)_/.test(name),
  );
  assert.deepEqual(foreign, []);
});

// The binding is generated from what the Rust side asks for, so an ambient power would be named in its text.
const powers = [
  ['a clock', /\b(Date|performance|Temporal)\b/],
  ['timers', /\b(setTimeout|setInterval|setImmediate|queueMicrotask|requestAnimationFrame)\b/],
  ['randomness', /\bMath\s*\.\s*random\b|\bcrypto\b|\bgetRandomValues\b/],
  ['the network', /\b(fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon)\b/],
  ['storage', /\b(localStorage|sessionStorage|indexedDB|caches)\b/],
  ['the page or the process', /\b(document|navigator|location|process|Deno|Bun|require|importScripts)\b/],
  ['the global object', /\b(globalThis|window|self|global)\b/],
  ['code from text', /\beval\s*\(|\bnew Function\b/],
  ['the console', /\bconsole\b/],
];

for (const [power, pattern] of powers) {
  test(`the binding does not touch ${power}`, () => {
    const lines = glue.split('\n').filter((line) => !/^\s*(\/\/|\*|\/\*)/.test(line) && pattern.test(line));
    assert.deepEqual(lines, []);
  });
}
