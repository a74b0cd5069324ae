/** Programs that come from the system's package manager, here Debian's and its kin's apt. */
import { findProgram, run, query, say, ToolError } from '../workspace.mjs';

/** What brings each missing thing on Debian. */
const DEBIAN_PACKAGES = {
  'a Rust with the source of std': ['rustc-web', 'cargo-web', 'rust-web-src', 'lld-22'],
  'a C compiler for Wasm': ['clang-22', 'libclang-rt-22-dev-wasm32', 'llvm'],
  'a C compiler': ['gcc', 'libc6-dev'],
  Chromium: ['chromium'],
  Firefox: ['firefox-esr'],
};

/**
 * @param {readonly string[]} missing
 * @returns {string[]}
 * @throws {ToolError} if there is no such thing
 */
export function systemPackagesFor(missing) {
  return missing.flatMap((thing) => {
    const packages = DEBIAN_PACKAGES[thing];
    if (!packages) throw new ToolError(`nobody knows which package brings ${thing}.`);
    return packages;
  });
}

/** Whether this process may install packages with apt. */
export const mayUseApt = () => process.platform === 'linux' && process.getuid?.() === 0 && findProgram(['apt-get']) !== undefined;

/**
 * Installs what apt knows; the rest is left to the steps that follow, which have other ways or say what is missing.
 * @param {readonly string[]} packages
 * @throws {ToolError} if apt has the packages and can't install them, or if only the administrator can
 */
export function installSystemPackages(packages) {
  if (!findProgram(['apt-get'])) return;
  if (!mayUseApt()) {
    say(
      `set-up: not root, so apt isn't used; "sudo apt-get install --no-install-recommends ${packages.join(' ')}" installs what is missing`,
    );
    return;
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  say('set-up: apt-get update');
  try {
    run('apt-get', ['update', '-qq'], { env, quiet: true });
  } catch {
    say('set-up: apt-get update failed; going on with the lists that are there');
  }
  const known = packages.filter((name) => /Candidate: (?!\(none\))/.test(query('apt-cache', ['policy', name]) ?? ''));
  if (known.length === 0) return;
  say(`set-up: apt-get install ${known.join(' ')}`);
  try {
    run('apt-get', ['install', '-qq', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', ...known], { env, quiet: true });
  } catch {
    throw new ToolError(`apt couldn't install ${known.join(' ')}: see its message above, mend it and start again.`);
  }
}
