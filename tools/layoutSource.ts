/** The source of the records' layout, read for tests: what the generated constants are compared with, and where to look for a field. */
import { readFileSync } from 'node:fs';

interface Field {
  readonly name: string;
  readonly offset: number;
  readonly type: string;
}

interface LayoutFile {
  readonly constants?: readonly { readonly name: string; readonly value: string }[];
  readonly records: readonly { readonly name: string; readonly size: number; readonly align: number; readonly fields: readonly Field[] }[];
}

const screaming = (name: string): string => name.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/gu, '_').toUpperCase();

/** The layout of one noun's records. */
export class LayoutSource {
  readonly #file: LayoutFile;

  /** @param noun a file below layout/ */
  constructor(noun: string) {
    this.#file = JSON.parse(readFileSync(new URL(`../layout/${noun}.json`, import.meta.url), 'utf8')) as LayoutFile;
  }

  /** What TypeScript's constants must be, by their names. */
  get constants(): Record<string, number> {
    const constants: Record<string, number> = {};
    for (const { name, value } of this.#file.constants ?? []) constants[name] = Number(value.replaceAll('_', ''));
    for (const { name, size, align, fields } of this.#file.records) {
      const prefix = screaming(name);
      constants[`${prefix}_SIZE`] = size;
      constants[`${prefix}_ALIGN`] = align;
      for (const field of fields) constants[`${prefix}_${screaming(field.name)}_OFFSET`] = field.offset;
    }
    return constants;
  }

  /** A record's `u32` fields as they are in memory, by their names. */
  read(record: string, buffer: SharedArrayBuffer, byteOffset: number): Record<string, number> {
    const view = new DataView(buffer, byteOffset);
    const fields = this.#file.records.find(({ name }) => name === record)?.fields ?? [];
    const words = fields.filter(({ type }) => type === 'u32');
    return Object.fromEntries(words.map(({ name, offset }) => [name, view.getUint32(offset, true)]));
  }
}
