/**
 * A small host for programs of WASI, with threads: streams, clocks, chance, arguments, environment, and files.
 *
 * @module
 */
export { nodeFiles } from './nodeFiles.ts';
export { linesTo } from './streams.ts';
export type { WasiStreams } from './fileCalls.ts';
export { Wasi, type WasiOptions } from './Wasi.ts';
export { WasiExit } from './WasiExit.ts';
export type { WasiFiles, WasiOpenFlags, WasiPath, WasiStat } from './WasiFiles.ts';
