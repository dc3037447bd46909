const SPACE = /[ \t\n\r]*/y;
// Control characters must be escaped; those above ASCII need not.
const STRING = /"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

/** What may come next; `first…` also allows the list or object to end at once. */
type Next = 'value' | 'firstValue' | 'key' | 'firstKey' | 'colon' | 'commaOrEnd';

/**
 * Where a text stops being JSON. Engines say it in words, each in its own and V8 mostly not at all; called only after
 * one of them refused the text.
 */
export function brokenAt(text: string): number {
  const open: ('{' | '[')[] = [];
  let next: Next = 'value';
  let at = 0;
  const takes = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    at = pattern.lastIndex;
    return true;
  };
  for (;;) {
    takes(SPACE);
    const here = text[at];
    if (here === undefined) return text.length;
    const inside = open.at(-1);
    const closes = next === 'commaOrEnd' || next === (inside === '{' ? 'firstKey' : 'firstValue');
    if (closes && inside && here === (inside === '{' ? '}' : ']')) {
      open.pop();
      at++;
      next = 'commaOrEnd';
    } else if (next === 'commaOrEnd') {
      if (!inside || here !== ',') return at;
      at++;
      next = inside === '{' ? 'key' : 'value';
    } else if (next === 'colon') {
      if (here !== ':') return at;
      at++;
      next = 'value';
    } else if (next === 'key' || next === 'firstKey') {
      if (!takes(STRING)) return at;
      next = 'colon';
    } else if (here === '{' || here === '[') {
      open.push(here);
      at++;
      next = here === '{' ? 'firstKey' : 'firstValue';
    } else {
      if (!takes(STRING) && !takes(SCALAR)) return at;
      next = 'commaOrEnd';
    }
  }
}
