//! The order of commits, first-committer-wins, snapshots, group commit, and the mover beside them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shuttle::rand::Rng;
use shuttle::thread;

use crate::check::{check, check_alone, finds};
use crate::commit::changes::Changes;
use crate::commit::group::Groups;
use crate::commit::recent::{Footprint, RecentWrites};
use crate::commit::sequencer::{Claim, Published, Reservation, Sequencer, Snapshot};
use crate::commit::{mover, mover::move_table};
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::{Key, encode_integer};
use crate::statement::Handle;
use crate::store::{Sizes, Store};
use crate::sync::Fault;
use crate::table::gate::Gate;
use crate::table::range::KeyRange;
use crate::table::scan::{Request, Scan};
use crate::table::version::{Buffer, Sequence};
use crate::table::{Table, TableId};
use crate::transaction::{Transaction, change_size};
use crate::value::{Row, Value};

pub fn key(id: i64) -> Key {
    encode_integer(id)[..].into()
}

pub fn row(id: i64, n: i64) -> Row {
    vec![Value::Integer(id), Value::Integer(n)].into()
}

/// A change of one row of a table.
fn change(table: TableId, id: i64) -> Changes {
    change_all(table, &[id])
}

/// A change of some rows of a table.
fn change_all(table: TableId, ids: &[i64]) -> Changes {
    let buffer: Buffer = ids.iter().map(|id| (key(*id), Some(row(*id, 0)))).collect();
    Changes {
        tables: [(table, buffer)].into_iter().collect(),
    }
}

/// What a snapshot that is taken now shows.
fn snapshot(sequencer: &Arc<Sequencer>) -> Snapshot {
    sequencer.snapshot(0).unwrap()
}

fn reserve(
    sequencer: &Arc<Sequencer>,
    snapshot: &Snapshot,
    changes: &Changes,
) -> StoreResult<Reservation> {
    sequencer
        .reserve(snapshot, changes, [].iter())
        .map_err(|refusal| refusal.error)
}

// ---- the sequencer alone

/// What is known of the numbers that were given out. Its lock is std's: it is held at no point at which another thread may go on.
#[derive(Default)]
struct Numbers {
    open: BTreeSet<Sequence>,
    published: Vec<Sequence>,
}

/// Also where a thread has failed in there: what comes after it is not what is to be told.
fn known(numbers: &Mutex<Numbers>) -> MutexGuard<'_, Numbers> {
    numbers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Four threads reserve a number each, one voids its own. `publish` makes the others' visible.
fn numbers_in_order(
    publish: impl Fn(&Arc<Sequencer>, Reservation, &dyn Fn(&mut Published))
    + Clone
    + Send
    + Sync
    + 'static,
) {
    let store = Store::new(1, Sizes::default());
    let numbers = Arc::new(Mutex::new(Numbers::default()));
    let threads: Vec<_> = (0..4)
        .map(|id| {
            let (sequencer, numbers) = (store.sequencer.clone(), numbers.clone());
            let publish = publish.clone();
            thread::spawn(move || {
                let own = snapshot(&sequencer);
                let reservation = reserve(&sequencer, &own, &change(1, id)).unwrap();
                let sequence = reservation.sequence();
                assert!(known(&numbers).open.insert(sequence), "a number twice");
                thread::yield_now();
                if id == 3 {
                    // Before the number is given back: from then on others need not wait for it.
                    known(&numbers).open.remove(&sequence);
                    drop(reservation);
                    return;
                }
                let now = |published: &mut Published| {
                    let mut numbers = known(&numbers);
                    assert!(published.sequence < sequence, "published before its time");
                    assert_eq!(
                        numbers.open.first(),
                        Some(&sequence),
                        "published before its time"
                    );
                    numbers.open.remove(&sequence);
                    numbers.published.push(sequence);
                };
                publish(&sequencer, reservation, &now);
                assert!(
                    sequencer.published().sequence >= sequence,
                    "published before its time, or hidden by one that was"
                );
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let numbers = known(&numbers);
    assert!(numbers.open.is_empty() && numbers.published.len() == 3);
    assert_eq!(
        Some(&store.sequencer.published().sequence),
        numbers.published.last()
    );
}

#[test]
fn commits_are_published_in_the_order_of_their_numbers() {
    check(4000, || {
        numbers_in_order(|_, mut reservation, apply| reservation.publish(false, apply));
    });
}

#[test]
fn a_commit_that_does_not_wait_its_turn_is_found() {
    finds(4000, None, "published before its time", || {
        numbers_in_order(|sequencer, reservation, apply| {
            let sequence = reservation.sequence();
            sequencer.replace(|published| {
                apply(published);
                published.sequence = sequence;
            });
        });
    });
}

#[test]
fn a_commit_that_is_not_told_of_its_turn_is_found() {
    finds(4000, Some(Fault::LostWakeup), "deadlock", || {
        numbers_in_order(|_, mut reservation, apply| reservation.publish(false, apply));
    });
}

/// Two transactions with snapshots from before either commits write some rows each. Returns how many succeeded.
fn two_writers(
    ids: [&'static [i64]; 2],
    voids: bool,
    sees: impl Fn(&Arc<Sequencer>, Snapshot) -> Snapshot + Copy + Send + 'static,
) -> usize {
    let store = Store::new(1, Sizes::default());
    let early = ids.map(|_| snapshot(&store.sequencer));
    let threads: Vec<_> = ids
        .into_iter()
        .zip(early)
        .enumerate()
        .map(|(place, (id, early))| {
            let sequencer = store.sequencer.clone();
            thread::spawn(move || {
                let own = sees(&sequencer, early);
                match reserve(&sequencer, &own, &change_all(1, id)) {
                    // The log was full, say.
                    Ok(_) if voids && place == 0 => 0,
                    Ok(mut reservation) => {
                        reservation.publish(false, |_| {});
                        1
                    }
                    Err(error) => {
                        assert_eq!(error.code, StoreErrorCode::Conflict);
                        0
                    }
                }
            })
        })
        .collect();
    let succeeded = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    // Who comes later has it all before its eyes.
    let late = snapshot(&store.sequencer);
    for id in ids {
        drop(reserve(&store.sequencer, &late, &change_all(1, id)).unwrap());
    }
    succeeded
}

#[test]
fn of_two_commits_that_overlap_one_succeeds_and_two_others_both() {
    // Also where one of them, or both, are large.
    let overlapping: [[&[i64]; 2]; 4] = [
        [&[1], &[1]],
        [&[1, 2], &[1]],
        [&[1], &[1, 2]],
        [&[1, 2], &[1, 3, 4]],
    ];
    for ids in overlapping {
        check(2000, move || {
            assert_eq!(two_writers(ids, false, |_, own| own), 1)
        });
        // The second may have met the first before that gave up.
        check(2000, move || {
            assert!(two_writers(ids, true, |_, own| own) <= 1)
        });
    }
    let others: [[&[i64]; 2]; 3] = [[&[1], &[2]], [&[1, 2], &[3]], [&[1, 2], &[3, 4, 5]]];
    for ids in others {
        check(2000, move || {
            assert_eq!(two_writers(ids, false, |_, own| own), 2)
        });
        check(2000, move || {
            assert_eq!(two_writers(ids, true, |_, own| own), 1)
        });
    }
}

#[test]
fn a_commit_that_is_checked_against_too_new_a_snapshot_is_found() {
    finds(2000, None, "left: 2", || {
        let newer = |sequencer: &Arc<Sequencer>, _| snapshot(sequencer);
        assert_eq!(two_writers([&[1], &[1]], false, newer), 1);
    });
}

/// Two readers beside a commit to a Tonbo table, one to an ordinary table, and one to both. `take` takes a snapshot of both, and tells how many
/// commits to ordinary tables alone it shows.
fn read_by_two(take: impl Fn(&Store) -> (Snapshot, u64) + Clone + Send + Sync + 'static) {
    let store = Store::new(1, Sizes::default());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut threads = Vec::new();
    for _ in 0..2 {
        let (store, seen, take) = (store.clone(), seen.clone(), take.clone());
        threads.push(thread::spawn(move || {
            let entered = store.sequencer.enter();
            let (snapshot, plain) = take(&store);
            let sequence = snapshot.published.sequence;
            drop(snapshot);
            store.sequencer.leave(entered);
            seen.lock().unwrap().push((sequence, plain));
        }));
    }
    for is_mixed in [false, true] {
        let store = store.clone();
        threads.push(thread::spawn(move || {
            let entered = store.sequencer.enter();
            let own = store.sequencer.snapshot_of(|| Ok(store.main.mixed()));
            let changes = change(1, is_mixed.into());
            let mut reservation = reserve(&store.sequencer, &own.unwrap(), &changes).unwrap();
            if is_mixed {
                store.main.write(reservation.sequence());
                store.main.commit();
            }
            thread::yield_now();
            reservation.publish(is_mixed, |_| {});
            store.sequencer.leave(entered);
        }));
    }
    let main = store.main.clone();
    threads.push(thread::spawn(move || main.commit_plain()));
    for thread in threads {
        thread.join().unwrap();
    }
    let seen = seen.lock().unwrap();
    let (first, second) = (seen[0], seen[1]);
    let is_before =
        |one: (Sequence, u64), other: (Sequence, u64)| one.0 <= other.0 && one.1 <= other.1;
    assert!(
        is_before(first, second) || is_before(second, first),
        "two snapshots contradict each other: {first:?} and {second:?}"
    );
}

/// A snapshot's two halves were of two moments: a commit to an ordinary table and one to a Tonbo table could come between them, and a reader that
/// saw the second but not the first met one that saw the first but not the second.
#[test]
fn snapshots_show_commits_to_either_kind_of_table_in_one_order() {
    check(8000, || {
        read_by_two(|store| {
            let mut plain = 0;
            let snapshot = store.sequencer.snapshot_of(|| {
                let (mixed, shown) = store.main.shown();
                plain = shown;
                Ok(mixed)
            });
            (snapshot.unwrap(), plain)
        });
    });
}

#[test]
fn snapshots_with_halves_of_two_moments_are_found() {
    finds(8000, None, "contradict each other", || {
        read_by_two(|store| {
            let (mixed, plain) = store.main.shown();
            (store.sequencer.snapshot(mixed).unwrap(), plain)
        });
    });
}

/// What is known of recent commits equals what a plain list of them says.
#[test]
fn recent_writes_are_those_of_a_list() {
    check_alone(400, || {
        let mut recent = RecentWrites::default();
        let mut list: Vec<(Sequence, TableId, BTreeSet<i64>)> = Vec::new();
        let mut oldest = 0;
        for sequence in 1..30 {
            let table = pick(2) as TableId;
            let ids: Vec<i64> = (0..=pick(4)).map(|_| pick(12)).collect();
            let changes = change_all(table, &ids);
            let ids: BTreeSet<i64> = ids.into_iter().collect();
            for seen in oldest..sequence {
                let later = list
                    .iter()
                    .filter(|(other, of, _)| *other > seen && *of == table);
                let overlaps = later.clone().any(|(_, _, other)| !other.is_disjoint(&ids));
                let buffer = &changes.tables[&table];
                assert_eq!(
                    recent.first_of(table, buffer, seen).unwrap().is_some(),
                    overlaps
                );
                assert_eq!(recent.has_any(table, seen), later.count() > 0);
            }
            let before = recent.note(sequence, Footprint::new(&changes).unwrap());
            drop(recent.make_room(sequence));
            // As a reservation is: before another transaction could write the same rows.
            if pick(5) == 0 {
                drop(recent.void(sequence, before));
            } else {
                list.push((sequence, table, ids));
            }
            if pick(10) == 0 {
                oldest += pick((sequence - oldest) as i64 + 1) as Sequence;
                drop(recent.forget(oldest));
            }
        }
        drop(recent.clear());
        assert!(!recent.has_any(0, 0) && !recent.has_any(1, 0));
    });
}

/// A number below `count`, which the schedule's seed gives.
fn pick(count: i64) -> i64 {
    shuttle::rand::thread_rng().gen_range(0..count)
}

/// Commits beside one that closes the table's gate, and beside one that changes its indexes.
fn gated(settles: bool) {
    let store = Store::new(1, Sizes::default());
    let is_alone = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|id| {
            let (store, is_alone) = (store.clone(), is_alone.clone());
            thread::spawn(move || {
                let own = snapshot(&store.sequencer);
                match reserve(&store.sequencer, &own, &change(1, id)) {
                    Ok(mut reservation) => {
                        thread::yield_now();
                        reservation.publish(false, |_| {
                            assert!(!is_alone.load(Ordering::Relaxed), "a commit past the gate");
                        });
                    }
                    Err(error) => assert!(matches!(
                        error.code,
                        StoreErrorCode::TableBusy | StoreErrorCode::Conflict
                    )),
                }
            })
        })
        .collect();
    let indexer = {
        let (store, is_alone) = (store.clone(), is_alone.clone());
        thread::spawn(move || {
            let own = snapshot(&store.sequencer);
            let claim = Claim {
                table: store.tables[0].clone(),
                has_built: true,
                holds_gate: false,
            };
            let claims = [claim];
            if let Ok(mut reservation) =
                store
                    .sequencer
                    .reserve(&own, &Changes::default(), claims.iter())
            {
                reservation.publish(false, |_| {
                    assert!(!is_alone.load(Ordering::Relaxed), "a commit past the gate");
                });
            }
        })
    };
    let before = snapshot(&store.sequencer);
    let table = &store.tables[0];
    let gate = Gate::close(table).unwrap();
    if settles {
        store.sequencer.settle();
    }
    is_alone.store(true, Ordering::Relaxed);
    assert!(Gate::close(table).is_err());
    let mut reservation = store.sequencer.reserve_import();
    let sequence = reservation.sequence();
    thread::yield_now();
    reservation.publish(false, |published| {
        assert!(published.sequence < sequence);
        table.writers.begin_anew(sequence);
    });
    is_alone.store(false, Ordering::Relaxed);
    drop(gate);
    for thread in writers {
        thread.join().unwrap();
    }
    indexer.join().unwrap();
    // Whoever has not seen the import may not write; who has may.
    let late = reserve(&store.sequencer, &before, &change(1, 9));
    assert_eq!(
        late.err().map(|error| error.code),
        Some(StoreErrorCode::Conflict)
    );
    let after = snapshot(&store.sequencer);
    assert!(reserve(&store.sequencer, &after, &change(1, 9)).is_ok());
}

#[test]
fn no_commit_passes_a_closed_gate() {
    check(4000, || gated(true));
}

#[test]
fn a_gate_that_does_not_wait_for_those_under_way_is_found() {
    finds(4000, None, "a commit past the gate", || gated(false));
}

// ---- group commit

/// Everything that was written since the oldest open transaction began was kept, however much that was.
#[test]
fn what_is_kept_for_an_old_transaction_is_bounded() {
    const ROWS_MAX: usize = 40;
    check_alone(1, || {
        let mut recent = RecentWrites::keeping(ROWS_MAX);
        let mut first = 0;
        let mut fresh = |count: i64| {
            first += count;
            change_all(1, &(first - count..first).collect::<Vec<_>>())
        };
        for sequence in 1..400 {
            // Small commits and large ones, all of other rows; some are taken back.
            let changes = fresh(if sequence % 10 == 0 { 9 } else { 1 });
            let before = recent.note(sequence, Footprint::new(&changes).unwrap());
            drop(recent.make_room(sequence));
            assert!(recent.row_count() <= ROWS_MAX);
            let is_void = sequence % 7 == 0;
            if is_void {
                drop(recent.void(sequence, before));
            }
            // Who has begun just before is told what came since.
            assert!(recent.reaches(sequence - 1));
            let buffer = &changes.tables[&1];
            let is_known = recent.first_of(1, buffer, sequence - 1).unwrap().is_some();
            assert_eq!(is_known, !is_void);
        }
        assert!(!recent.reaches(0));
        // One that alone has more than is kept.
        let changes = fresh(2 * ROWS_MAX as i64);
        recent.note(400, Footprint::new(&changes).unwrap());
        drop(recent.make_room(400));
        assert!(recent.reaches(399) && !recent.reaches(398));
        assert!(recent.has_any(1, 399));
    });
}

/// The most records that any group of [`grouped`] had, in whatever order the threads ran.
static GROUP_MAX: AtomicUsize = AtomicUsize::new(0);

/// Five records, of which one group may fail and one may panic: each is written once, gets the outcome of the group that it was in, and nobody
/// waits for ever.
fn grouped() {
    let groups = Arc::new(Groups::new());
    let outcomes = Arc::new(Mutex::new(Vec::<(Vec<u32>, bool)>::new()));
    let is_writing = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..5)
        .map(|record| {
            let (groups, outcomes) = (groups.clone(), outcomes.clone());
            let is_writing = is_writing.clone();
            thread::spawn(move || {
                let outcome: StoreResult<()> = groups.append(record, |group: &[u32]| {
                    assert!(
                        !is_writing.swap(true, Ordering::Relaxed),
                        "two write at once"
                    );
                    thread::yield_now();
                    is_writing.store(false, Ordering::Relaxed);
                    let mut outcomes = outcomes.lock().unwrap();
                    let number = outcomes.len();
                    outcomes.push((group.to_vec(), number > 1));
                    drop(outcomes);
                    match number {
                        0 => Err(StoreError::new(StoreErrorCode::NoSpace, "no space")),
                        1 => std::panic::resume_unwind(Box::new("in the middle of a write")),
                        _ => Ok(()),
                    }
                });
                let own = (outcomes.lock().unwrap().iter())
                    .find(|(group, _)| group.contains(&record))
                    .map(|(_, is_written)| *is_written);
                assert_eq!(Some(outcome.is_ok()), own, "another's outcome");
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let outcomes = outcomes.lock().unwrap();
    let mut written: Vec<u32> = (outcomes.iter().flat_map(|(group, _)| group).copied()).collect();
    written.sort_unstable();
    assert_eq!(written, [0, 1, 2, 3, 4], "each once");
    let largest = outcomes.iter().map(|(group, _)| group.len()).max();
    GROUP_MAX.fetch_max(largest.unwrap_or_default(), Ordering::Relaxed);
}

#[test]
fn writes_that_come_together_all_end_with_their_own_outcome() {
    check(4000, grouped);
    // All that gathered behind the first one: one write, and one sync, for four.
    assert_eq!(GROUP_MAX.load(Ordering::Relaxed), 4);
}

#[test]
fn a_group_whose_members_are_not_told_is_found() {
    finds(4000, Some(Fault::LostWakeup), "deadlock", grouped);
}

// ---- whole transactions, and the mover

/// A transaction from its first statement to its end, as a connection goes through it. The number of its commit; `None` where it was undone.
pub fn transact(
    store: &Arc<Store>,
    is_mixed: bool,
    body: impl FnOnce(&mut Transaction) -> StoreResult<bool>,
) -> StoreResult<bool> {
    let writer = is_mixed.then(|| store.main.writer.lock().unwrap());
    let entered = store.sequencer.enter();
    let mut mixed = 0;
    let taken = store.sequencer.snapshot_of(|| {
        mixed = store.main.mixed();
        Ok(mixed)
    });
    let outcome = taken.and_then(|snapshot| {
        assert_eq!(
            snapshot.published.mixed, mixed,
            "the Tonbo tables of another moment than `main`'s"
        );
        let mut transaction = Transaction::new(snapshot, &store.memory);
        let handle = Handle::new(&store.main, is_mixed);
        let commits = body(&mut transaction).and_then(|commits| {
            transaction
                .sync(store, handle, Vec::new(), None)
                .map(|()| commits)
                .map_err(|refusal| refusal.error)
        });
        match commits {
            Ok(true) => {
                if is_mixed {
                    store.main.commit();
                }
                drop(writer);
                transaction.publish(store);
                transaction.end(store);
                Ok(true)
            }
            other => {
                transaction.roll_back(store)?;
                other
            }
        }
    });
    store.sequencer.leave(entered);
    outcome
}

fn number(
    transaction: &Transaction,
    store: &Store,
    table: &Arc<Table>,
    id: i64,
) -> StoreResult<i64> {
    let found = transaction.row(store, table, &key(id), &[0, 1], Vec::new())?;
    Ok(match found.as_deref() {
        None => 0,
        Some([Value::Integer(own), Value::Integer(n)]) if *own == id => *n,
        Some(other) => panic!("a row of another key: {other:?}"),
    })
}

/// Adds one to a row of every table.
pub fn increment(transaction: &mut Transaction, store: &Arc<Store>, id: i64) -> StoreResult<()> {
    for table in &store.tables {
        let n = number(transaction, store, table, id)?;
        let row = row(id, n + 1);
        transaction.take_room(change_size(&key(id), Some(&row)))?;
        transaction.write(table, key(id), Some(row));
        transaction.return_room();
    }
    Ok(())
}

/// All rows of a table, by a scan.
fn scanned(
    transaction: &Transaction,
    store: &Store,
    table: &Arc<Table>,
) -> StoreResult<Vec<(i64, i64)>> {
    let request = Request {
        range: KeyRange::all(),
        columns: vec![0, 1],
        ..Request::default()
    };
    let version = transaction.version(store, table)?;
    let mut scan = Scan::new(version, transaction.buffer(table), request)?;
    let mut rows = Vec::new();
    while !scan.is_done() {
        match (Value::from(scan.cell(0)), Value::from(scan.cell(1))) {
            (Value::Integer(id), Value::Integer(n)) => rows.push((id, n)),
            other => panic!("not a row: {other:?}"),
        }
        scan.advance()?;
    }
    Ok(rows)
}

/// What `whole_commits` puts into the way.
#[derive(Clone, Copy, Default)]
struct Trouble {
    /// Groups of commits that the log can't take.
    log_failures: usize,
    /// Writes that Tonbo can't take.
    mover_failures: usize,
    sizes: Sizes,
    /// A fault to be found: a writer takes what it reads from another snapshot than the one it is checked against.
    reads_elsewhere: bool,
}

/// Three writers add to the same few rows of two tables, one of them to ordinary tables as well and one giving up half the time; a reader
/// looks; the mover moves.
fn whole_commits(trouble: Trouble) {
    let store = Store::new(2, trouble.sizes);
    store.log.fail(trouble.log_failures);
    store.tables[1].source.fail(trouble.mover_failures);
    let committed = Arc::new([const { AtomicUsize::new(0) }; 2]);
    let mover = {
        let store = store.clone();
        thread::spawn(move || mover::run(&store))
    };
    let reader = {
        let store = store.clone();
        thread::spawn(move || {
            let mut before = Vec::new();
            for _ in 0..2 {
                let seen = Mutex::new(Vec::new());
                transact(&store, false, |transaction| {
                    let rows = scanned(transaction, &store, &store.tables[0])?;
                    let other = scanned(transaction, &store, &store.tables[1])?;
                    assert_eq!(rows, other, "half of a commit");
                    for (id, n) in &rows {
                        let alone = number(transaction, &store, &store.tables[1], *id)?;
                        assert_eq!(*n, alone, "a snapshot that moves");
                    }
                    *seen.lock().unwrap() = rows;
                    Ok(false)
                })
                .unwrap();
                let seen = seen.into_inner().unwrap();
                for (id, n) in before {
                    let later = seen.iter().find(|(other, _)| *other == id);
                    assert!(later.is_some_and(|(_, later)| *later >= n), "back in time");
                }
                before = seen;
            }
        })
    };
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (store, committed) = (store.clone(), committed.clone());
            thread::spawn(move || {
                for turn in 0..2 {
                    let id = (writer + turn) % 2;
                    let gives_up = writer == 2 && turn == 1;
                    let outcome = transact(&store, writer == 1, |transaction| {
                        if trouble.reads_elsewhere {
                            let newer = store.sequencer.snapshot(store.main.mixed())?;
                            let mut other = Transaction::new(newer, &store.memory);
                            increment(&mut other, &store, id)?;
                            *transaction = other;
                        }
                        increment(transaction, &store, id)?;
                        Ok(!gives_up)
                    });
                    match outcome {
                        Ok(true) => {
                            committed[id as usize].fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(false) => {}
                        Err(error) => assert!(matches!(
                            error.code,
                            StoreErrorCode::Conflict | StoreErrorCode::NoSpace
                        )),
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    reader.join().unwrap();
    store.mover.close();
    mover.join().unwrap();
    let expect = |when: &str| {
        transact(&store, false, |transaction| {
            for (id, count) in committed.iter().enumerate() {
                let count = count.load(Ordering::Relaxed) as i64;
                for table in &store.tables {
                    let n = number(transaction, &store, table, id as i64)?;
                    assert_eq!(n, count, "commits lost or doubled, {when}");
                }
            }
            Ok(false)
        })
        .unwrap();
    };
    expect("before the last round");
    for table in &store.tables {
        table.source.fail(0);
    }
    mover::round(&store).unwrap();
    expect("after it");
    assert!(store.log.kept().is_empty(), "a log that is not trimmed");
    let published = store.sequencer.published();
    assert!(
        published
            .tables
            .values()
            .all(|version| version.delta.is_empty())
    );
    assert_eq!(store.memory.used(), 0, "memory that nobody has");
}

#[test]
fn commits_are_whole_none_is_lost_and_snapshots_stay() {
    check(2000, || whole_commits(Trouble::default()));
}

#[test]
fn commits_that_the_log_refuses_leave_nothing() {
    check(1000, || {
        whole_commits(Trouble {
            log_failures: 2,
            ..Trouble::default()
        });
    });
}

#[test]
fn commits_that_wait_for_the_mover_go_on() {
    // The deltas may have room for three commits.
    let sizes = Sizes {
        memory: 2900,
        ..Sizes::default()
    };
    let trouble = Trouble {
        sizes,
        ..Trouble::default()
    };
    check(2000, move || whole_commits(trouble));
    finds(2000, Some(Fault::LostWakeup), "deadlock", move || {
        whole_commits(trouble)
    });
}

#[test]
fn columns_that_are_evicted_beside_commits_change_nothing() {
    check(1000, || {
        let sizes = Sizes {
            cache: 1,
            chunk_rows: 1,
            ..Sizes::default()
        };
        whole_commits(Trouble {
            sizes,
            ..Trouble::default()
        });
    });
}

#[test]
fn a_mover_that_fails_loses_nothing() {
    check(1000, || {
        whole_commits(Trouble {
            mover_failures: 1,
            ..Trouble::default()
        });
    });
}

#[test]
fn a_transaction_that_reads_elsewhere_than_it_is_checked_is_found() {
    finds(2000, None, "lost or doubled", || {
        whole_commits(Trouble {
            reads_elsewhere: true,
            ..Trouble::default()
        });
    });
}

#[test]
fn a_move_publishes_what_it_moved_and_nothing_else() {
    // A commit to a row that is just being moved stays in the delta; one to another row beside it, too.
    check(3000, || {
        let store = Store::new(1, Sizes::default());
        transact(&store, false, |transaction| {
            increment(transaction, &store, 1).map(|()| true)
        })
        .unwrap();
        let writers: Vec<_> = [1, 2]
            .into_iter()
            .map(|id| {
                let store = store.clone();
                thread::spawn(move || {
                    let commit = |transaction: &mut Transaction| {
                        increment(transaction, &store, id).map(|()| true)
                    };
                    assert!(transact(&store, false, commit).unwrap());
                })
            })
            .collect();
        move_table(&store, 1).unwrap();
        for writer in writers {
            writer.join().unwrap();
        }
        transact(&store, false, |transaction| {
            assert_eq!(
                scanned(transaction, &store, &store.tables[0])?,
                [(1, 2), (2, 1)]
            );
            Ok(false)
        })
        .unwrap();
    });
}
