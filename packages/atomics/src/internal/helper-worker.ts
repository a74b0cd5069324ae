/** The helper thread of `helper.ts`: one blocking wait after the other. */
import type { HelperTask } from './helper.ts';

const scope = globalThis as unknown as {
  addEventListener(type: 'message', listener: (event: MessageEvent<HelperTask>) => void): void;
  postMessage(message: unknown): void;
};

scope.addEventListener('message', ({ data: { words, index, expected, timeoutMs, control } }) => {
  const result = Atomics.load(control, 0) === 1 ? 'timed-out' : Atomics.wait(words, index, expected, timeoutMs);
  if (result === 'ok' && Atomics.load(control, 0) === 1) {
    // Given up before the wait began: the wake-up was for somebody else.
    Atomics.notify(words, index, 1);
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  scope.postMessage(result);
});
