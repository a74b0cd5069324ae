//! Files that can be imported, as batches of rows.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader, read_footer_length};
use arrow_ipc::{root_as_footer, root_as_message};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::convert::bad;
use super::csv;
use super::gather::{BatchLimits, Gather, PIECE_ROWS};
use crate::error::{StoreError, StoreErrorCode, StoreResult};

/// A file that was recognised.
pub struct ImportFile {
    /// Its columns.
    pub schema: SchemaRef,
    /// How many rows it has, where it tells.
    pub rows_total: Option<u64>,
    /// Whether it knows texts alone, which mean what the column takes that they go into.
    pub texts_are_values: bool,
    pub(super) batches: Box<dyn Iterator<Item = StoreResult<RecordBatch>>>,
    /// Its columns as a table for them has to be.
    pub(super) infer: Box<dyn Fn() -> StoreResult<SchemaRef>>,
}

impl ImportFile {
    /// A file that knows its columns' types.
    fn typed(
        schema: SchemaRef,
        rows_total: Option<u64>,
        batches: Box<dyn Iterator<Item = StoreResult<RecordBatch>>>,
    ) -> ImportFile {
        let own = schema.clone();
        ImportFile {
            schema,
            rows_total,
            texts_are_values: false,
            batches,
            infer: Box::new(move || Ok(own.clone())),
        }
    }

    /// The next rows, if there are any.
    pub fn next_batch(&mut self) -> StoreResult<Option<RecordBatch>> {
        caught(|| self.batches.next().transpose())
    }

    /// The columns that a table for its rows has.
    pub fn table_schema(&self) -> StoreResult<SchemaRef> {
        caught(|| (self.infer)())
    }

    /// Recognises a file and reads what describes it.
    pub fn open(
        source: Bytes,
        format: Option<&str>,
        limits: BatchLimits,
    ) -> StoreResult<ImportFile> {
        match format {
            Some("parquet") => caught(|| open_parquet(source, limits)),
            Some("arrow") => caught(|| open_arrow(source, limits)),
            Some("csv") => caught(|| csv::open(source, limits)),
            Some(other) => Err(bad(format!(
                "unknown format {other:?}: parquet, arrow and csv can be imported"
            ))),
            None if source.starts_with(b"PAR1") => caught(|| open_parquet(source, limits)),
            None if source.starts_with(b"ARROW1") || source.starts_with(&[0xFF; 4]) => {
                caught(|| open_arrow(source, limits))
            }
            None => Err(bad(
                "neither a Parquet nor an Arrow file, by its first bytes; a CSV file needs its format named".into(),
            )),
        }
    }
}

/// The readers panic at some files that no writer would write.
fn caught<T>(read: impl FnOnce() -> StoreResult<T>) -> StoreResult<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|payload| {
        match StoreError::of_panic("the reader", &*payload) {
            error if error.code == StoreErrorCode::OutOfMemory => Err(error),
            _ => Err(bad("the file cannot be read: it contradicts itself".into())),
        }
    })
}

fn open_parquet(source: Bytes, limits: BatchLimits) -> StoreResult<ImportFile> {
    let failed = |error: parquet::errors::ParquetError| {
        bad(format!("the Parquet file cannot be read: {error}"))
    };
    let builder = ParquetRecordBatchReaderBuilder::try_new(source).map_err(failed)?;
    let rows_total = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();
    let schema = builder.schema().clone();
    let reader = builder
        .with_batch_size(limits.rows.min(PIECE_ROWS))
        .build()
        .map_err(failed)?;
    let batches = reader.map(|batch| {
        batch.map_err(|error| bad(format!("the Parquet file cannot be read: {error}")))
    });
    let batches = Box::new(Gather::new(batches, limits));
    Ok(ImportFile::typed(schema, rows_total, batches))
}

fn cut_short() -> StoreError {
    bad("the Arrow file cannot be read: it is cut short, or tells lengths beyond its end".into())
}

/// Looks whether what an Arrow file points at is in it: the reader takes as much memory as it is told, before it reads.
fn lengths_of_file(source: &[u8]) -> Option<()> {
    let trailer = source.last_chunk::<10>()?;
    let footer_size = read_footer_length(*trailer).ok()?;
    let footer_end = source.len() - trailer.len();
    let footer = &source[footer_end.checked_sub(footer_size)?..footer_end];
    let footer = root_as_footer(footer).ok()?;
    let blocks = [footer.dictionaries(), footer.recordBatches()];
    for block in blocks.into_iter().flatten().flatten() {
        let start = usize::try_from(block.offset()).ok()?;
        let metadata = usize::try_from(block.metaDataLength()).ok()?;
        let body = usize::try_from(block.bodyLength()).ok()?;
        source.get(start..start.checked_add(metadata)?.checked_add(body)?)?;
    }
    Some(())
}

/// The same for a stream of messages: each is a mark, in newer files, a length, what describes it, and its body.
fn lengths_of_stream(mut source: &[u8]) -> Option<()> {
    while !source.is_empty() {
        let (mut length, mut rest) = source.split_first_chunk::<4>()?;
        if *length == [0xFF; 4] {
            (length, rest) = rest.split_first_chunk::<4>()?;
        }
        let length = usize::try_from(i32::from_le_bytes(*length)).ok()?;
        if length == 0 {
            return Some(());
        }
        let (message, rest) = rest.split_at_checked(length)?;
        let body = usize::try_from(root_as_message(message).ok()?.bodyLength()).ok()?;
        source = rest.get(body..)?;
    }
    Some(())
}

fn open_arrow(source: Bytes, limits: BatchLimits) -> StoreResult<ImportFile> {
    fn failed(error: arrow_schema::ArrowError) -> StoreError {
        bad(format!("the Arrow file cannot be read: {error}"))
    }
    let (schema, batches): (
        SchemaRef,
        Box<dyn Iterator<Item = StoreResult<RecordBatch>>>,
    ) = if source.starts_with(b"ARROW1") {
        lengths_of_file(&source).ok_or_else(cut_short)?;
        let reader = FileReader::try_new(Cursor::new(source), None).map_err(failed)?;
        (
            reader.schema(),
            Box::new(reader.map(|batch| batch.map_err(failed))),
        )
    } else {
        lengths_of_stream(&source).ok_or_else(cut_short)?;
        let reader = StreamReader::try_new(Cursor::new(source), None).map_err(failed)?;
        (
            reader.schema(),
            Box::new(reader.map(|batch| batch.map_err(failed))),
        )
    };
    // An Arrow file's batches are as large as their writer liked.
    let cut = move |batch: StoreResult<RecordBatch>| -> Vec<StoreResult<RecordBatch>> {
        match batch {
            Ok(batch) => {
                let rows = batch.num_rows();
                let pieces = (0..rows)
                    .step_by(PIECE_ROWS)
                    .map(|start| Ok(batch.slice(start, PIECE_ROWS.min(rows - start))));
                Gather::new(pieces, limits).collect()
            }
            Err(error) => vec![Err(error)],
        }
    };
    Ok(ImportFile::typed(
        schema,
        None,
        Box::new(batches.flat_map(cut)),
    ))
}
