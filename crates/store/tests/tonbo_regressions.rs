//! One test for each bug of the published Tonbo 0.4.0-a2 that `patches/tonbo@0.4.0-a2.patch` mends. Each opens with the
//! story of its bug, and fails without the patch. `docs/tonbo.md` lists the changes.

mod support;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use arrow_array::{cast::AsArray, types::UInt64Type};
use futures::StreamExt;
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder, file::metadata::ParquetMetaDataReader,
};
use support::*;
use tonbo::db::{BatchesThreshold, Expr, NeverSeal, ScalarValue};

/// Run `work` on a thread of its own and fail if it takes longer than `limit`: a deadlock fails instead of hanging.
fn within(limit: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    match finished.recv_timeout(limit) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            worker.join().expect("the work succeeds");
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not done within {limit:?}"),
    }
}

fn count(db: &Db) -> usize {
    all(db).len()
}

fn filtered(db: &Db, predicate: Expr) -> Result<usize, String> {
    let held = snapshot(db);
    let found = block_on(held.scan(db).filter(predicate).collect());
    let found = found.map_err(|error| error.to_string())?;
    Ok(rows(&found).len())
}

/// A filter on a column that is not the key was applied to each file before versions were merged. The newest version of a
/// row was dropped because it didn't match, and an older one that did match came back: a row overwritten with 1 was still
/// found by `number >= 900`, and so was a deleted one.
#[test]
fn a_filter_does_not_bring_an_overwritten_row_back() {
    let db = open(&TestFs::default());
    put(&db, 0..100, 900);
    flush(&db);
    put(&db, 0..50, 1);
    delete(&db, 50..60);
    let old = || Expr::gt_eq("number", ScalarValue::Int64(Some(900)));
    assert_eq!(filtered(&db, old()), Ok(40), "newer versions in memory");
    flush(&db);
    assert_eq!(filtered(&db, old()), Ok(40), "newer versions in a file");
    let of_some = Expr::and(vec![key_range(&key(40), &key(70)), old()]);
    assert_eq!(filtered(&db, of_some), Ok(10), "together with a key range");
}

/// A flush took its segments out of memory while snapshots were still bound to an older manifest, which didn't know the new
/// file: a snapshot held over a flush saw 8,000 of 10,000 rows.
#[test]
fn a_snapshot_held_over_flushes_and_compactions_keeps_every_row() {
    let db = open(&TestFs::default());
    put(&db, 0..2000, 1);
    flush(&db);
    put(&db, 2000..4000, 1);
    let held = snapshot(&db);
    let before = scan(&db, &held);
    assert_eq!(before.len(), 4000);
    for round in 2..6 {
        put(&db, (0..4000).step_by(round as usize), round);
        delete(&db, 100 * round as u64..110 * round as u64);
        flush(&db);
        compact(&db);
        assert!(scan(&db, &held) == before, "after round {round}");
    }
}

/// All that was flushed behind a snapshot stayed in memory for as long as that, though it can't see any of it: one long reader beside writers
/// took all of the memory.
#[test]
fn a_held_snapshot_keeps_what_it_can_see_alone() {
    let db = open(&TestFs::default());
    put(&db, 0..100, 1);
    let held = snapshot(&db);
    let before = scan(&db, &held);
    for round in 2..20 {
        put(&db, 0..100, round);
        flush(&db);
        compact(&db);
        assert!(scan(&db, &held) == before, "after round {round}");
        // The rows of the snapshot, and those that went to a file with them.
        assert_eq!(db.kept_for_snapshots().0, 200, "after round {round}");
    }
    drop(held);
    assert_eq!(db.kept_for_snapshots(), (0, 0));
}

/// A scan was planned with positions in the list of segments, looked up again when it was executed. A flush between the two
/// shortened the list, so live scans lost whole segments: 16,000 of 20,000 rows.
#[test]
fn scans_beside_flushes_see_every_row() {
    let db = open(&TestFs::default());
    put(&db, 0..3000, 0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let found = scan(&db, &snapshot(&db)).len();
                    stop.fetch_or(found != 3000, Ordering::SeqCst);
                    assert_eq!(found, 3000);
                }
            });
        }
        for round in 0..60 {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            put(&db, (0..3000).step_by(7), round);
            flush(&db);
        }
        stop.store(true, Ordering::SeqCst);
    });
}

/// An open scan held the memtable's read lock until it was dropped, and a seal needs the write lock: a thread that flushed
/// (or ingested enough to seal) while it had a scan open waited for itself.
#[test]
fn a_thread_may_ingest_and_flush_under_its_own_open_scan() {
    within(Duration::from_secs(20), || {
        let db = open(&TestFs::default());
        put(&db, 0..5000, 1);
        let held = snapshot(&db);
        let mut found = 0;
        let mut open_scan = Box::pin(block_on(held.scan(&db).stream()).expect("the scan opens"));
        let first = block_on(open_scan.next()).expect("there are rows");
        found += first.expect("the scan succeeds").num_rows();
        put(&db, 0..5000, 2);
        flush(&db);
        while let Some(next) = block_on(open_scan.next()) {
            found += next.expect("the scan succeeds").num_rows();
        }
        assert_eq!(found, 5000);
    });
}

/// Write–write conflicts were looked for in memtables only. A flush between a transaction's start and its commit hid the
/// other writer, and the update was lost.
#[test]
fn a_conflict_is_seen_after_a_flush() {
    for flushes_first in [false, true] {
        let db = open(&TestFs::default());
        put(&db, 0..10, 1);
        if flushes_first {
            // Nothing of what is flushed next can be read by the transaction.
            flush(&db);
        }
        let mut transaction = block_on(db.begin_transaction()).expect("the transaction begins");
        put(&db, 5..6, 2);
        flush(&db);
        let (batch, _) = batch(&[(key(5), Some(Row::new(3)))]);
        transaction.upsert_batch(&batch).expect("the row is staged");
        let outcome = block_on(transaction.commit());
        let error = outcome.expect_err("the other writer came first");
        assert!(error.to_string().contains("conflict"), "{error}");
        assert_eq!(all(&db)[&key(5)], Row::new(2));
    }
}

/// A transaction's `get` looked into memtables only: a flushed row was not there.
#[test]
fn a_transaction_gets_a_flushed_row() {
    let db = open(&TestFs::default());
    put(&db, 0..10, 1);
    flush(&db);
    let transaction = block_on(db.begin_transaction()).expect("the transaction begins");
    let five = key(5);
    let found = block_on(transaction.get(&five.as_slice().into())).expect("the get succeeds");
    assert!(found.is_some());
    let absent = key(77);
    let found = block_on(transaction.get(&absent.as_slice().into())).expect("the get succeeds");
    assert!(found.is_none());
}

/// A literal of another type than its column matched nothing, silently. Now a number is compared by its value, whatever its
/// width, and what can't be compared is refused.
#[test]
fn a_literal_of_another_type_is_converted_or_refused() {
    let db = open(&TestFs::default());
    put(&db, 0..10, 7);
    for place in ["memory", "a file"] {
        let narrow = Expr::eq("number", ScalarValue::Int32(Some(7)));
        assert_eq!(filtered(&db, narrow), Ok(10), "{place}");
        let between = Expr::lt("number", ScalarValue::Float64(Some(7.5)));
        assert_eq!(filtered(&db, between), Ok(10), "{place}");
        let large = ScalarValue::LargeBinary(Some(key(3)));
        assert_eq!(filtered(&db, Expr::eq("_key", large)), Ok(1), "{place}");
        let text = Expr::eq("number", ScalarValue::Utf8(Some("7".to_owned())));
        let error = filtered(&db, text).expect_err("a text is no number");
        assert!(error.contains("'number' is Int64"), "{error}");
        let text = Expr::eq("_key", ScalarValue::Utf8(Some("7".to_owned())));
        filtered(&db, text).expect_err("a text is no key");
        flush(&db);
    }
}

/// A commit took its timestamp before it was logged, and snapshots read up to the newest timestamp taken: one begun in
/// between saw nothing of the commit at first and all of it later.
#[test]
fn a_snapshot_never_gains_rows() {
    within(Duration::from_secs(20), || {
        let fs = TestFs::default();
        let db = open(&fs);
        put(&db, 0..10, 1);
        fs.hold_flushes();
        let writer = thread::spawn({
            let db = db.clone();
            move || put(&db, 10..20, 2)
        });
        fs.wait_for_held_flush();
        let held = snapshot(&db);
        let before = scan(&db, &held).len();
        fs.release_flushes();
        writer.join().expect("the ingest succeeds");
        assert_eq!(scan(&db, &held).len(), before);
        assert_eq!(before, 10, "what is not durable is not visible");
        assert_eq!(count(&db), 20);
    });
}

/// The first commit had timestamp 0, which is also what a snapshot of an empty table reads up to.
#[test]
fn a_snapshot_of_an_empty_table_stays_empty() {
    let db = open(&TestFs::default());
    let held = snapshot(&db);
    put(&db, 0..10, 1);
    assert_eq!(scan(&db, &held).len(), 0);
}

/// A transaction wrote the manifest after its rows were durable and visible, only to note where the WAL begins. When that
/// write clashed with a flush, the commit was reported as failed although it had happened (79 times in 8 seconds).
#[test]
fn a_commit_does_not_write_the_manifest() {
    let fs = TestFs::default();
    let db = open(&fs);
    put(&db, 0..10, 1);
    let before = fs.conditional_puts("manifest/version/head");
    for round in 0..20 {
        let mut transaction = block_on(db.begin_transaction()).expect("the transaction begins");
        let (batch, _) = batch(&[(key(round), Some(Row::new(5)))]);
        transaction.upsert_batch(&batch).expect("the row is staged");
        block_on(transaction.commit()).expect("the commit succeeds");
    }
    assert_eq!(fs.conditional_puts("manifest/version/head"), before);
    assert_eq!(count(&db), 20);
}

/// A segment's oldest timestamp was taken from its upserts alone. A segment with an old delete and a newer upsert was left
/// out of scans between the two, and the deleted row came back.
#[test]
fn a_delete_counts_for_its_segments_age() {
    let options = Options {
        seal: Arc::new(BatchesThreshold { batches: 2 }),
        ..Options::default()
    };
    let db = try_open(&TestFs::default(), &options).expect("the table opens");
    put(&db, 0..10, 1);
    put(&db, 10..20, 1);
    flush(&db);
    delete(&db, 0..5);
    let held = snapshot(&db);
    assert_eq!(scan(&db, &held).len(), 15);
    put(&db, 50..60, 2);
    assert_eq!(scan(&db, &held).len(), 15, "the segment is sealed");
}

/// Compaction read each file's rows and deletes in pairs of batches and stopped one side where the other ended its batch:
/// with more than 1024 rows and a delete sidecar, later rows or later deletes were never read, and were gone for good.
#[test]
fn a_compaction_reads_rows_and_deletes_to_their_ends() {
    for (rows, deletes) in [(5000, 10), (5000, 3000), (10, 3000), (1025, 1)] {
        let fs = TestFs::default();
        let db = open(&fs);
        put(&db, 0..rows, 1);
        delete(&db, rows..rows + deletes);
        flush(&db);
        put(&db, (0..rows).step_by(3), 2);
        put(&db, rows + deletes..rows + 2 * deletes, 2);
        delete(&db, (0..rows).step_by(5));
        flush(&db);
        let before = all(&db);
        assert!(compact(&db), "a compaction is due");
        assert!(all(&db) == before, "{rows} rows, {deletes} deletes");
        block_on(db.close()).expect("the table closes");
        assert!(all(&open(&fs)) == before, "{rows}, {deletes}, reopened");
    }
}

fn last_log(fs: &TestFs) -> String {
    fs.paths(".tonwal").pop().expect("there is a log segment")
}

/// A write cut short at the end of the log was tolerated, but the segment was then rewritten in place: a second crash during
/// that rewriting would have lost every acknowledged commit in it. The torn segment now stays as it is.
#[test]
fn a_torn_tail_costs_at_most_the_last_commit_and_stays_untouched() {
    let fs = TestFs::default();
    let options = Options {
        wal_segment_bytes: 1 << 20,
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    for number in 0..20 {
        put(&db, number..number + 1, 1);
    }
    let whole = fs.read(&last_log(&fs));
    put(&db, 20..21, 1);
    let path = last_log(&fs);
    let longer = fs.read(&path);
    for length in whole.len()..longer.len() {
        let fs = fs.image();
        fs.write(&path, longer[..length].to_vec());
        for round in 0..3 {
            let db = try_open(&fs, &options).expect("a torn tail is no damage");
            assert_eq!(count(&db), 20 + round, "cut at {length}");
            put(&db, 100 + round as u64..101 + round as u64, 1);
            block_on(db.close()).expect("the table closes");
        }
        // Cut between two frames, the segment goes on; cut within one, it is left alone.
        assert!(fs.read(&path).starts_with(&longer[..length]));
    }
}

/// A segment that is torn within its first frame has no frames to number. The first opening went on in a fresh one; the next looked for the
/// numbers of both, and failed.
#[test]
fn a_log_torn_in_its_first_frame_is_one_at_every_later_opening() {
    let fs = TestFs::default();
    let db = open(&fs);
    put(&db, 0..1, 1);
    let path = last_log(&fs);
    let bytes = fs.read(&path);
    for length in (1..bytes.len()).step_by(5) {
        let fs = fs.image();
        fs.write(&path, bytes[..length].to_vec());
        for round in 0..3 {
            let db = open(&fs);
            assert_eq!(count(&db), round, "cut at {length}");
            put(&db, 100 + round as u64..101 + round as u64, 1);
            block_on(db.close()).expect("the table closes");
        }
    }
}

/// A loss of power may leave anything behind what was synced, zeros for one. The first opening took that for the torn tail that it is; the
/// next one found that later commits had been acknowledged, called it damage, and the table could not be opened any more. An opening that
/// got no further than to make a fresh segment behind the torn one had the same effect. And a frame whose header was torn before its
/// length passed for one without a payload, whose checksum is zero.
#[test]
fn a_torn_tail_is_one_at_every_later_opening() {
    let fs = TestFs::default();
    let options = Options {
        wal_segment_bytes: 1 << 20,
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    for number in 0..5 {
        put(&db, number..number + 1, 1);
    }
    let before = fs.image();
    let path = last_log(&fs);
    let whole = fs.read(&path).len();
    put(&db, 5..6, 1);
    let longer = fs.read(&path);
    let next = path.replace("00000.tonwal", "00001.tonwal");
    assert_ne!(next, path);
    for kept in (whole..longer.len()).step_by(7) {
        for has_fresh_segment in [false, true] {
            let fs = before.image();
            let mut bytes = longer[..kept].to_vec();
            bytes.resize(longer.len(), 0);
            if bytes == longer {
                continue; // it ends in zeros itself
            }
            fs.write(&path, bytes);
            if has_fresh_segment {
                fs.write(&next, Vec::new());
            }
            for round in 0..3 {
                let db = try_open(&fs, &options)
                    .unwrap_or_else(|error| panic!("opening {round}, {kept} kept: {error}"));
                assert_eq!(count(&db), 5 + round);
                put(&db, 100 + round as u64..101 + round as u64, 1);
                block_on(db.close()).expect("the table closes");
            }
        }
    }
}

/// One flipped byte in the log made the table refuse to open with "frame payload crc32c mismatch" and no word about where; a
/// flipped length in a frame was taken for the end of the log, and every later commit was dropped without a word. Now damage
/// before the end is an error that names the file; nothing acknowledged is dropped silently.
#[test]
fn a_damaged_log_is_an_error_that_names_the_file() {
    for wal_segment_bytes in [1 << 20, 2000] {
        let fs = TestFs::default();
        let options = Options {
            wal_segment_bytes,
            ..Options::default()
        };
        let db = try_open(&fs, &options).expect("the table opens");
        for number in 0..12 {
            put(&db, number..number + 1, 1);
        }
        block_on(db.close()).expect("the table closes");
        let full = all(&db);
        for path in fs.paths(".tonwal") {
            let bytes = fs.read(&path);
            // A prime step lands in every field of the frames sooner or later.
            for at in (0..bytes.len()).step_by(23) {
                let fs = fs.image();
                let mut bytes = bytes.clone();
                bytes[at] ^= 0x40;
                fs.write(&path, bytes);
                match try_open(&fs, &options) {
                    Ok(db) => assert!(all(&db) == full, "byte {at} of {path} dropped silently"),
                    Err(error) => assert!(error.contains(&path), "byte {at}: {error}"),
                }
            }
        }
    }
}

/// A flush took the frames of a commit that had failed for logged ones, and had replay begin behind them. The next commit got their numbers, and
/// was passed over: acknowledged, and gone at the next opening.
#[test]
fn a_flush_after_a_failed_commit_keeps_the_log_of_the_next_one() {
    for lives_on in [true, false] {
        let fs = TestFs::default();
        let db = open(&fs);
        put(&db, 0..5, 1);
        fs.fail_flushes(Some(".tonwal"));
        let (rows, tombstones) = batch(&[(key(5), Some(Row::new(1)))]);
        block_on(db.ingest_with_tombstones(rows, tombstones)).expect_err("the log's flush fails");
        fs.fail_flushes(None);
        flush(&db);
        // Or another process goes on, and what was written has not reached the disk.
        let (fs, db) = if lives_on {
            (fs, db)
        } else {
            let fs = fs.after_power_loss();
            let db = open(&fs);
            (fs, db)
        };
        put(&db, 6..8, 1);
        put(&db, 8..9, 1);
        let full = all(&db);
        assert_eq!(full.len(), 8);
        assert!(all(&open(&fs.after_power_loss())) == full);
    }
}

/// A rotation by age sealed what a failed write had left, and the commit that had been told as failed came back with the next opening.
#[test]
fn a_rotation_by_age_leaves_a_failed_commit_out() {
    let fs = TestFs::default();
    let options = Options {
        wal_segment_age: Some(Duration::from_millis(50)),
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    put(&db, 0..5, 1);
    let active = last_log(&fs);
    fs.fail_flushes(Some(".tonwal"));
    let (rows, tombstones) = batch(&[(key(5), Some(Row::new(1)))]);
    block_on(db.ingest_with_tombstones(rows, tombstones)).expect_err("the log's flush fails");
    fs.fail_flushes(None);
    within(Duration::from_secs(60), {
        let fs = fs.clone();
        move || {
            while last_log(&fs) == active {
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    assert_eq!(count(&db), 5);
    assert!(all(&open(&fs.image())) == all(&db));
}

/// Transactions are numbered anew where a torn one has ended the log. Replay joined what was left of that one to the later one of the same
/// number: rows that nobody had acknowledged came to life, or the table could not be opened.
#[test]
fn a_torn_commit_stays_apart_from_a_later_one_of_its_number() {
    for before in [0, 3] {
        let fs = TestFs::default();
        let options = Options {
            wal_segment_bytes: 1 << 20,
            ..Options::default()
        };
        let db = try_open(&fs, &options).expect("the table opens");
        for number in 0..before {
            put(&db, number..number + 1, 1);
        }
        put(&db, 100..101, 1);
        let path = last_log(&fs);
        let mut bytes = fs.read(&path);
        bytes.pop();
        let fs = fs.image();
        fs.write(&path, bytes);
        // Notes that the log's end is torn, and commits nothing.
        drop(try_open(&fs, &options).expect("a torn tail is no damage"));
        let db = try_open(&fs, &options).expect("the table opens");
        for number in 200..202 + before {
            put(&db, number..number + 1, 1);
        }
        let full = all(&db);
        assert_eq!(full.len() as u64, 2 * before + 2);
        let db = try_open(&fs.image(), &options).expect("the table opens once more");
        assert!(all(&db) == full);
    }
}

/// Where the log was damaged in two places, salvage took the transaction that the second one lies in for the one before the first: of a
/// commit with damaged deletes the upserts came back alone.
#[test]
fn salvage_leaves_a_damaged_commit_out_whole() {
    let fs = TestFs::default();
    let options = Options {
        wal_segment_bytes: 1 << 20,
        salvages: true,
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    let mut ends = Vec::new();
    let mut commit = |changes: &[Change]| {
        ingest(&db, changes);
        ends.push(fs.read(&last_log(&fs)).len());
    };
    for number in 0..4 {
        commit(&[(key(number), Some(Row::new(1)))]);
    }
    commit(&[(key(0), None), (key(1), None), (key(50), Some(Row::new(1)))]);
    commit(&[(key(60), Some(Row::new(1)))]);
    let path = last_log(&fs);
    let bytes = fs.read(&path);
    let mut partly = 0;
    for second in ends[3]..ends[4] {
        let fs = fs.image();
        let mut bytes = bytes.clone();
        bytes[(ends[0] + ends[1]) / 2] ^= 0x40;
        bytes[second] ^= 0x40;
        fs.write(&path, bytes);
        let db = try_open(&fs, &options).expect("salvage opens what is damaged");
        let found = all(&db);
        assert!(!found.contains_key(&key(1)), "the first damage");
        assert!(
            found.contains_key(&key(60)),
            "byte {second}: the commit behind"
        );
        let is_whole = !found.contains_key(&key(0)) && found.contains_key(&key(50));
        let is_absent = found.contains_key(&key(0)) && !found.contains_key(&key(50));
        assert!(is_whole || is_absent, "byte {second}: half a commit");
        partly += usize::from(is_absent);
    }
    assert!(partly > 0, "no byte mattered");
}

/// The timestamp of the newest row in the files.
fn newest_commit_in_files(fs: &TestFs) -> u64 {
    let newest = fs.paths(".parquet").into_iter().filter_map(|path| {
        let file = bytes::Bytes::from(fs.read(&path));
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("the file is whole");
        let batches = reader.build().expect("the file is whole");
        let newest = batches.filter_map(|batch| {
            let batch = batch.expect("the file is whole");
            let commits = batch
                .column_by_name("_commit_ts")
                .expect("each row has its commit");
            commits
                .as_primitive::<UInt64Type>()
                .values()
                .iter()
                .copied()
                .max()
        });
        newest.max()
    });
    newest.max().expect("there are rows")
}

/// Where salvage left the last commit out, the next one got its timestamp.
#[test]
fn salvage_gives_no_timestamp_twice() {
    let fs = TestFs::default();
    let options = Options {
        salvages: true,
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    for number in 0..4 {
        put(&db, number..number + 1, 1);
    }
    let damaged = fs.image();
    let path = last_log(&damaged);
    let mut bytes = damaged.read(&path);
    let end = bytes.len();
    bytes[end - 1] ^= 0x40;
    damaged.write(&path, bytes);
    flush(&db);
    let lost = newest_commit_in_files(&fs);
    let db = try_open(&damaged, &options).expect("salvage opens what is damaged");
    assert_eq!(count(&db), 3);
    put(&db, 10..11, 1);
    flush(&db);
    let next = newest_commit_in_files(&damaged);
    assert!(next > lost, "{next} after {lost}");
}

/// The log's account of its segments kept those that had been pruned, of which there are more and more: it is written with the commits.
#[test]
fn the_logs_state_stays_as_small_as_the_log() {
    let fs = TestFs::default();
    let options = Options {
        wal_segment_bytes: 1000,
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    let mut sizes = Vec::new();
    for round in 0..4 {
        for number in 0..40 {
            put(&db, number..number + 10, round);
            if number % 4 == 0 {
                flush(&db);
            }
        }
        sizes.push(fs.size("state.json"));
    }
    assert!(sizes[0] > 0 && sizes[3] < 2 * sizes[0], "{sizes:?}");
}

/// Each part of a file has a filter of the keys in it, which was made as large as those of the whole file would need.
#[test]
fn filters_are_as_large_as_their_row_groups_need() {
    let filter_bytes = |keys: u64| {
        let fs = TestFs::default();
        let db = open(&fs);
        put(&db, 0..keys, 1);
        flush(&db);
        let path = fs.paths(".parquet").remove(0);
        let file = bytes::Bytes::from(fs.read(&path));
        let mut reader = ParquetMetaDataReader::new();
        reader.try_parse(&file).expect("the file is whole");
        let metadata = reader.finish().expect("the file is whole");
        let groups = metadata.row_groups().iter();
        let sizes = groups.map(|group| {
            let columns = group.columns().iter();
            columns
                .filter_map(|column| column.bloom_filter_length())
                .sum::<i32>()
        });
        sizes.collect::<Vec<_>>()
    };
    let (one, three) = (filter_bytes(60_000), filter_bytes(180_000));
    assert_eq!((one.len(), three.len()), (1, 3));
    assert_eq!(three[0], one[0]);
}

/// When the 1024 batch slots of the memtable were used up, the insert itself sealed it, after the new batch's place in the
/// log had been noted: the sealed segment took the note along, and a flush of that segment pruned the log of a batch that
/// was still in memory only.
#[test]
fn a_batch_that_seals_the_memtable_keeps_its_place_in_the_log() {
    let fs = TestFs::default();
    let options = Options {
        seal: Arc::new(NeverSeal),
        wal_segment_bytes: 1,
        flush_after: Some(1),
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    for number in 0..1030 {
        put(&db, number..number + 1, 1);
    }
    // The background flush of the sealed segment prunes the log when it is done.
    for _ in 0..1000 {
        if fs.paths(".tonwal").len() < 50 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
        put(&db, 2000..2001, 1);
    }
    assert!(fs.paths(".tonwal").len() < 1000, "the log was pruned");
    let before = all(&db);
    let db = try_open(&fs.after_power_loss(), &options).expect("the table reopens");
    assert_eq!(all(&db).len(), before.len());
}

/// Recovery gave the whole replayed range of the log to the first segment that replay sealed. Once that one was flushed, the
/// log of the rows replayed after it was pruned while they were in memory only.
#[test]
fn a_flush_after_recovery_keeps_the_log_of_what_is_still_in_memory() {
    let fs = TestFs::default();
    let options = Options {
        wal_segment_bytes: 1,
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    // Tonbo's own policy, in force during recovery, seals after 64 batches.
    for number in 0..100 {
        put(&db, number..number + 1, 1);
    }
    let fs = fs.after_power_loss();
    let options = Options {
        flush_after: Some(1),
        ..options
    };
    let db = try_open(&fs, &options).expect("the table reopens");
    for _ in 0..1000 {
        if !fs.paths("sst/").is_empty() && fs.paths(".tonwal").len() < 60 {
            break;
        }
        thread::sleep(Duration::from_millis(5));
        put(&db, 200..201, 1);
    }
    let db = try_open(&fs.after_power_loss(), &options).expect("the table reopens again");
    assert_eq!(count(&db), 101);
}

/// Replay began with the first frame of the segment that the log was pruned to. What had been flushed since was replayed by every opening until the
/// segment was full: it took time and memory, and nobody could tell it from what was in no file.
#[test]
fn what_is_in_files_is_not_replayed() {
    let fs = TestFs::default();
    let db = open(&fs);
    put(&db, 0..100, 1);
    delete(&db, 0..10);
    assert_eq!(db.unflushed().0, 110);
    flush(&db);
    assert_eq!(db.unflushed(), (0, 0));
    let db = open(&fs.after_power_loss());
    assert_eq!(db.unflushed(), (0, 0));
    let fs = fs.after_power_loss();
    let db = {
        drop(db);
        open(&fs)
    };
    put(&db, 50..57, 2);
    let unflushed = db.unflushed();
    assert_eq!(unflushed.0, 7);
    let before = all(&db);
    assert_eq!(before.len(), 90);
    // Twice: an opening that writes nothing changes nothing.
    for _ in 0..2 {
        let db = open(&fs.after_power_loss());
        assert_eq!(db.unflushed(), unflushed);
        assert_eq!(all(&db), before);
    }
}

/// Without a log the clock started over. New commits were older than the rows in the files, so overwriting and deleting
/// those had no effect.
#[test]
fn the_clock_goes_on_after_the_log_is_gone() {
    let fs = TestFs::default();
    let db = open(&fs);
    for round in 1..6 {
        put(&db, 0..10, round);
    }
    flush(&db);
    block_on(db.close()).expect("the table closes");
    for path in fs.paths("/wal/") {
        fs.delete(&path);
    }
    let db = open(&fs);
    put(&db, 0..5, 100);
    delete(&db, 5..8);
    let found: BTreeMap<_, _> = all(&db);
    assert_eq!(found.len(), 7);
    assert_eq!(found[&key(0)], Row::new(100));
}

/// A flush read the log's files to find out what to keep, and "repaired" the newest one, which the writer was appending to,
/// when it found a frame half written. It also looked at the memtable alone: segments sealed while it ran were forgotten.
/// Here every commit has a log segment of its own, so whatever is pruned too early is gone after the crash.
#[test]
fn a_flush_beside_writers_prunes_nothing_that_is_needed() {
    let fs = TestFs::default();
    let options = Options {
        seal: Arc::new(BatchesThreshold { batches: 3 }),
        wal_segment_bytes: 1,
        flush_after: Some(1),
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    let mut most = 0;
    for number in 0..300 {
        put(&db, number..number + 1, 1);
        if number % 23 == 0 {
            let copy = fs.after_power_loss();
            let db = try_open(&copy, &Options::default()).expect("a crash copy opens");
            assert_eq!(count(&db) as u64, number + 1);
        }
        most = most.max(fs.paths(".tonwal").len());
    }
    flush(&db);
    assert!(fs.paths(".tonwal").len() < 20, "the log is pruned");
    assert!(most < 300, "and was all along");
}

/// The same, moment by moment: a flush lost the log of what was sealed while it ran, and of a commit that was logged and not yet in memory.
#[test]
fn a_flush_keeps_the_log_of_what_is_written_meanwhile() {
    for is_sealed in [true, false] {
        let fs = TestFs::default();
        let options = Options {
            seal: Arc::new(BatchesThreshold { batches: 1 }),
            wal_segment_bytes: 1,
            ..Options::default()
        };
        let db = try_open(&fs, &options).expect("the table opens");
        put(&db, 0..1, 1);
        let (started, writers) = mpsc::channel();
        // The flush has what it writes, and asks where the log began.
        fs.before_next_change("/leases/", {
            let (fs, db) = (fs.clone(), db.clone());
            move || {
                if is_sealed {
                    put(&db, 1..2, 1);
                    put(&db, 2..3, 1);
                    return;
                }
                fs.hold_flushes();
                let writer = thread::spawn(move || put(&db, 1..3, 1));
                fs.wait_for_held_flush();
                let later = thread::spawn(move || {
                    thread::sleep(Duration::from_millis(50));
                    fs.release_flushes();
                });
                started.send([writer, later]).expect("the test waits");
            }
        });
        flush(&db);
        for writer in writers.into_iter().flatten() {
            writer.join().expect("the ingest succeeds");
        }
        assert_eq!(count(&db), 3);
        let db = try_open(&fs.after_power_loss(), &options).expect("the table reopens");
        assert_eq!(count(&db), 3, "sealed: {is_sealed}");
    }
}

/// There was no way to say "write it out now", "compact now" or "stop": a flush came only after so many ingests, a
/// compaction only from a worker on a timer, and a dropped table went on writing in the background.
#[test]
fn flush_compact_and_close_do_what_they_say() {
    let fs = TestFs::default();
    let db = open(&fs);
    assert!(!flush(&db), "there is nothing to flush");
    put(&db, 0..10, 1);
    assert!(flush(&db));
    assert!(!flush(&db), "it is flushed");
    assert!(!compact(&db), "one file needs no compaction");
    put(&db, 5..15, 2);
    assert!(flush(&db));
    assert!(compact(&db));
    assert!(!compact(&db));
    assert_eq!(fs.paths("sst/L0").len(), 0, "the inputs are reclaimed");
    let held = snapshot(&db);
    block_on(db.close()).expect("the table closes");
    let (batch, tombstones) = batch(&[(key(1), None)]);
    block_on(db.ingest_with_tombstones(batch, tombstones)).expect_err("the table is closed");
    assert_eq!(scan(&db, &held).len(), 15, "reads still work");
    drop((held, db));
    assert_eq!(count(&open(&fs)), 15);
}

/// Each of a table's three manifests started a task that looked for unpublished segments every three seconds, for ever: the
/// file system, the executor and three timers outlived every table that was dropped.
#[test]
fn a_dropped_table_lets_go_of_its_files() {
    let fs = TestFs::default();
    for closing in [true, false] {
        let db = open(&fs);
        put(&db, 0..10, 1);
        flush(&db);
        if closing {
            block_on(db.close()).expect("the table closes");
        }
        drop(db);
        for _ in 0..400 {
            if fs.handles() == 1 {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(fs.handles(), 1, "closed first: {closing}");
    }
}

/// Each flush and each compaction left a record of all files for ever, and opening read every one of them.
#[test]
fn the_manifest_stays_as_small_as_what_is_live() {
    let fs = TestFs::default();
    let mut db = open(&fs);
    let mut held = Vec::new();
    let mut most = (0, 0);
    for round in 0..2000 {
        put(&db, [round % 50, 1000 + round % 7], round as i64);
        flush(&db);
        while round % 4 == 0 && compact(&db) {}
        if round % 300 == 100 {
            held.push((snapshot(&db), all(&db)));
        }
        if round == 1500 {
            let before = all(&db);
            held.clear();
            block_on(db.close()).expect("the table closes");
            db = open(&fs);
            assert_eq!(all(&db), before);
        }
        most = most.max((fs.paths("manifest/").len(), fs.size("manifest/")));
        for (snapshot, rows) in held.iter().filter(|_| round % 100 == 0) {
            let found: BTreeMap<_, _> = scan(&db, snapshot).into_iter().collect();
            assert_eq!(&found, rows, "held until round {round}");
        }
    }
    assert!(most.0 < 150 && most.1 < 400_000, "{most:?}");
    assert_eq!(all(&db)[&key(1999 % 50)], Row::new(1999));
    drop(held);
    let before = all(&db);
    let db = open(&fs.after_power_loss());
    assert_eq!(all(&db), before);
}

/// The same when it is interrupted: whatever a crash leaves of the smaller manifest, the table opens with all rows, and what is left
/// over goes away.
#[test]
fn a_crash_while_the_manifest_is_made_smaller_loses_nothing() {
    let fs = TestFs::default();
    let db = open(&fs);
    for round in 0..29 {
        put(&db, round..round + 2, round as i64);
        flush(&db);
    }
    let before = all(&db);
    // The same row again and again: a crash may come before or after it.
    let round = |db: &Db| {
        put(db, 0..1, 0);
        flush(db);
        compact(db);
    };
    let runs = |fs: &TestFs| fs.paths("manifest/version/checkpoints").len();
    assert_eq!(runs(&fs), 0);
    fs.record_crashes("manifest/");
    for _ in 0..3 {
        round(&db);
    }
    assert_eq!(runs(&fs), 3, "a run is three files");
    let crashes = fs.take_crashes();
    for (at, fs) in crashes.iter().enumerate() {
        let db = open(fs);
        assert_eq!(all(&db), before, "crash {at} of {}", crashes.len());
        // What comes next tidies up behind it: looked at for every 15th.
        if at % 15 == 0 {
            for _ in 0..40 {
                round(&db);
            }
            assert_eq!(all(&db), before, "crash {at} of {}", crashes.len());
            assert_eq!(runs(fs), 3, "crash {at} left a run");
            assert!(
                fs.paths("manifest/version/segments").len() <= 32,
                "crash {at}"
            );
        }
    }
}

/// A reader of the manifest took its lease after it had read what there is. Whoever came between saw no lease, and removed that.
#[test]
fn a_reader_of_the_manifest_may_be_late_with_its_lease() {
    let fs = TestFs::default();
    let db = open(&fs);
    put(&db, 0..1, 1);
    flush(&db);
    fs.before_next_change("/leases/", {
        let db = db.clone();
        move || {
            for round in 0..40 {
                put(&db, 0..1, round);
                flush(&db);
            }
        }
    });
    assert!(compact(&db), "it sees all of the files");
    assert_eq!(all(&db)[&key(0)], Row::new(39));
}

/// A compaction kept every delete for ever. Deleted rows gave no space back but their own: a queue's files grew and grew.
#[test]
fn deletes_do_not_outlive_what_they_delete() {
    let fs = TestFs::default();
    let db = open(&fs);
    let mut sizes = Vec::new();
    for round in 0..200 {
        put(&db, 100 * round..100 * (round + 3), round as i64);
        flush(&db);
        delete(&db, 100 * round..100 * (round + 1));
        flush(&db);
        while compact(&db) {}
        sizes.push(fs.size(".delete.parquet"));
        assert_eq!(count(&db), 200, "round {round}");
    }
    let most = |sizes: &[usize]| sizes.iter().max().copied().unwrap_or(0);
    assert!(most(&sizes[100..]) <= 2 * most(&sizes[..20]), "{sizes:?}");
    delete(&db, 0..30_000);
    flush(&db);
    while compact(&db) {}
    assert_eq!(fs.paths("sst/"), Vec::<String>::new());
}

/// The last row of a table took its space along. Now nothing is left, once no snapshot can see it, however few files there are.
#[test]
fn an_emptied_table_has_no_files() {
    let fs = TestFs::default();
    let options = Options {
        l0_trigger: 8,
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    put(&db, 0..5000, 1);
    flush(&db);
    let held = snapshot(&db);
    delete(&db, 0..5000);
    flush(&db);
    while compact(&db) {}
    assert_eq!(count(&db), 0);
    assert_eq!(scan(&db, &held).len(), 5000, "the snapshot keeps its files");
    drop(held);
    while compact(&db) {}
    assert_eq!(fs.paths("sst/"), Vec::<String>::new());
    // Neither the log nor the clock depends on the files that are gone.
    put(&db, 10..20, 2);
    for fs in [fs.image(), fs.after_power_loss()] {
        let db = try_open(&fs, &options).expect("the table reopens");
        assert_eq!(count(&db), 10);
        delete(&db, 10..15);
        assert_eq!(count(&db), 5);
    }
}

/// Files were numbered anew behind an opening. One that was being written had the name of one that waited for its removal, and a sweep at that
/// moment took it away.
#[test]
fn no_file_gets_the_name_of_one_that_waits_for_its_removal() {
    let fs = TestFs::default();
    let db = open(&fs);
    for value in 1..=2 {
        put(&db, 0..1000, value);
        flush(&db);
    }
    assert!(compact(&db));
    put(&db, 5000..6000, 1);
    flush(&db);
    let held = snapshot(&db);
    delete(&db, 5000..6000);
    flush(&db);
    while compact(&db) {}
    assert_eq!(fs.paths("sst/L1").len(), 1, "of the newest version");
    assert_eq!(fs.paths("sst/L0").len(), 1, "of the snapshot");
    assert_eq!(scan(&db, &held).len(), 2000);
    drop((held, db));
    let db = open(&fs);
    put(&db, 5000..6000, 2);
    flush(&db);
    let plan = block_on(db.inspect_sst_gc_plan()).expect("the plan is read");
    let waiting = plan.expect("a file waits for its removal").candidates;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert!(waiting[0].authorized, "{waiting:?}: used again");
    while compact(&db) {}
    assert_eq!(count(&db), 2000);
}

/// Replay sealed the memtable between the rows and the deletes of one commit. Of two segments with one timestamp the older won a scan, and the
/// deleted row came back.
#[test]
fn replay_keeps_a_commit_in_one_segment() {
    /// Tonbo's own policy, in force during recovery, seals after so many batches.
    const BATCHES: u64 = 64;
    let options = Options {
        seal: Arc::new(BatchesThreshold { batches: 1 }),
        ..Options::default()
    };
    for deletes_first in [false, true] {
        let fs = TestFs::default();
        let db = open(&fs);
        for number in 1..BATCHES {
            put(&db, number..number + 1, 1);
        }
        let mut changes = [(key(100), Some(Row::new(2))), (key(100), None)];
        if deletes_first {
            changes.reverse();
        }
        ingest(&db, &changes);
        assert_eq!(count(&db) as u64, BATCHES - 1);
        let db = try_open(&fs.image(), &options).expect("the table opens");
        assert_eq!(count(&db) as u64, BATCHES - 1, "replayed");
        put(&db, 0..1, 1);
        assert_eq!(count(&db) as u64, BATCHES, "sealed");
        flush(&db);
        assert_eq!(count(&db) as u64, BATCHES, "in a file");
        put(&db, 0..1, 2);
        flush(&db);
        assert!(compact(&db));
        assert_eq!(count(&db) as u64, BATCHES, "merged");
    }
}

/// A merge took a kilobyte for each row that it wrote, however small that was, and ended its files so much too early.
#[test]
fn a_merge_writes_files_of_the_size_that_is_asked_for() {
    for (merged_size, files) in [(1 << 20, 1..=1), (128 << 10, 3..=5)] {
        let fs = TestFs::default();
        let options = Options {
            merged_size,
            ..Options::default()
        };
        let db = try_open(&fs, &options).expect("the table opens");
        for keys in [0..5000, 5000..10_000] {
            put(&db, keys, 1);
            flush(&db);
        }
        assert!(compact(&db));
        let paths = fs.paths("sst/L1");
        assert!(files.contains(&paths.len()), "{paths:?}");
        assert_eq!(count(&db), 10_000);
    }
}

/// Rows came by the thousand, however large they were: more than memory holds, or than a column can.
#[test]
fn large_rows_come_in_small_batches() {
    const ROWS: usize = 40;
    const SIZE: usize = 1 << 20;
    let db = open(&TestFs::default());
    let put = |numbers: std::ops::Range<usize>| {
        let row = |number| Row {
            number: Some(number as i64),
            text: Some("x".repeat(SIZE)),
        };
        let changes = numbers.map(|number| (key(number as u64), Some(row(number))));
        ingest(&db, &changes.collect::<Vec<_>>());
    };
    let check = |place: &str| {
        let batches = block_on(snapshot(&db).scan(&db).collect()).expect("the scan succeeds");
        let rows: Vec<usize> = batches.iter().map(|batch| batch.num_rows()).collect();
        assert_eq!(rows.iter().sum::<usize>(), ROWS, "{place}");
        assert!(rows.iter().all(|rows| *rows <= 17), "{place}: {rows:?}");
    };
    put(0..ROWS / 2);
    flush(&db);
    put(ROWS / 2..ROWS);
    check("partly in memory");
    flush(&db);
    check("in two files");
    assert!(compact(&db));
    check("merged");
}

/// A publication that is told as failed may have taken effect. A merge then removed its files, which the newest version names, and a flush
/// wrote its rows a second time.
#[test]
fn a_publication_that_is_told_as_failed_counts_where_it_took_effect() {
    const HEAD: Option<&str> = Some("manifest/version/head.json");
    let fs = TestFs::default();
    let db = open(&fs);
    put(&db, 0..100, 1);
    let held = snapshot(&db);
    fs.lose_answers(HEAD);
    assert!(flush(&db));
    fs.lose_answers(None);
    assert_eq!(db.unflushed().0, 0);
    assert!(!flush(&db), "it has been written");
    put(&db, 50..150, 2);
    assert!(flush(&db));
    let whole = all(&db);
    fs.lose_answers(HEAD);
    assert!(compact(&db));
    fs.lose_answers(None);
    assert!(all(&db) == whole);
    assert_eq!(scan(&db, &held).len(), 100);
    drop(held);
    while compact(&db) {}
    assert!(all(&db) == whole);
    assert!(all(&open(&fs.image())) == whole);
    // Where the manifest can't be asked either, the files stay.
    for keys in [150..160, 155..165] {
        put(&db, keys, 3);
        assert!(flush(&db));
    }
    let whole = all(&db);
    fs.lose_answers_and_reads(HEAD);
    block_on(db.compact()).expect_err("nobody knows whether it is published");
    fs.lose_answers(None);
    assert!(all(&open(&fs.image())) == whole);
}

/// A scan's own snapshot was dropped before its stream ran: a merge removed the files under it.
#[test]
fn a_stream_keeps_the_files_that_it_reads() {
    /// More than one group, each of which is read as a whole.
    const ROWS: u64 = 70_000;
    let db = open(&TestFs::default());
    put(&db, 0..ROWS, 1);
    flush(&db);
    let mut stream = block_on(db.scan().stream()).expect("the scan opens");
    let first = block_on(stream.next()).expect("there are rows");
    let mut found = first.expect("the scan succeeds").num_rows();
    put(&db, 0..10, 2);
    flush(&db);
    while compact(&db) {}
    while let Some(next) = block_on(stream.next()) {
        found += next.expect("the scan succeeds").num_rows();
    }
    assert_eq!(found as u64, ROWS);
}

/// A delete that is dropped while an older row of its key is in a file that is not being merged would bring that row back.
#[test]
fn a_delete_stays_while_an_older_row_is_in_another_file() {
    let fs = TestFs::default();
    let db = open(&fs);
    // The upper files are small beside the lower, so they are merged with each other first.
    put(&db, 0..3000, 1);
    flush(&db);
    put(&db, 0..3000, 2);
    flush(&db);
    while compact(&db) {}
    for round in 0..6 {
        let deleted = 100 * round;
        delete(&db, deleted..deleted + 50);
        flush(&db);
        put(&db, 4000 + round..4010 + round, 3);
        flush(&db);
        loop {
            let is_due = compact(&db);
            let rows = all(&db);
            assert_eq!(rows.len() as u64, 3000 - 50 * (round + 1) + 10 + round);
            assert!(!rows.contains_key(&key(deleted)), "round {round}");
            if !is_due {
                break;
            }
        }
        let copy = open(&fs.after_power_loss());
        assert_eq!(all(&copy), all(&db), "round {round}");
    }
}

/// Compactions with nothing to write, and those that drop deletes, may be interrupted like others.
#[test]
fn a_crash_while_deletes_are_dropped_brings_no_row_back() {
    for survivors in [0, 30] {
        let fs = TestFs::default();
        let db = open(&fs);
        put(&db, 0..300, 1);
        flush(&db);
        put(&db, 100..400, 2);
        flush(&db);
        compact(&db);
        delete(&db, survivors..400);
        let before = all(&db);
        fs.record_crashes("");
        flush(&db);
        while compact(&db) {}
        let crashes = fs.take_crashes();
        for (at, fs) in crashes.iter().enumerate() {
            let db = open(fs);
            assert_eq!(all(&db), before, "crash {at} of {}", crashes.len());
            put(&db, 1000..1001, 1);
            flush(&db);
            while compact(&db) {}
            assert_eq!(count(&db) as u64, survivors + 1, "after crash {at}");
        }
    }
}

/// How often a scan gives way before it ends, and how many rows it found.
fn scan_by_steps(db: &Db, predicate: Expr) -> (usize, usize) {
    let snapshot = snapshot(db);
    let mut scan = pin!(snapshot.scan(db).filter(predicate).collect());
    let mut polls = 0;
    let batches = block_on(poll_fn(|context| {
        polls += 1;
        scan.as_mut().poll(context)
    }));
    (polls, rows(&batches.expect("the scan succeeds")).len())
}

/// Nothing else could run on the scan's thread, and nobody could stop it, until the first row that is left.
#[test]
fn a_scan_of_deleted_rows_gives_way() {
    let fs = TestFs::default();
    let db = open(&fs);
    put(&db, 0..20_000, 1);
    delete(&db, 0..19_999);
    let everything = || key_range(&key(0), &key(u64::MAX));
    let (in_memory, rows) = scan_by_steps(&db, everything());
    assert_eq!(rows, 1);
    assert!(in_memory > 10, "{in_memory}");
    flush(&db);
    let (in_a_file, rows) = scan_by_steps(&db, everything());
    assert_eq!(rows, 1);
    assert!(in_a_file > 10, "{in_a_file}");
}

/// Each read of a key went through all of the file's deletes.
#[test]
fn deletes_of_other_keys_are_not_merged() {
    let fs = TestFs::default();
    let db = open(&fs);
    put(&db, 0..40_000, 1);
    flush(&db);
    delete(&db, (0..40_000).filter(|number| number % 1000 != 7));
    flush(&db);
    let (all, rows) = scan_by_steps(&db, key_range(&key(0), &key(u64::MAX)));
    assert_eq!(rows, 40);
    for range in [
        key_range(&key(30_007), &key(30_008)),
        key_range(&key(39_990), &key(u64::MAX)),
    ] {
        let (few, _) = scan_by_steps(&db, range);
        assert!(few * 10 < all, "{few} of {all}");
    }
    assert_eq!(
        scan_by_steps(&db, key_range(&key(30_007), &key(30_008))).1,
        1
    );
    assert_eq!(
        scan_by_steps(&db, key_range(&key(30_008), &key(30_500))).1,
        0
    );
}

/// A merge that had nothing to write, or one after it, forgot where replay begins. That then began with whatever was left of the log: rows came
/// back whose deletes were gone for good.
#[test]
fn a_merge_keeps_where_the_log_begins() {
    let fs = TestFs::default();
    let options = Options {
        wal_segment_bytes: 1,
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    // Two files that overlap: they are merged, but after those above them.
    for value in 1..=2 {
        for keys in [0..100, 50..150] {
            put(&db, keys, value);
            flush(&db);
        }
        assert!(compact(&db));
    }
    assert_eq!(fs.paths("sst/L1").len(), 2);
    put(&db, 500..510, 1);
    let logged = fs.paths(".tonwal").into_iter();
    let logged: Vec<_> = logged.map(|path| (fs.read(&path), path)).collect();
    flush(&db);
    delete(&db, 500..510);
    flush(&db);
    let check = |step: &str| {
        // The power fails before the removal of these is durable.
        let copy = fs.image();
        for (bytes, path) in &logged {
            if copy.paths(path).is_empty() {
                copy.write(path, bytes.clone());
            }
        }
        let db = try_open(&copy, &options).unwrap_or_else(|error| panic!("{step}: {error}"));
        assert_eq!(count(&db), 150, "{step}");
    };
    check("flushed");
    assert!(compact(&db));
    assert_eq!(fs.paths("sst/L0"), Vec::<String>::new());
    assert_eq!(fs.paths("sst/L1").len(), 2);
    check("a merge without an output");
    assert!(compact(&db));
    check("the one after it");
}

/// A merge that a flush overtook noted where replay begins as it had been before that flush.
#[test]
fn a_merge_beside_a_flush_keeps_where_the_log_begins() {
    let fs = TestFs::default();
    let db = open(&fs);
    for value in 1..=2 {
        put(&db, 0..100, value);
        flush(&db);
    }
    fs.before_next_change("sst/L1", {
        let db = db.clone();
        move || {
            put(&db, 200..300, 3);
            flush(&db);
        }
    });
    assert!(compact(&db));
    assert_eq!(fs.paths("sst/").len(), 2);
    let db = open(&fs.after_power_loss());
    assert_eq!(db.unflushed(), (0, 0));
    assert_eq!(count(&db), 200);
}

/// After a flush the log still had what is in files, and the next opening replayed it. Nor may a flush or a merge take anything away that recovery
/// needs: here every frame has a segment of its own, so that each can be missed.
#[test]
fn the_log_after_a_merge_holds_what_recovery_needs_and_no_more() {
    /// The row, and that it is committed.
    const FRAMES: u64 = 2;
    let fs = TestFs::default();
    let options = Options {
        wal_segment_bytes: 1,
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    let (mut rows, mut flushed) = (0, 0);
    let check = |rows: u64, flushed: u64, step: &str| {
        let opened = |fs: &TestFs| {
            let db = try_open(fs, &options).unwrap_or_else(|error| panic!("{step}: {error}"));
            (all(&db).len() as u64, db.unflushed().0 as u64)
        };
        for copy in [fs.image(), fs.after_power_loss()] {
            assert_eq!(opened(&copy), (rows, rows - flushed), "{step}");
        }
        let logs = fs.paths(".tonwal");
        let is_needed = |log: &&String| {
            let copy = fs.image();
            copy.delete(log);
            opened(&copy).0 < rows
        };
        let needed = logs.iter().filter(is_needed).count() as u64;
        assert_eq!(needed, FRAMES * (rows - flushed), "{step}: {logs:?}");
        // The newest that a flush has seen stays as the floor, and the writer's next one may be there already.
        assert!(logs.len() as u64 <= needed + 2, "{step}: {logs:?}");
    };
    let mut step = |what: &str| {
        match what {
            "put" => {
                put(&db, rows..rows + 1, 1);
                rows += 1;
            }
            "flush" => {
                assert!(flush(&db));
                flushed = rows;
            }
            _ => assert!(compact(&db), "{what}"),
        }
        check(rows, flushed, what);
    };
    for _ in 0..3 {
        for what in [
            "put", "put", "flush", "put", "flush", "put", "put", "merge", "put", "flush",
        ] {
            step(what);
        }
    }
}
