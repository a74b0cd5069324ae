/** Standard input, output and errors, as the host has them. */
import type { WasiStreams } from './fileCalls.ts';

/** The process's own descriptors in Node, Deno and Bun; the console, line by line, in pages, where there is no input. */
export function standardStreams(): WasiStreams {
  const { process } = globalThis as { process?: NodeJS.Process };
  const fs = process?.getBuiltinModule?.('node:fs');
  if (!fs) {
    return { stdin: () => new Uint8Array(), stdout: linesTo((line) => console.log(line)), stderr: linesTo((line) => console.error(line)) };
  }
  // At once, also from a worker, whose `process.stdout` goes through the main thread.
  const writeTo = (fd: number) => (bytes: Uint8Array) => {
    for (let done = 0; done < bytes.length;) done += fs.writeSync(fd, bytes, done);
  };
  const stdin = (count: number): Uint8Array => {
    const bytes = new Uint8Array(count);
    return bytes.subarray(0, fs.readSync(0, bytes));
  };
  return { stdin, stdout: writeTo(1), stderr: writeTo(2) };
}

/** Gives whole lines on, and keeps what is not one yet. */
export function linesTo(print: (line: string) => void): (bytes: Uint8Array) => void {
  const decoder = new TextDecoder();
  let rest = '';
  return (bytes) => {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) print(line);
  };
}
