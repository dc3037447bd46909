import { KeyrailError } from 'keyrail';
import type { TaskOptions } from './types.js';

interface Times {
  readonly eta?: string | undefined;
  readonly expires?: string | undefined;
  readonly expiresMs?: number | undefined;
}

/** The times of a call as Celery writes them. `now` is Unix time in milliseconds. */
export function times({ countdown, eta, expires }: TaskOptions, now: number): Times {
  if (countdown !== undefined && eta !== undefined) throw invalid('options have both `countdown` and `eta`');
  const due = countdown === undefined ? eta : now + seconds(countdown, 'countdown');
  const until = typeof expires === 'number' ? now + seconds(expires, 'expires') : expires;
  return {
    eta: due === undefined ? undefined : iso(due, 'eta'),
    expires: until === undefined ? undefined : iso(until, 'expires'),
    // Celery writes 0 for what is over already.
    expiresMs: until === undefined ? undefined : Math.max(0, Math.round(unix(until, 'expires') - now)),
  };
}

function seconds(value: number, name: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw invalid(`options.${name} is ${String(value)}, expected seconds`);
  }
  return value * 1000;
}

/** As Python's `isoformat` in UTC: microseconds, unless there are none. Text stays as it is. */
function iso(time: number | Date | string, name: string): string {
  const milliseconds = unix(time, name);
  if (typeof time === 'string') return time;
  const text = new Date(milliseconds).toISOString();
  const fraction = text.slice(20, 23);
  return `${text.slice(0, 19)}${fraction === '000' ? '' : `.${fraction}000`}+00:00`;
}

/** An offset is asked for, because Python and JavaScript differ about what a time without one means. */
const ISO_8601 = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/;

function unix(time: number | Date | string, name: string): number {
  let milliseconds = Number.NaN;
  if (typeof time === 'number') milliseconds = time;
  else if (time instanceof Date) milliseconds = time.getTime();
  else if (typeof time === 'string' && ISO_8601.test(time)) milliseconds = Date.parse(time.replace(' ', 'T'));
  // Python's years have four digits.
  if (!(milliseconds >= -62_135_596_800_000 && milliseconds < 253_402_300_800_000)) {
    throw invalid(`options.${name} is \`${String(time)}\`, expected a date or ISO 8601 with an offset`);
  }
  return milliseconds;
}

function invalid(message: string): KeyrailError {
  return new KeyrailError('invalid-argument', message);
}
