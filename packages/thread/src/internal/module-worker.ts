/** A worker for a TypeScript thread: imports a module, calls one of its functions, posts what comes out, and ends. */
import { ownPort } from '#platform';
import { importModule } from './importModule.js';

/** What a TypeScript thread is to do. */
export interface RunMessage {
  readonly module: string;
  readonly exportName: string;
  readonly args: readonly unknown[];
}

export type ModuleResult =
  | { readonly type: 'returned'; readonly value: unknown }
  | { readonly type: 'threw'; readonly error: unknown }
  | { readonly type: 'unloadable'; readonly message: string };

const port = ownPort();
if (!port) throw new Error('a TypeScript thread is a worker');

async function run({ module, exportName, args }: RunMessage): Promise<ModuleResult> {
  let imported: Record<string, unknown>;
  try {
    imported = (await importModule(module)) as Record<string, unknown>;
  } catch (error) {
    return { type: 'unloadable', message: error instanceof Error ? error.message : String(error) };
  }
  const exported = imported[exportName];
  if (typeof exported !== 'function') return { type: 'unloadable', message: `${module} exports no function '${exportName}'` };
  try {
    return { type: 'returned', value: (await exported(...args)) as unknown };
  } catch (error) {
    return { type: 'threw', error };
  }
}

function post(result: ModuleResult): void {
  try {
    port?.post(result);
  } catch (error) {
    // What the thread returned or threw can't be cloned: a function, a socket …
    const message = `what the thread left can't be passed on: ${error instanceof Error ? error.message : String(error)}`;
    port?.post({ type: 'threw', error: new TypeError(message) } satisfies ModuleResult);
  }
}

port.onMessage((message) => {
  void run(message as RunMessage).then((result) => {
    post(result);
    port.close();
  });
});
