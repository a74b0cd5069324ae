#!/usr/bin/env node
/** Puts both licences beside a package that is about to be packed: each tarball carries them, the repository has them once. */
import { copyFileSync } from 'node:fs';
import { inWorkspace } from './workspace.mjs';

for (const file of ['LICENSE-MIT', 'LICENSE-APACHE']) copyFileSync(inWorkspace(file), file);
