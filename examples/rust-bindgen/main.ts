/** The program in Rust from the command line: its module's file, and the JavaScript that wasm-bindgen wrote. */
import { pathToFileURL } from 'node:url';
import { run } from './run.ts';

const [, , module = 'program_bg.wasm', glue = 'program.js'] = process.argv;
process.exitCode = await run(pathToFileURL(module), console.log, pathToFileURL(glue));
