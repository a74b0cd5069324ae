//! Tonbo against a `BTreeMap`: random ingests with deletes (some larger than a Parquet batch), flushes, compactions, held
//! snapshots, reopening after a clean close, a lost process and a power failure, and scans of key ranges with projections,
//! filters and limits. Nothing may ever differ.
//!
//! A failure prints its seed, which `HEDDLE_SEED=7 cargo test -p heddle-store --test tonbo_model` begins with. `HEDDLE_LONG_MINUTES` makes each
//! test go on for so long, `HEDDLE_TONBO_STEPS` each history.

mod random;
mod support;

use std::{
    collections::{BTreeMap, HashSet},
    env,
    ops::Bound,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use random::Random;
use support::*;
use tonbo::db::{BatchesThreshold, Expr, NeverSeal, ScalarValue, Snapshot};

type Model = BTreeMap<Vec<u8>, Row>;

/// Keys of several shapes: short, all high bits, and with a common start longer than the 64 bytes that Parquet keeps of a
/// key in its statistics.
fn shaped_key(number: u64) -> Vec<u8> {
    let mut key = match number % 4 {
        0 => Vec::new(),
        1 => vec![0xFF; 3],
        2 => vec![b'p'; 80],
        _ => vec![b'v'; 1 + (number % 7) as usize],
    };
    key.extend(number.to_be_bytes());
    key
}

fn random_row(random: &mut Random) -> Row {
    let number = (!random.chance(10)).then(|| random.below(1000) as i64);
    let text = (!random.chance(10)).then(|| format!("t{}", random.below(50)));
    Row { number, text }
}

fn random_changes(random: &mut Random, keys: u64, count: u64, deletes: u64) -> Vec<Change> {
    let mut used = HashSet::new();
    let mut changes = Vec::new();
    for _ in 0..count {
        let number = random.below(keys);
        if used.insert(number) {
            let row = (!random.chance(deletes)).then(|| random_row(random));
            changes.push((shaped_key(number), row));
        }
    }
    changes
}

fn apply(model: &mut Model, changes: &[Change]) {
    for (key, row) in changes {
        match row {
            Some(row) => model.insert(key.clone(), row.clone()),
            None => model.remove(key),
        };
    }
}

/// One random scan of `snapshot` must give exactly what `model` holds.
fn check(random: &mut Random, db: &Db, snapshot: &Snapshot, model: &Model, keys: u64) {
    let mut conditions = Vec::new();
    let mut low = Bound::Unbounded;
    let mut high = Bound::Unbounded;
    match random.below(5) {
        0 => {}
        1 => {
            let key = shaped_key(random.below(keys));
            conditions.push(Expr::eq("_key", key_literal(&key)));
            low = Bound::Included(key.clone());
            high = Bound::Included(key);
        }
        2 => {
            let prefix = shaped_key(random.below(keys) / 64 * 64);
            let prefix = &prefix[..prefix.len() - 1];
            low = Bound::Included(prefix.to_vec());
            conditions.push(Expr::gt_eq("_key", key_literal(prefix)));
            let kept = prefix.iter().rposition(|byte| *byte != 0xFF);
            if let Some(kept) = kept {
                let mut end = prefix[..=kept].to_vec();
                end[kept] += 1;
                conditions.push(Expr::lt("_key", key_literal(&end)));
                high = Bound::Excluded(end);
            }
        }
        shape => {
            let mut ends = [
                shaped_key(random.below(keys)),
                shaped_key(random.below(keys)),
            ];
            ends.sort();
            let [first, last] = ends;
            if shape == 3 {
                conditions.push(Expr::gt("_key", key_literal(&first)));
                low = Bound::Excluded(first.clone());
            } else {
                conditions.push(Expr::gt_eq("_key", key_literal(&first)));
                low = Bound::Included(first.clone());
            }
            if first != last && !random.chance(20) {
                conditions.push(Expr::lt_eq("_key", key_literal(&last)));
                high = Bound::Included(last);
            }
        }
    }
    let least = random.chance(30).then(|| random.below(1000) as i64);
    if let Some(least) = least {
        conditions.push(Expr::gt_eq("number", ScalarValue::Int64(Some(least))));
    }
    let columns: &[&str] = match random.below(4) {
        0 => &["_key", "number", "text"],
        1 => &["number"],
        2 => &["text", "_key"],
        _ => &["_key"],
    };
    let limit = random.chance(30).then(|| random.below(60) as usize);

    let mut scan = snapshot.scan(db).projection(projection(columns));
    if !conditions.is_empty() {
        scan = scan.filter(Expr::and(conditions.clone()));
    }
    if let Some(limit) = limit {
        scan = scan.limit(limit);
    }
    let found = rows(&block_on(scan.collect()).expect("the scan succeeds"));
    let has = |column: &str| columns.contains(&column);
    let expected: Vec<(Vec<u8>, Row)> = model
        .range((low, high))
        .filter(|(_, row)| least.is_none_or(|least| row.number >= Some(least)))
        .take(limit.unwrap_or(usize::MAX))
        .map(|(key, row)| {
            let key = if has("_key") { key.clone() } else { Vec::new() };
            let row = Row {
                number: row.number.filter(|_| has("number")),
                text: row.text.clone().filter(|_| has("text")),
            };
            (key, row)
        })
        .collect();
    if found != expected {
        let at = (0..).find(|at| found.get(*at) != expected.get(*at));
        let at = at.expect("they differ somewhere");
        panic!(
            "{} rows found, {} expected; first difference at {at}: {:?} for {:?} ({columns:?}, {conditions:?}, limit {limit:?})",
            found.len(),
            expected.len(),
            found.get(at),
            expected.get(at),
        );
    }
}

fn run_seed(seed: u64, steps: u64) {
    let mut random = Random(seed);
    let keys = [200, 3000, 12_000][random.below(3) as usize];
    let mut options = Options {
        seal: Arc::new(NeverSeal),
        wal_segment_bytes: [1, 4 << 10, 1 << 20][random.below(3) as usize],
        flush_after: None,
        l0_trigger: 2 + random.below(4) as usize,
        ..Options::default()
    };
    if random.chance(50) {
        options.seal = Arc::new(BatchesThreshold {
            batches: 1 + random.below(4) as usize,
        });
    }
    if random.chance(30) {
        options.flush_after = Some(1 + random.below(3) as usize);
    }
    let mut fs = TestFs::default();
    let mut db = try_open(&fs, &options).expect("the table opens");
    let mut model = Model::new();
    let mut held: Vec<(Snapshot, Model)> = Vec::new();

    for _ in 0..steps {
        match random.below(100) {
            0..30 => {
                let count = 1 + random.below(40);
                let changes = random_changes(&mut random, keys, count, 30);
                ingest(&db, &changes);
                apply(&mut model, &changes);
            }
            30..38 => {
                let count = 1500 + random.below(2500);
                let deletes = 10 + random.below(80);
                let changes = random_changes(&mut random, keys, count, deletes);
                ingest(&db, &changes);
                apply(&mut model, &changes);
            }
            38..50 => {
                flush(&db);
            }
            50..58 => {
                compact(&db);
            }
            58..66 => held.push((snapshot(&db), model.clone())),
            66..70 if !held.is_empty() => {
                let at = random.below(held.len() as u64) as usize;
                held.swap_remove(at);
            }
            70..82 if !held.is_empty() => {
                let (snapshot, model) = &held[random.below(held.len() as u64) as usize];
                check(&mut random, &db, snapshot, model, keys);
            }
            82..87 => {
                held.clear();
                match random.below(3) {
                    0 => block_on(db.close()).expect("the table closes"),
                    1 => fs = fs.image(),
                    _ => fs = fs.after_power_loss(),
                }
                drop(db);
                db = try_open(&fs, &options).expect("the table reopens");
                assert_eq!(all(&db), model, "after reopening");
            }
            _ => check(&mut random, &db, &snapshot(&db), &model, keys),
        }
    }
    for (snapshot, model) in &held {
        let found: Model = scan(&db, snapshot).into_iter().collect();
        assert_eq!(&found, model, "a held snapshot at the end");
    }
    drop(held);
    flush(&db);
    while compact(&db) {}
    assert_eq!(all(&db), model, "at the end");
    let fs = fs.after_power_loss();
    let db = try_open(&fs, &options).expect("the table reopens at the end");
    assert_eq!(all(&db), model, "reopened at the end");
}

fn setting(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().expect("the variable is a number"))
}

/// How long the long form of a test takes at least.
fn long() -> Duration {
    Duration::from_secs(60 * setting("HEDDLE_LONG_MINUTES").unwrap_or(0))
}

/// Histories of the short form.
const HISTORIES: u64 = 12;

#[test]
fn random_histories_match_the_model() {
    let steps = setting("HEDDLE_TONBO_STEPS").unwrap_or(120);
    let first = setting("HEDDLE_SEED").unwrap_or(0);
    let end = Instant::now() + long();
    for seed in first.. {
        if seed - first >= HISTORIES && Instant::now() >= end {
            break;
        }
        let run = AssertUnwindSafe(|| run_seed(seed, steps));
        if let Err(panic) = panic::catch_unwind(run) {
            eprintln!("replay with HEDDLE_SEED={seed} HEDDLE_TONBO_STEPS={steps}");
            panic::resume_unwind(panic);
        }
    }
}

const ACCOUNTS: u64 = 1500;
const TOTAL: i64 = 100_000;

fn sum(rows: &[(Vec<u8>, Row)]) -> i64 {
    rows.iter().filter_map(|(_, row)| row.number).sum()
}

/// Money moves between accounts, an empty account is deleted; whoever looks, whenever, sees the same total. Beside the
/// writer: readers that hold snapshots, a thread that flushes and compacts, and one that opens copies of the files as a
/// crash would leave them.
#[test]
fn totals_hold_beside_flushes_compactions_and_crashes() {
    let until = Instant::now() + long().max(Duration::from_secs(3));
    let fs = TestFs::default();
    let options = Options {
        wal_segment_bytes: 8 << 10,
        ..Options::default()
    };
    let db = try_open(&fs, &options).expect("the table opens");
    let mut balances: BTreeMap<u64, i64> = BTreeMap::new();
    balances.insert(0, TOTAL);
    let first = Row {
        number: Some(TOTAL),
        text: Some("0".to_owned()),
    };
    ingest(&db, &[(key(0), Some(first))]);

    let stop = AtomicBool::new(false);
    let acknowledged = AtomicI64::new(0);
    thread::scope(|scope| {
        // If any thread fails, the others stop too.
        let guarded = |work: &(dyn Fn() + Sync)| {
            let result = panic::catch_unwind(AssertUnwindSafe(work));
            stop.store(true, Ordering::SeqCst);
            if let Err(panic) = result {
                panic::resume_unwind(panic);
            }
        };
        let (db, fs, options, stop, acknowledged) = (&db, &fs, &options, &stop, &acknowledged);
        let going = move || !stop.load(Ordering::SeqCst) && Instant::now() < until;
        for reader in 0..2 {
            scope.spawn(move || {
                guarded(&|| {
                    let mut rounds = 0;
                    while going() {
                        let held = snapshot(db);
                        let rows = scan(db, &held);
                        assert_eq!(sum(&rows), TOTAL, "reader {reader}");
                        thread::sleep(Duration::from_millis(rounds % 40));
                        assert_eq!(scan(db, &held), rows, "a held snapshot changed");
                        rounds += 1;
                    }
                });
            });
        }
        scope.spawn(move || {
            guarded(&|| {
                while going() {
                    flush(db);
                    compact(db);
                    thread::sleep(Duration::from_millis(5));
                }
            });
        });
        scope.spawn(move || {
            guarded(&|| {
                let mut copies = 0;
                while going() {
                    let least = acknowledged.load(Ordering::SeqCst);
                    let copy = if copies % 2 == 0 {
                        fs.image()
                    } else {
                        fs.after_power_loss()
                    };
                    copies += 1;
                    let db = try_open(&copy, options).expect("a crash copy opens");
                    let rows = scan(&db, &snapshot(&db));
                    assert_eq!(sum(&rows), TOTAL, "a crash copy");
                    let newest = rows.iter().filter_map(|(_, row)| row.text.as_ref());
                    let newest = newest.filter_map(|text| text.parse::<i64>().ok()).max();
                    assert!(newest >= Some(least), "a crash copy lost commit {least}");
                    thread::sleep(Duration::from_millis(20));
                }
            });
        });
        let mut random = Random(setting("HEDDLE_SEED").unwrap_or(1));
        let mut commit = 0;
        while going() {
            commit += 1;
            let mut touched = BTreeMap::new();
            for _ in 0..1 + random.below(30) {
                let from = random.below(ACCOUNTS);
                let from = *balances.range(from..).next().map_or(&0, |(from, _)| from);
                let to = random.below(ACCOUNTS);
                let funds = balances.get(&from).copied().unwrap_or(0);
                let amount = if random.chance(50) { funds } else { funds / 3 };
                *balances.entry(from).or_default() -= amount;
                *balances.entry(to).or_default() += amount;
                touched.insert(from, ());
                touched.insert(to, ());
            }
            let mut changes: Vec<Change> = Vec::new();
            for account in touched.keys() {
                let funds = balances[account];
                let row = Row {
                    number: Some(funds),
                    text: Some(commit.to_string()),
                };
                changes.push((key(*account), (funds != 0).then_some(row)));
                if funds == 0 {
                    balances.remove(account);
                }
            }
            // A row that every commit rewrites, so that a crash copy shows how far it got.
            let mark = Row {
                number: Some(0),
                text: Some(commit.to_string()),
            };
            changes.push((key(ACCOUNTS + 1), Some(mark)));
            ingest(db, &changes);
            acknowledged.store(commit, Ordering::SeqCst);
        }
        stop.store(true, Ordering::SeqCst);
    });
    let found = all(&db);
    let expected: BTreeMap<Vec<u8>, i64> = balances
        .iter()
        .map(|(account, funds)| (key(*account), *funds))
        .collect();
    let found: BTreeMap<Vec<u8>, i64> = found
        .into_iter()
        .filter_map(|(key, row)| Some((key, row.number?)))
        .filter(|(_, funds)| *funds != 0)
        .collect();
    assert_eq!(found, expected);
}
