/** A database's files, as the host has them. For databases that are closed. */
import { isNode, nodeModule } from './host.ts';

/** The files below a location, by their paths from there. */
export async function filesBelow(location: string): Promise<string[]> {
  if (isNode) {
    const { readdir } = await nodeModule<typeof import('node:fs/promises')>('node:fs/promises');
    const entries = await readdir(location, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => `${entry.parentPath}/${entry.name}`.slice(location.length + 1));
  }
  const root = await navigator.storage.getDirectory();
  return listed(await root.getDirectoryHandle(location), '');
}

async function listed(directory: FileSystemDirectoryHandle, prefix: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const [name, handle] of directory.entries()) {
    if (handle.kind === 'file') paths.push(prefix + name);
    else paths.push(...(await listed(handle, `${prefix}${name}/`)));
  }
  return paths;
}

/** Changes a file's bytes in place. */
export async function changeFile(location: string, path: string, change: (bytes: Uint8Array) => void): Promise<void> {
  if (isNode) {
    const { readFile, writeFile } = await nodeModule<typeof import('node:fs/promises')>('node:fs/promises');
    const bytes = await readFile(`${location}/${path}`);
    change(bytes);
    await writeFile(`${location}/${path}`, bytes);
    return;
  }
  const parts = path.split('/');
  const name = parts.pop() ?? '';
  let directory = await navigator.storage.getDirectory();
  // oxlint-disable-next-line no-await-in-loop -- one directory inside the other
  for (const part of [location, ...parts]) directory = await directory.getDirectoryHandle(part);
  const handle = await directory.getFileHandle(name);
  const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
  change(bytes);
  const writable = await handle.createWritable();
  await writable.write(bytes);
  await writable.close();
}
