/** Where subjects run: in this process, in a browser's page, natively. */
import { scriptHost } from '../subjects/index.ts';
import type { Host, HostName } from '../measurement.ts';
import { browserHost } from './browser.ts';
import { nativeHost } from './native.ts';

/** Opens hosts; if one can't be, closes the others. */
export async function openHosts(names: readonly HostName[]): Promise<Host[]> {
  const hosts: Host[] = [];
  try {
    for (const name of new Set(names)) hosts.push(await openHost(name));
  } catch (error) {
    for (const host of hosts) await host.close();
    throw error;
  }
  return hosts;
}

function openHost(name: HostName): Host | Promise<Host> {
  if (name === 'node') return scriptHost(name);
  return name === 'native' ? nativeHost() : browserHost(name);
}
