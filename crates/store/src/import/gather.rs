//! Batches of a file's rows, as large as they may be.
//!
//! How many bytes a row takes no file tells: a dictionary's value or a run stands in it once and in a table again and again. So a file is read in
//! small pieces, whose columns are unpacked, and those are gathered until there are enough rows or bytes.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use arrow_select::concat::concat_batches;

use super::convert::bad;
use crate::activity::check_interrupt;
use crate::error::{StoreError, StoreResult};
use crate::table::unflushed::values_size;

/// Rows that are read at once: what a piece takes is known when it is there.
pub(super) const PIECE_ROWS: usize = 1024;

/// How large a batch may be.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Rows.
    pub rows: usize,
    /// Bytes, unless a row has more.
    pub size: usize,
}

/// Pieces gathered to batches.
pub(super) struct Gather<I> {
    pieces: I,
    limits: BatchLimits,
    /// What did not fit into the last batch.
    rest: Option<RecordBatch>,
}

impl<I: Iterator<Item = StoreResult<RecordBatch>>> Gather<I> {
    pub(super) fn new(pieces: I, limits: BatchLimits) -> Gather<I> {
        Gather {
            pieces,
            limits,
            rest: None,
        }
    }

    /// The next piece that has rows, unpacked.
    fn piece(&mut self) -> StoreResult<Option<RecordBatch>> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        for piece in self.pieces.by_ref() {
            let piece = piece?;
            if piece.num_rows() > 0 {
                return unpacked(&piece).map(Some).map_err(failed);
            }
        }
        Ok(None)
    }

    fn batch(&mut self) -> StoreResult<Option<RecordBatch>> {
        let (mut parts, mut rows, mut size) = (Vec::new(), 0, 0);
        while rows < self.limits.rows {
            check_interrupt()?;
            let Some(piece) = self.piece()? else { break };
            let room = BatchLimits {
                rows: self.limits.rows - rows,
                size: self.limits.size.saturating_sub(size),
            };
            let count = match rows_within(&piece, room) {
                0 if rows == 0 => 1,
                count => count,
            };
            if count < piece.num_rows() {
                self.rest = Some(piece.slice(count, piece.num_rows() - count));
            }
            let part = piece.slice(0, count);
            rows += count;
            size += values_size(&part);
            let is_cut = self.rest.is_some();
            parts.push(part);
            if is_cut {
                break;
            }
        }
        match &parts[..] {
            [] => Ok(None),
            [part] => Ok(Some(part.clone())),
            [first, ..] => concat_batches(first.schema_ref(), &parts)
                .map(Some)
                .map_err(failed),
        }
    }
}

impl<I: Iterator<Item = StoreResult<RecordBatch>>> Iterator for Gather<I> {
    type Item = StoreResult<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

/// How many of a piece's first rows are within limits.
fn rows_within(piece: &RecordBatch, limits: BatchLimits) -> usize {
    let rows = piece.num_rows().min(limits.rows);
    let fits = |rows: usize| values_size(&piece.slice(0, rows)) <= limits.size;
    if fits(rows) {
        return rows;
    }
    let (mut fit, mut too_many) = (0, rows);
    while too_many - fit > 1 {
        let middle = fit + (too_many - fit) / 2;
        if fits(middle) {
            fit = middle;
        } else {
            too_many = middle;
        }
    }
    fit
}

/// A piece whose columns have each row's value in its place.
fn unpacked(piece: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let plain = |kind: &DataType| match kind {
        DataType::Dictionary(_, values) => Some(DataType::clone(values)),
        DataType::Utf8View => Some(DataType::Utf8),
        DataType::BinaryView => Some(DataType::Binary),
        _ => None,
    };
    let schema = piece.schema();
    if schema
        .fields()
        .iter()
        .all(|field| plain(field.data_type()).is_none())
    {
        return Ok(piece.clone());
    }
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in schema.fields().iter().zip(piece.columns()) {
        let kind = plain(field.data_type()).unwrap_or_else(|| field.data_type().clone());
        columns.push(cast(column, &kind)?);
        fields.push(Field::new(field.name(), kind, true));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Casts to a type of the values' own, and batches of one schema, only fail at what contradicts itself.
fn failed(error: ArrowError) -> StoreError {
    bad(format!("the file cannot be read: {error}"))
}
