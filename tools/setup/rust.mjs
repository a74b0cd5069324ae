/** The Rust that builds and tests crates natively: the user's own, checked, never replaced. */
import { readFileSync } from 'node:fs';
import { findProgram, inWorkspace, query, run, say, ToolError } from '../workspace.mjs';

/** The oldest Rust that the crates accept, as [major, minor]. */
export function rustVersionMin() {
  const text = /^rust-version = "(\d+)\.(\d+)/m.exec(readFileSync(inWorkspace('Cargo.toml'), 'utf8'));
  return [Number(text[1]), Number(text[2])];
}

/** Whether what `rustc --version` printed is new enough. */
export function isRustNewEnough(versionLine, [major, minor] = rustVersionMin()) {
  const found = /(\d+)\.(\d+)\./.exec(versionLine ?? '');
  if (!found) return false;
  return Number(found[1]) > major || (Number(found[1]) === major && Number(found[2]) >= minor);
}

/**
 * @param {{check?: boolean}} options
 * @throws {ToolError} if Rust is missing, too old, or lacks a component that rustup can't add
 */
export function requireRust({ check = false }) {
  const version = query('rustc', ['--version']);
  const min = rustVersionMin().join('.');
  if (!version || !findProgram(['cargo']))
    throw new ToolError(`Rust is missing: install stable Rust ${min} or newer from https://rustup.rs.`);
  if (!isRustNewEnough(version)) throw new ToolError(`${version} is too old: run "rustup update stable" (${min} or newer is needed).`);
  for (const component of ['clippy', 'rustfmt']) {
    if (query('cargo', [component === 'rustfmt' ? 'fmt' : component, '--version'])) continue;
    if (check || !findProgram(['rustup'])) throw new ToolError(`Rust's ${component} is missing: run "rustup component add ${component}".`);
    say(`set-up: rustup component ${component}`);
    run('rustup', ['component', 'add', component]);
  }
  say(`set-up: ${version} is there`);
}
