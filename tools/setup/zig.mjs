/** Zig, for the example in that language: the Python package of it, in a folder of its own. */
import { findZig, zigFolder } from '../wasm-toolchain.mjs';
import { findProgram, run, say } from '../workspace.mjs';

/** Zig's language changes with each version. */
const ZIG_PACKAGE = 'ziglang==0.17.1';

/** Where it can't be had, its example is skipped. */
export function installZig() {
  if (findZig()) return say('set-up: Zig is there');
  const python = findProgram(['python3', 'python']);
  if (!python) return say("set-up: no Zig, since there is no Python to install it with; its example's test is skipped");
  say(`set-up: ${ZIG_PACKAGE} (by pip, 100 MB)`);
  try {
    run(python, ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', zigFolder(), ZIG_PACKAGE], { quiet: true });
  } catch {
    say("set-up: pip could not install Zig; its example's test is skipped");
  }
}
