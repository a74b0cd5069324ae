//! The one place that talks to Tonbo: a table's `DB`, its pinned snapshots and their scans.
//!
//! Tonbo is the source of every row. Its futures are polled on the thread that asks ([`block_on`]); file work below them goes to the
//! store's [`Io`](crate::io::Io), so that no thread waits for another's future.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Schema, SchemaRef};
use fusio::path::Path;
use futures::StreamExt;
use tonbo::db::{
    CompactionOptions, CompactionStrategy, DB, DbBuilder, Expr, LeveledPlannerConfig, NeverSeal,
    ScalarValue, Snapshot, WalConfig, WalRecoveryMode, WalSyncPolicy, wal_tuning::WalConfigExt,
};

use super::range::KeyRange;
use crate::activity::check_interrupt;
use crate::error::{ALLOCATION_FAILED, StoreError, StoreErrorCode, StoreResult};
use crate::recovery::Recovery;
use crate::schema::KEY_COLUMN;
use crate::tonbo::TonboHost;
use crate::tonbo::executor::{TASK_FAILED_WORDS, TonboExecutor, block_on, was_refused_memory};
use crate::tonbo::fs::TonboFs;

/// A log segment of Tonbo's, in bytes: small ones are pruned sooner.
const WAL_SEGMENT_BYTES: usize = 8 << 20;

/// Files of rows as they came from memory, before they are merged: a scan of a row that they all hold reads it in each.
const UNMERGED_FILES: usize = 4;

/// The values of a file that a merge writes, in bytes: it holds them all while it does.
const MERGED_SIZE: usize = 64 << 20;

/// A table's Tonbo.
pub struct Source {
    db: DB<TonboFs, TonboExecutor>,
    schema: SchemaRef,
    name: String,
}

impl Source {
    /// Opens, or creates, the database below `root`. With [`Recovery::Salvage`], commits that are damaged in its log are left out.
    pub fn open(
        host: &TonboHost,
        root: &str,
        name: &str,
        schema: SchemaRef,
        recovery: Recovery,
    ) -> StoreResult<Source> {
        let failed = |error: &dyn std::fmt::Display| tonbo_error(name, "open", error);
        let path = Path::from(root);
        let planner = LeveledPlannerConfig {
            l0_trigger: UNMERGED_FILES,
            ..LeveledPlannerConfig::default()
        };
        let compaction = CompactionOptions::new()
            .strategy(CompactionStrategy::Leveled(planner))
            .max_output_bytes(MERGED_SIZE)
            .manual()
            .disable_l0_backpressure();
        let builder = DbBuilder::from_schema_key_name(schema.clone(), KEY_COLUMN)
            .map_err(|error| failed(&error))?
            .object_store_with_fs(Arc::new(host.fs.clone()), path)
            .map_err(|error| failed(&error))?
            .table_name("rows")
            .wal_flush_interval(Duration::ZERO)
            .wal_sync_policy(WalSyncPolicy::Disabled)
            .wal_segment_bytes(WAL_SEGMENT_BYTES)
            .disable_minor_compaction()
            .with_seal_policy(Arc::new(NeverSeal))
            .with_compaction_options(compaction)
            .wal_config(WalConfig::default().recovery_mode(match recovery {
                Recovery::Refuse => WalRecoveryMode::default(),
                Recovery::Salvage => WalRecoveryMode::SkipCorrupted,
            }));
        let db = block_on(builder.open_with_executor(Arc::new(host.executor.clone())))
            .map_err(|error| failed(&error))?;
        Ok(Source {
            db,
            schema,
            name: name.into(),
        })
    }

    /// Applies upserts and deletes (where `deletes` is true), all or none, durably. No key may come twice.
    pub fn ingest(&self, batch: RecordBatch, deletes: Vec<bool>) -> StoreResult<()> {
        let result = if deletes.contains(&true) {
            block_on(self.db.ingest_with_tombstones(batch, deletes))
        } else {
            block_on(self.db.ingest(batch))
        };
        result.map_err(|error| tonbo_error(&self.name, "write", &error))
    }

    /// How many rows only memory and the log hold, and about how many bytes they take.
    pub fn unflushed(&self) -> (usize, usize) {
        self.db.unflushed()
    }

    /// About how many rows there are, without reading any: overwritten ones count until they are merged.
    pub fn estimated_rows(&self) -> usize {
        self.db.estimated_rows()
    }

    /// Moves what is in memory into a file, so that its log can be dropped. Returns whether there was anything.
    pub fn flush(&self) -> StoreResult<bool> {
        block_on(self.db.flush()).map_err(|error| tonbo_error(&self.name, "flush", &error))
    }

    /// Merges files, one step. Returns whether there may be more to do.
    pub fn compact(&self) -> StoreResult<bool> {
        block_on(self.db.compact()).map_err(|error| tonbo_error(&self.name, "compact", &error))
    }

    /// The paths of the files of rows and deletes that a snapshot taken now reads; `None` before there has been one to write.
    pub fn live_files(&self) -> Option<Vec<String>> {
        self.db.live_ssts()
    }

    /// Ends Tonbo's own tasks. Writes fail from then on.
    pub fn close(&self) -> StoreResult<()> {
        block_on(self.db.close()).map_err(|error| tonbo_error(&self.name, "close", &error))
    }

    /// Pins what is stored now.
    pub fn snapshot(self: &Arc<Self>) -> StoreResult<SourceSnapshot> {
        let snapshot = block_on(self.db.begin_snapshot())
            .map_err(|error| tonbo_error(&self.name, "read", &error))?;
        Ok(SourceSnapshot {
            source: self.clone(),
            snapshot,
        })
    }
}

/// What a [`Source`] held at one moment.
pub struct SourceSnapshot {
    source: Arc<Source>,
    snapshot: Snapshot,
}

/// The first rows of a range.
pub struct Piece {
    /// One array for each slot that was asked for.
    pub columns: Vec<ArrayRef>,
    /// Whether there may be more rows, because these take as many bytes as were asked for.
    pub is_cut: bool,
}

impl SourceSnapshot {
    /// The rows of a key range in the order of their keys, at most `limit`, as one array for each of `slots`: positions in the
    /// table's Arrow schema, 0 being the key.
    pub fn scan(
        &self,
        range: &KeyRange,
        slots: &[usize],
        limit: Option<usize>,
    ) -> StoreResult<Vec<ArrayRef>> {
        Ok(self.scan_piece(range, slots, limit, usize::MAX)?.columns)
    }

    /// As [`SourceSnapshot::scan`], but ends with the batch of rows that brings the piece beyond `size_max` bytes.
    pub fn scan_piece(
        &self,
        range: &KeyRange,
        slots: &[usize],
        limit: Option<usize>,
        size_max: usize,
    ) -> StoreResult<Piece> {
        let source = &self.source;
        let fields: Vec<_> = slots
            .iter()
            .map(|slot| source.schema.field(*slot).clone())
            .collect();
        let projection = Arc::new(Schema::new(fields));
        let mut scan = self
            .snapshot
            .scan(&source.db)
            .projection(projection.clone());
        if let Some(filter) = filter(range) {
            scan = scan.filter(filter);
        }
        if let Some(limit) = limit {
            scan = scan.limit(limit);
        }
        let failed = |error: &dyn std::fmt::Display| tonbo_error(&source.name, "read", error);
        let (mut batches, mut size, mut is_cut) = (Vec::new(), 0, false);
        block_on_scan(async {
            let mut stream = Box::pin(scan.stream().await.map_err(|error| failed(&error))?);
            while let Some(batch) = stream.next().await {
                // Batches that are there at once never let the future wait, where its thread looks too.
                check_interrupt()?;
                let batch = batch.map_err(|error| failed(&error))?;
                is_cut = size > size_max;
                if is_cut {
                    break;
                }
                size += batch.get_array_memory_size();
                batches.push(batch);
            }
            Ok::<(), StoreError>(())
        })?;
        let columns = (0..slots.len())
            .map(|position| {
                let parts: Vec<_> = batches
                    .iter()
                    .map(|batch| batch.column(position).as_ref())
                    .collect();
                match parts[..] {
                    [] => Ok(arrow_array::new_empty_array(
                        projection.field(position).data_type(),
                    )),
                    _ => arrow_select::concat::concat(&parts).map_err(|error| failed(&error)),
                }
            })
            .collect::<StoreResult<_>>()?;
        Ok(Piece { columns, is_cut })
    }
}

/// Polls a scan, which gives way often, until it ends or the request that this thread runs is to be interrupted.
fn block_on_scan<T>(scan: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
    let mut scan = pin!(scan);
    block_on(poll_fn(|context| match check_interrupt() {
        Ok(()) => scan.as_mut().poll(context),
        Err(interrupted) => Poll::Ready(Err(interrupted)),
    }))
}

fn filter(range: &KeyRange) -> Option<Expr> {
    let literal = |key: &[u8]| ScalarValue::Binary(Some(key.to_vec()));
    let lower = range
        .lower
        .as_deref()
        .map(|key| Expr::gt_eq(KEY_COLUMN, literal(key)));
    let upper = range
        .upper
        .as_deref()
        .map(|key| Expr::lt(KEY_COLUMN, literal(key)));
    match (lower, upper) {
        (Some(lower), Some(upper)) => Some(Expr::and(vec![lower, upper])),
        (lower, upper) => lower.or(upper),
    }
}

/// What is told of a task that panicked: by its handle; by fusio-parquet, whose readers and writers are tasks that tell by a channel; and by
/// Tonbo of the task that writes a table's log, which goes on with the next write. None of them keeps more than words; where these are others
/// one day, `any_call_may_panic` and `a_table_takes_rows_again_after_a_panic_below_its_log` in `tests/faults.rs` fail.
///
/// Tonbo takes a panic of Parquet's reader for damage (`caught` in its `ondisk/scan.rs`). It meets none of our files there, for those are read in
/// such tasks: `a_panic_below_the_reader_of_a_file_is_no_damage`.
const TASK_FAILED: [&str; 3] = [
    TASK_FAILED_WORDS,
    "task canceled",
    "the wal writer panicked",
];

fn tonbo_error(table: &str, verb: &str, error: &dyn std::fmt::Display) -> StoreError {
    let message = error.to_string();
    let is_task = TASK_FAILED.iter().any(|words| message.contains(words));
    let is_refused = was_refused_memory();
    // Tonbo's errors keep no source but its words: those of our own files name their code (`any_call_may_fail` in `tests/faults.rs`).
    let code = match crate::io::code_in(&message) {
        Some(code) => StoreErrorCode::from(code),
        None if message.contains(ALLOCATION_FAILED) || is_task && is_refused => {
            StoreErrorCode::OutOfMemory
        }
        None if is_task => StoreErrorCode::EngineFailed,
        None => StoreErrorCode::Corrupt,
    };
    StoreError::new(code, format!("cannot {verb} table {table}: {message}"))
}
