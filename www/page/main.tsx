import { init } from 'keyrail/full/web';
import { render } from 'preact';
import { App } from './app.tsx';
import { start } from './store/source.ts';

const root = document.querySelector<HTMLElement>('#app');
if (root) await show(root);

async function show(root: HTMLElement): Promise<void> {
  try {
    await init();
  } catch (error) {
    root.textContent = `The router could not be loaded: ${error instanceof Error ? error.message : String(error)}`;
    return;
  }
  await start();
  root.textContent = '';
  render(<App />, root);
}
