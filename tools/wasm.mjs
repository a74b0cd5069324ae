#!/usr/bin/env node
/**
 * Builds a crate as Wasm with threads, then its JavaScript side.
 *
 *   node tools/wasm.mjs build heddle-store [--dev] [--example NAME] [--features a,b] [--manifest-path FILE] [--panic abort]
 *
 * leaves target/wasm/bindgen/<crate, or example>/{<name>.js, <name>.d.ts, <name>_bg.wasm}, <name> being the crate's with
 * underscores. A crate that doesn't use wasm-bindgen has no JavaScript side: <name>_bg.wasm alone, as the linker wrote it.
 * All crates share one set of flags, so that std is built once, and one folder: who builds beside another waits for it. So turbo.json has them
 * built one after the other, small ones first.
 */
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { patchCrates } from './patch-crates.mjs';
import { findCToolchain, findRustToolchain } from './wasm-toolchain.mjs';
import { findProgram, inWorkspace, isMain, run, runTool, say, ToolError, wasmBindgenVersion, workspaceRoot } from './workspace.mjs';

const TARGET = 'wasm32-unknown-unknown';
const MEMORY_SIZE_MAX = 4 * 1024 ** 3;

/** Where the macros of wasm-bindgen leave what its command-line half reads. */
const BINDGEN_SECTION = '__wasm_bindgen_unstable';

/** What a thread needs to find and swap its stack and its thread-local storage. */
const EXPORTS = ['__wasm_init_tls', '__tls_size', '__tls_align', '__tls_base', '__stack_pointer'];

/**
 * How SQLite is compiled without an operating system: crates/store/src/sqlite gives it memory, mutexes and files. The rest is what
 * .cargo/config.toml says for native builds.
 */
const SQLITE_FLAGS = [
  '-DSQLITE_OS_OTHER=1',
  '-DSQLITE_ZERO_MALLOC=1',
  '-DSQLITE_MEMORY_BARRIER=__sync_synchronize()',
  '-DSQLITE_OMIT_LOCALTIME',
  '-UHAVE_LOCALTIME_R',
  '-DSQLITE_ENABLE_MATH_FUNCTIONS',
  '-DSQLITE_DEFAULT_MEMSTATUS=0',
  '-DSQLITE_TEMP_STORE=1',
  '-DSQLITE_OMIT_LOAD_EXTENSION',
  '-DSQLITE_OMIT_SHARED_CACHE',
  '-DSQLITE_OMIT_DEPRECATED',
  '-DSQLITE_DQS=0',
  '-DSQLITE_LIKE_DOESNT_MATCH_BLOBS',
  '-USQLITE_ENABLE_LOAD_EXTENSION',
  '-USQLITE_ENABLE_FTS3',
  '-USQLITE_ENABLE_FTS3_PARENTHESIS',
  '-DNDEBUG',
];

const targetFolder = inWorkspace('target/wasm');

/**
 * Builds one crate.
 * @param {object} options
 * @param {string} options.crate
 * @param {boolean} [options.dev] the dev profile instead of release
 * @param {string} [options.example] build this example of the crate instead of its library
 * @param {readonly string[]} [options.features]
 * @param {string} [options.manifestPath] the Cargo.toml of a crate outside of the root's workspace
 * @param {'unwind' | 'abort'} [options.panic] what a panic does; `abort` is for others' crates that can't be compiled otherwise, and
 *   builds std once more
 * @returns {{folder: string, name: string, module: string}} the folder of wasm-bindgen's output, the base name of the files
 *   there, and the module as the linker wrote it
 * @throws {ToolError} if a tool is missing or a step fails
 */
export function buildWasm({ crate, dev = false, example, features = [], manifestPath, panic = 'unwind' }) {
  const toolchain = findRustToolchain();
  if (!toolchain) throw new ToolError('no Rust that can build Wasm with threads is installed: run "node tools/setup.mjs".');
  patchCrates();
  const profile = dev ? 'dev' : 'release';
  const unit = example ?? crate;
  // A library's two forms come out of one compilation; where its Cargo.toml names both, its examples find the first of them made.
  const selection = example ? ['--example', example, '--crate-type', 'cdylib'] : ['--lib', '--crate-type', 'lib,cdylib'];
  const args = ['rustc', '--package', crate, ...selection];
  args.push('--target', TARGET, '--profile', profile, `-Zbuild-std=std,panic_${panic}`);
  if (features.length > 0) args.push('--features', features.join(','));
  if (manifestPath) args.push('--manifest-path', path.resolve(manifestPath));
  say(`wasm: ${unit} (${profile}, ${toolchain.name})`);
  run(toolchain.cargo, args, { env: buildEnvironment(toolchain, panic) });

  const name = unit.replaceAll('-', '_');
  const profileFolder = path.join(cargoFolder(panic), TARGET, dev ? 'debug' : 'release');
  const module = path.join(profileFolder, example ? 'examples' : '.', `${name}.wasm`);
  return { folder: bindgen(module, unit), name, module };
}

/** Cargo's folder: std is there once for each set of flags. */
const cargoFolder = (panic) => (panic === 'unwind' ? targetFolder : path.join(targetFolder, `panic-${panic}`));

function buildEnvironment(toolchain, panic) {
  const exports = EXPORTS.map((symbol) => `--export=${symbol}`);
  const linkArgs = ['--shared-memory', '--import-memory', `--max-memory=${MEMORY_SIZE_MAX}`, ...exports];
  const flags = [
    `-Cpanic=${panic}`,
    '-Ctarget-feature=+atomics,+bulk-memory,+mutable-globals',
    // Crates that need random numbers get them from the module's host, not from a browser API that shared memory can't use.
    '--cfg=getrandom_backend="custom"',
    `--remap-path-prefix=${workspaceRoot}=.`,
    ...(toolchain.linker ? [`-Clinker=${toolchain.linker}`] : []),
    ...linkArgs.map((arg) => `-Clink-arg=${arg}`),
  ];
  const env = {
    ...process.env,
    RUSTC: toolchain.rustc,
    RUSTC_BOOTSTRAP: '1',
    CARGO_TARGET_DIR: cargoFolder(panic),
    CARGO_ENCODED_RUSTFLAGS: flags.join('\x1f'),
  };
  // A toolchain that is named by its files must not be overruled by rustup or by a wrapper's settings.
  for (const variable of ['RUSTUP_TOOLCHAIN', 'RUSTFLAGS', 'RUSTDOCFLAGS']) delete env[variable];
  const c = findCToolchain();
  if (c) {
    env.CC_wasm32_unknown_unknown = compilerWrapper();
    env.AR_wasm32_unknown_unknown = c.archiver;
    env.HEDDLE_CLANG = c.clang;
    env.HEDDLE_ROOT = workspaceRoot;
    env.LIBSQLITE3_FLAGS = SQLITE_FLAGS.join(' ');
  }
  return env;
}

/** Copies wasm-cc.sh to a path that names its content and that of our headers: a C build runs again exactly when either changed. */
function compilerWrapper() {
  const source = inWorkspace('tools/wasm-cc.sh');
  const hash = createHash('sha256').update(readFileSync(source));
  const headers = inWorkspace('crates/store/c/include');
  if (existsSync(headers)) {
    for (const entry of readdirSync(headers, { recursive: true, withFileTypes: true }).toSorted(byPath)) {
      if (entry.isFile()) hash.update(entry.name).update(readFileSync(path.join(entry.parentPath, entry.name)));
    }
  }
  const wrapper = path.join(targetFolder, 'cc', hash.digest('hex').slice(0, 16), 'clang');
  if (!existsSync(wrapper)) {
    mkdirSync(path.dirname(wrapper), { recursive: true });
    cpSync(source, wrapper);
    chmodSync(wrapper, 0o755);
  }
  return wrapper;
}

const byPath = (a, b) => (path.join(a.parentPath, a.name) < path.join(b.parentPath, b.name) ? -1 : 1);

/** Where set-up puts the wasm-bindgen of the pinned version, built from tools/bindgen. */
export const bindgenProgram = () => inWorkspace('target/tools', `heddle-bindgen-${wasmBindgenVersion()}`);

/** wasm-bindgen's command-line half, or undefined. */
export const findBindgen = () => findProgram([bindgenProgram()]);

/** Writes the JavaScript side beside a copy of the module; skipped when module and wasm-bindgen are those of the last time. */
function bindgen(module, unit) {
  const program = findBindgen();
  if (!program) {
    throw new ToolError(`wasm-bindgen ${wasmBindgenVersion()} is not installed: run "node tools/setup.mjs".`);
  }
  const folder = path.join(targetFolder, 'bindgen', unit);
  const bytes = readFileSync(module);
  const stamp = createHash('sha256').update(program).update(bytes).digest('hex');
  const stampFile = path.join(folder, '.stamp');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return folder;
  const fresh = `${folder}.${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  const usesBindgen = WebAssembly.Module.customSections(new WebAssembly.Module(bytes), BINDGEN_SECTION).length > 0;
  if (usesBindgen) {
    run(program, [module, fresh]);
  } else {
    mkdirSync(fresh, { recursive: true });
    writeFileSync(path.join(fresh, `${path.basename(module, '.wasm')}_bg.wasm`), bytes);
  }
  writeFileSync(path.join(fresh, '.stamp'), stamp);
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
  return folder;
}

async function main(argv) {
  const { positionals, values } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      dev: { type: 'boolean' },
      example: { type: 'string' },
      features: { type: 'string' },
      'manifest-path': { type: 'string' },
      panic: { type: 'string', default: 'unwind' },
    },
  });
  const [command, crate] = positionals;
  if (command !== 'build' || !crate || positionals.length > 2 || !['unwind', 'abort'].includes(values.panic)) {
    throw new ToolError(
      'usage: node tools/wasm.mjs build <crate> [--dev] [--example NAME] [--features a,b] [--manifest-path FILE] [--panic abort]',
    );
  }
  const { folder } = buildWasm({
    crate,
    dev: values.dev,
    example: values.example,
    features: values.features?.split(','),
    manifestPath: values['manifest-path'],
    panic: values.panic,
  });
  process.stdout.write(`${path.relative(process.cwd(), folder) || '.'}\n`);
}

if (isMain(import.meta.url)) await runTool(main);
