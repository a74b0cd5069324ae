#!/usr/bin/env node
/** The layering of packages, by their tags and the rules in turbo.json. A program of its own: turbo refuses tasks whose script names turbo. */
import { inWorkspace, isMain, run, runTool, workspaceRoot } from './workspace.mjs';

/** @param {string} root of a workspace @throws {import('./workspace.mjs').ToolError} if an import or a dependency points upward */
export function checkBoundaries(root) {
  run(inWorkspace('node_modules/.bin/turbo'), ['boundaries'], { cwd: root, env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' } });
}

if (isMain(import.meta.url)) await runTool(async () => checkBoundaries(workspaceRoot));
