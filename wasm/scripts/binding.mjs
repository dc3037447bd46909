// A module and its binding, made smaller. What the generator calls its imports, `__wbg_instanceof_Uint8Array_d7aeb0dcb3108fea`,
// is a third of the binding, and none of it is for people.
import { renamed } from './module.mjs';

/** Exports that the package's own scripts name. */
const KEPT = new Set(['memory', '__wbindgen_start']);

/** Code that never runs here, or changes nothing. Where the generator writes it otherwise, it stays. */
const IDLE = [
  // Every runtime that has WebAssembly with multiple values can encode into memory.
  /^if \(!\('encodeInto' in cachedTextEncoder\)\) \{[\s\S]*?^\}\n/m,
  // For strings that are encoded without growing memory; the binding always says how to grow it.
  /^ {4}if \(realloc === undefined\) \{[\s\S]*?^ {4}\}\n/m,
  // `Symbol.dispose` of a class that only the package's own classes see, and they call `free`.
  /^if \(Symbol\.dispose\) Core\.prototype.*\n/m,
];

/**
 * The module under short names, and the text of its binding with all that the module imports as one object, `imports`.
 * Throws if the binding is not of the form that is known here.
 */
export function shortened(wasm, text) {
  const module = new WebAssembly.Module(wasm);
  const imported = shortNames(WebAssembly.Module.imports(module));
  const exported = shortNames(WebAssembly.Module.exports(module).filter(({ name }) => !KEPT.has(name)));

  const functions = [];
  const rest = IDLE.reduce((rest, idle) => rest.replace(idle, ''), text).replace(
    /^export function (\w+)(\([\s\S]*?^\}(?:, arguments\); \})?)\n/gm,
    (whole, name, code) => {
      if (!imported.has(name)) return whole;
      functions.push(`${imported.get(name)}${code}`);
      return '';
    },
  );
  if (functions.length !== imported.size) {
    throw new Error(
      `the binding has ${functions.length} functions of ${imported.size} that the module imports`,
    );
  }
  const binding = `${rest}export const imports = {\n${functions.join(',\n')}\n};\n`.replace(
    /\bwasm\.(\w+)/g,
    (whole, name) => {
      if (KEPT.has(name)) return whole;
      if (!exported.has(name))
        throw new Error(`the binding uses \`${name}\`, which the module does not export`);
      return `wasm.${exported.get(name)}`;
    },
  );
  return { wasm: renamed(wasm, imported, exported), binding };
}

/** By the name that was: a, b, … z, aa, … */
function shortNames(entries) {
  const short = (at) => (at < 26 ? '' : short(Math.floor(at / 26) - 1)) + String.fromCharCode(97 + (at % 26));
  return new Map(entries.map(({ name }, at) => [name, short(at)]));
}
