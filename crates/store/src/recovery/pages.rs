//! Parquet files of which some bytes are damaged: what their checksums rule out is left out page by page.
//!
//! A file is rewritten under its own name from the rows of which no column lies in a damaged page. What Tonbo knows of the file beside
//! that – its first and last key, its counts – still bounds what is in it.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FooterTail, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::error::{StoreError, StoreResult};
use crate::schema::{KEY_COLUMN, TableSchema};
use crate::tonbo::fs::TonboFs;

/// Tonbo's column beside those of the table.
const COMMIT_COLUMN: &str = "_commit_ts";

/// The end of a Parquet file: the length of its description, and a mark.
const TAIL_SIZE: usize = 8;

/// What a file has lost.
pub(super) struct Lost {
    /// The rows, or deletes, where that is known.
    pub(super) rows: Option<u64>,
    pub(super) message: String,
}

/// The byte ranges of a file of rows or deletes that fail their checksums; none where all is well, and for other files.
pub(super) fn find_damage(fs: &TonboFs, path: &str) -> StoreResult<Vec<Range<u64>>> {
    match path.ends_with(".parquet") {
        true => Ok(fs.damage(path)?),
        false => Ok(Vec::new()),
    }
}

/// Rewrites a table's file without what lies in `damage`.
pub(super) fn mend(
    fs: &TonboFs,
    path: &str,
    table: &TableSchema,
    damage: &[Range<u64>],
) -> StoreResult<Lost> {
    let is_deletes = path.ends_with(".delete.parquet");
    let what = if is_deletes { "deletes" } else { "rows" };
    let failed = |error: ParquetError| StoreError::corrupt(format!("cannot mend {path}: {error}"));
    let bytes = Bytes::from(fs.bytes_unchecked(path)?);
    let (mended, lost) = match describe(&bytes, damage) {
        Some(metadata) => {
            let total = metadata.file_metadata().num_rows() as usize;
            let whole = whole_rows(&metadata, damage);
            let kept: usize = whole.iter().map(Range::len).sum();
            let lost = Lost {
                rows: Some((total - kept) as u64),
                message: format!(
                    "{} of its {total} {what} are left out: they lie in damaged pages",
                    total - kept
                ),
            };
            let columns = metadata.row_group(0).columns().to_vec();
            let reader = rows(bytes, whole, total).map_err(failed)?;
            (write(&reader.0, reader.1, &columns).map_err(failed)?, lost)
        }
        None => {
            let schema = if is_deletes {
                deletes_of(table)
            } else {
                rows_of(table)
            };
            let lost = Lost {
                rows: None,
                message: format!("all its {what} are left out: what describes them is damaged"),
            };
            (write(&schema, [], &[]).map_err(failed)?, lost)
        }
    };
    fs.replace(path, &mended)?;
    Ok(lost)
}

/// What describes a file's pages, unless that itself is damaged.
fn describe(bytes: &Bytes, damage: &[Range<u64>]) -> Option<ParquetMetaData> {
    let size = bytes.len() as u64;
    let tail = bytes.last_chunk::<TAIL_SIZE>()?;
    if is_hit(size - TAIL_SIZE as u64..size, damage) {
        return None;
    }
    let length = FooterTail::try_new(tail).ok()?.metadata_length() as u64;
    if is_hit(size.checked_sub(TAIL_SIZE as u64 + length)?..size, damage) {
        return None;
    }
    let policy = PageIndexPolicy::Skip;
    let plain = ParquetMetaDataReader::new()
        .with_page_index_policy(policy)
        .parse_and_finish(bytes)
        .ok()?;
    if plain.num_row_groups() == 0
        || plain.row_groups().iter().any(|group| {
            group
                .columns()
                .iter()
                .any(|column| is_hit_index(column, damage))
        })
    {
        return None;
    }
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(bytes)
        .ok()
}

/// Whether what tells a column's pages is damaged.
fn is_hit_index(column: &ColumnChunkMetaData, damage: &[Range<u64>]) -> bool {
    let parts = [
        (column.column_index_offset(), column.column_index_length()),
        (column.offset_index_offset(), column.offset_index_length()),
    ];
    parts.into_iter().any(|part| match part {
        (Some(start), Some(length)) => {
            is_hit(start as u64..(start + i64::from(length)) as u64, damage)
        }
        _ => true,
    })
}

/// The runs of rows of which no column lies in a damaged page, counted from the file's first.
fn whole_rows(metadata: &ParquetMetaData, damage: &[Range<u64>]) -> Vec<Range<usize>> {
    let mut lost = Vec::new();
    let mut start = 0;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let end = start + group.num_rows() as usize;
        for (position, column) in group.columns().iter().enumerate() {
            let pages = metadata
                .offset_index()
                .map(|all| all[index][position].page_locations());
            for (number, page) in pages.into_iter().flatten().enumerate() {
                let bytes =
                    page.offset as u64..(page.offset + i64::from(page.compressed_page_size)) as u64;
                if is_hit(bytes, damage) {
                    let next = pages.and_then(|pages| pages.get(number + 1));
                    let behind = next.map_or(end, |next| start + next.first_row_index as usize);
                    lost.push(start + page.first_row_index as usize..behind);
                }
            }
            // The pages behind a dictionary mean nothing without it.
            if let Some(dictionary) = column.dictionary_page_offset()
                && is_hit(dictionary as u64..column.data_page_offset() as u64, damage)
            {
                lost.push(start..end);
            }
        }
        start = end;
    }
    lost.sort_by_key(|rows| rows.start);
    let mut whole = Vec::new();
    let mut at = 0;
    for rows in lost {
        if at < rows.start {
            whole.push(at..rows.start);
        }
        at = at.max(rows.end);
    }
    if at < start {
        whole.push(at..start);
    }
    whole
}

/// A file's schema, and its rows of `whole`; pages without any are not read.
fn rows(
    bytes: Bytes,
    whole: Vec<Range<usize>>,
    total: usize,
) -> Result<(SchemaRef, ParquetRecordBatchReader), ParquetError> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?;
    let schema = builder.schema().clone();
    let selection = RowSelection::from_consecutive_ranges(whole.into_iter(), total);
    Ok((schema, builder.with_row_selection(selection).build()?))
}

/// A file as Tonbo writes it, with Bloom filters where `columns` had them.
fn write(
    schema: &SchemaRef,
    rows: impl IntoIterator<Item = Result<arrow_array::RecordBatch, arrow_schema::ArrowError>>,
    columns: &[ColumnChunkMetaData],
) -> Result<Vec<u8>, ParquetError> {
    let compression = match columns.first() {
        Some(column) => column.compression(),
        None => Compression::ZSTD(ZstdLevel::default()),
    };
    let mut properties = WriterProperties::builder()
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_dictionary_enabled(false);
    for column in columns
        .iter()
        .filter(|column| column.bloom_filter_offset().is_some())
    {
        let path = column.column_path();
        properties = properties
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_ndv(path.clone(), column.num_values().max(1) as u64);
    }
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties.build()))?;
    for batch in rows {
        writer.write(&batch?)?;
    }
    writer.into_inner()
}

fn rows_of(table: &TableSchema) -> SchemaRef {
    let fields = table
        .arrow
        .fields()
        .iter()
        .map(|field| field.as_ref().clone());
    with_commit(fields, table)
}

fn deletes_of(table: &TableSchema) -> SchemaRef {
    let key = table
        .arrow
        .fields()
        .iter()
        .filter(|field| field.name() == KEY_COLUMN);
    with_commit(key.map(|field| field.as_ref().clone()), table)
}

fn with_commit(fields: impl Iterator<Item = Field>, table: &TableSchema) -> SchemaRef {
    let commit = Field::new(COMMIT_COLUMN, DataType::UInt64, false);
    let fields: Vec<Field> = fields.chain([commit]).collect();
    Arc::new(Schema::new_with_metadata(
        fields,
        table.arrow.metadata().clone(),
    ))
}

fn is_hit(bytes: Range<u64>, damage: &[Range<u64>]) -> bool {
    damage
        .iter()
        .any(|other| other.start < bytes.end && bytes.start < other.end)
}
