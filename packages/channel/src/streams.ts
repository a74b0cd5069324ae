/**
 * WHATWG streams at the ends of channels: `pipeTo`, `pipeThrough`, `Response`, and Node's `Readable.fromWeb`.
 *
 * A stream takes its end over and releases it when it is over, however that comes about. The channel's bound is the back-pressure: a
 * stream keeps no queue of its own before a channel, and takes no message that nobody has asked for behind one.
 *
 * | of the stream | is to the channel |
 * | --- | --- |
 * | reading | `recvAsync` |
 * | end | closed and empty |
 * | `cancel` | the receiving end is released; a message that was on its way to the stream may go with it |
 * | writing | `sendAsync` |
 * | `close` | the sending end is released, after what was written; the last one closes the channel |
 * | `abort` | the same, without what waits for room; receivers can't tell it from an end |
 * | error | what the operation threw; the end is released |
 */
import { ClosedError } from './errors.ts';
import { type Receiver } from './Receiver.ts';
import { type Sender } from './Sender.ts';

/** What becomes of the end. */
export interface StreamOptions {
  /** Whether the end stays open when the stream is over, to be released by the caller; `false` if not given. */
  readonly preventRelease?: boolean;
}

/**
 * The values of a channel as a stream.
 *
 * It errors with `DECODE_FAILED` at a message that isn't of the codec. With `preventRelease` another stream can go on behind it.
 */
export function readableStream<T>(receiver: Receiver<T>, options: StreamOptions = {}): ReadableStream<T> {
  const { preventRelease = false } = options;
  const cancelled = new AbortController();
  const end = (): void => {
    if (!preventRelease) receiver.release();
  };
  return new ReadableStream<T>(
    {
      async pull(controller) {
        let value: T;
        try {
          value = await receiver.recvAsync({ signal: cancelled.signal });
        } catch (error) {
          // The promise of `cancel` is the answer.
          if (cancelled.signal.aborted) return;
          end();
          if (error instanceof ClosedError) controller.close();
          else controller.error(error);
          return;
        }
        if (!cancelled.signal.aborted) controller.enqueue(value);
      },
      cancel(reason) {
        cancelled.abort(reason);
        end();
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * A stream into a channel.
 *
 * It errors with `CLOSED`, `MESSAGE_TOO_LARGE` or `ENCODE_FAILED` at a value that can't be sent, which is the error's `value`.
 */
export function writableStream<T>(sender: Sender<T>, options: StreamOptions = {}): WritableStream<T> {
  const { preventRelease = false } = options;
  const end = (): void => {
    if (!preventRelease) sender.release();
  };
  return new WritableStream<T>({
    async write(value, controller) {
      try {
        await sender.sendAsync(value, { signal: controller.signal });
      } catch (error) {
        end();
        throw error;
      }
    },
    close: end,
    abort: end,
  });
}
