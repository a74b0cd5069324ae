//! CSV files (RFC 4180): UTF-8, a line of names, commas, quotes doubled within quotes.
//!
//! Every field is read as text, and an empty one as NULL. What a text means is decided by the column that it goes into; for a table that
//! is made from the file, by all of the column's texts.

use std::io::{Cursor, Read};
use std::sync::Arc;

use arrow_csv::ReaderBuilder;
use arrow_csv::reader::Format;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use bytes::Bytes;

use super::convert::bad;
use super::file::ImportFile;
use super::gather::{BatchLimits, Gather, PIECE_ROWS};
use crate::activity::check_interrupt;
use crate::error::{StoreError, StoreResult};

/// What some programs write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// Reads a file's names.
pub(super) fn open(source: Bytes, limits: BatchLimits) -> StoreResult<ImportFile> {
    let source = match source.starts_with(BYTE_ORDER_MARK) {
        true => source.slice(BYTE_ORDER_MARK.len()..),
        false => source,
    };
    let (header, _) = format()
        .infer_schema(Cursor::new(source.clone()), Some(0))
        .map_err(failed)?;
    let names: Vec<&str> = header
        .fields()
        .iter()
        .map(|field| field.name().trim())
        .collect();
    for (position, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(bad(format!(
                "column {} of the CSV file has no name",
                position + 1
            )));
        }
        if names[..position]
            .iter()
            .any(|other| other.eq_ignore_ascii_case(name))
        {
            return Err(bad(format!("the CSV file has two columns {name}")));
        }
    }
    if names.is_empty() {
        return Err(bad(
            "the CSV file is empty: its first line names the columns".into(),
        ));
    }
    let schema = of_types(&names, names.iter().map(|_| DataType::Utf8));
    let reader = ReaderBuilder::new(schema.clone())
        .with_format(format())
        .with_batch_size(limits.rows.min(PIECE_ROWS))
        .build(Cursor::new(source.clone()))
        .map_err(failed)?;
    let declared = schema.clone();
    Ok(ImportFile {
        schema,
        rows_total: None,
        texts_are_values: true,
        batches: Box::new(Gather::new(
            reader.map(|batch| batch.map_err(failed)),
            limits,
        )),
        infer: Box::new(move || infer(&source, &declared)),
    })
}

/// The types that all of a file's texts are of.
fn infer(source: &Bytes, declared: &Schema) -> StoreResult<SchemaRef> {
    let reader = Interruptible(Cursor::new(source.clone()));
    let inferred = format().infer_schema(reader, None);
    // The reader knows only errors of its own.
    check_interrupt()?;
    let (inferred, _) = inferred.map_err(failed)?;
    let names: Vec<&str> = declared
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let types = inferred
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            kind @ (DataType::Int64 | DataType::Float64 | DataType::Boolean) => kind.clone(),
            _ => DataType::Utf8,
        });
    Ok(of_types(&names, types))
}

fn of_types(names: &[&str], types: impl Iterator<Item = DataType>) -> SchemaRef {
    let fields: Vec<Field> = names
        .iter()
        .zip(types)
        .map(|(name, kind)| Field::new(*name, kind, true))
        .collect();
    Arc::new(Schema::new(fields))
}

fn format() -> Format {
    Format::default().with_header(true)
}

/// The reader's errors name lines and counts of fields, never what is in them: nothing is parsed there.
fn failed(error: ArrowError) -> StoreError {
    let words = match &error {
        ArrowError::CsvError(words) => words.clone(),
        other => other.to_string(),
    };
    bad(format!("the CSV file cannot be read: {words}"))
}

/// A source that fails when the request that reads it is interrupted.
struct Interruptible<R>(R);

impl<R: Read> Read for Interruptible<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        check_interrupt().map_err(|error| std::io::Error::other(error.message))?;
        self.0.read(buffer)
    }
}
