#!/usr/bin/env node
/** `npm run demo [-- --rows N --threads 1,2,4 --json]`: the main job on real data, headless. */
import { buildFor, runInForeground } from './application.mjs';
import { inWorkspace, runTool, workspaceRoot } from './workspace.mjs';

await runTool(async (argv) => {
  buildFor('@heddle/demo#wasm');
  // In the workspace's folder, so that `--directory D` means what it says there.
  const program = ['--conditions=@heddle/source', '--disable-warning=ExperimentalWarning', inWorkspace('apps/demo/src/main.ts')];
  process.exitCode = await runInForeground(process.execPath, [...program, ...argv], { cwd: workspaceRoot });
});
