import type { Finding } from 'keyrail/web';

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
