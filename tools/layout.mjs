#!/usr/bin/env node
// Writes the layout of every record in shared memory from its one source.
//
//   node tools/layout.mjs            write the generated files
//   node tools/layout.mjs --check    exit 1 if one of them differs from what would be written
//
// The source is one file a noun, `layout/<noun>.json`:
//
//   { "noun": "atomics",                      the package and the crate that own the records
//     "doc": "…",                             one paragraph for docs/layout.md
//     "constants": [
//       { "name": "POISONED",                 SCREAMING_SNAKE_CASE
//         "value": "0x4000_0000",             an unsigned 32-bit number, written as both languages understand it
//         "doc": "…" } ],
//     "records": [
//       { "name": "Mutex",                    PascalCase
//         "size": 8, "align": 4,              bytes
//         "languages": ["typescript"],        only where one language alone has the record; so for constants
//         "doc": "…",
//         "fields": [                         in ascending order of offset; gaps are shown as unused
//           { "name": "word",                 camelCase
//             "offset": 0,                    bytes
//             "type": "u32",                  u8 u16 u32 i32 u64 f64, another record's name, or either with a length: "u8[16]"
//             "doc": "…" } ] } ] }
//
// From it come `crates/<noun>/src/layout.rs`, `packages/<noun>/src/internal/layout.ts` (each only where
// that crate or package exists) and `docs/layout.md`. In Rust a record is a module of constants
// (`mutex::SIZE`, `mutex::ALIGN`, `mutex::WORD`); in TypeScript each is a constant of its own
// (`MUTEX_SIZE`, `MUTEX_ALIGN`, `MUTEX_WORD_OFFSET`). Sizes, alignment and overlaps are checked here.

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const scalarSizes = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, f64: 8 };

/** A record's or constant's name in SCREAMING_SNAKE_CASE. */
const screaming = (name) => name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
const snake = (name) => screaming(name).toLowerCase();

function fail(message) {
  console.error(`layout: ${message}`);
  process.exit(1);
}

function sizeAndAlignOf(type, records) {
  const array = /^(\w+)\[(\d+)\]$/.exec(type);
  if (array) {
    const element = sizeAndAlignOf(array[1], records);
    return { size: element.size * Number(array[2]), align: element.align };
  }
  if (type in scalarSizes) return { size: scalarSizes[type], align: scalarSizes[type] };
  const record = records.get(type);
  return record ? { size: record.size, align: record.align } : undefined;
}

function readSources() {
  const directory = join(root, 'layout');
  const sources = readdirSync(directory)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => {
      const source = JSON.parse(readFileSync(join(directory, name), 'utf8'));
      if (`${source.noun}.json` !== name) fail(`layout/${name} calls itself "${source.noun}"`);
      return source;
    });
  const records = new Map();
  for (const source of sources) {
    for (const record of source.records) {
      if (records.has(record.name)) fail(`two records are called ${record.name}`);
      records.set(record.name, record);
    }
  }
  for (const source of sources) {
    for (const constant of source.constants ?? []) {
      const value = Number(String(constant.value).replaceAll('_', ''));
      if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
        fail(`${source.noun}: ${constant.name} is not an unsigned 32-bit number: ${constant.value}`);
      }
    }
    for (const record of source.records) checkRecord(record, records);
    const names = [...typescriptOf(source).matchAll(/^export const (\w+)/gm)].map(([, name]) => name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice) fail(`${source.noun}: the constant ${twice} would be there twice`);
  }
  return { sources, records };
}

function checkRecord(record, records) {
  let end = 0;
  for (const field of record.fields) {
    const shape = sizeAndAlignOf(field.type, records);
    const path = `${record.name}.${field.name}`;
    if (!shape) fail(`${path} is of the unknown type ${field.type}`);
    if (field.offset < end) fail(`${path} at ${field.offset} overlaps the field before it, which ends at ${end}`);
    if (field.offset % shape.align !== 0) fail(`${path} at ${field.offset} is not aligned to ${shape.align}`);
    if (shape.align > record.align) fail(`${path} needs alignment ${shape.align}, the record has ${record.align}`);
    end = field.offset + shape.size;
  }
  if (end > record.size) fail(`${record.name} has ${record.size} bytes, its fields end at ${end}`);
  if (record.size % record.align !== 0) fail(`the size of ${record.name} is not a multiple of its alignment`);
}

/** Whether a record or a constant is written in a language: in both, if it doesn't say. */
const isIn = (language) => (entry) => (entry.languages ?? ['rust', 'typescript']).includes(language);

function rustOf(source) {
  const lines = [`//! Record sizes, offsets and state words: generated from \`layout/${source.noun}.json\`; edit that.`, ''];
  for (const constant of (source.constants ?? []).filter(isIn('rust'))) {
    lines.push(`/// ${constant.doc}`, `pub const ${constant.name}: u32 = ${constant.value};`);
  }
  for (const record of source.records.filter(isIn('rust'))) {
    lines.push('', `/// ${record.doc}`, `pub mod ${snake(record.name)} {`);
    lines.push('    /// Bytes of the record.', `    pub const SIZE: usize = ${record.size};`);
    lines.push('    /// Alignment of the record, in bytes.', `    pub const ALIGN: usize = ${record.align};`);
    for (const field of record.fields) {
      lines.push(`    /// ${field.doc}`, `    pub const ${screaming(field.name)}: usize = ${field.offset};`);
    }
    lines.push('}');
  }
  return `${lines.join('\n')}\n`;
}

function typescriptOf(source) {
  const lines = [`// Record sizes, offsets and state words: generated from layout/${source.noun}.json; edit that.`, ''];
  for (const constant of (source.constants ?? []).filter(isIn('typescript'))) {
    lines.push(`/** ${constant.doc} */`, `export const ${constant.name} = ${constant.value};`);
  }
  for (const record of source.records.filter(isIn('typescript'))) {
    const prefix = screaming(record.name);
    lines.push('', `/** Bytes of ${record.name}: ${record.doc} */`, `export const ${prefix}_SIZE = ${record.size};`);
    lines.push(`/** Alignment of ${record.name}, in bytes. */`, `export const ${prefix}_ALIGN = ${record.align};`);
    for (const field of record.fields) {
      lines.push(`/** ${field.doc} */`, `export const ${prefix}_${screaming(field.name)}_OFFSET = ${field.offset};`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The bytes of a record, eight to a row; rows that repeat a long field or a gap are folded. */
function diagramOf(record, records) {
  const spans = [];
  let end = 0;
  const gap = (upTo) => {
    if (upTo > end) spans.push({ offset: end, size: upTo - end, label: '' });
  };
  for (const field of record.fields) {
    gap(field.offset);
    const { size } = sizeAndAlignOf(field.type, records);
    spans.push({ offset: field.offset, size, label: field.name });
    end = field.offset + size;
  }
  gap(record.size);

  const cell = 9;
  const border = `       +${`${'-'.repeat(cell)}+`.repeat(8)}`;
  const rows = [
    'byte    ' +
      [0, 1, 2, 3, 4, 5, 6, 7]
        .map((n) =>
          String(n)
            .padStart(5)
            .padEnd(cell + 1),
        )
        .join('')
        .trimEnd(),
  ];
  rows.push(border);
  let row = 0;
  while (row < record.size) {
    const rowEnd = Math.min(row + 8, record.size);
    const inside = spans.filter((span) => span.offset < rowEnd && span.offset + span.size > row);
    let text = '';
    for (const span of inside) {
      const from = Math.max(span.offset, row);
      const to = Math.min(span.offset + span.size, rowEnd);
      const width = (to - from) * (cell + 1) - 1;
      const label = span.label === '' ? '(unused)' : span.label;
      text += `${` ${label}`.slice(0, width).padEnd(width)}|`;
    }
    rows.push(`${String(row).padStart(6)} |${text}`, border);
    row += 8;
    // Fold the whole rows that lie within one span.
    const span = inside.length === 1 ? inside[0] : undefined;
    if (span) {
      const wholeEnd = span.offset + span.size - ((span.offset + span.size) % 8);
      if (wholeEnd - row >= 8) {
        rows.push('   ... |');
        rows.push(border);
        row = wholeEnd;
      }
    }
  }
  return rows.join('\n');
}

function markdownOf(sources, records) {
  const lines = [
    '# Layout of the records in shared memory',
    '',
    'Generated from `layout/*.json` by `node tools/layout.mjs`; edit those. Offsets and sizes are bytes, numbers are',
    'little-endian. Rust and TypeScript both get their constants from the same source and assert them.',
  ];
  for (const source of sources) {
    lines.push('', `## ${source.noun}`, '', source.doc);
    for (const record of source.records) {
      lines.push('', `### ${record.name}`, '', `${record.doc} ${record.size} bytes, aligned to ${record.align}.`, '');
      lines.push('```text', diagramOf(record, records), '```', '');
      lines.push('| offset | field | type | meaning |', '| ---: | --- | --- | --- |');
      for (const field of record.fields) {
        lines.push(`| ${field.offset} | \`${field.name}\` | ${field.type} | ${field.doc} |`);
      }
    }
    if ((source.constants ?? []).length > 0) {
      lines.push('', `### Constants of ${source.noun}`, '', '| name | value | meaning |', '| --- | ---: | --- |');
      for (const constant of source.constants) {
        lines.push(`| \`${constant.name}\` | \`${constant.value}\` | ${constant.doc} |`);
      }
    }
  }
  return `${lines.join('\n')}\n`;
}

const { sources, records } = readSources();
const outputs = new Map();
for (const source of sources) {
  if (existsSync(join(root, 'crates', source.noun))) {
    outputs.set(join(root, 'crates', source.noun, 'src/layout.rs'), rustOf(source));
  }
  if (existsSync(join(root, 'packages', source.noun))) {
    outputs.set(join(root, 'packages', source.noun, 'src/internal/layout.ts'), typescriptOf(source));
  }
}
outputs.set(join(root, 'docs/layout.md'), markdownOf(sources, records));

const check = process.argv.includes('--check');
const stale = [];
for (const [path, text] of outputs) {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
  stale.push(relative(root, path));
  if (check) continue;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
if (check && stale.length > 0) {
  fail(`${stale.join(', ')} differ from layout/*.json; run node tools/layout.mjs`);
}
console.log(`layout: ${outputs.size} files ${check ? 'up to date' : `(${stale.length} written)`}`);
