//! What the Tonbo tests stand on: a file system in memory that knows which bytes are durable and can lose, cut, flip or
//! hold back the others; an executor on a few threads; one table; and short names for the calls.
#![allow(
    dead_code,
    missing_docs,
    reason = "each test file uses its own part of this module"
)]

pub mod exec;
pub mod fs;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
pub use exec::{TestExecutor, block_on};
pub use fs::TestFs;
use fusio::path::Path;
use tonbo::db::{
    CompactionOptions, CompactionStrategy, DB, DbBuilder, Expr, LeveledPlannerConfig, NeverSeal,
    ScalarValue, SealPolicy, Snapshot, WalConfig, WalRecoveryMode, WalSyncPolicy,
    wal_tuning::WalConfigExt,
};

pub type Db = DB<TestFs, TestExecutor>;

/// A row of the table under test, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub number: Option<i64>,
    pub text: Option<String>,
}

impl Row {
    pub fn new(number: i64) -> Self {
        let text = Some(format!("text of {number}"));
        Self {
            number: Some(number),
            text,
        }
    }
}

/// One change: a new row, or `None` to delete the key.
pub type Change = (Vec<u8>, Option<Row>);

pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("_key", DataType::Binary, false),
        Field::new("number", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
    ]))
}

/// How a test opens its table.
#[derive(Clone)]
pub struct Options {
    pub seal: Arc<dyn SealPolicy + Send + Sync>,
    pub wal_segment_bytes: usize,
    /// Flush in the background once this many segments are sealed.
    pub flush_after: Option<usize>,
    /// How many files a flush leaves before they are merged.
    pub l0_trigger: usize,
    /// Whether what is damaged in the log is passed over.
    pub salvages: bool,
    /// The bytes of a file that a merge writes.
    pub merged_size: usize,
    /// How old a log segment gets.
    pub wal_segment_age: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seal: Arc::new(NeverSeal),
            wal_segment_bytes: 16 << 10,
            flush_after: None,
            l0_trigger: 2,
            salvages: false,
            merged_size: 64 << 20,
            wal_segment_age: None,
        }
    }
}

pub fn try_open(fs: &TestFs, options: &Options) -> Result<Db, String> {
    let planner = LeveledPlannerConfig {
        l0_trigger: options.l0_trigger,
        ..LeveledPlannerConfig::default()
    };
    let compaction = CompactionOptions::new()
        .strategy(CompactionStrategy::Leveled(planner))
        .max_output_bytes(options.merged_size)
        .manual()
        .disable_l0_backpressure();
    let recovery = match options.salvages {
        false => WalRecoveryMode::default(),
        true => WalRecoveryMode::SkipCorrupted,
    };
    let wal = WalConfig::default()
        .recovery_mode(recovery)
        .segment_max_age(options.wal_segment_age);
    let builder = DbBuilder::from_schema_key_name(schema(), "_key")
        .and_then(|builder| builder.object_store_with_fs(Arc::new(fs.clone()), Path::from("table")))
        .map_err(|error| error.to_string())?
        .table_name("table")
        .wal_config(wal)
        .wal_flush_interval(Duration::ZERO)
        .wal_sync_policy(WalSyncPolicy::Disabled)
        .wal_segment_bytes(options.wal_segment_bytes)
        .with_seal_policy(Arc::clone(&options.seal))
        .with_compaction_options(compaction);
    let builder = match options.flush_after {
        Some(segments) => builder.with_minor_compaction(segments, 0),
        None => builder.disable_minor_compaction(),
    };
    block_on(builder.open_with_executor(Arc::new(TestExecutor::shared())))
        .map_err(|error| error.to_string())
}

pub fn open(fs: &TestFs) -> Db {
    try_open(fs, &Options::default()).expect("the table opens")
}

pub fn key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// The changes as one batch and its tombstones.
pub fn batch(changes: &[Change]) -> (RecordBatch, Vec<bool>) {
    let keys = BinaryArray::from_iter_values(changes.iter().map(|(key, _)| key));
    let rows = || changes.iter().map(|(_, row)| row.as_ref());
    let numbers: Int64Array = rows().map(|row| row.and_then(|row| row.number)).collect();
    let texts: StringArray = rows()
        .map(|row| row.and_then(|row| row.text.as_deref()))
        .collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(numbers), Arc::new(texts)];
    let batch = RecordBatch::try_new(schema(), columns).expect("the columns fit the schema");
    (
        batch,
        changes.iter().map(|(_, row)| row.is_none()).collect(),
    )
}

pub fn ingest(db: &Db, changes: &[Change]) {
    let (batch, tombstones) = batch(changes);
    block_on(db.ingest_with_tombstones(batch, tombstones)).expect("the ingest succeeds");
}

/// Ingest `keys`, each with the row `Row::new(value)`.
pub fn put(db: &Db, keys: impl IntoIterator<Item = u64>, value: i64) {
    let changes: Vec<Change> = keys
        .into_iter()
        .map(|number| (key(number), Some(Row::new(value))))
        .collect();
    ingest(db, &changes);
}

pub fn delete(db: &Db, keys: impl IntoIterator<Item = u64>) {
    let changes: Vec<Change> = keys.into_iter().map(|number| (key(number), None)).collect();
    ingest(db, &changes);
}

pub fn flush(db: &Db) -> bool {
    block_on(db.flush()).expect("the flush succeeds")
}

pub fn compact(db: &Db) -> bool {
    block_on(db.compact()).expect("the compaction succeeds")
}

pub fn snapshot(db: &Db) -> Snapshot {
    block_on(db.begin_snapshot()).expect("the snapshot begins")
}

/// Every row a batch list holds, in scan order; columns that were not projected read as null.
pub fn rows(batches: &[RecordBatch]) -> Vec<(Vec<u8>, Row)> {
    let mut out = Vec::new();
    for batch in batches {
        let keys = batch.column_by_name("_key").map(as_array::<BinaryArray>);
        let numbers = batch.column_by_name("number").map(as_array::<Int64Array>);
        let texts = batch.column_by_name("text").map(as_array::<StringArray>);
        for at in 0..batch.num_rows() {
            let key = keys.map_or(Vec::new(), |keys| keys.value(at).to_vec());
            let number = numbers
                .filter(|numbers| numbers.is_valid(at))
                .map(|numbers| numbers.value(at));
            let text = texts
                .filter(|texts| texts.is_valid(at))
                .map(|texts| texts.value(at).to_owned());
            out.push((key, Row { number, text }));
        }
    }
    out
}

fn as_array<T: 'static>(array: &ArrayRef) -> &T {
    array
        .as_any()
        .downcast_ref::<T>()
        .expect("the column has its declared type")
}

pub fn scan(db: &Db, snapshot: &Snapshot) -> Vec<(Vec<u8>, Row)> {
    rows(&block_on(snapshot.scan(db).collect()).expect("the scan succeeds"))
}

/// All rows as of now.
pub fn all(db: &Db) -> BTreeMap<Vec<u8>, Row> {
    let found = scan(db, &snapshot(db));
    let map: BTreeMap<_, _> = found.iter().cloned().collect();
    assert_eq!(map.len(), found.len(), "a key came twice");
    map
}

pub fn key_literal(key: &[u8]) -> ScalarValue {
    ScalarValue::Binary(Some(key.to_vec()))
}

/// `low <= _key < high`.
pub fn key_range(low: &[u8], high: &[u8]) -> Expr {
    Expr::and(vec![
        Expr::gt_eq("_key", key_literal(low)),
        Expr::lt("_key", key_literal(high)),
    ])
}

/// A table schema of some columns, in the given order.
pub fn projection(columns: &[&str]) -> SchemaRef {
    let schema = schema();
    let fields: Vec<Field> = columns
        .iter()
        .map(|name| {
            schema
                .field_with_name(name)
                .expect("the column exists")
                .clone()
        })
        .collect();
    Arc::new(Schema::new(fields))
}
