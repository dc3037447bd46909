// A worker at the edge: sends a task to Celery over HTTP and answers with the result.
import { Router } from 'keyrail';
import { Celery } from 'keyrail/celery';
import { Publisher, upstash } from 'keyrail/redis';

export default {
  async fetch(request, env) {
    const client = upstash({ url: env.URL, token: env.TOKEN });
    const { verb, ...call } = await request.json();
    try {
      return Response.json({ value: await verbs[verb](client, call) });
    } catch (error) {
      const { name, code, message, exceptionType } = error;
      return Response.json({ error: { name, code, message, exceptionType } });
    }
  },
};

const verbs = {
  async task(client, { name, args, kwargs, options, timeout }) {
    const celery = new Celery(client, { exchanges: { 'shop.topic': 'topic' } });
    const result = await celery.sendTask(name, args, kwargs, options);
    return result.get({ timeout, interval: 50 });
  },
  publish(client, { exchanges, ...message }) {
    return new Publisher(client, { exchanges }).publish(message);
  },
  route() {
    const router = new Router();
    router.declareQueue('q');
    return router.route({ exchange: '', routingKey: 'q' }).queues;
  },
};
