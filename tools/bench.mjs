#!/usr/bin/env node
/** `npm run bench -- NAME [options]`: one benchmark with its rivals in the same run. */
import { buildFor, runInForeground } from './application.mjs';
import { inWorkspace, runTool, ToolError, workspaceRoot } from './workspace.mjs';

/** Each benchmark: what has to be built for it, and the program that runs it with the arguments that it gets first. */
const BENCHES = {
  demo: { builds: ['@heddle/demo#wasm'], program: 'apps/demo/src/main.ts', args: [] },
  atomics: { builds: ['@heddle/benches#build:rust'], program: 'benches/src/main.ts', args: ['atomics'] },
  channel: { builds: ['@heddle/benches#build:rust'], program: 'benches/src/main.ts', args: ['channel'] },
  // wasm_thread's module takes an std of its own, minutes of building that no other command is to wait for.
  thread: { builds: ['@heddle/benches#build:rust', '@heddle/benches#build:rivals'], program: 'benches/src/main.ts', args: ['thread'] },
};

const NODE_OPTIONS = ['--conditions=@heddle/source', '--disable-warning=ExperimentalWarning'];

await runTool(async ([name, ...argv]) => {
  const bench = Object.hasOwn(BENCHES, name ?? '') ? BENCHES[name] : undefined;
  if (!bench) throw new ToolError(`usage: npm run bench -- NAME [options], with NAME one of: ${Object.keys(BENCHES).join(', ')}`);
  if (!argv.includes('--help')) buildFor(...bench.builds);
  const args = [...NODE_OPTIONS, inWorkspace(bench.program), ...bench.args, ...argv];
  process.exitCode = await runInForeground(process.execPath, args, { cwd: workspaceRoot });
});
