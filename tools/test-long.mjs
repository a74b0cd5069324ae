#!/usr/bin/env node
/**
 * `npm run test:long [-- --minutes N --seed S]`: the long forms of the tests, the script test:long of every package that has one.
 * They read HEDDLE_LONG_MINUTES and HEDDLE_SEED; a failure prints its seed, and that seed replays it.
 */
import { parseArgs } from 'node:util';
import { runSuites } from './test.mjs';
import { runTool, say, ToolError } from './workspace.mjs';

await runTool(async (argv) => {
  const { values } = parseArgs({ args: argv, options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' } } });
  const minutes = Number(values.minutes);
  const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 32));
  if (!(minutes > 0)) throw new ToolError(`--minutes must be a positive number, not ${values.minutes}.`);
  if (!/^\d+$/.test(seed)) throw new ToolError(`--seed must be a whole number, not ${seed}.`);
  say(`long tests: ${minutes} minutes for each suite, seed ${seed}`);
  process.env.HEDDLE_LONG_MINUTES = String(minutes);
  process.env.HEDDLE_SEED = seed;
  await runSuites(['test:long'], 1, ['--force']);
});
