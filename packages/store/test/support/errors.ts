/** What a test expects of an error. */
import { expect } from 'vitest';
import type { StoreErrorCode } from '../../src/index.ts';

/** Asserts that a promise rejects with a store error of this code, whose message names what was wrong. */
export async function expectError(promise: Promise<unknown>, code: StoreErrorCode, message: string | RegExp = /./): Promise<void> {
  await expect(promise).rejects.toMatchObject({ name: 'HeddleStoreError', code, message: expect.stringMatching(message) });
}
