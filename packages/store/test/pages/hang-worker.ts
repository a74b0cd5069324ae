/** Ends a hang of the page's main thread, which hears nothing itself. */
const scope = globalThis as unknown as {
  postMessage(message: string): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<Int32Array>) => void): void;
};

scope.addEventListener('message', ({ data: word }) => {
  new BroadcastChannel('hang').addEventListener('message', () => Atomics.store(word, 0, 1));
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  scope.postMessage('ready');
});
