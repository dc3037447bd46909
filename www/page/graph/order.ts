import { arrives, type Columns, type Item, leaves, type Segment } from './columns.ts';
import { distance } from './measures.ts';

/** More sweeps rarely find fewer crossings: the shop needs five. */
const SWEEPS = 14;

/** Counting crossings is quadratic; beyond this the last sweep is taken for the best. */
const COUNTABLE = 700;

/**
 * Sorts every column, and the lines of every exchange, by the mean height of what they are joined with, from left to
 * right and back, and keeps the order with the fewest crossings.
 */
export function order(all: Columns): void {
  const { columns, gaps } = all;
  for (const column of columns) stack(column);
  let best = snapshot(columns);
  let fewest = crossings(gaps);
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep++) {
    if (sweep % 2 === 0) {
      for (let at = columns.length - 2; at >= 0; at--) sortByRight(columns[at] ?? [], gaps[at] ?? []);
    } else {
      for (let at = 1; at < columns.length; at++) sortByLeft(columns[at] ?? [], gaps[at - 1] ?? []);
      for (const [at, gap] of gaps.entries()) sortRows(columns[at] ?? [], gap);
    }
    const count = crossings(gaps);
    if (count < fewest || gaps.some((gap) => gap.length > COUNTABLE)) {
      fewest = count;
      best = snapshot(columns);
    }
  }
  restore(columns, best);
}

function sortByRight(column: Item[], gap: readonly Segment[]): void {
  sortRows(column, gap);
  const wanted = new Means<Item>();
  for (const segment of gap) {
    wanted.add(segment.from, segment.to.y + arrives(segment.to) - leaves(segment) + segment.from.height / 2);
  }
  sort(column, wanted);
}

function sortByLeft(column: Item[], gap: readonly Segment[]): void {
  const wanted = new Means<Item>();
  for (const segment of gap) wanted.add(segment.to, segment.from.y + leaves(segment));
  sort(column, wanted);
}

function sort(column: Item[], wanted: Means<Item>): void {
  // What is joined with nothing on that side stays about where it is.
  const key = new Map(column.map((item) => [item, wanted.of(item) ?? item.y + item.height / 2]));
  column.sort((a, b) => (key.get(a) as number) - (key.get(b) as number));
  stack(column);
}

/** `otherwise` stays last: it is read after all others. */
function sortRows(column: readonly Item[], gap: readonly Segment[]): void {
  const wanted = new Means<unknown>();
  for (const { row, to } of gap) if (row) wanted.add(row, to.y + arrives(to));
  for (const item of column) {
    const key = new Map(
      item.rows.map((row, at) => [row, row.kind === 'otherwise' ? Number.MAX_VALUE : (wanted.of(row) ?? at)]),
    );
    item.rows.sort((a, b) => (key.get(a) as number) - (key.get(b) as number));
  }
}

/** One below the other, around the middle line: columns of different heights then face each other. */
function stack(column: readonly Item[]): void {
  let y = 0;
  for (const [at, item] of column.entries()) {
    const above = column[at - 1];
    if (above) y += distance(above, item);
    item.y = y;
    y += item.height;
  }
  for (const item of column) item.y -= y / 2;
}

function crossings(gaps: readonly (readonly Segment[])[]): number {
  let count = 0;
  for (const gap of gaps) {
    if (gap.length > COUNTABLE) continue;
    const ends = gap.map((segment) => [
      segment.from.y + leaves(segment),
      segment.to.y + arrives(segment.to),
    ]) as [number, number][];
    for (const [at, [left, right]] of ends.entries()) {
      for (const [otherLeft, otherRight] of ends.slice(at + 1)) {
        if ((left - otherLeft) * (right - otherRight) < 0) count++;
      }
    }
  }
  return count;
}

interface Snapshot {
  readonly items: readonly Item[];
  readonly rows: readonly Item['rows'][];
}

function snapshot(columns: readonly Item[][]): Snapshot[] {
  return columns.map((items) => ({ items: [...items], rows: items.map(({ rows }) => [...rows]) }));
}

function restore(columns: Item[][], best: readonly Snapshot[]): void {
  for (const [at, { items, rows }] of best.entries()) {
    columns[at] = [...items];
    for (const [index, item] of items.entries()) item.rows = [...(rows[index] ?? [])];
    stack(items);
  }
}

/** Means by key. */
class Means<Key> {
  readonly #sums = new Map<Key, { sum: number; count: number }>();

  add(key: Key, value: number): void {
    const { sum, count } = this.#sums.get(key) ?? { sum: 0, count: 0 };
    this.#sums.set(key, { sum: sum + value, count: count + 1 });
  }

  of(key: Key): number | undefined {
    const found = this.#sums.get(key);
    return found && found.sum / found.count;
  }
}
