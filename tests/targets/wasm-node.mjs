// The target `wasm-node` of the conformance runner: the npm package in Node. Reads one scenario a line from stdin, writes
// one line of answers to stdout; scenarios.mjs says what they look like.
import { createInterface } from 'node:readline';
import * as keyrail from '../../wasm/dist/full/inline.js';
import { player } from './scenarios.mjs';

const play = player(keyrail);
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim()) process.stdout.write(`${play(line)}\n`);
}
