import { type DialectAnswer, dialectAnswers } from '../store/dialects.ts';
import { agreement } from '../text/dialects.ts';
import { shortened, visible } from '../text/names.ts';

/** What the message would do if the patterns were RabbitMQ's, or those of either Kombu. */
export function Dialects() {
  const answers = dialectAnswers.value;
  if (answers.length === 0) return null;
  const { everywhere, same } = agreement(answers.map(({ queues }) => queues));
  return (
    <section class="dialects" aria-labelledby="dialects-title" data-differ={same ? undefined : ''}>
      <h2 id="dialects-title">
        The three dialects <span class="badge">{same ? 'agree' : 'differ'}</span>
      </h2>
      <div class="sides">
        {answers.map((one) => (
          <Side key={one.dialect} one={one} everywhere={everywhere} />
        ))}
      </div>
    </section>
  );
}

function Side({ one, everywhere }: { one: DialectAnswer; everywhere: ReadonlySet<string> }) {
  const { dialect, name, queues, refused } = one;
  return (
    <div class="side" data-dialect={dialect}>
      <h3>{name}</h3>
      {queues.length === 0 && <p class="none">no queue</p>}
      <ul class="names">
        {queues.map((queue) => (
          <li key={queue} title={visible(queue)} data-apart={everywhere.has(queue) ? undefined : ''}>
            {shortened(queue, 32)}
            {!everywhere.has(queue) && <span class="unseen"> (not in every dialect)</span>}
          </li>
        ))}
      </ul>
      {refused > 0 && (
        <p class="none">
          {refused === 1 ? 'One binding key' : `${refused} binding keys`} cannot be executed here.
        </p>
      )}
    </div>
  );
}
