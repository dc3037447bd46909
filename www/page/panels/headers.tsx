import { type HeaderField, typeOf } from '../store/headers.ts';
import { addHeader, changeHeader, headers, removeHeader } from '../store/store.ts';

/** Headers of the message. A value is read as JSON where it is JSON, and its type is said beside it. */
export function Headers() {
  return (
    <fieldset class="headers">
      <legend>Headers</legend>
      {headers.value.map((field) => (
        <Header key={field.id} field={field} />
      ))}
      <button type="button" class="quiet" id="add-header" onClick={() => addHeader()}>
        Add a header
      </button>
    </fieldset>
  );
}

function Header({ field }: { field: HeaderField }) {
  const { id, name, typed } = field;
  return (
    <span class="header">
      <input
        class="name"
        aria-label="Header name"
        placeholder="name"
        value={name}
        onInput={({ currentTarget }) => changeHeader(id, { name: currentTarget.value })}
        autocomplete="off"
        spellcheck={false}
      />
      <span aria-hidden="true">=</span>
      <input
        class="value"
        aria-label={`Value of header ${name}, read as ${typeOf(field)}`}
        placeholder="value"
        value={typed}
        onInput={({ currentTarget }) => changeHeader(id, { typed: currentTarget.value })}
        autocomplete="off"
        spellcheck={false}
      />
      <small
        class="type"
        data-type={typeOf(field)}
        title={'JSON is read as JSON: 9 is a number, "9" is text.'}
      >
        {typeOf(field)}
      </small>
      <button
        type="button"
        class="remove"
        aria-label={`Remove header ${name}`}
        onClick={() => removeHeader(id)}
      >
        ×
      </button>
    </span>
  );
}
