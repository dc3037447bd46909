import type { Finding } from 'keyrail/full/web';
import { useEffect } from 'preact/hooks';
import { Condition, Ends } from '../parts/binding.tsx';
import { apply, findings, keepLooking, look, tryKey, waits } from '../store/findings.ts';
import { culpritText, quoted, SEVERITIES } from '../text/findings.ts';
import { shortened, visible } from '../text/names.ts';
import { json } from '../text/values.ts';

/** A topology with more mistakes than this has one mistake, made often. */
const MOST = 100;

/** What is wrong with the topology, or will be; whatever the message. */
export function Findings() {
  useEffect(keepLooking, []);
  const found = findings.value;
  const serious = found?.filter(({ severity }) => severity !== 'info') ?? [];
  const notes = found?.filter(({ severity }) => severity === 'info') ?? [];
  return (
    <section class="findings" aria-labelledby="findings-title">
      <h2 id="findings-title">
        Findings {found && <span class="badge">{found.length === 0 ? 'none' : found.length}</span>}
      </h2>
      {found?.length === 0 && (
        <p class="none">Every binding does something, and all that is named is there.</p>
      )}
      {!found && waits.value && (
        <button type="button" id="lint" onClick={look}>
          Look for mistakes
        </button>
      )}
      <Items findings={serious} />
      {notes.length > 0 && (
        <details>
          <summary>{notes.length === 1 ? 'One note' : `${notes.length} notes`}</summary>
          <Items findings={notes} />
        </details>
      )}
    </section>
  );
}

function Items({ findings }: { findings: readonly Finding[] }) {
  return (
    <>
      <ul class="rules">
        {findings.slice(0, MOST).map((finding) => (
          <Item key={json(finding)} finding={finding} />
        ))}
      </ul>
      {findings.length > MOST && (
        <p class="none">
          The first {MOST} of {findings.length}.
        </p>
      )}
    </>
  );
}

function Item({ finding }: { finding: Finding }) {
  const { code, severity, culprit, sentence, keys = [], fix } = finding;
  return (
    <li class="rule" data-finding={code} data-severity={severity}>
      <p class="code">
        <b>{SEVERITIES[severity]}</b> <code>{code}</code>
      </p>
      {culprit.type === 'binding' ? (
        <Ends binding={culprit.binding}>
          <Condition binding={culprit.binding} />
        </Ends>
      ) : (
        <p class="ends">{shortened(culpritText(culprit), 80)}</p>
      )}
      <p class="sentence-of">{quoted(sentence).map(Part)}</p>
      <p class="ways">
        {keys
          .map(({ key }) => key)
          .filter((key) => typeof key === 'string')
          .map((key) => (
            <button key={key} type="button" class="fix" onClick={() => tryKey(finding, key)}>
              Try <code>{key === '' ? 'the empty key' : shortened(key, 40)}</code>
            </button>
          ))}
        {fix && (
          <button type="button" class="fix" onClick={() => apply(fix)}>
            {fix.type === 'removeBinding' ? (
              'Remove the binding'
            ) : (
              <>
                Bind <Condition binding={fix.binding} /> instead
              </>
            )}
          </button>
        )}
      </p>
    </li>
  );
}

function Part({ words, code }: { words: string; code: string }, at: number) {
  return (
    <span key={at}>
      {visible(words)}
      {code && <code>{visible(code)}</code>}
    </span>
  );
}
