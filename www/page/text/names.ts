// Names come from files and servers, so they are hostile until shown: what cannot be seen, or turns the direction of
// what follows, is written out, and what is long is cut. Markup needs no care here: nothing in the page parses it.

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;

/** Joins emoji, as in families and flags: seen together with its neighbours. */
const JOINER = 0x200d;

/** Code units of one sign: a letter under a tower of accents would stand over the lines above. */
const TALLEST = 12;

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** The name with invisible characters written as `\u{202E}`. */
export function visible(name: string): string {
  return name.replace(UNSEEN, (character, at: number) => {
    const code = character.codePointAt(0) as number;
    if (code === JOINER && isEmoji(name.slice(0, at))) return character;
    return `\\u{${code.toString(16).toUpperCase().padStart(4, '0')}}`;
  });
}

function isEmoji(before: string): boolean {
  return /\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\uFE0F)?$/u.test(before);
}

/** At most `cells` cells of a fixed-width font, cut in the middle: names of one topology differ at both ends. */
export function shortened(name: string, cells: number): string {
  const shown = visible(name);
  if (shown.length * 2 <= cells) return shown;
  const parts = Array.from(graphemes.segment(shown), ({ segment }) => segment.slice(0, TALLEST));
  if (width(shown) <= cells) return parts.join('');
  const end = Math.floor((cells - 1) / 3);
  const head = fitting(parts, cells - 1 - end);
  const tail = fitting(parts.toReversed(), end).toReversed();
  return `${head.join('')}…${tail.join('')}`;
}

function fitting(parts: readonly string[], cells: number): string[] {
  const taken: string[] = [];
  let used = 0;
  for (const part of parts) {
    used += width(part);
    if (used > cells) break;
    taken.push(part);
  }
  return taken;
}

/** East Asian signs and emoji take two cells. */
const WIDE =
  /^(?:[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFFE6]|\p{Emoji_Presentation})/u;

/** Cells of a fixed-width font, closely enough to choose the size of a box. */
export function width(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let cells = 0;
  for (const { segment } of graphemes.segment(text)) cells += WIDE.test(segment) ? 2 : 1;
  return cells;
}
