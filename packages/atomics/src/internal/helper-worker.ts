/** The helper thread of `helper.ts`: one blocking wait after the other. */
import type { HelperTask } from './helper.ts';

const scope = globalThis as unknown as {
  addEventListener(type: 'message', listener: (event: MessageEvent<HelperTask>) => void): void;
  postMessage(message: unknown): void;
};

// The types of 32 and of 64 bits come together: the casts below stand for both.
scope.addEventListener('message', ({ data: { words, index, expected, timeoutMs, control } }) => {
  const result = Atomics.load(control, 0) === 1 ? 'ok' : Atomics.wait(words as Int32Array, index, expected as number, timeoutMs);
  if (result === 'ok' && Atomics.load(control, 0) === 1) {
    // Given up before the wait began: the wake-up was for somebody else.
    Atomics.notify(words as Int32Array, index, 1);
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  scope.postMessage(result);
});
