import { useSignal, useSignalEffect } from '@preact/signals';
import type { Trace } from 'keyrail/full/web';
import { answer } from '../store/store.ts';
import { shortened, visible } from '../text/names.ts';
import { spoken, verdictOf } from '../text/verdict.ts';

/** Typing is heard too: announcements wait until it pauses. */
const PAUSE = 500;

export function Answer() {
  const said = answer.value;
  return (
    <section
      class="answer"
      aria-label="Result"
      data-outcome={'trace' in said ? said.trace.outcome : 'refused'}
    >
      {'trace' in said ? <Routed trace={said.trace} /> : <Refused error={said.error} />}
      <Announcement />
    </section>
  );
}

function Routed({ trace }: { trace: Trace }) {
  const { headline, reason } = verdictOf(trace);
  return (
    <>
      <h2>{headline}</h2>
      <ul class="names">
        {trace.queues.map((queue) => (
          <li key={queue} title={visible(queue)}>
            {shortened(queue, 40)}
          </li>
        ))}
      </ul>
      {reason && <p>{reason}</p>}
    </>
  );
}

function Refused({ error }: { error: string }) {
  return (
    <>
      <h2>A broker would refuse this message</h2>
      <p>{visible(error)}</p>
    </>
  );
}

function Announcement() {
  const text = useSignal('');
  useSignalEffect(() => {
    const said = answer.value;
    const next = 'trace' in said ? spoken(said.trace) : said.error;
    const timer = setTimeout(() => {
      text.value = next;
    }, PAUSE);
    return () => clearTimeout(timer);
  });
  return (
    <p class="unseen" role="status" aria-live="polite">
      {text}
    </p>
  );
}
