// node celery-node.mjs URL: celery-node as a side of the bench on Redis. Reads `tasks COUNT TEXT` line by line, sends so
// many tasks and answers with one line of JSON. Its calls do not wait for Redis, so that they pipeline by themselves;
// the clock stops when Redis has answered what was sent behind the last.
import { createInterface } from 'node:readline';
import { createClient } from 'celery-node';

const [url] = process.argv.slice(2);
const client = createClient(url, url, 'celery-node');
await client.isReady();
const task = client.createTask('shop.tasks.pay');

for await (const line of createInterface({ input: process.stdin })) {
  const [, count, text] = line.split(' ');
  const started = process.hrtime.bigint();
  for (let sent = 0; sent < Number(count); sent += 1) task.applyAsync([text]);
  await new Promise((done) => setImmediate(done));
  await client.broker.redis.ping();
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  console.log(JSON.stringify({ per_second: Number(count) / seconds }));
}
process.exit(0);
