import shop from '../../../examples/shop/definitions.json?raw';
import { LARGEST_FILE } from './document.ts';
import { EXAMPLES } from './examples.ts';
import { compose, loaded, notice, open, problem, type Source } from './store.ts';

const EXAMPLE: Source = { type: 'example', name: 'a shop in three regions', text: shop };

/** Fills the page: from the server that sent it if that is `keyrail serve`, else with the example. */
export async function start(): Promise<void> {
  await fill();
  const [first] = EXAMPLES;
  const there = loaded.value?.topology.exchanges?.some(({ name }) => name === first?.exchange);
  if (first && there) compose(first.exchange, first.key);
}

async function fill(): Promise<void> {
  const mark = document.querySelector<HTMLMetaElement>('meta[name="keyrail-topology"]');
  if (mark?.content === 'server') {
    try {
      open({ type: 'server', name: location.host, text: await fromServer() });
      if (!problem.value) return;
      notice.value = `The server's topology cannot be shown: ${problem.value.message}. This is the example instead.`;
      problem.value = undefined;
    } catch (error) {
      notice.value = `The server did not send its topology (${String(error)}). This is the example instead.`;
    }
  }
  open(EXAMPLE);
}

export function openExample(): void {
  open(EXAMPLE);
}

async function fromServer(): Promise<string> {
  const response = await fetch('./v1/topology', { headers: { accept: 'application/json' } });
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  return response.text();
}

export async function openFile(file: File): Promise<void> {
  if (file.size > LARGEST_FILE) {
    problem.value = {
      name: file.name,
      message: `The file has ${Math.round(file.size / 2 ** 20)} MiB, more than 64.`,
    };
    return;
  }
  try {
    // Fatal: half-read names would be wrong names.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer());
    open({ type: 'file', name: file.name, text });
  } catch (error) {
    const reason = error instanceof TypeError ? 'it is not UTF-8 text' : String(error);
    problem.value = { name: file.name, message: `The file cannot be read: ${reason}.` };
  }
}
