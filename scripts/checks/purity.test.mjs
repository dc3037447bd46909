// Proves that the module reaches nothing but what it is handed: no clock, no randomness, no network, no storage.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

// The small module and the one with everything.
const modules = ['', 'full/'].map((directory) => {
  const file = (name) => new URL(`../../wasm/pkg/${directory}${name}`, import.meta.url);
  const name = `${directory}keyrail_bg`;
  return {
    name,
    bytes: readFileSync(file('keyrail_bg.wasm')),
    glue: readFileSync(file('keyrail_bg.js'), 'utf8'),
  };
});

for (const { name, bytes } of modules) {
  test(`${name}.wasm imports from its binding only`, () => {
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes));
    assert.ok(imports.length > 0, 'a module without imports could not even throw: is this the right file?');
    const foreign = imports.filter(
      ({ module, name }) => module !== './keyrail_bg.js' || !/^__(wbg|wbindgen)_/.test(name),
    );
    assert.deepEqual(foreign, []);
  });
}

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
  for (const { name, glue } of modules) {
    test(`${name}.js does not touch ${power}`, () => {
      const lines = glue.split('\n').filter((line) => !/^\s*(\/\/|\*|\/\*)/.test(line) && pattern.test(line));
      assert.deepEqual(lines, []);
    });
  }
}
