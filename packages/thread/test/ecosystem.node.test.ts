/** Whether the crates that `ecosystem.test.ts` runs are those of the registry, unchanged. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

/** The crates that only the module of `ecosystem.test.ts` is built with. */
function crateNames(): readonly string[] {
  const [, section = ''] = read('crates/thread/Cargo.toml').split(/^\[target.*dev-dependencies\]$/m);
  const [dependencies = ''] = section.split(/^\[/m);
  return [...dependencies.matchAll(/^([\w-]+) = /gm)].map(([, name]) => name ?? '');
}

test('the crates that are tried are locked with the checksum of the registry, and none is patched', () => {
  const names = crateNames();
  expect(names).toContain('rayon');
  const locked = read('Cargo.lock').split('[[package]]');
  const patches = read('Cargo.toml').split('[patch.crates-io]')[1] ?? '';
  for (const name of [...names, 'rayon-core', 'crossbeam-epoch', 'crossbeam-utils', 'parking_lot_core', 'lock_api']) {
    const entry = locked.find((text) => text.includes(`\nname = "${name}"\n`));
    expect(entry, name).toMatch(/source = "registry\+.*"\nchecksum = "[0-9a-f]{64}"/);
    expect(patches, name).not.toContain(`\n${name} = `);
  }
});
