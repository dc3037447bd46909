import { useComputed } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { DEFAULT_EXCHANGE, PREDECLARED } from '../graph/graph.ts';
import { exchange, loaded, routingKey } from '../store/store.ts';
import { shortened, visible } from '../text/names.ts';

const KEY = 'routing-key';

export function focusKey(): void {
  const box = document.querySelector<HTMLInputElement>(`#${KEY}`);
  box?.focus();
  box?.select();
}

/** Says to whom and with which key, as a sentence. */
export function Message() {
  useEffect(focusKey, []);
  return (
    <div class="sentence">
      <label class="field" for="exchange">
        <span>Publish to exchange</span>
        <Exchange />
      </label>
      <label class="field grows">
        <span>
          with routing key <kbd>/</kbd>
        </span>
        <input
          id={KEY}
          class="key"
          value={routingKey}
          onInput={({ currentTarget }) => {
            routingKey.value = currentTarget.value;
          }}
          placeholder="the empty key"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
        />
      </label>
    </div>
  );
}

function Exchange() {
  const names = useComputed(() => (loaded.value?.topology.exchanges ?? []).map(({ name }) => name).sort());
  const predeclared = [...PREDECLARED.keys()].filter((name) => !names.value.includes(name));
  return (
    <select
      id="exchange"
      value={exchange.value}
      onChange={({ currentTarget }) => {
        exchange.value = currentTarget.value;
      }}
    >
      <optgroup label="In this topology">
        {names.value.map((name) => (
          <Choice key={name} name={name} />
        ))}
      </optgroup>
      <optgroup label="In every virtual host">
        <option value="">{DEFAULT_EXCHANGE}</option>
        {predeclared.map((name) => (
          <Choice key={name} name={name} />
        ))}
      </optgroup>
    </select>
  );
}

function Choice({ name }: { name: string }) {
  return (
    <option value={name} title={visible(name)}>
      {shortened(name, 40)}
    </option>
  );
}
