#!/usr/bin/env node
/** `npm run demo [-- --rows N --threads 1,2,4 --json]`: the main job on real data, headless. */
import { buildFor, runInForeground } from './application.mjs';
import { inWorkspace, runTool } from './workspace.mjs';

await runTool(async (argv) => {
  buildFor('@heddle/demo#wasm');
  const cwd = inWorkspace('apps/demo');
  process.exitCode = await runInForeground('pnpm', ['--silent', 'run', 'demo', ...argv], { cwd });
});
