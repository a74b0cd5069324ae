/** Everything from npm: Node 24 for the scripts and the tools, by the pnpm that package.json pins. */
import { existsSync, readFileSync } from 'node:fs';
import { inWorkspace, run, say, ToolError } from '../workspace.mjs';

const NODE_MAJOR_MIN = 24;

/** The exact pnpm of package.json, as npx takes it. */
export function pinnedPnpm() {
  return JSON.parse(readFileSync(inWorkspace('package.json'), 'utf8')).packageManager;
}

/** @throws {ToolError} if npm's packages can't be had, or there is no Node 24 for this system */
export function installNodePackages() {
  // Later changes of the lock file are noticed by pnpm itself, before each script.
  if (existsSync(inWorkspace('node_modules/.modules.yaml'))) say('set-up: npm packages are there');
  else {
    say(`set-up: ${pinnedPnpm()} install`);
    try {
      run('npx', ['-y', pinnedPnpm(), 'install', '--frozen-lockfile'], { quiet: true });
    } catch {
      throw new ToolError(`the npm packages can't be installed: run "npx -y ${pinnedPnpm()} install" and see why.`);
    }
  }
  const major = Number(process.versions.node.split('.')[0]);
  if (!existsSync(inWorkspace('node_modules/.bin/node')) && major < NODE_MAJOR_MIN) {
    throw new ToolError(`Node ${NODE_MAJOR_MIN} has no npm package for this system: install Node ${NODE_MAJOR_MIN} or newer yourself.`);
  }
}
