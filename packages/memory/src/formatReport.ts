/** A report for people, in lines. */
import { adviceFor } from './advice.ts';
import type { MemoryLimits, ModuleReport } from './inspect.ts';

/**
 * A module's report, printable: what the module has, what is wrong with it, and with which flags to link it.
 *
 * @returns lines without one at the end
 */
export function formatReport(report: ModuleReport): string {
  const lines: [label: string, value: string][] = [
    ['abi', report.abi],
    ['memory', memoryOf(report)],
    ['data segments', segmentsOf(report)],
    ['start function', report.hasStart ? 'yes' : 'none'],
    ['thread-local storage', tlsOf(report)],
    ['stack pointer', report.exportsStackPointer ? 'exported' : 'not exported'],
  ];
  if (report.abi === 'wasi-threads') {
    const { importsThreadSpawn, exportsThreadStart } = report.wasi;
    lines.push([
      'wasi-threads',
      `thread-spawn ${importsThreadSpawn ? 'imported' : 'not imported'}, wasi_thread_start ${exportsThreadStart ? 'exported' : 'not exported'}`,
    ]);
  }
  if (report.wasi.functions.length > 0) lines.push(['wasi', report.wasi.functions.join(', ')]);
  if (report.producers.length > 0) {
    lines.push(['made by', report.producers.map(({ name, version }) => `${name} ${version}`.trimEnd()).join(', ')]);
  }
  if (report.targetFeatures.length > 0) lines.push(['features', report.targetFeatures.join(' ')]);
  lines.push(['imports', listOf(report.imports)], ['exports', listOf(report.exports)]);
  const width = Math.max(...lines.map(([label]) => label.length)) + 2;
  return [...lines.map(([label, value]) => label.padEnd(width) + value), '', ...verdictOf(report)].join('\n');
}

function tlsOf({ exportsTls, tls }: ModuleReport): string {
  if (!exportsTls) return 'not exported';
  return tls ? `exported, ${tls.size} bytes aligned to ${tls.align}` : 'exported';
}

function memoryOf({ memory, ownMemory }: ModuleReport): string {
  if (memory) return `imported as ${memory.module}.${memory.name}, ${limitsOf(memory)}`;
  return ownMemory ? `its own, ${limitsOf(ownMemory)}` : 'none';
}

function limitsOf({ initialPages, maximumPages, isShared }: MemoryLimits): string {
  const most = maximumPages === undefined ? 'without a maximum' : `at most ${maximumPages}`;
  return `${isShared ? 'shared' : 'not shared'}, ${initialPages} pages of 64 KiB, ${most}`;
}

function segmentsOf({ segments, dataCount }: ModuleReport): string {
  return `${segments.active} active, ${segments.passive} passive, ${dataCount === undefined ? 'no count' : `counted as ${dataCount}`}`;
}

/** A few names, and how many more there are. */
function listOf(names: readonly string[]): string {
  const shown = 12;
  if (names.length === 0) return 'none';
  return names.slice(0, shown).join(', ') + (names.length > shown ? `, and ${names.length - shown} more` : '');
}

function verdictOf(report: ModuleReport): string[] {
  if (report.problems.length === 0) return ['This module can have threads.'];
  const lines = ["This module can't have threads as it is:"];
  for (const { code, reason } of report.problems) lines.push(`  ${code}: ${reason}`);
  if (report.problems.some(({ code }) => code === 'ACTIVE_SEGMENTS')) {
    lines.push('', 'Active segments go without linking it again, too:', '  heddle-inspect program.wasm --rewrite out.wasm');
  }
  for (const { toolchain, lines: shell } of adviceFor(report)) lines.push('', `With ${toolchain}:`, ...shell.map((line) => `  ${line}`));
  return lines;
}
