// What both measuring programs share: their options, the CPU time, and runs of batches.

/** `--runs N --run-seconds S --max-seconds S`, in any order. */
export function effortOf(options) {
  const effort = { runs: 5, 'run-seconds': 0.2, 'max-seconds': 20 };
  for (let at = 0; at < options.length; at += 2) effort[options[at].slice(2)] = Number(options[at + 1]);
  return effort;
}

/** Seconds of the process, garbage collection and compilation in other threads included. */
export const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/**
 * Nanoseconds a route of each run, sorted, after a warm-up; `route` routes as many keys as it is told, which is
 * `smallest` or that times a power of two.
 */
export function times(effort, route, smallest = 1) {
  let batch = smallest;
  const run = (seconds) => {
    const start = cpu();
    let [routes, last] = [0, start];
    for (;;) {
      route(batch);
      routes += batch;
      const now = cpu();
      if (now - last < 0.002) batch = Math.min(batch * 2, 1 << 16);
      last = now;
      if (now - start >= seconds) return ((now - start) * 1e9) / routes;
    }
  };
  const start = cpu();
  // A compiler that works while it runs needs longer to be warm than an engine compiled ahead.
  run(Math.min(2 * effort['run-seconds'], effort['max-seconds'] / 8));
  const found = [run(effort['run-seconds'])];
  while (found.length < effort.runs && cpu() - start < effort['max-seconds'])
    found.push(run(effort['run-seconds']));
  return found.sort((a, b) => a - b);
}

export const round = (number, digits) => Number(number.toFixed(digits));
