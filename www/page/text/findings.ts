import type { Finding } from 'keyrail/full/web';

export const SEVERITIES: Record<Finding['severity'], string> = {
  error: 'Error',
  warning: 'Warning',
  info: 'Note',
};

/** What a finding points at, unless it is a binding. */
export function culpritText(culprit: Exclude<Finding['culprit'], { type: 'binding' }>): string {
  if (culprit.type === 'exchanges') return `exchanges ${culprit.names.join(', ')}`;
  return `${culprit.type} ${culprit.name}`;
}

/** A sentence in parts, turn by turn: words, and what stands in backticks. */
export function quoted(sentence: string): { readonly words: string; readonly code: string }[] {
  const parts = sentence.split('`');
  // An odd backtick is part of a name: better plain than cut apart wrongly.
  if (parts.length % 2 === 0) return [{ words: sentence, code: '' }];
  return Array.from({ length: (parts.length + 1) / 2 }, (_, at) => ({
    words: parts[at * 2] ?? '',
    code: parts[at * 2 + 1] ?? '',
  }));
}
