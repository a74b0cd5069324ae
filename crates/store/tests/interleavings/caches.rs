//! Decoded columns under one budget: readers, eviction, and bases that follow one another.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef};
use shuttle::thread;

use crate::check::{check, finds};
use crate::key::{Key, encode_integer};
use crate::memory::MemoryBudget;
use crate::schema::TableSchema;
use crate::sync::Fault;
use crate::table::Table;
use crate::table::base::Base;
use crate::table::cache::ColumnCache;
use crate::table::rows::to_batch;
use crate::table::source::SourceSnapshot;
use crate::value::{Row, Value};

const ROWS: i64 = 6;
const CHUNK_ROWS: usize = 2;

/// Makes one column much larger than another.
const TEXT_LENGTH: usize = 1000;

/// The slots of the three columns `id`, `a` and `b`; the key is before them.
const ID: usize = 1;
const A: usize = 2;
const B: usize = 3;

fn key(id: i64) -> Key {
    encode_integer(id)[..].into()
}

fn table() -> Arc<Table> {
    let columns = ["id INTEGER PRIMARY KEY", "a INTEGER", "b TEXT"];
    let schema = TableSchema::parse(&columns).unwrap();
    Table::new(1, schema, &MemoryBudget::new(1 << 20))
}

/// Writes the rows of these ids as they are in a generation: `a` says which, `b` is their sum, and long.
fn write(table: &Table, ids: &[i64], generation: i64) {
    let rows: Vec<(Key, Row)> = ids
        .iter()
        .map(|id| {
            let sum = format!("{:0width$}", id + generation, width = TEXT_LENGTH);
            let values = [
                Value::Integer(*id),
                Value::Integer(generation),
                Value::Text(sum.into()),
            ];
            (key(*id), Row::from(values))
        })
        .collect();
    let changes = rows.iter().map(|(key, row)| (key, Some(row)));
    let (batch, deletes) = to_batch(&table.schema, changes).unwrap();
    table.source.ingest(batch, deletes).unwrap();
}

fn base(table: &Table, snapshot: SourceSnapshot, cache: &Arc<ColumnCache>) -> Base {
    Base::new(snapshot, table.schema.arrow.fields().len(), cache.clone())
}

fn numbers(column: &ArrayRef) -> Vec<i64> {
    if let Some(column) = column.as_string_opt::<i32>() {
        let number = |row| column.value(row).parse().unwrap();
        return (0..column.len()).map(number).collect();
    }
    let column = column.as_primitive::<Int64Type>();
    (0..column.len()).map(|row| column.value(row)).collect()
}

/// Reads some columns of the entry that `id` belongs to, and checks them; `changed` are the rows of generation 2, all others are of 1.
fn read(base: &Base, id: i64, slots: &[usize], changed: &[i64]) {
    let entry = base.entry(Some(&key(id)));
    let loaded = base.load(&entry, slots).unwrap();
    let columns: Vec<_> = loaded.columns.iter().map(numbers).collect();
    // Which ids there must be: those of the range.
    let ids: Vec<i64> = (1..=ROWS)
        .filter(|id| loaded.range.contains(&key(*id)))
        .collect();
    for (slot, values) in slots.iter().zip(columns) {
        let expected: Vec<i64> = ids
            .iter()
            .map(|id| {
                let generation = if changed.contains(id) { 2 } else { 1 };
                match *slot {
                    ID => *id,
                    A => generation,
                    _ => id + generation,
                }
            })
            .collect();
        assert_eq!(values, expected, "slot {slot} of the rows {ids:?}");
    }
}

/// The bytes of some columns of all rows.
fn size_of(slots: &[usize]) -> usize {
    let table = table();
    write(&table, &(1..=ROWS).collect::<Vec<_>>(), 1);
    let cache = Arc::new(ColumnCache::new(1 << 20, CHUNK_ROWS));
    let base = base(&table, table.source.snapshot().unwrap(), &cache);
    for id in 1..=ROWS {
        read(&base, id, slots, &[]);
    }
    cache.used()
}

/// Two readers of one base, whose columns fit the budget in part: each chunk is made the holder of more columns while others are evicted.
fn small_budget(budget: usize) {
    let all = size_of(&[ID, A, B]);
    let table = table();
    write(&table, &(1..=ROWS).collect::<Vec<_>>(), 1);
    let cache = Arc::new(ColumnCache::new(budget, CHUNK_ROWS));
    let base = Arc::new(base(&table, table.source.snapshot().unwrap(), &cache));
    let readers: Vec<_> = [[A, B], [B, A]]
        .into_iter()
        .map(|slots| {
            let (base, cache) = (base.clone(), cache.clone());
            thread::spawn(move || {
                for id in [1, 3, 5, 1] {
                    for slot in slots {
                        read(&base, id, &[slot], &[]);
                        assert!(cache.used() <= all, "more than there is");
                    }
                }
            })
        })
        .collect();
    for reader in readers {
        reader.join().unwrap();
    }
    assert!(
        cache.used() <= cache.budget(),
        "more than the budget when all is quiet"
    );
    drop(base);
    assert_eq!(cache.used(), 0, "bytes that no chunk has");
}

#[test]
fn columns_stay_right_and_within_their_budget() {
    check(2000, || small_budget(size_of(&[A, B]) / 2));
}

#[test]
fn a_chunk_that_is_evicted_while_it_gets_a_column_is_counted_right() {
    // The budget holds the small columns of two chunks. A chunk showed a new column before its bytes were counted: evicted in between, it took
    // more off the count than was on it, which went below zero and around, and the cache looked full until every chunk was evicted.
    check(3000, || small_budget(size_of(&[A]) * 5 / 6));
}

#[test]
fn sizes_that_are_changed_in_two_steps_are_found() {
    finds(2000, Some(Fault::SplitUpdate), "", || {
        small_budget(size_of(&[A, B]) / 2);
    });
}

#[test]
fn what_one_thread_decodes_serves_all() {
    check(1000, || {
        let table = table();
        write(&table, &(1..=ROWS).collect::<Vec<_>>(), 1);
        let cache = Arc::new(ColumnCache::new(1 << 20, CHUNK_ROWS));
        let base = Arc::new(base(&table, table.source.snapshot().unwrap(), &cache));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let base = base.clone();
                thread::spawn(move || {
                    for id in 1..=ROWS {
                        read(&base, id, &[ID, A], &[]);
                        read(&base, id, &[B], &[]);
                    }
                })
            })
            .collect();
        for reader in readers {
            reader.join().unwrap();
        }
        // Each of the three chunks was cut once, with the first columns, and read once for the other. The last one ends the directory.
        assert!(base.known_rows().1);
        assert_eq!(table.source.scans(), 6, "read more than once");
    });
}

/// Readers of a base and of the next, which shares the chunks that nothing was written in; `pins` says whether the first is pinned.
fn two_bases(pins: bool) {
    let all = size_of(&[ID, A, B]);
    let table = table();
    write(&table, &(1..=ROWS).collect::<Vec<_>>(), 1);
    let cache = Arc::new(ColumnCache::new(all / 2, CHUNK_ROWS));
    let snapshot = table.source.snapshot().unwrap();
    let snapshot = if pins { snapshot } else { snapshot.unpinned() };
    let first = Arc::new(base(&table, snapshot, &cache));
    read(&first, 1, &[A], &[]);
    let reader = {
        let first = first.clone();
        thread::spawn(move || {
            for id in [3, 1, 5] {
                read(&first, id, &[A], &[]);
                read(&first, id, &[A, B], &[]);
            }
        })
    };
    write(&table, &[3], 2);
    let next = Arc::new(first.after(table.source.snapshot().unwrap(), &[key(3)]));
    let later = {
        let next = next.clone();
        thread::spawn(move || {
            for id in [1, 3, 5] {
                read(&next, id, &[B], &[3]);
            }
        })
    };
    for id in [5, 3] {
        read(&next, id, &[A, B], &[3]);
    }
    reader.join().unwrap();
    later.join().unwrap();
    assert!(
        cache.used() <= cache.budget(),
        "more than the budget when all is quiet"
    );
    drop((first, next));
    assert_eq!(cache.used(), 0, "bytes that no chunk has");
}

#[test]
fn readers_of_an_old_base_see_nothing_of_the_next() {
    check(2000, || two_bases(true));
}

#[test]
fn a_snapshot_that_moves_is_found() {
    finds(2000, None, "of the rows", || two_bases(false));
}

#[test]
fn a_chunk_that_two_threads_find_too_large_is_halved_once() {
    // The values are large, so that a chunk's small columns are cut together and its large one does not fit.
    check(200, || {
        let schema = TableSchema::parse(&["id INTEGER PRIMARY KEY", "t TEXT"]).unwrap();
        let table = Table::new(1, schema, &MemoryBudget::new(1 << 20));
        let text: Arc<str> = "x".repeat(50 << 10).into();
        let rows: Vec<(Key, Row)> = (1..=4)
            .map(|id| {
                (
                    key(id),
                    Row::from([Value::Integer(id), Value::Text(text.clone())]),
                )
            })
            .collect();
        let changes = rows.iter().map(|(key, row)| (key, Some(row)));
        let (batch, deletes) = to_batch(&table.schema, changes).unwrap();
        table.source.ingest(batch, deletes).unwrap();
        let cache = Arc::new(ColumnCache::new(128 << 10, 8));
        let base = Arc::new(base(&table, table.source.snapshot().unwrap(), &cache));
        let whole = base.entry(None);
        assert_eq!(base.load(&whole, &[ID]).unwrap().rows, 4);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let base = base.clone();
                thread::spawn(move || {
                    let mut from = Some(key(1));
                    let mut ids = Vec::new();
                    while let Some(key) = from {
                        let loaded = base.load(&base.entry(Some(&key)), &[ID, A]).unwrap();
                        ids.extend(numbers(&loaded.columns[0]));
                        assert_eq!(loaded.columns[1].len(), loaded.rows);
                        from = loaded.range.upper;
                    }
                    assert_eq!(ids, [1, 2, 3, 4]);
                })
            })
            .collect();
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(base.known_rows(), (4, true));
        assert!(
            cache.used() <= cache.budget(),
            "more than the budget when all is quiet"
        );
    });
}
