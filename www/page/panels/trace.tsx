import { answer } from '../store/store.ts';
import { visible } from '../text/names.ts';

/** The router's own words. */
export function Trace() {
  const said = answer.value;
  return (
    <section class="trace" aria-labelledby="trace-title">
      <h2 id="trace-title">Why</h2>
      <pre id="trace">{'trace' in said ? lines(said.trace.text) : visible(said.error)}</pre>
    </section>
  );
}

/** Line breaks are the text's own: the router writes those in names as escapes. */
function lines(text: string): string {
  return text.trimEnd().split('\n').map(visible).join('\n');
}
