#!/usr/bin/env node
/**
 * What `npm test`, `npm start`, … do, on any Node from 20 on: set up what is missing, then hand over to the workspace's own
 * pnpm and Node 24. Arguments after `--` reach the command.
 */
import { spawnSync } from 'node:child_process';
import { setUp } from './setup.mjs';
import { pinnedPnpm } from './setup/node-packages.mjs';
import { runTool, ToolError, workspaceRoot } from './workspace.mjs';

const COMMANDS = {
  start: { browsers: false },
  test: { browsers: true },
  'test:long': { browsers: true },
  demo: { browsers: false },
  bench: { browsers: true },
};

await runTool(async ([command, ...args]) => {
  const needs = COMMANDS[command];
  if (!needs) throw new ToolError(`there is no command ${command}: use one of ${Object.keys(COMMANDS).join(', ')}.`);
  setUp(needs);
  const { status, signal } = spawnSync('npx', ['-y', pinnedPnpm(), '--silent', 'run', `ws:${command}`, ...args], {
    cwd: workspaceRoot,
    stdio: 'inherit',
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', npm_config_update_notifier: 'false' },
  });
  process.exitCode = status ?? (signal === 'SIGINT' ? 130 : 1);
});
