/** Whether `docs/std-thread.md` has a row for each public item of `std::thread`, as the installed source of std has them. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findRustToolchain } from '@heddle/tools/wasm-toolchain';
import { expect, test } from 'vitest';

/** The folder of std::thread's source: the one that Wasm is built with. */
function sourceFolder(): string {
  const toolchain = findRustToolchain();
  if (!toolchain) throw new Error('no Rust with the source of std is installed');
  const sysroot = execFileSync(toolchain.rustc, ['--print', 'sysroot'], { encoding: 'utf8' }).trim();
  return join(sysroot, 'lib/rustlib/src/rust/library/std/src/thread');
}

/** What `mod.rs` lets out: its `pub use`, `pub mod` and `pub type`. */
function exportedItems(module: string): readonly string[] {
  // What stands at the beginning of a line is no part of a module inside.
  const uses = [...module.matchAll(/^pub use \w+::(?:\{([^}]*)\}|(\w+));/gm)].flatMap(([, list, one]) => (list ?? one ?? '').split(','));
  const others = [...module.matchAll(/^pub (?:mod|type) (\w+)/gm)].map(([, name]) => name ?? '');
  return [...uses, ...others].map((name) => name.trim()).filter((name) => name !== '');
}

/** The public methods of a file's types, as `Type::method`. */
function methodsOf(source: string): readonly string[] {
  const items: string[] = [];
  let type: string | undefined;
  for (const line of source.split('\n')) {
    const begun = /^impl(?:<[^{]*?>)? (\w+)(?:<.*>)?\s*\{/.exec(line);
    if (begun) type = begun[1];
    else if (line === '}') type = undefined;
    const method = /^ {4}pub (?:const )?(?:unsafe )?fn (\w+)/.exec(line);
    if (type !== undefined && method) items.push(`${type}::${method[1]}`);
  }
  return items;
}

test('each public item of std::thread has one row', () => {
  const folder = sourceFolder();
  const exported = exportedItems(readFileSync(join(folder, 'mod.rs'), 'utf8'));
  const files = readdirSync(folder).filter((file) => file.endsWith('.rs') && file !== 'tests.rs');
  const methods = files.flatMap((file) => methodsOf(readFileSync(join(folder, file), 'utf8')));
  // A method counts where its type is let out.
  const items = new Set([...exported, ...methods.filter((method) => exported.includes(method.slice(0, method.indexOf(':'))))]);
  expect(items).toContain('Builder::spawn_scoped');

  const [table = ''] = readFileSync(new URL('../../../docs/std-thread.md', import.meta.url), 'utf8').split('\n## ');
  const rows = [...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, item]) => item ?? '');
  expect(rows.toSorted()).toEqual([...items].toSorted());
});
