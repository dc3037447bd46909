import { useEffect } from 'preact/hooks';
import { Drawing } from './drawing/drawing.tsx';
import { Answer } from './panels/answer.tsx';
import { Bindings } from './panels/bindings.tsx';
import { Dialects } from './panels/dialects.tsx';
import { acceptDrops } from './panels/drop.ts';
import { Examples } from './panels/examples.tsx';
import { Findings } from './panels/findings.tsx';
import { Headers } from './panels/headers.tsx';
import { Legend } from './panels/legend.tsx';
import { focusKey, Message } from './panels/message.tsx';
import { Misses } from './panels/misses.tsx';
import { Topology } from './panels/topology.tsx';
import { Trace } from './panels/trace.tsx';

/** What stands where; each panel takes what it shows from the store. */
export function App() {
  useEffect(acceptDrops, []);
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      const typing = event.target instanceof Element && event.target.closest('input, select, textarea');
      if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      focusKey();
    };
    addEventListener('keydown', focus);
    return () => removeEventListener('keydown', focus);
  }, []);
  return (
    <>
      <Topology />
      <main>
        <section class="composer" aria-label="Message">
          <Message />
          <Headers />
          <Examples />
        </section>
        <Answer />
        <section class="stage" aria-label="Drawing">
          <Drawing />
          <Legend />
        </section>
        <Dialects />
        <div class="columns">
          <Misses />
          <Trace />
        </div>
        <div class="columns">
          <Findings />
          <Bindings />
        </div>
      </main>
      <footer>
        <p>Everything runs in this browser: what you type and open here is sent to nobody.</p>
      </footer>
    </>
  );
}
