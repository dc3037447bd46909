import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Router } from 'keyrail/full';
import { load } from './load.mjs';

const { graphOf } = await load('graph/graph.ts');
const { layersOf } = await load('graph/layers.ts');
const { layoutOf } = await load('graph/layout.ts');
const { light } = await load('graph/light.ts');

const definitions = readFileSync(join(import.meta.dirname, '../../examples/shop/definitions.json'), 'utf8');
const shop = Router.fromDefinitions(definitions);

function shopGraph(publishedTo = 'shop.orders') {
  return graphOf(shop.topology(), publishedTo);
}

/** Boxes of a column that touch or overlap. */
function overlaps(boxes) {
  return boxes.flatMap((a, at) =>
    boxes
      .slice(at + 1)
      .filter(
        (b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height,
      )
      .map((b) => [a.node.id, b.node.id]),
  );
}

test('the graph of the shop has every exchange, queue and binding once', () => {
  const { exchanges, queues, edges, edgeOf, alternateOf } = shopGraph();
  assert.deepEqual([exchanges.length, queues.length, edgeOf.size, alternateOf.size], [10, 18, 39, 4]);
  // `fraud.check` has one line from each of two exchanges; `notify.mail` has two lines from two rows of one.
  assert.equal(edges.length, 43);
});

test('layers follow exchange-to-exchange and alternate bindings', () => {
  const graph = shopGraph();
  const { depth, back, last } = layersOf(graph);
  const byName = Object.fromEntries([...depth].map(([{ name }, layer]) => [name, layer]));
  assert.equal(back.size, 0);
  assert.equal(last, 3);
  assert.deepEqual(
    [byName['shop.orders'], byName['shop.orders.eu'], byName['shop.notify'], byName['shop.audit']],
    [0, 1, 1, 2],
  );
  assert.equal(byName['shop.unrouted'], 2);
});

test('nothing overlaps, everything is inside, and lines lead to the right', () => {
  const { exchanges, queues, lines, width, height } = layoutOf(shopGraph());
  const boxes = [...exchanges, ...queues];
  assert.deepEqual(overlaps(boxes), []);
  for (const { x, y, width: w, height: h } of boxes) {
    assert.ok(x >= 0 && y >= 0 && x + w <= width && y + h <= height);
  }
  for (const { path } of lines) {
    assert.match(path, /^M [\d. CH-]+$/);
    const numbers = path.match(/-?[\d.]+/g).map(Number);
    assert.ok(numbers.at(-2) > numbers[0], path);
  }
  assert.ok(width < 1220, `${width} does not fit a window of 1280 without shrinking`);
});

test('ordering removes most crossings', () => {
  const ends = ({ lines }) => lines.map(({ path }) => path.match(/-?[\d.]+/g).map(Number));
  const crossings = (paths) => {
    let count = 0;
    for (const [at, a] of paths.entries()) {
      for (const b of paths.slice(at + 1)) {
        // Straight neighbours only: of lines through slots the first bend.
        if (a[0] === b[0] && a[6] === b[6] && (a[1] - b[1]) * (a[7] - b[7]) < 0) count++;
      }
    }
    return count;
  };
  assert.ok(crossings(ends(layoutOf(shopGraph()))) <= 70);
});

test('the same topology looks the same', () => {
  assert.deepEqual(
    layoutOf(shopGraph()).lines.map(({ path }) => path),
    layoutOf(shopGraph()).lines.map(({ path }) => path),
  );
});

test('`otherwise` is the last line of its exchange', () => {
  for (const { rows } of layoutOf(shopGraph()).exchanges) {
    const at = rows.findIndex(({ kind }) => kind === 'otherwise');
    assert.ok(at === -1 || at === rows.length - 1);
  }
});

test('cycles, self-bindings and loose ends are drawn', () => {
  const topology = {
    exchanges: ['a', 'b', 'c', 'lonely'].map((name) => ({
      name,
      kind: 'fanout',
      alternateExchange: 'nowhere',
    })),
    queues: [{ name: 'q' }, { name: 'unbound' }],
    bindings: [
      { source: 'a', destination: { exchange: 'b' } },
      { source: 'b', destination: { exchange: 'c' } },
      { source: 'c', destination: { exchange: 'a' } },
      { source: 'b', destination: { exchange: 'b' } },
      { source: 'c', destination: { queue: 'q' } },
    ],
  };
  const graph = graphOf(topology, '');
  assert.equal(layersOf(graph).back.size, 2);
  const { exchanges, queues, lines } = layoutOf(graph);
  assert.deepEqual(overlaps([...exchanges, ...queues]), []);
  assert.equal(lines.length, 9);
  assert.ok(exchanges.some(({ node }) => node.name === 'nowhere' && node.missing));
  assert.ok(lines.every(({ path }) => !path.includes('NaN')));
});

test('an empty topology has a drawing', () => {
  const { width, height, exchanges, queues } = layoutOf(graphOf({}, ''));
  assert.ok(width > 0 && height > 0);
  assert.deepEqual([exchanges.length, queues.length], [1, 0]);
});

test('a chain longer than the stack of calls and four hundred boxes are laid out in time', () => {
  const names = Array.from({ length: 300 }, (_, at) => `exchange.${at}`);
  const topology = {
    exchanges: names.map((name) => ({ name, kind: 'topic' })),
    queues: Array.from({ length: 100 }, (_, at) => ({ name: `queue.${at}` })),
    bindings: Array.from({ length: 1500 }, (_, at) => ({
      source: names[(at * 7) % 40],
      destination:
        at % 5 === 0 ? { exchange: names[40 + (at % 260)] } : { queue: `queue.${(at * 13) % 100}` },
      routingKey: `a.${at % 9}.#`,
    })),
  };
  const start = performance.now();
  const { exchanges, queues } = layoutOf(graphOf(topology, names[0]));
  assert.ok(performance.now() - start < 5000);
  assert.deepEqual(overlaps([...exchanges, ...queues]), []);
});

test('what lights up are the queues that the router names', () => {
  const messages = [
    { exchange: 'shop.orders', routingKey: 'order.eu.paid' },
    { exchange: 'shop.orders', routingKey: 'order.uk.cancelled' },
    { exchange: 'shop.orders', routingKey: 'order.apac.shipped' },
    { exchange: 'shop.payments', routingKey: 'card' },
    { exchange: 'shop.invoices', routingKey: '', headers: { priority: 9, booked: true } },
    { exchange: '', routingKey: 'eu.vat' },
  ];
  for (const message of messages) {
    const graph = shopGraph(message.exchange);
    const trace = shop.explain(message);
    const lit = light(graph, trace);
    const queues = [...lit.nodes].filter((id) => id.startsWith('q:')).map((id) => id.slice(2));
    assert.deepEqual(queues.sort(), [...shop.route(message).queues].sort());
    // Each lit queue has a lit line that leads to it, and each lit line starts at a lit row.
    const ends = graph.edges.filter(({ id }) => lit.edges.has(id));
    const reached = new Set([...ends.map(({ to }) => to.name), ...lit.byName]);
    for (const queue of queues) assert.ok(reached.has(queue), queue);
    for (const { row } of ends) assert.ok(lit.rows.has(row.id));
  }
});
