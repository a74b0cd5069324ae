#!/usr/bin/env node
/** `npm run bench -- NAME [--json]`: one benchmark with its rivals in the same run. */
import { buildFor, runInForeground } from './application.mjs';
import { inWorkspace, runTool, ToolError } from './workspace.mjs';

/** Where each benchmark lives: a package and its script. */
const BENCHES = {
  demo: { package: '@heddle/demo', folder: 'apps/demo', script: 'demo' },
};

await runTool(async ([name, ...argv]) => {
  const bench = Object.hasOwn(BENCHES, name ?? '') ? BENCHES[name] : undefined;
  if (!bench) throw new ToolError(`usage: npm run bench -- NAME, with NAME one of: ${Object.keys(BENCHES).join(', ')}`);
  buildFor(`${bench.package}#wasm`);
  process.exitCode = await runInForeground('pnpm', ['--silent', 'run', bench.script, ...argv], { cwd: inWorkspace(bench.folder) });
});
