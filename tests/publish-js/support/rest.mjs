// A stand-in for an HTTP Redis: Upstash's REST form in front of a real Redis. It is not Upstash.
//
//   POST /            ["LPUSH", "q", "x"]          {"result": 1} or, with status 400, {"error": "ERR …"}
//   POST /pipeline    [["LPUSH", …], …]            [{"result": 1}, {"error": "…"}]
//   POST /multi-exec  [["LPUSH", …], …]            the same; a transaction that Redis refuses: {"error": "EXECABORT …"}
//
// `Authorization: Bearer TOKEN`, or status 401. With `Upstash-Encoding: base64` strings come as base64, but for `OK`.
import { createServer } from 'node:http';
import { Redis } from 'ioredis';

export const TOKEN = 'a-token-of-the-tests';

export async function startRest(redis) {
  const client = new Redis(redis.url);
  const requests = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (data) => {
      text += data;
    });
    request.on('end', async () => {
      const { status, body } = await answer(client, request, text, requests);
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    });
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    token: TOKEN,
    /** `[path, body]` of every request that was let in. */
    requests,
    async stop() {
      client.disconnect();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(client, request, text, requests) {
  if (request.headers.authorization !== `Bearer ${TOKEN}`) {
    return { status: 401, body: { error: 'WRONGPASS invalid or missing auth token' } };
  }
  if (request.method !== 'POST') return { status: 405, body: { error: 'ERR method not allowed' } };
  const encode = request.headers['upstash-encoding'] === 'base64' ? base64 : plain;
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    return { status: 400, body: { error: 'ERR failed to parse the request' } };
  }
  requests.push([request.url, body]);
  if (request.url === '/') return one(client, body, encode);
  if (request.url === '/pipeline') return many(client.pipeline(), body, encode);
  if (request.url === '/multi-exec') return many(client.multi(), body, encode);
  return { status: 404, body: { error: `ERR there is no ${request.url}` } };
}

async function one(client, [name, ...args], encode) {
  try {
    return { status: 200, body: { result: encode(await client.callBuffer(name, ...args)) } };
  } catch (error) {
    return { status: 400, body: { error: error.message } };
  }
}

async function many(pipeline, commands, encode) {
  for (const [name, ...args] of commands) pipeline.callBuffer(name, ...args);
  try {
    const replies = await pipeline.exec();
    return {
      status: 200,
      body: replies.map(([error, reply]) => (error ? { error: error.message } : { result: encode(reply) })),
    };
  } catch (error) {
    return { status: 400, body: { error: error.message } };
  }
}

function base64(reply) {
  if (Array.isArray(reply)) return reply.map(base64);
  if (!Buffer.isBuffer(reply)) return reply;
  return reply.toString() === 'OK' ? 'OK' : reply.toString('base64');
}

function plain(reply) {
  if (Array.isArray(reply)) return reply.map(plain);
  return Buffer.isBuffer(reply) ? reply.toString() : reply;
}
