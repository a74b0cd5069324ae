import { MemoryError } from './MemoryError.ts';

/**
 * A module's bytes, from the network or, in Node, from a file.
 *
 * With `new URL('./program.wasm', import.meta.url)` the same line works in Node and in pages, and bundlers take the file along.
 *
 * @param location a URL: `http:`, `https:`, `data:` or `blob:`, in Node also `file:`; in a page it may be relative to the page
 * @throws MemoryError `MODULE_UNREADABLE` where nothing can be read there; `cause` is the host's reason, if it gave one.
 */
export async function readModule(location: string | URL): Promise<Uint8Array<ArrayBuffer>> {
  const url = String(location);
  try {
    return (await readFromFile(url)) ?? (await readFromNetwork(url));
  } catch (cause) {
    if (cause instanceof MemoryError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MemoryError('MODULE_UNREADABLE', `the module at ${url} can't be read: ${reason}`, { cause });
  }
}

/** The bytes of a `file:` URL where the host has Node's modules; undefined for all others. */
async function readFromFile(url: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (!url.startsWith('file:')) return undefined;
  // Asked for rather than imported: bundlers for pages must not meet a module of Node.
  const { process } = globalThis as { process?: NodeJS.Process };
  const files = process?.getBuiltinModule('node:fs/promises');
  if (!files) return undefined;
  const { buffer, byteOffset, byteLength } = await files.readFile(new URL(url));
  return new Uint8Array(buffer, byteOffset, byteLength);
}

async function readFromNetwork(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url);
  if (!response.ok) {
    const status = `${response.status} ${response.statusText}`.trimEnd();
    throw new MemoryError('MODULE_UNREADABLE', `the module at ${url} can't be read: the server answered ${status}`);
  }
  return new Uint8Array(await response.arrayBuffer());
}
