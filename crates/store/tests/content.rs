//! Content that nobody would write, with the right checksum: what decodes a file meets it then, and not only what checks it. A typed error or an
//! answer, never a panic, a loop without an end, or gigabytes of memory.
//!
//! The answer may be any: nothing tells that the content isn't what was written. Inputs that once failed are in `tests/corpus`; see `fuzz.rs`.

#[path = "fuzz/allocations.rs"]
mod allocations;
mod engine;
#[path = "fuzz/mod.rs"]
mod machine;
mod random;
#[path = "content/sums.rs"]
mod sums;

use std::cell::Cell;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use engine::faults::{copy_of, disk_of};
use engine::{Connection, Database};
use heddle_store::commit::{log, mover};
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::io::{MemoryIo, SharedIo};
use heddle_store::recovery::Recovery;
use heddle_store::store::StoreOptions;
use heddle_store::table::Table;
use heddle_store::value::Value;
use machine::{fuzz_rounds, mutate_bytes, mutate_numbers};
use random::Random;
use sums::{Files, Kind, Part};

/// Above this an input has no end.
const RUN_MAX: Duration = Duration::from_secs(60);

/// What no input may ask for at once; the whole database has less than a megabyte.
const ALLOCATION_MAX: usize = 256 << 20;

/// Inputs of a default run for each kind.
const ROUNDS: u64 = 30;

/// Commits to a manifest after which it is folded into one file, and a few.
const FLUSHES: i64 = 36;

fn options(recovery: Recovery) -> StoreOptions {
    StoreOptions {
        moves_in_background: false,
        recovery,
        ..StoreOptions::default()
    }
}

/// A database with rows in every place.
fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let io = Arc::new(MemoryIo::new());
        let database = Database::open(io.clone(), &options(Recovery::Refuse)).unwrap();
        let connection = database.connect();
        connection.run(
            "CREATE VIRTUAL TABLE items USING tonbo(id INTEGER PRIMARY KEY, name TEXT, price REAL, b BLOB); CREATE INDEX by_name ON items(name);
             CREATE VIRTUAL TABLE pairs USING tonbo(k TEXT, n INTEGER, PRIMARY KEY (k, n)); CREATE TABLE plain(id INTEGER PRIMARY KEY, n INTEGER);
             WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 60)
             INSERT INTO items SELECT i, 'item ' || i, i / 4.0, zeroblob(i % 5) FROM n",
        );
        for number in 0..FLUSHES {
            connection.run(&format!("INSERT INTO pairs VALUES ('pair', {number}); DELETE FROM pairs WHERE n = {number} - 3"));
            database.flush();
        }
        connection.run("UPDATE items SET price = -1 WHERE id % 7 = 0; DELETE FROM items WHERE id % 10 = 0; INSERT INTO plain VALUES (1, 1)");
        mover::round(&database.store).unwrap();
        connection.run("PRAGMA wal_checkpoint(PASSIVE)");
        connection.run("INSERT INTO items VALUES (2001, 'late', 0, NULL); BEGIN; DELETE FROM pairs WHERE n = 35; INSERT INTO plain VALUES (2, 2); COMMIT");
        copy_of(&*io)
    })
}

/// Reads and writes everything, and says what went wrong in a way that it may not. Returns whether something was told to be damaged.
fn use_all(io: &SharedIo, recovery: Recovery) -> Result<bool, String> {
    let is_told = Cell::new(false);
    let allowed = |outcome: Result<(), StoreError>| match outcome {
        Err(error) if error.code == StoreErrorCode::EngineFailed => {
            Err(format!("{recovery:?}: {error:?}"))
        }
        Err(error) => {
            is_told.set(is_told.get() || error.code == StoreErrorCode::Corrupt);
            Ok(is_told.get())
        }
        Ok(()) => Ok(is_told.get()),
    };
    let database = match Database::open(io.clone(), &options(recovery)) {
        Ok(database) => database,
        Err(error) => return allowed(Err(error)),
    };
    let connection = match database.try_connect() {
        Ok(connection) => connection,
        Err(error) => return allowed(Err(error)),
    };
    let run = |connection: &Connection, sql: &str| connection.try_rows(sql).map(drop);
    for sql in [
        "SELECT * FROM items",
        "SELECT * FROM pairs",
        "SELECT * FROM plain",
        "SELECT sum(price) FROM items WHERE name >= 'item 3'",
        "SELECT * FROM items WHERE id = 21",
        "SELECT * FROM pairs WHERE k = 'pair' AND n BETWEEN 30 AND 32",
        "INSERT INTO items VALUES (5000, 'new', 1, x'00')",
        "UPDATE items SET name = upper(name) WHERE id < 30",
        "DELETE FROM pairs WHERE n > 33",
        "INSERT INTO plain VALUES (3, 3)",
    ] {
        allowed(run(&connection, sql)).map_err(|wrong| format!("{sql}: {wrong}"))?;
    }
    allowed(database.try_flush()).map_err(|wrong| format!("flush: {wrong}"))?;
    for sql in [
        "PRAGMA integrity_check",
        "SELECT count(*), min(name) FROM items",
    ] {
        allowed(run(&connection, sql)).map_err(|wrong| format!("{sql}: {wrong}"))?;
    }
    drop(connection);
    allowed(database.store.close()).map_err(|wrong| format!("closing: {wrong}"))
}

/// Runs `body` on a thread of its own, which has to end.
fn bounded(body: impl FnOnce() -> Result<(), String> + Send + 'static) -> Result<(), String> {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || sender.send(body()));
    let outcome = match receiver.recv_timeout(RUN_MAX) {
        Ok(outcome) => outcome,
        Err(mpsc::RecvTimeoutError::Timeout) => return Err("it does not end".into()),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err("a panic".into()),
    };
    drop(thread.join());
    let largest = allocations::largest();
    match largest > ALLOCATION_MAX {
        true => Err(format!("{largest} bytes at once")),
        false => outcome,
    }
}

/// What is made of these files, and where they are refused, of what is left of them.
fn open_and_salvage(files: Files) -> Result<(), String> {
    bounded(move || {
        if use_all(&disk_of(&files), Recovery::Refuse)? {
            use_all(&disk_of(&files), Recovery::Salvage)?;
        }
        Ok(())
    })
}

/// Changes a part of a kind, and has its checksum be right.
fn change_parts(name: &str, kind: Kind, mutate: impl Fn(&mut Random, &[Vec<u8>]) -> Vec<u8>) {
    let files = files();
    let parts = kind.parts(files);
    assert!(parts.len() > 3, "{kind:?}: {parts:?}");
    // The input is the part's number, and behind it the part.
    let seeds: Vec<Vec<u8>> = (0u16..)
        .zip(&parts)
        .map(|(number, part)| [&number.to_le_bytes()[..], &part.bytes].concat())
        .collect();
    let mutate = |random: &mut Random, seeds: &[Vec<u8>]| {
        let seed = random.pick(seeds);
        let other = random.pick(seeds);
        // Now and then it is another part in this one's place.
        let bodies: Vec<Vec<u8>> = match random.chance(90) {
            true => vec![seed[2..].to_vec()],
            false => vec![other[2..].to_vec()],
        };
        [&seed[..2], &mutate(random, &bodies)].concat()
    };
    // As they are, they are one database.
    fuzz_rounds(
        name,
        ROUNDS,
        &seeds[..1],
        |random, _| mutate(random, &seeds),
        |input| {
            let (number, bytes) = input.split_first_chunk::<2>().ok_or("no part is named")?;
            let part = Part {
                bytes: bytes.to_vec(),
                ..parts[usize::from(u16::from_le_bytes(*number)) % parts.len()].clone()
            };
            let at = format!("{} {}", part.path, part.index);
            open_and_salvage(kind.put(files, &part)).map_err(|wrong| format!("{at}: {wrong}"))
        },
    );
}

#[test]
fn a_frame_of_tonbos_log_may_hold_anything() {
    change_parts("frames", Kind::Frame, mutate_bytes);
}

/// Arrow's reader took as much memory as a frame told it to, before it looked whether there was so much to read: the process ended.
#[test]
fn a_frame_whose_numbers_are_huge_is_damage() {
    let files = files();
    let frames = Kind::Frame.parts(files);
    // One that has rows, and no more than that.
    let frame = frames.iter().filter(|part| part.bytes.len() > 200);
    let frame = frame.min_by_key(|part| part.bytes.len()).unwrap();
    // Behind its type, its number and what Tonbo writes before Arrow's stream.
    for at in (26..frame.bytes.len() - 8).step_by(8) {
        let mut frame = frame.clone();
        frame.bytes[at..at + 8].copy_from_slice(&(1u64 << 52).to_le_bytes());
        let disk = disk_of(&Kind::Frame.put(files, &frame));
        let outcome = bounded(
            move || match Database::open(disk, &options(Recovery::Refuse)) {
                Err(error) if error.code == StoreErrorCode::EngineFailed => {
                    Err(format!("{error:?}"))
                }
                Ok(_) | Err(_) => Ok(()),
            },
        );
        assert_eq!(outcome, Ok(()), "byte {at}");
    }
}

#[test]
fn a_file_of_rows_may_hold_anything() {
    change_parts("rows", Kind::Rows, mutate_bytes);
}

#[test]
fn an_object_may_hold_anything() {
    // Most are JSON: what is none any more gets no further than to its parser.
    change_parts("objects", Kind::Object, |random, seeds| {
        match random.chance(60) {
            true => mutate_numbers(random, seeds),
            false => mutate_bytes(random, seeds),
        }
    });
}

#[test]
fn a_page_may_hold_anything() {
    change_parts("pages", Kind::Page, mutate_bytes);
}

/// As above, for the changes of a commit that is in the log of the ordinary tables.
#[test]
fn a_commit_may_hold_anything() {
    let files = files();
    let open = |io: &SharedIo| Database::open(io.clone(), &options(Recovery::Refuse)).unwrap();
    let commits = open(&disk_of(files))
        .connect()
        .rows("SELECT changes FROM heddle_log");
    let seeds: Vec<Vec<u8>> = commits
        .iter()
        .map(|row| match &row[..] {
            [Value::Blob(changes)] => changes.to_vec(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(!seeds.is_empty());
    fuzz_rounds("commits", ROUNDS, &seeds, mutate_bytes, |changes| {
        let io = disk_of(files);
        let database = open(&io);
        let connection = database.connect();
        connection.0.lift_guard();
        let hex: String = changes.iter().map(|byte| format!("{byte:02x}")).collect();
        let sum = crc32fast::hash(changes);
        connection.run(&format!(
            "UPDATE heddle_log SET changes = x'{hex}', checksum = {sum}"
        ));
        drop(connection);
        drop(database);
        let files = copy_of(&*io);
        let salvaged = Database::open(disk_of(&files), &options(Recovery::Salvage));
        drop(salvaged.map_err(|error| format!("it is not salvaged: {error:?}"))?);
        open_and_salvage(files)
    });
}

/// As a defect would leave it, and for which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfit {
    /// The rows of `t` lack a value.
    Rows,
    /// The entries of its index do.
    Entries,
    /// The whole commit is no list of rows.
    Unreadable,
}

/// One row that did not fit its table failed the opening, whatever was to be done about damage: nothing of the database could be had any more.
#[test]
fn a_commit_that_does_not_fit_a_table_is_that_tables_damage() {
    const INDEXED: &str = "SELECT id FROM t WHERE n >= 0 ORDER BY n";
    let io = Arc::new(MemoryIo::new());
    let database = Database::open(io.clone(), &options(Recovery::Refuse)).unwrap();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE INDEX t_n ON t(n);
         CREATE VIRTUAL TABLE other USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE TABLE p(id INTEGER PRIMARY KEY);
         INSERT INTO t VALUES (1, 1)",
    );
    mover::round(&database.store).unwrap();
    connection.run(
        "BEGIN; INSERT INTO t VALUES (2, 2), (3, 3); INSERT INTO other VALUES (2, 2); COMMIT;
         BEGIN; INSERT INTO t VALUES (4, 4), (5, 5); INSERT INTO other VALUES (4, 4); INSERT INTO p VALUES (4); COMMIT;
         INSERT INTO t VALUES (6, 6)",
    );
    let main = database.store.connect().unwrap();
    let own = database.store.log.read(0).unwrap().swap_remove(0);
    let mixed = log::read(main, log::MAIN_LOG, 0).unwrap().swap_remove(0);
    main.close();
    drop(connection);
    let files = copy_of(&*io);
    drop(database);
    let ids = |database: &Database, query: &str| database.connect().integers(query);
    for (file, (sequence, changes), lost) in [("log.db", own, [2, 3]), ("main.db", mixed, [4, 5])] {
        let changes = changes.unwrap();
        for misfit in [Misfit::Rows, Misfit::Entries, Misfit::Unreadable] {
            let label = format!("{file}, {misfit:?}");
            let mut changes = changes.clone();
            // An index is made behind its table.
            let number = usize::from(misfit == Misfit::Entries);
            let buffer = changes.tables.values_mut().nth(number).unwrap();
            let rows = buffer.iter().map(|(key, row)| {
                let mut values = row.as_deref().unwrap().to_vec();
                match misfit {
                    Misfit::Entries => values.push(Value::Null),
                    _ => drop(values.pop()),
                }
                (key.clone(), Some(values.into()))
            });
            *buffer = rows.collect();
            let io = disk_of(&files);
            let database = Database::open(io.clone(), &options(Recovery::Refuse)).unwrap();
            let connection = database.connect();
            let main = database.store.connect().unwrap();
            match (file, misfit) {
                (_, Misfit::Unreadable) if file == "main.db" => {
                    connection.0.lift_guard();
                    let sum = crc32fast::hash(&[0xC1]);
                    connection.run(&format!(
                        "UPDATE heddle_log SET changes = x'c1', checksum = {sum}"
                    ));
                }
                // Flipped bytes make such, in the log file: `damage.rs`.
                (_, Misfit::Unreadable) => continue,
                ("log.db", _) => database.store.log.rewrite(sequence, &changes).unwrap(),
                _ => log::rewrite(main, log::MAIN_LOG, sequence, &changes).unwrap(),
            }
            main.close();
            drop(connection);
            let files = copy_of(&*io);
            drop(database);

            let io = disk_of(&files);
            let told = |error: StoreError| {
                assert_eq!(error.code, StoreErrorCode::Corrupt, "{label}: {error:?}");
                assert!(error.message.contains(file), "{label}: {error:?}");
                assert!(error.message.contains("salvage"), "{label}: {error:?}");
            };
            // Twice: the first does not take it for done.
            for _ in 0..2 {
                match Database::open(io.clone(), &options(Recovery::Refuse)) {
                    Err(error) => {
                        assert_eq!(misfit, Misfit::Unreadable, "{label}: {error:?}");
                        told(error);
                    }
                    Ok(database) => {
                        let connection = database.connect();
                        told(connection.fails("INSERT INTO t VALUES (7, 7)"));
                        if misfit == Misfit::Rows {
                            told(connection.fails("SELECT * FROM t"));
                        }
                        let query = "SELECT id FROM other WHERE id < 7 ORDER BY id";
                        assert_eq!(connection.integers(query), [2, 4], "{label}");
                        assert_eq!(connection.integers("SELECT id FROM p"), [4], "{label}");
                        connection.run("INSERT OR REPLACE INTO other VALUES (7, 7)");
                        drop(connection);
                        database.store.close().unwrap();
                    }
                }
            }

            let io = disk_of(&files);
            let database = Database::open(io.clone(), &options(Recovery::Salvage)).unwrap();
            let damage = match &database.store.damage[..] {
                [damage] => damage,
                other => panic!("{label}: {other:?}"),
            };
            let (table, rows) = match misfit {
                Misfit::Rows => (Some("t"), Some(2)),
                Misfit::Entries => (Some("t_n"), Some(2)),
                Misfit::Unreadable => (None, None),
            };
            let said = (&damage.file[..], damage.table.as_deref(), damage.rows);
            assert_eq!(said, (file, table, rows), "{label}");
            let copy = damage.copy.as_deref().unwrap();
            for copy in [copy, &format!("{copy}-wal")] {
                assert!(io.exists(copy).unwrap(), "{label}: {copy}");
            }
            assert_eq!(ids(&database, "SELECT id FROM p"), [4], "{label}");
            let whole: Vec<i64> = (1..=6).collect();
            let left = match misfit {
                Misfit::Entries => whole,
                _ => whole.into_iter().filter(|id| !lost.contains(id)).collect(),
            };
            let others: Vec<i64> = match misfit {
                Misfit::Unreadable => [2, 4].into_iter().filter(|id| !lost.contains(id)).collect(),
                _ => vec![2, 4],
            };
            let look = |database: &Database| {
                assert_eq!(
                    ids(database, "SELECT id FROM t ORDER BY id"),
                    left,
                    "{label}"
                );
                assert_eq!(ids(database, INDEXED), left, "{label}");
                assert_eq!(
                    ids(database, "SELECT id FROM other ORDER BY id"),
                    others,
                    "{label}"
                );
                let connection = database.connect();
                let check = connection.rows("PRAGMA integrity_check");
                assert_eq!(check, [[Value::Text("ok".into())]], "{label}");
            };
            look(&database);
            // As if its process ended here, and as if it was closed: nothing is damaged any more.
            let crashed = disk_of(&copy_of(&*io));
            database.store.close().unwrap();
            drop(database);
            for io in [crashed, io] {
                look(&Database::open(io, &options(Recovery::Refuse)).unwrap());
            }
        }
    }
}

/// A commit that does not fit shuts its table, and the logs keep what they have for it. Its changes counted as having come over those before of
/// the same rows: the logs let go of these, which a later salvage would have gone back to.
#[test]
fn the_commits_before_one_that_does_not_fit_are_kept_until_it_is_left_out() {
    /// The commits that don't fit, of `UPDATES`, and what a salvage leaves in `t`.
    const CASES: [(&[usize], [i64; 2]); 4] = [
        (&[1], [10, 13]),
        (&[3], [11, 12]),
        (&[1, 3], [10, 12]),
        (&[0, 1, 3], [0, 12]),
    ];
    const UPDATES: [(i64, i64); 4] = [(1, 10), (1, 11), (2, 12), (2, 13)];
    let io = Arc::new(MemoryIo::new());
    let database = Database::open(io.clone(), &options(Recovery::Refuse)).unwrap();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER);
         CREATE VIRTUAL TABLE other USING tonbo(id INTEGER PRIMARY KEY, n INTEGER);
         INSERT INTO t VALUES (1, 0), (2, 0)",
    );
    mover::round(&database.store).unwrap();
    for (id, n) in UPDATES {
        connection.run(&format!("UPDATE t SET n = {n} WHERE id = {id}"));
    }
    drop(connection);
    let commits = database.store.log.read(0).unwrap();
    assert_eq!(commits.len(), UPDATES.len());
    let files = copy_of(&*io);
    drop(database);
    for (misfits, left) in CASES {
        for is_missing in [false, true] {
            let label = format!("{misfits:?}, files missing: {is_missing}");
            let io = disk_of(&files);
            let database = Database::open(io.clone(), &options(Recovery::Refuse)).unwrap();
            let mut id = 0;
            for place in misfits {
                let (sequence, changes) = commits[*place].clone();
                let mut changes = changes.unwrap();
                let (table, buffer) = changes.tables.iter_mut().next().unwrap();
                id = *table;
                let rows = buffer.iter().map(|(key, row)| {
                    let values = row.as_deref().unwrap();
                    (key.clone(), Some(values[1..].into()))
                });
                *buffer = rows.collect();
                database.store.log.rewrite(sequence, &changes).unwrap();
            }
            let mut files = copy_of(&*io);
            drop(database);

            // Shut for another reason at first, where its files are away meanwhile.
            let directory = format!("{}/", Table::directory(id));
            let is_of_table = |path: &String| is_missing && path.contains(&directory);
            let away: Files = files.extract_if(.., |path, _| is_of_table(path)).collect();
            assert_eq!(away.is_empty(), !is_missing);
            for round in 0..2 {
                let io = disk_of(&files);
                let database = Database::open(io.clone(), &options(Recovery::Refuse)).unwrap();
                let connection = database.connect();
                let error = connection.fails("SELECT * FROM t");
                assert_eq!(error.code, StoreErrorCode::Corrupt, "{label}: {error:?}");
                connection.run(&format!("INSERT INTO other VALUES ({round}, 0)"));
                drop(connection);
                database.store.close().unwrap();
                drop(database);
                files = copy_of(&*io);
            }
            files.extend(away);
            let database = Database::open(disk_of(&files), &options(Recovery::Salvage)).unwrap();
            let connection = database.connect();
            let found = connection.integers("SELECT n FROM t ORDER BY id");
            assert_eq!(found, left, "{label}");
            assert_eq!(connection.integers("SELECT count(*) FROM other"), [2]);
            assert_eq!(database.store.damage.len(), misfits.len(), "{label}");
        }
    }
}
