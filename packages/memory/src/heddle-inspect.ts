#!/usr/bin/env node
/** The command: what a module needs for threads, and what is wrong with it. */
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { adviceFor } from './advice.ts';
import { formatReport } from './formatReport.ts';
import { inspect } from './inspect.ts';
import { makePassive } from './makePassive.ts';
import { MemoryError } from './MemoryError.ts';
import { RewriteError, type RewriteReason } from './RewriteError.ts';

const HELP = `heddle-inspect FILE [--json] [--rewrite OUT [--share-memory] [--flag-address N] [--start once|every]]

Says what a WebAssembly module needs in order to run on many threads in one memory, what is missing, and with which
flags of rustc, clang or zig to link it.

  --json            the report and the advice as JSON
  --rewrite OUT     writes the module with its active data segments passive and its memory imported, and reports on that
  --share-memory    also makes a memory shared that isn't: the program was compiled for one thread
  --flag-address N  four unused, aligned bytes of the memory for the flag of the first instance; a page of its own otherwise
  --start WHEN      when the module's start function runs: once a memory, or in every instance; found out otherwise
  --help            this text

Ends with 0 if the module can have threads, 1 if it can't, 2 if it couldn't be read or rewritten, or was called wrongly.`;

/** By which of these options a module is rewritten after all, where the reason that it was not is one that has such an option. */
const OPTION_FOR: Partial<Record<RewriteReason, string>> = {
  MEMORY_NOT_SHARED: '--share-memory',
  MEMORY_SIZE_USED: '--flag-address N',
  START_NOT_SEPARABLE: '--start once|every',
};

const EXIT = { fit: 0, unfit: 1, failed: 2 } as const;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      rewrite: { type: 'string' },
      'share-memory': { type: 'boolean', default: false },
      'flag-address': { type: 'string' },
      start: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return EXIT.fit;
  }
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0) throw new Error('name one file; --help tells more');
  const { start, 'flag-address': flagAddress, 'share-memory': shareMemory } = values;
  if (start !== undefined && start !== 'once' && start !== 'every') throw new Error(`--start is once or every, not ${start}`);
  if (values.rewrite === undefined && (shareMemory || flagAddress !== undefined || start !== undefined)) {
    throw new Error('--share-memory, --flag-address and --start say how to rewrite: they go with --rewrite OUT');
  }
  let bytes: Uint8Array = await readFile(file);
  if (values.rewrite !== undefined) {
    const address = flagAddress === undefined ? undefined : addressOf(flagAddress);
    bytes = about(file, () => makePassive(bytes, { shareMemory, flagAddress: address, start }).bytes);
    await writeFile(values.rewrite, bytes);
  }
  const report = about(file, () => inspect(bytes));
  console.log(values.json ? JSON.stringify({ ...report, advice: adviceFor(report) }, undefined, 2) : formatReport(report));
  return report.problems.length === 0 ? EXIT.fit : EXIT.unfit;
}

function addressOf(text: string): number {
  const address = /^(?:\d+|0x[\da-f]+)$/iu.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(address)) throw new Error(`--flag-address is a number of bytes, not "${text}"`);
  return address;
}

/** Has an error say which file it is about, and which option mends it, if one does. */
function about<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof MemoryError)) throw error;
    const reason = error instanceof RewriteError ? error.reason : undefined;
    const option = reason && OPTION_FOR[reason];
    throw new Error(`${file}: ${reason ? `${reason}: ` : ''}${error.message}${option ? ` (here: ${option})` : ''}`, { cause: error });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`heddle-inspect: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = EXIT.failed;
}
