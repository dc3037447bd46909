import { undo } from '../store/changes.ts';
import { openExample, openFile } from '../store/source.ts';
import { changes, loaded, notice, open, problem, source } from '../store/store.ts';
import { shortened, visible } from '../text/names.ts';

/** The head of the page: whose topology this is, and how to open another. */
export function Topology() {
  return (
    <header class="top">
      <h1>
        <Mark />
        keyrail
      </h1>
      <p class="counts">
        <Origin />
        <Counts />
      </p>
      <Vhost />
      <Changes />
      <span class="opening">
        {source.value?.type !== 'example' && (
          <button type="button" class="quiet" onClick={openExample}>
            Back to the example
          </button>
        )}
        <label class="button">
          Open a topology …
          <input
            id="file"
            type="file"
            accept=".json,application/json"
            aria-describedby="file-help file-problem"
            onChange={({ currentTarget }) => {
              const file = currentTarget.files?.[0];
              if (file) void openFile(file);
              // The same file, mended, may be opened again.
              currentTarget.value = '';
            }}
          />
        </label>
        <span id="file-help" class="unseen">
          RabbitMQ's definitions.json or keyrail's own JSON. Files may also be dropped anywhere on the page.
        </span>
      </span>
      {notice.value && (
        <p class="notice" role="status">
          {visible(notice.value)}
        </p>
      )}
      <Refused />
    </header>
  );
}

function Origin() {
  const { type, name } = source.value ?? { type: 'example', name: '' };
  const origin = { example: 'Example', server: 'Served by', file: 'File' }[type];
  return (
    <span class="origin" data-source={type} title={visible(name)}>
      {origin} <b>{shortened(name, 40)}</b>
    </span>
  );
}

function Counts() {
  const { exchanges = [], queues = [], bindings = [] } = loaded.value?.topology ?? {};
  const parts = [
    counted(exchanges.length, 'exchange'),
    counted(queues.length, 'queue'),
    counted(bindings.length, 'binding'),
  ];
  return <span>{parts.join(', ')}</span>;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** What was changed here is in this page alone. */
function Changes() {
  const { length } = changes.value;
  if (length === 0) return null;
  return (
    <span class="changes">
      {counted(length, 'change')} in this page{' '}
      <button type="button" id="undo" onClick={undo}>
        Undo
      </button>
    </span>
  );
}

/** A broker exports all its virtual hosts into one file; a message never leaves one. */
function Vhost() {
  const { vhost, vhosts = [] } = loaded.value ?? {};
  const from = source.value;
  if (vhosts.length < 2 || !from || vhost === undefined) return null;
  return (
    <label class="vhost">
      Virtual host{' '}
      <select value={vhost} onChange={({ currentTarget }) => open(from, currentTarget.value)}>
        {vhosts.map((name) => (
          <option key={name} value={name}>
            {shortened(name, 30)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Why a file was refused, with the place in it. */
function Refused() {
  const refused = problem.value;
  if (!refused) return null;
  const { name, message, excerpt } = refused;
  return (
    <div id="file-problem" class="problem" role="alert">
      <p>
        <b>{shortened(name, 60)}</b> was not opened. {visible(message)}
      </p>
      {excerpt && (
        <pre>
          <span class="line">
            line {excerpt.line}, column {excerpt.column}:
          </span>{' '}
          {visible(excerpt.before)}
          <mark>{visible(excerpt.after.slice(0, 1)) || '(end)'}</mark>
          {visible(excerpt.after.slice(1))}
        </pre>
      )}
      <button
        type="button"
        class="remove"
        aria-label="Dismiss"
        onClick={() => {
          problem.value = undefined;
        }}
      >
        ×
      </button>
    </div>
  );
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M5 16h7c6 0 5-8 11-8h4M12 16c6 0 5 8 11 8h4" />
      <circle cx="7" cy="16" r="3.2" />
    </svg>
  );
}
