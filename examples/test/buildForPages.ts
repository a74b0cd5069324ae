/** Builds the programs from source before a browser's tests, and tells them where they are. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { findZig } from '@heddle/tools/wasm-toolchain';
import { buildC, buildWat, buildZig, builtRust, sourceOf } from '../src/build.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The modules by their example's name; '' where there is none. */
    readonly modules: Readonly<Record<'c-threads' | 'rust-threads' | 'rust-bindgen' | 'wasi-threads' | 'zig-threads' | 'glue', string>>;
  }
}

/** Vitest's server has the files of this machine below this path. */
const servedAt = (file: string): string => `/@fs${file}`;

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'heddle-examples-'));
  const file = (name: string): string => join(folder, `${name}.wasm`);
  const zig = findZig();
  await Promise.all([
    buildC(sourceOf('c-threads/program.c'), file('c-threads')),
    buildWat(sourceOf('wasi-threads/program.wat'), file('wasi-threads')),
    zig === undefined ? undefined : buildZig(zig, sourceOf('zig-threads/program.zig'), file('zig-threads')),
  ]);
  const bindgen = builtRust('rust-bindgen');
  project.vite.config.server.fs.allow.push(folder);
  project.provide('modules', {
    'c-threads': servedAt(file('c-threads')),
    'wasi-threads': servedAt(file('wasi-threads')),
    'zig-threads': zig === undefined ? '' : servedAt(file('zig-threads')),
    'rust-threads': servedAt(builtRust('rust-threads').module),
    'rust-bindgen': servedAt(bindgen.module),
    glue: servedAt(bindgen.glue),
  });
  return () => rm(folder, { recursive: true });
}
