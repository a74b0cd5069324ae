/** The program in Zig from the command line: its module's file. */
import { pathToFileURL } from 'node:url';
import { run } from './run.ts';

const [, , file = 'program.wasm'] = process.argv;
process.exitCode = await run(pathToFileURL(file), console.log);
