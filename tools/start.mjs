#!/usr/bin/env node
/** `npm start [-- --port N --host H]`: builds the playground, serves it cross-origin isolated and prints its URL. */
import { buildFor, runInForeground } from './application.mjs';
import { inWorkspace, runTool } from './workspace.mjs';

await runTool(async (argv) => {
  buildFor('@heddle/playground#build');
  const cwd = inWorkspace('apps/playground');
  process.exitCode = await runInForeground(inWorkspace('node_modules/.bin/vite'), ['preview', ...argv], { cwd });
});
