/** What differs between the hosts of the I/O thread. */

import type { HostFiles } from '../HostFiles.ts';
import type { IoOrder, IoReport, IoStart } from '../messages.ts';

/** The I/O thread, as its creator sees it. */
export interface IoWorker {
  start(start: IoStart): void;
  order(order: IoOrder): void;
  onReport(listener: (report: IoReport) => void): void;
  /** Its script could not be loaded, or threw. */
  onFailure(listener: (cause: unknown) => void): void;
  /** Whether it keeps the process alive, as it does at first. */
  setKeepAlive(isOn: boolean): void;
  terminate(): void;
}

/** The creator, as the I/O thread sees it. */
export interface IoPort {
  onStart(listener: (start: IoStart) => void): void;
  /** The next order, whenever it came. */
  nextOrder(): Promise<IoOrder>;
  report(report: IoReport): void;
  /** Ends this thread. */
  close(): void;
}

/** Creates the I/O thread. */
export type CreateIoWorker = () => IoWorker;

/** The I/O thread's way to its creator. */
export type OpenIoPort = () => IoPort;

/** Opens a directory and holds it. */
export type OpenFiles = (directory: string) => Promise<HostFiles>;
