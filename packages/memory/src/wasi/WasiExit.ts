/** A WASI program has ended itself (`proc_exit`); all of its threads are to end. */
export class WasiExit extends Error {
  readonly code = 'WASI_EXIT';
  /** What the program ended with; 0: all is well. */
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`the program ended with ${exitCode}`);
    this.name = 'WasiExit';
    this.exitCode = exitCode;
  }
}
