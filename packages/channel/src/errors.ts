/**
 * What can go wrong in a channel, one class a cause. Tell them apart by `code`; the messages are for people. A value that
 * couldn't be sent comes back in the error.
 *
 * Beside these, operations throw `MAY_NOT_BLOCK`, `ABORTED`, `INVALID_ARGUMENT` and `INVALID_RECORD` of `@heddle/atomics`.
 */
import { AbortedError } from '@heddle/atomics';

/** The codes of the errors that this package defines. */
export type ChannelErrorCode =
  | 'CLOSED'
  | 'TIMEOUT'
  | 'MESSAGE_TOO_LARGE'
  | 'ENCODE_FAILED'
  | 'DECODE_FAILED'
  | 'CODEC_MISMATCH'
  | 'BUFFER_TOO_SMALL'
  | 'IN_USE'
  | 'NOT_SELECTABLE'
  | 'LAGGED'
  | 'TOO_MANY_RECEIVERS';

/** What every error of this package is. */
export abstract class ChannelError extends Error {
  /** The cause, for programs. */
  abstract readonly code: ChannelErrorCode;
}

/** The channel is closed; for a receiver also empty. Or this end has been released. */
export class ClosedError extends ChannelError {
  override readonly name = 'ClosedError';
  readonly code = 'CLOSED';
  /** What wasn't sent; `undefined` on the receiving side. */
  readonly value: unknown;

  /**
   * @param message what is closed
   * @param value what wasn't sent
   */
  constructor(message: string, value?: unknown) {
    super(message);
    this.value = value;
  }
}

/** The time ran out: the channel stayed full, or empty. */
export class ChannelTimeoutError extends ChannelError {
  override readonly name = 'ChannelTimeoutError';
  readonly code = 'TIMEOUT';
  /** What wasn't sent; `undefined` on the receiving side. */
  readonly value: unknown;

  /**
   * @param message what stayed as it was, and how long
   * @param value what wasn't sent
   */
  constructor(message: string, value?: unknown) {
    super(message);
    this.value = value;
  }
}

/** Sending was given up by its `AbortSignal`, whose reason is the `cause`. */
export class SendAbortedError extends AbortedError {
  /** What wasn't sent. */
  readonly value: unknown;

  /**
   * @param operation what was waited for
   * @param reason the signal's reason
   * @param value what wasn't sent
   */
  constructor(operation: string, reason: unknown, value: unknown) {
    super(operation, reason);
    this.value = value;
  }
}

/**
 * The message is longer than half the channel's ring less 8 bytes, and the operation needs it in one piece: `send` and
 * `sendAsync` would send it in several.
 */
export class MessageTooLargeError extends ChannelError {
  override readonly name = 'MessageTooLargeError';
  readonly code = 'MESSAGE_TOO_LARGE';
  /** What wasn't sent. */
  readonly value: unknown;
  /** The bytes of the message. */
  readonly byteLength: number;
  /** The bytes of the longest message that lies in the ring in one piece. */
  readonly byteLengthMax: number;

  /**
   * @param value what wasn't sent
   * @param byteLength the bytes of the message
   * @param byteLengthMax the bytes of the longest message that lies in the ring in one piece
   * @param advice what to do about it
   */
  constructor(
    value: unknown,
    byteLength: number,
    byteLengthMax: number,
    advice: string = 'use send or sendAsync, or give the channel a larger ringByteLength',
  ) {
    super(`a message of ${byteLength} bytes where ${byteLengthMax} lie in one piece; ${advice}`);
    this.value = value;
    this.byteLength = byteLength;
    this.byteLengthMax = byteLengthMax;
  }
}

/** The codec has no bytes for the value; nothing was sent. */
export class EncodeError extends ChannelError {
  override readonly name = 'EncodeError';
  readonly code = 'ENCODE_FAILED';
  /** What wasn't sent. */
  readonly value: unknown;

  /**
   * @param codecName the codec
   * @param value what wasn't sent
   * @param cause what the codec threw
   */
  constructor(codecName: string, value: unknown, cause: unknown) {
    super(`the codec '${codecName}' can't write this value`, { cause });
    this.value = value;
  }
}

/** A message came that the codec can't read. It has been taken from the channel; its bytes are here. */
export class DecodeError extends ChannelError {
  override readonly name = 'DecodeError';
  readonly code = 'DECODE_FAILED';
  /** The message as it came. */
  readonly bytes: Uint8Array;

  /**
   * @param codecName the codec
   * @param bytes the message as it came
   * @param cause what the codec threw
   */
  constructor(codecName: string, bytes: Uint8Array, cause: unknown) {
    super(`the codec '${codecName}' can't read a message of ${bytes.byteLength} bytes`, { cause });
    this.bytes = bytes;
  }
}

/** A handle was opened with another codec than that of the end it is of. */
export class CodecMismatchError extends ChannelError {
  override readonly name = 'CodecMismatchError';
  readonly code = 'CODEC_MISMATCH';

  /**
   * @param expected the codec that the handle names
   * @param found the codec that was given
   */
  constructor(expected: string, found: string) {
    super(`the channel's messages are encoded by '${expected}', not by '${found}'; give from() the codec '${expected}'`);
  }
}

/** The message is longer than the buffer it was to be received into. It stays in the channel. */
export class BufferTooSmallError extends ChannelError {
  override readonly name = 'BufferTooSmallError';
  readonly code = 'BUFFER_TOO_SMALL';
  /** The bytes of the message. */
  readonly byteLength: number;

  /**
   * @param byteLength the bytes of the message
   * @param byteLengthMax the bytes of the buffer
   */
  constructor(byteLength: number, byteLengthMax: number) {
    super(`a message of ${byteLength} bytes for a buffer of ${byteLengthMax}`);
    this.byteLength = byteLength;
  }
}

/** This end has a place reserved, or a message borrowed, and blocking for another would never end. */
export class InUseError extends ChannelError {
  override readonly name = 'InUseError';
  readonly code = 'IN_USE';

  /** @param operation what was tried */
  constructor(operation: string) {
    super(`${operation} would never end: commit, abandon or release it first`);
  }
}

/** A blocking select can't wait for these operations at once. */
export class NotSelectableError extends ChannelError {
  override readonly name = 'NotSelectableError';
  readonly code = 'NOT_SELECTABLE';
}

/**
 * A receiver of a broadcast channel was too slow: messages were overwritten before it received them. It goes on with the oldest
 * one that is kept.
 */
export class LaggedError extends ChannelError {
  override readonly name = 'LaggedError';
  readonly code = 'LAGGED';
  /** How many messages this receiver will never see. */
  readonly skipped: number;

  /** @param skipped how many messages were missed */
  constructor(skipped: number) {
    super(`the receiver was too slow and has missed ${skipped} messages`);
    this.skipped = skipped;
  }
}

/** A broadcast channel whose senders wait for its receivers has as many of these as it can know of. */
export class TooManyReceiversError extends ChannelError {
  override readonly name = 'TooManyReceiversError';
  readonly code = 'TOO_MANY_RECEIVERS';

  /** @param countMax how many there can be */
  constructor(countMax: number) {
    super(`a broadcast channel with back-pressure has at most ${countMax} open receivers; release one, or make it without`);
  }
}
