import { arrives, type Columns, type Item, leaves } from './columns.ts';
import { distance } from './measures.ts';

const ROUNDS = 12;

/** Moves items up and down, without changing their order, until lines are as level as the others allow. */
export function place({ columns, gaps }: Columns): void {
  for (let round = 0; round < ROUNDS; round++) {
    for (const [at, column] of columns.entries()) {
      const wanted = new Map<Item, { sum: number; weight: number }>();
      const want = (item: Item, y: number, weight: number): void => {
        const there = wanted.get(item) ?? { sum: 0, weight: 0 };
        wanted.set(item, { sum: there.sum + y * weight, weight: there.weight + weight });
      };
      for (const segment of gaps[at - 1] ?? []) {
        // A way past a column should be straight: a bend costs more there than at a box.
        const weight = segment.from.node || segment.to.node ? 1 : 4;
        want(segment.to, segment.from.y + leaves(segment) - arrives(segment.to), weight);
      }
      for (const segment of gaps[at] ?? []) {
        const weight = segment.from.node || segment.to.node ? 1 : 4;
        want(segment.from, segment.to.y + arrives(segment.to) - leaves(segment), weight);
      }
      settle(column, wanted);
    }
  }
  const top = Math.min(0, ...columns.flat().map(({ y }) => y));
  for (const item of columns.flat()) item.y -= top;
}

/**
 * The heights nearest to the wanted ones, in least squares, that keep order and distances. Blocks of touching items
 * move as one (the pool-adjacent-violators algorithm), so this is linear.
 */
function settle(column: readonly Item[], wanted: ReadonlyMap<Item, { sum: number; weight: number }>): void {
  const blocks: { items: Item[]; offsets: number[]; sum: number; weight: number; height: number }[] = [];
  for (const item of column) {
    const { sum, weight } = wanted.get(item) ?? { sum: item.y * 0.1, weight: 0.1 };
    let block = { items: [item], offsets: [0], sum, weight, height: item.height };
    for (let above = blocks.at(-1); above; above = blocks.at(-1)) {
      const gap = distance(above.items.at(-1) as Item, block.items[0] as Item);
      if (above.sum / above.weight + above.height + gap <= block.sum / block.weight) break;
      blocks.pop();
      const shift = above.height + gap;
      block = {
        items: [...above.items, ...block.items],
        offsets: [...above.offsets, ...block.offsets.map((offset) => offset + shift)],
        // An item below the first wants the first to be that much higher.
        sum: above.sum + block.sum - shift * block.weight,
        weight: above.weight + block.weight,
        height: shift + block.height,
      };
    }
    blocks.push(block);
  }
  for (const { items, offsets, sum, weight } of blocks) {
    for (const [at, item] of items.entries()) item.y = sum / weight + (offsets[at] as number);
  }
}
