//! Files that can be imported, as batches of rows.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::convert::bad;
use crate::error::{StoreError, StoreErrorCode, StoreResult};

/// A file that was recognised.
pub struct ImportFile {
    /// Its columns.
    pub schema: SchemaRef,
    /// How many rows it has, where it tells.
    pub rows_total: Option<u64>,
    batches: Box<dyn Iterator<Item = StoreResult<RecordBatch>>>,
}

impl ImportFile {
    /// The next rows, if there are any.
    pub fn next_batch(&mut self) -> StoreResult<Option<RecordBatch>> {
        caught(|| self.batches.next().transpose())
    }

    /// Recognises a file and reads what describes it.
    pub fn open(source: Bytes, format: Option<&str>, batch_rows: usize) -> StoreResult<ImportFile> {
        match format {
            Some("parquet") => caught(|| open_parquet(source, batch_rows)),
            Some("arrow") => caught(|| open_arrow(source, batch_rows)),
            Some(other) => Err(bad(format!(
                "unknown format {other:?}: parquet and arrow can be imported"
            ))),
            None if source.starts_with(b"PAR1") => caught(|| open_parquet(source, batch_rows)),
            None if source.starts_with(b"ARROW1") || source.starts_with(&[0xFF; 4]) => {
                caught(|| open_arrow(source, batch_rows))
            }
            None => Err(bad(
                "neither a Parquet nor an Arrow file, by its first bytes".into(),
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

fn open_parquet(source: Bytes, batch_rows: usize) -> StoreResult<ImportFile> {
    let failed = |error: parquet::errors::ParquetError| {
        bad(format!("the Parquet file cannot be read: {error}"))
    };
    let builder = ParquetRecordBatchReaderBuilder::try_new(source).map_err(failed)?;
    let rows_total = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();
    let schema = builder.schema().clone();
    let reader = builder
        .with_batch_size(batch_rows)
        .build()
        .map_err(failed)?;
    let batches = reader.map(|batch| {
        batch.map_err(|error| bad(format!("the Parquet file cannot be read: {error}")))
    });
    Ok(ImportFile {
        schema,
        rows_total,
        batches: Box::new(batches),
    })
}

fn open_arrow(source: Bytes, batch_rows: usize) -> StoreResult<ImportFile> {
    fn failed(error: arrow_schema::ArrowError) -> StoreError {
        bad(format!("the Arrow file cannot be read: {error}"))
    }
    let (schema, batches): (
        SchemaRef,
        Box<dyn Iterator<Item = StoreResult<RecordBatch>>>,
    ) = if source.starts_with(b"ARROW1") {
        let reader = FileReader::try_new(Cursor::new(source), None).map_err(failed)?;
        (
            reader.schema(),
            Box::new(reader.map(|batch| batch.map_err(failed))),
        )
    } else {
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
                (0..rows)
                    .step_by(batch_rows)
                    .map(|start| Ok(batch.slice(start, batch_rows.min(rows - start))))
                    .collect()
            }
            Err(error) => vec![Err(error)],
        }
    };
    Ok(ImportFile {
        schema,
        rows_total: None,
        batches: Box::new(batches.flat_map(cut)),
    })
}
