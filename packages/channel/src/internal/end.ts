/** What both ends of a channel have in common: a codec, a handle, closing and being released. */
import { AbortedError, type Handle, InvalidRecordError } from '@heddle/atomics';
import { type ResolvedLocation, handleOf } from '@heddle/atomics/internal';
import { type Codec, builtInCodec } from '../Codec.ts';
import { ClosedError, CodecMismatchError, DecodeError, EncodeError, SendAbortedError } from '../errors.ts';

/** What is posted of an end. */
export interface EndHandle<Kind extends string> extends Handle<Kind> {
  /** The name of the codec of the messages. */
  readonly codec: string;
}

/**
 * The codec that a handle asks for.
 *
 * @throws CodecMismatchError `CODEC_MISMATCH` if it isn't the one that was given, or none was and it isn't built in
 * @throws InvalidRecordError `INVALID_RECORD` if the handle names none
 */
export function codecFor<T>(name: string, given: Codec<T> | undefined): Codec<T> {
  if (typeof name !== 'string') throw new InvalidRecordError(`a handle names its codec, not ${typeof name}`);
  if (given !== undefined) {
    if (given.name !== name) throw new CodecMismatchError(name, given.name);
    return given;
  }
  const builtIn = builtInCodec(name);
  if (builtIn === undefined) throw new CodecMismatchError(name, 'none');
  return builtIn;
}

/**
 * Checks what a handle tells of where its end is: whoever posted it may have made it.
 *
 * @throws InvalidRecordError `INVALID_RECORD` if it is no integer
 */
export function checkProgress(value: unknown): void {
  if (!Number.isInteger(value)) throw new InvalidRecordError(`a handle tells by a number how far its end is, not by ${typeof value}`);
}

/** What a handle tells of a channel. */
export interface HandleSource {
  /** Where the channel is. */
  readonly location: ResolvedLocation;
  /** Where the memory's thread registry starts, in bytes, if this thread knows one. */
  readonly registryByteOffset: number | undefined;
}

/** The handle of an end. */
export function endHandle<Kind extends string>(kind: Kind, ring: HandleSource, codec: Codec<never>): EndHandle<Kind> {
  return { ...handleOf(kind, ring.location, ring.registryByteOffset), codec: codec.name };
}

/** The error for an end that was released and is used all the same. */
export function releasedError(end: string, value?: unknown): ClosedError {
  return new ClosedError(`this ${end} was released`, value);
}

/**
 * Waits for `sending`, and gives the value back if that is given up with a signal.
 *
 * @throws SendAbortedError `ABORTED` with the value
 */
export async function withValue<T>(operation: string, value: unknown, sending: Promise<T>): Promise<T> {
  try {
    return await sending;
  } catch (error) {
    throw error instanceof AbortedError ? new SendAbortedError(operation, error.cause, value) : error;
  }
}

/**
 * The bytes of a value.
 *
 * @throws EncodeError `ENCODE_FAILED` with the value, if the codec can't write it
 */
export function encodeWith<T>(codec: Codec<T>, value: T): Uint8Array {
  try {
    return codec.encode(value);
  } catch (error) {
    throw new EncodeError(codec.name, value, error);
  }
}

/**
 * The value in the bytes of a message.
 *
 * @throws DecodeError `DECODE_FAILED` with the bytes, if they are no message of the codec
 */
export function decodeWith<T>(codec: Codec<T>, bytes: Uint8Array<ArrayBuffer>): T {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw new DecodeError(codec.name, bytes, error);
  }
}
