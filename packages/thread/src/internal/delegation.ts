/**
 * Creating workers where the supervisor can't: the supervisor asks the agent that started the runtime, which passes on what
 * the workers say. Those are only beginnings and ends; everything between goes through shared memory.
 */
import type { WorkerHandle } from './platform/types.ts';

/** What the supervisor asks for. */
export type DelegationRequest =
  | { readonly type: 'create'; readonly worker: number; readonly name: string }
  | { readonly type: 'post'; readonly worker: number; readonly message: unknown }
  | { readonly type: 'terminate'; readonly worker: number };

/** What it is told. */
export type DelegationReport =
  | { readonly type: 'heard'; readonly worker: number; readonly message: unknown }
  | { readonly type: 'failed-to-load'; readonly worker: number; readonly message: string };

/** The creating side. */
export class WorkerBroker {
  readonly #workers = new Map<number, WorkerHandle>();
  readonly #create: (name: string) => WorkerHandle;
  readonly #report: (report: DelegationReport) => void;

  constructor(create: (name: string) => WorkerHandle, report: (report: DelegationReport) => void) {
    this.#create = create;
    this.#report = report;
  }

  serve(request: DelegationRequest): void {
    if (request.type === 'create') this.#start(request.worker, request.name);
    else if (request.type === 'post') this.#workers.get(request.worker)?.post(request.message);
    else {
      void this.#workers.get(request.worker)?.terminate();
      this.#workers.delete(request.worker);
    }
  }

  /** Ends all workers: nobody is left to ask for it. */
  terminate(): void {
    for (const worker of this.#workers.values()) void worker.terminate();
    this.#workers.clear();
  }

  #start(worker: number, name: string): void {
    const handle = this.#create(name);
    handle.onMessage((message) => this.#report({ type: 'heard', worker, message }));
    handle.onError((message) => this.#report({ type: 'failed-to-load', worker, message }));
    this.#workers.set(worker, handle);
  }
}

/** The asking side: makes handles of workers that live elsewhere. */
export class RemoteWorkers {
  readonly #request: (request: DelegationRequest) => void;
  readonly #listeners = new Map<number, { message: (message: unknown) => void; error: (message: string) => void }>();
  #count = 0;

  constructor(request: (request: DelegationRequest) => void) {
    this.#request = request;
  }

  create(name: string): WorkerHandle {
    const worker = this.#count;
    this.#count += 1;
    const listeners = { message: (_message: unknown): void => {}, error: (_message: string): void => {} };
    this.#listeners.set(worker, listeners);
    this.#request({ type: 'create', worker, name });
    return {
      post: (message) => this.#request({ type: 'post', worker, message }),
      onMessage: (listener) => {
        listeners.message = listener;
      },
      onError: (listener) => {
        listeners.error = listener;
      },
      onExit: () => {},
      setKeepAlive: () => {},
      terminate: async () => this.#request({ type: 'terminate', worker }),
    };
  }

  hear(report: DelegationReport): void {
    const listeners = this.#listeners.get(report.worker);
    if (report.type === 'heard') listeners?.message(report.message);
    else listeners?.error(report.message);
  }
}
