/** Which queues every answer has, and whether there are no others. */
export function agreement(answers: readonly (readonly string[])[]): {
  readonly everywhere: ReadonlySet<string>;
  readonly same: boolean;
} {
  const [first = [], ...others] = answers.map((queues) => new Set(queues));
  const everywhere = new Set([...first].filter((queue) => others.every((other) => other.has(queue))));
  return { everywhere, same: answers.every((queues) => queues.length === everywhere.size) };
}
