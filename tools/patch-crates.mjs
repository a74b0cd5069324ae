#!/usr/bin/env node
/**
 * Applies patches/<crate>@<version>.patch (patches/npm is pnpm's) to a fresh copy of that published crate in target/patched/<crate>-<version>,
 * where the root Cargo.toml's [patch.crates-io] finds it. Skipped when the copy is already that of this patch.
 *
 * The crate comes through cargo (a scratch package that depends on exactly this version is resolved), so the user's own
 * registry settings hold. Cargo can't read the workspace while a patched folder is missing: every entry point calls this first.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inWorkspace, isMain, query, run, runTool, say, ToolError } from './workspace.mjs';

const PATCH_NAME = /^(?<crate>[A-Za-z0-9_-]+)@(?<version>[^/]+)\.patch$/;

/**
 * @param {{patchFolder?: string, targetFolder?: string}} [options]
 * @returns {string[]} the folders of the patched crates
 * @throws {ToolError} if a crate can't be had or a patch doesn't apply
 */
export function patchCrates({ patchFolder = inWorkspace('patches'), targetFolder = inWorkspace('target/patched') } = {}) {
  if (!existsSync(patchFolder)) return [];
  return readdirSync(patchFolder)
    .toSorted()
    .flatMap((file) => {
      const groups = PATCH_NAME.exec(file)?.groups;
      if (!groups) return [];
      return [patchCrate({ ...groups, patchFile: path.join(patchFolder, file), targetFolder })];
    });
}

function patchCrate({ crate, version, patchFile, targetFolder }) {
  const folder = path.join(targetFolder, `${crate}-${version}`);
  const stampFile = path.join(folder, '.heddle-patch');
  const stamp = createHash('sha256').update(version).update(readFileSync(patchFile)).digest('hex');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return folder;

  say(`patch: ${path.basename(patchFile)} → ${path.relative(inWorkspace(), folder)}`);
  const fresh = `${folder}.${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  cpSync(publishedSource(crate, version, targetFolder), fresh, { recursive: true });
  for (const file of ['.cargo-ok', '.cargo_vcs_info.json', 'Cargo.toml.orig', 'Cargo.lock'])
    rmSync(path.join(fresh, file), { force: true });
  // A lone folder for git, so that paths in the patch are the crate's own and an enclosing repository doesn't count.
  const env = { ...process.env, GIT_CEILING_DIRECTORIES: path.dirname(fresh) };
  run('git', ['apply', '--whitespace=nowarn', patchFile], { cwd: fresh, env });
  writeFileSync(path.join(fresh, '.heddle-patch'), stamp);
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
  return folder;
}

/** Has cargo download the crate and tells where its source lies. */
function publishedSource(crate, version, targetFolder) {
  const scratch = path.join(targetFolder, '.scratch', `${crate}-${version}`);
  mkdirSync(path.join(scratch, 'src'), { recursive: true });
  writeFileSync(path.join(scratch, 'src/lib.rs'), '');
  writeFileSync(
    path.join(scratch, 'Cargo.toml'),
    `[workspace]\n\n[package]\nname = "scratch"\nversion = "0.0.0"\nedition = "2021"\n\n[dependencies]\n${crate} = { version = "=${version}", default-features = false }\n`,
  );
  const metadata = query('cargo', ['metadata', '--format-version', '1'], { cwd: scratch });
  if (metadata === undefined) {
    throw new ToolError(`cargo can't download ${crate} ${version}: check the network, or try "cargo metadata" in ${scratch}.`);
  }
  const found = JSON.parse(metadata).packages.find((entry) => entry.name === crate && entry.version === version);
  return path.dirname(found.manifest_path);
}

if (isMain(import.meta.url)) await runTool(async () => void patchCrates());
