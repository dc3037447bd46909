import type { Binding, Bytes, HeaderVerdict, How, Mismatch, NearMiss, WordMatch } from 'keyrail/full/web';
import { bytesText } from './values.ts';

/** One part of a binding's condition: a word of its key, or a header that it compares. */
export interface Cell {
  readonly state: 'literal' | 'wildcard' | 'agrees' | 'failed' | 'untried' | 'whole';
  /** As in the binding. */
  readonly text: string;
  /** What of the message stands against it: the words that a wildcard took, the word that did not fit. */
  readonly below?: string;
  /** The same for those who hear it. */
  readonly spoken: string;
}

/** How a binding matched. `whole` is what its condition is called where it has no parts. */
export function matchCells(how: How, whole: string): Cell[] {
  switch (how.type) {
    case 'words':
      return how.words.length === 0 ? [emptyKey()] : how.words.map(wordCell);
    case 'headers':
      return how.headers.length === 0 ? [plain('whole', whole)] : how.headers.map(headerCell);
    case 'key':
      return whole === '' ? [emptyKey()] : [plain('literal', whole)];
    case 'expression':
      return [plain('whole', bytesText(how.pattern))];
    default:
      return [plain('whole', whole)];
  }
}

/** Where a binding failed: the words that fitted, the first that did not, and those behind it. */
export function missCells({ binding, mismatch }: Pick<NearMiss, 'binding' | 'mismatch'>): Cell[] {
  switch (mismatch.type) {
    case 'word':
      return [...mismatch.words.map(wordCell), failedWord(mismatch), ...untried(binding, mismatch)];
    case 'key':
      return [failed(bytesText(mismatch.expected) || EMPTY, bytesText(mismatch.found) || EMPTY)];
    case 'headers':
      return mismatch.headers.map(headerCell);
    case 'expression':
      return [failed(bytesText(mismatch.pattern), 'does not match')];
    case 'channel':
      return [failed('listens', 'elsewhere')];
    case 'draw':
      return [
        {
          state: 'failed',
          text: `one of ${mismatch.among}`,
          below: 'another was drawn',
          spoken: `another of ${mismatch.among} bindings was drawn`,
        },
      ];
    case 'bucket':
      return [notItsBucket(mismatch)];
  }
}

/** How far a near miss is off, in words. */
export function distanceText({ distance, mismatch }: Pick<NearMiss, 'distance' | 'mismatch'>): string {
  if (mismatch.type === 'key') return 'another key';
  if (mismatch.type === 'draw') return 'not drawn';
  if (mismatch.type === 'bucket') return 'another bucket';
  const noun = { word: 'word', headers: 'header', expression: 'word', channel: 'word' }[mismatch.type];
  return `${distance} ${noun}${distance === 1 ? '' : 's'} off`;
}

const EMPTY = '(empty)';

function emptyKey(): Cell {
  return { state: 'literal', text: EMPTY, spoken: 'the empty key' };
}

function plain(state: Cell['state'], text: string): Cell {
  return { state, text, spoken: text };
}

function wordCell({ token, kind, took }: WordMatch): Cell {
  const text = bytesText(token) || EMPTY;
  if (kind === 'literal') return plain('literal', text);
  const words = took.map(bytesText).join('.');
  const below = took.length === 0 ? 'nothing' : words || EMPTY;
  return { state: 'wildcard', text, below, spoken: `${text} took ${below}` };
}

function failedWord({ expected, found }: Extract<Mismatch, { type: 'word' }>): Cell {
  const wanted = expected === undefined ? 'end' : bytesText(expected) || EMPTY;
  return failed(wanted, found === undefined ? 'no word' : bytesText(found) || EMPTY);
}

function failed(text: string, below: string): Cell {
  return { state: 'failed', text, below, spoken: `needs ${text}, found ${below}` };
}

/** People count buckets from 1. */
function notItsBucket({ found, among, own }: Extract<Mismatch, { type: 'bucket' }>): Cell {
  const text = own === undefined ? 'no bucket' : bucketsText(own.first + 1, own.count);
  if (found === undefined) return { state: 'failed', text, spoken: 'no binding owns a bucket' };
  const below = `bucket ${found + 1} of ${among}`;
  return { state: 'failed', text, below, spoken: `owns ${text}, the hash fell into ${below}` };
}

function bucketsText(first: number, count: number): string {
  return count === 1 ? `bucket ${first}` : `buckets ${first} to ${first + count - 1}`;
}

/** The words of the binding key behind the one that failed. */
function untried(binding: Binding, mismatch: Extract<Mismatch, { type: 'word' }>): Cell[] {
  if (mismatch.expected === undefined) return [];
  const words = bytesText(binding.routingKey).split('.');
  const before = [...mismatch.words.map(({ token }) => token), mismatch.expected].map(bytesText);
  // A stored text of Kombu may say other words than the key beside it.
  if (!before.every((word, at) => words[at] === word)) return [];
  return words
    .slice(before.length)
    .map((word) => ({ state: 'untried', text: word || EMPTY, spoken: word || EMPTY }));
}

const VERDICTS: Record<HeaderVerdict['verdict'], (header: HeaderVerdict) => string> = {
  equal: () => 'equal',
  present: () => 'is there',
  missing: () => 'missing',
  differentValue: ({ found }) => found ?? '',
  // Both read alike: only the type tells them apart.
  differentType: ({ found }) => `${found ?? ''}, another type`,
};

function headerCell(header: HeaderVerdict): Cell {
  const { name, verdict, wanted } = header;
  const text = [name, wanted].flatMap((part: Bytes | undefined) =>
    part === undefined ? [] : bytesText(part),
  );
  const agrees = verdict === 'equal' || verdict === 'present';
  const below = VERDICTS[verdict](header);
  const condition = text.join('=');
  return {
    state: agrees ? 'agrees' : 'failed',
    text: condition,
    below,
    spoken: agrees ? `${condition}: ${below}` : `needs ${condition}, found ${below}`,
  };
}
