//! Flipped bytes in the files: told, never a wrong row; and with [`Recovery::Salvage`] the database opens with what is left, and what it says is
//! lost is all that is lost.
//!
//! `HEDDLE_SEED=7 cargo test -p heddle-store --test damage` flips others, `HEDDLE_LONG_MINUTES=10` more.

mod engine;
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::faults::{Fault, FaultyIo, Kind, copy_of, disk_of};
use engine::{Connection, Database, integer};
use heddle_store::commit::log::Durability;
use heddle_store::commit::mover;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::io::{IoErrorCode, MemoryIo, SharedIo};
use heddle_store::recovery::{Damage, Recovery};
use heddle_store::store::StoreOptions;
use random::Random;

type Files = BTreeMap<String, Vec<u8>>;
/// The rows of each table, by their ids.
type Tables = BTreeMap<&'static str, BTreeMap<i64, i64>>;

const TABLES: [&str; 3] = ["t", "i", "p"];

/// A frame of a WAL of SQLite's, and what stands before the first.
const FRAME_SIZE: usize = 24 + 4096;
const WAL_HEADER_SIZE: usize = 32;

/// What each step adds to the history.
const STEPS: [&str; 9] = [
    "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE VIRTUAL TABLE i USING tonbo(id INTEGER PRIMARY KEY, n INTEGER);
     CREATE INDEX i_n ON i(n); CREATE TABLE p(id INTEGER PRIMARY KEY, n INTEGER);
     WITH RECURSIVE c(k) AS (VALUES (1) UNION ALL SELECT k + 1 FROM c WHERE k < 600) INSERT INTO t SELECT k, k * 7 FROM c;
     WITH RECURSIVE c(k) AS (VALUES (1) UNION ALL SELECT k + 1 FROM c WHERE k < 600) INSERT INTO i SELECT k, k * 8 FROM c;
     WITH RECURSIVE c(k) AS (VALUES (1) UNION ALL SELECT k + 1 FROM c WHERE k < 600) INSERT INTO p SELECT k, k * 9 FROM c;
     PRAGMA wal_checkpoint(TRUNCATE)",
    FLUSH,
    "DELETE FROM t WHERE id % 50 = 0; DELETE FROM i WHERE id % 60 = 0",
    FLUSH,
    "UPDATE t SET n = -1 WHERE id < 20; UPDATE i SET n = -1 WHERE id < 20",
    MOVE,
    FILL_UP,
    "UPDATE t SET n = -2 WHERE id = 30; UPDATE i SET n = -2 WHERE id = 30; BEGIN; INSERT INTO t VALUES (1000, 1000); INSERT INTO p VALUES (1000, 1000); COMMIT",
    "UPDATE t SET n = -3 WHERE id = 31; INSERT INTO p VALUES (1001, 1001); INSERT INTO p VALUES (1002, 1002); UPDATE i SET n = -3 WHERE id = 31",
];
/// Rows go to files.
const FLUSH: &str = "flush";
/// Rows go to Tonbo's logs.
const MOVE: &str = "move";
/// No more rows go there.
const FILL_UP: &str = "fill up";

/// What a test flips bytes in.
struct Disks {
    /// The files when the database was closed, and when its process ended without that.
    files: [Files; 2],
    /// What the tables hold in the end.
    tables: Tables,
    /// The values that each row ever had.
    history: BTreeMap<(&'static str, i64), BTreeSet<i64>>,
}

/// A database with rows in every place: files of Tonbo's, its log, both of ours, ordinary tables, an index.
fn all_places() -> Disks {
    let io = FaultyIo::new(Arc::new(MemoryIo::new()));
    let database = Database::on(io.clone());
    let connection = database.connect();
    let mut history = BTreeMap::<_, BTreeSet<_>>::new();
    let mut tables = Tables::new();
    for step in STEPS {
        match step {
            FLUSH => database.flush(),
            MOVE => mover::round(&database.store).unwrap(),
            FILL_UP => fill_up(&io),
            sql => drop(connection.run(sql)),
        }
        tables = read(&connection).unwrap();
        for (table, rows) in &tables {
            for (id, n) in rows {
                history.entry((*table, *id)).or_default().insert(*n);
            }
        }
    }
    let running = copy_of(&*io.inner);
    drop(connection);
    database.store.close().unwrap();
    drop(database);
    Disks {
        files: [copy_of(&*io.inner), running],
        tables,
        history,
    }
}

/// Nothing is written below Tonbo's directory any more.
fn fill_up(io: &FaultyIo) {
    io.inject(Fault {
        kind: Some(Kind::Write),
        path: "tonbo/",
        first: 1,
        length: u64::MAX,
        code: IoErrorCode::NoSpace,
        is_torn: false,
        is_panic: false,
    });
}

fn read(connection: &Connection) -> Result<Tables, StoreError> {
    let rows = |table: &str| -> Result<BTreeMap<i64, i64>, StoreError> {
        let rows = connection.try_rows(&format!("SELECT id, n FROM {table}"))?;
        let row = |row: &Vec<_>| (integer(&row[0]), integer(&row[1]));
        Ok(rows.iter().map(row).collect())
    };
    TABLES
        .iter()
        .map(|table| Ok((*table, rows(table)?)))
        .collect()
}

fn open(io: &SharedIo, recovery: Recovery) -> Result<Database, StoreError> {
    let options = StoreOptions {
        recovery,
        ..StoreOptions::default()
    };
    Database::open(io.clone(), &options)
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The bytes of a file in which damage can be told from what a loss of power leaves.
fn can_be_told(path: &str, bytes: &[u8], at: usize) -> bool {
    if path.ends_with(".tonwal") {
        // Its very last frame looks torn.
        return at < bytes.len() - 64;
    }
    if !path.ends_with("-wal") {
        return true;
    }
    let salts = &bytes[16..24];
    let is_commit = |frame: &[u8]| &frame[8..16] == salts && frame[4..8] != [0; 4];
    let frames = bytes[WAL_HEADER_SIZE..].chunks(FRAME_SIZE);
    let commits: Vec<usize> = frames
        .enumerate()
        .filter(|(_, frame)| is_commit(frame))
        .map(|(index, _)| index)
        .collect();
    // The last transaction looks torn.
    match commits[..] {
        [.., before, last] => {
            let frame = |index: usize| WAL_HEADER_SIZE + index * FRAME_SIZE;
            !(frame(before + 1)..frame(last + 1)).contains(&at)
        }
        _ => false,
    }
}

/// Flips so many bits of each file, one at a time.
fn flips(disks: &Disks, each: u64, mut body: impl FnMut(&str, &str, Files)) {
    let minutes = setting("HEDDLE_LONG_MINUTES").unwrap_or(0);
    let seed = setting("HEDDLE_SEED").unwrap_or(1);
    let mut random = Random(seed);
    let each = each.max(400 * minutes);
    for files in &disks.files {
        for (path, bytes) in files {
            for _ in 0..each.min(bytes.len() as u64) {
                // A large file's rows are alike; what describes them is at its ends.
                let room = match random.below(3) {
                    0 => bytes.len(),
                    _ => bytes.len().min(6000),
                };
                let mut at = random.below(room as u64) as usize;
                if random.below(2) == 0 {
                    at = bytes.len() - 1 - at;
                }
                if !can_be_told(path, bytes, at) {
                    continue;
                }
                let mut files = files.clone();
                files.get_mut(path).unwrap()[at] ^= 1 << random.below(8);
                let label = format!("HEDDLE_SEED={seed}: {path}, byte {at} of {}", bytes.len());
                body(&label, path, files);
            }
        }
    }
}

/// Flipped bytes were wrong rows in Tonbo's files and in ordinary tables, and lost commits in the logs.
#[test]
fn a_flipped_byte_is_never_a_wrong_row() {
    let disks = all_places();
    let mut outcomes = BTreeMap::<String, [u64; 2]>::new();
    let mut unseen = Vec::new();
    flips(&disks, 20, |label, path, files| {
        let found = open(&disk_of(&files), Recovery::Refuse).and_then(|database| {
            let found = database
                .try_connect()
                .and_then(|connection| read(&connection));
            drop(database.store.close());
            found
        });
        let counts = outcomes.entry(path.to_owned()).or_default();
        match found {
            Ok(found) if found == disks.tables => counts[1] += 1,
            Ok(_) => unseen.push(label.to_owned()),
            Err(error) => {
                counts[0] += 1;
                assert_eq!(error.code, StoreErrorCode::Corrupt, "{label}: {error:?}");
                assert!(!error.message.is_empty(), "{label}");
            }
        }
    });
    for (path, [told, harmless]) in outcomes {
        eprintln!("{path}: {told} told, {harmless} without effect");
    }
    assert!(unseen.is_empty(), "{unseen:#?}");
}

/// Files of which salvage makes what it can, however they are damaged.
fn can_be_salvaged(path: &str) -> bool {
    [".parquet", ".tonwal", "-wal"]
        .iter()
        .any(|end| path.ends_with(end))
        || path == "log.db"
}

#[test]
fn salvage_opens_what_is_left() {
    let disks = all_places();
    let mut outcomes = BTreeMap::<String, [usize; 3]>::new();
    flips(&disks, 6, |label, path, files| {
        if !can_be_salvaged(path) {
            return;
        }
        let is_told = open(&disk_of(&files), Recovery::Refuse)
            .and_then(|database| {
                let connection = database.try_connect()?;
                read(&connection)?;
                connection.try_rows("SELECT count(*) FROM i WHERE n > 0")
            })
            .is_err();
        let io = disk_of(&files);
        let database =
            open(&io, Recovery::Salvage).unwrap_or_else(|error| panic!("{label}: {error:?}"));
        let connection = database.connect();
        let found = read(&connection).unwrap_or_else(|error| panic!("{label}: {error:?}"));
        for (table, rows) in &found {
            for (id, n) in rows {
                let values = disks.history.get(&(*table, *id));
                assert!(
                    values.is_some_and(|values| values.contains(n)),
                    "{label}: {table} {id} = {n}"
                );
            }
        }
        let damage: &[Damage] = &database.store.damage;
        assert!(!is_told || !damage.is_empty(), "{label}: nothing is told");
        assert!(
            found == disks.tables || !damage.is_empty(),
            "{label}: rows are lost without a word"
        );
        let copies = damage.iter().filter_map(|damage| damage.copy.as_ref());
        for copy in copies {
            assert!(
                !io.list(copy).unwrap().is_empty() || io.exists(copy).unwrap(),
                "{label}: {copy}"
            );
        }
        assert_eq!(
            texts(&connection, "PRAGMA integrity_check"),
            ["ok"],
            "{label}: {damage:?}"
        );
        let counts = outcomes.entry(path.to_owned()).or_default();
        counts[usize::from(damage.is_empty())] += 1;
        counts[2] += TABLES
            .iter()
            .map(|table| {
                disks.tables[table].len() - found[table].len().min(disks.tables[table].len())
            })
            .sum::<usize>();
        connection.run("INSERT INTO i VALUES (2000, 2000)");
        drop(connection);
        database.store.close().unwrap();
        drop(database);
        // From then on nothing is damaged.
        let database =
            open(&io, Recovery::Refuse).unwrap_or_else(|error| panic!("{label}: {error:?}"));
        let connection = database.connect();
        let mut again = read(&connection).unwrap_or_else(|error| panic!("{label}: {error:?}"));
        again.get_mut("i").unwrap().remove(&2000);
        assert_eq!(again, found, "{label}");
    });
    for (path, [told, harmless, rows]) in outcomes {
        eprintln!("{path}: {told} mended, {harmless} without effect, {rows} rows lost");
    }
}

fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let text = |row: &Vec<heddle_store::value::Value>| match &row[..] {
        [heddle_store::value::Value::Text(text)] => text.to_string(),
        other => panic!("{other:?}"),
    };
    connection.rows(sql).iter().map(text).collect()
}

/// A closed database whose rows are in files alone: what their logs still hold would come back from there.
fn without_logs(io: &SharedIo) -> Files {
    let mut files = copy_of(&**io);
    files.retain(|path, _| !path.ends_with(".tonwal"));
    files
}

/// Of a large file only the rows of the damaged page are lost.
#[test]
fn a_damaged_page_costs_its_own_rows() {
    const ROWS: i64 = 100_000;
    let io: SharedIo = Arc::new(MemoryIo::new());
    let database = Database::on(io.clone());
    let connection = database.connect();
    connection.run(&format!(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE INDEX t_n ON t(n);
         WITH RECURSIVE c(k) AS (VALUES (1) UNION ALL SELECT k + 1 FROM c WHERE k < {ROWS}) INSERT INTO t SELECT k, (k * 2654435761) % 4294967296 FROM c"
    ));
    database.flush();
    drop(connection);
    database.store.close().unwrap();
    drop(database);
    let mut files = without_logs(&io);
    let is_of_rows = |path: &&String| path.contains("/1/") && path.ends_with(".parquet");
    let path = files
        .keys()
        .filter(is_of_rows)
        .max_by_key(|path| files[*path].len())
        .unwrap()
        .clone();
    let bytes = files.get_mut(&path).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    let io = disk_of(&files);
    let error = open(&io, Recovery::Refuse)
        .unwrap()
        .connect()
        .fails("SELECT sum(n) FROM t");
    assert_eq!(error.code, StoreErrorCode::Corrupt, "{error:?}");

    let database = open(&io, Recovery::Salvage).unwrap();
    let connection = database.connect();
    let damage = &database.store.damage;
    let lost = match &damage[..] {
        [
            Damage {
                rows: Some(lost),
                table: Some(table),
                file,
                copy: Some(copy),
                ..
            },
        ] => {
            assert_eq!((table.as_str(), file), ("t", &path));
            assert!(io.exists(copy).unwrap());
            *lost as i64
        }
        other => panic!("{other:?}"),
    };
    assert!(lost > 0 && lost < ROWS / 2, "{lost}");
    let right = "SELECT count(*) FROM t WHERE n = (id * 2654435761) % 4294967296";
    assert_eq!(connection.integers(right), [ROWS - lost]);
    assert_eq!(
        connection.integers("SELECT count(*) FROM t WHERE n >= 0"),
        [ROWS - lost]
    );
    assert_eq!(texts(&connection, "PRAGMA integrity_check"), ["ok"]);
}

/// A unique index whose rows are not unique any more, because a page with the later versions is lost.
#[test]
fn an_index_that_cannot_be_built_says_so() {
    let io: SharedIo = Arc::new(MemoryIo::new());
    let database = Database::on(io.clone());
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE UNIQUE INDEX t_n ON t(n); INSERT INTO t VALUES (1, 1)");
    database.flush();
    let before: BTreeSet<String> = copy_of(&*io).into_keys().collect();
    connection.run("UPDATE t SET n = 2 WHERE id = 1");
    database.flush();
    let later = copy_of(&*io)
        .into_keys()
        .find(|path| {
            path.contains("tables/1/") && path.ends_with(".parquet") && !before.contains(path)
        })
        .unwrap();
    connection.run("INSERT INTO t VALUES (2, 1)");
    database.flush();
    drop(connection);
    database.store.close().unwrap();
    drop(database);
    let mut files = without_logs(&io);
    files.get_mut(&later).unwrap()[10] ^= 1;
    let database = open(&disk_of(&files), Recovery::Salvage).unwrap();
    let connection = database.connect();
    assert_eq!(connection.integers("SELECT n FROM t ORDER BY id"), [1, 1]);
    let tables: Vec<_> = database
        .store
        .damage
        .iter()
        .map(|damage| damage.table.as_deref())
        .collect();
    assert_eq!(tables, [Some("t"), Some("t_n")]);
    let error = connection.fails("DELETE FROM t WHERE id = 1");
    assert_eq!(error.code, StoreErrorCode::Corrupt, "{error:?}");
    connection.run("DROP INDEX t_n; DELETE FROM t WHERE id = 1; CREATE UNIQUE INDEX t_n ON t(n)");
    assert_eq!(texts(&connection, "PRAGMA integrity_check"), ["ok"]);
}

/// What a lost commit between two others had taken out of an index stayed there.
#[test]
fn an_index_follows_the_rows_past_a_lost_commit() {
    let inner: SharedIo = Arc::new(MemoryIo::new());
    let io = FaultyIo::new(inner.clone());
    let database = Database::on(io.clone());
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX t_name ON t(name); CREATE TABLE p(n)");
    fill_up(&io);
    connection.run(
        "INSERT INTO t VALUES (1, 'first'); BEGIN; UPDATE t SET name = 'second'; INSERT INTO p VALUES (2); COMMIT; UPDATE t SET name = 'third'",
    );
    let mut files = copy_of(&*inner);
    drop(connection);
    drop(database.store.close());
    let wal = files.get_mut("main.db-wal").unwrap();
    *wal.last_mut().unwrap() ^= 1;
    let io = disk_of(&files);
    assert!(open(&io, Recovery::Refuse).is_err());
    let look = |database: &Database| {
        let connection = database.connect();
        assert_eq!(texts(&connection, "PRAGMA integrity_check"), ["ok"]);
        assert_eq!(texts(&connection, "SELECT name FROM t"), ["third"]);
        assert!(connection.integers("SELECT n FROM p").is_empty());
    };
    let database = open(&io, Recovery::Salvage).unwrap();
    look(&database);
    // As if its process ended here: the logs say still what they said.
    let crashed = disk_of(&copy_of(&*io));
    look(&open(&crashed, Recovery::Refuse).unwrap());
}

/// As long as what is acknowledged was noted after it, damage to the last commit looked like a torn write where the process ended at once.
#[test]
fn damage_to_the_last_commit_of_tonbos_log_is_told() {
    for _ in 0..20 {
        let inner: SharedIo = Arc::new(MemoryIo::new());
        let io = FaultyIo::new(inner.clone());
        let database = Database::on(io.clone());
        let connection = database.connect();
        connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'here')");
        mover::round(&database.store).unwrap();
        fill_up(&io);
        let mut files = copy_of(&*inner);
        drop(connection);
        drop(database.store.close());
        let segment = files
            .iter_mut()
            .find(|(path, bytes)| path.ends_with(".tonwal") && !bytes.is_empty());
        let (_, bytes) = segment.unwrap();
        let at = bytes
            .windows(4)
            .position(|window| window == b"here")
            .unwrap();
        bytes[at] ^= 1;
        let told = open(&disk_of(&files), Recovery::Refuse)
            .and_then(|database| database.try_connect()?.try_rows("SELECT name FROM t"));
        assert_eq!(told.unwrap_err().code, StoreErrorCode::Corrupt);
    }
}

/// A WAL begins anew with another header, which was taken for damage where the power failed while it was written, unless it was torn in one
/// certain way, once: the database could not be opened, though everything had been copied into the database file before.
#[test]
fn a_header_that_was_torn_after_everything_was_copied_is_no_damage() {
    const QUERY: &str = "SELECT id, n FROM t UNION ALL SELECT id, n FROM p";
    let options = StoreOptions {
        moves_in_background: false,
        ..StoreOptions::default()
    };
    let io: SharedIo = Arc::new(MemoryIo::new());
    let database = Database::open(io.clone(), &options).unwrap();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE TABLE p(id INTEGER PRIMARY KEY, n INTEGER);
         INSERT INTO p VALUES (1, 1); BEGIN; INSERT INTO t VALUES (2, 2); INSERT INTO p VALUES (3, 3); COMMIT; UPDATE p SET n = n + 1",
    );
    let expected = connection.rows(QUERY);
    let before = copy_of(&*io);
    connection.run("PRAGMA wal_checkpoint(PASSIVE)");
    let after = copy_of(&*io);
    let name = "main.db-wal";
    assert_eq!(before[name], after[name]);
    let mut random = Random(1);
    for number in 0..64 {
        let first = random.below(WAL_HEADER_SIZE as u64) as usize;
        let count = 1 + random.below((WAL_HEADER_SIZE - first) as u64) as usize;
        let torn = |files: &Files, random: &mut Random| {
            let mut files = files.clone();
            for byte in &mut files.get_mut(name).unwrap()[first..first + count] {
                *byte ^= 1 + random.below(255) as u8;
            }
            disk_of(&files)
        };
        let label = format!("{number}: {count} bytes from {first} on");
        let opened = Database::open(torn(&after, &mut random), &options)
            .unwrap_or_else(|error| panic!("{label}: {error:?}"));
        assert_eq!(opened.connect().rows(QUERY), expected, "{label}");
        // With the salts and the sum gone as well as the count, nothing tells that it was a header.
        if count < 8 {
            let told = Database::open(torn(&before, &mut random), &options).map(drop);
            assert_eq!(told.unwrap_err().code, StoreErrorCode::Corrupt, "{label}");
        }
    }
}

/// A log file's WAL that was cut short looked like one that had ended there: commits to Tonbo tables were gone without a word, while later ones
/// that had written ordinary tables, too, were there.
#[test]
fn a_log_that_has_lost_its_end_is_told_where_a_later_commit_is_there() {
    for relaxed in [false, true] {
        let inner: SharedIo = Arc::new(MemoryIo::new());
        let io = FaultyIo::new(inner.clone());
        let options = |recovery| StoreOptions {
            recovery,
            durability: match relaxed {
                true => Durability::Relaxed,
                false => Durability::Full,
            },
            ..StoreOptions::default()
        };
        let database = Database::open(io.clone(), &options(Recovery::Refuse)).unwrap();
        let connection = database.connect();
        connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); CREATE INDEX t_id ON t(id); CREATE TABLE p(id INTEGER PRIMARY KEY)");
        mover::round(&database.store).unwrap();
        fill_up(&io);
        connection.run(
            "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); BEGIN; INSERT INTO t VALUES (3); INSERT INTO p VALUES (3); COMMIT;
             INSERT INTO t VALUES (4); INSERT INTO t VALUES (5)",
        );
        let files = copy_of(&*inner);
        drop(connection);
        drop(database.store.close());
        let ids = |database: &Database| database.connect().integers("SELECT id FROM t ORDER BY id");
        let size = files["log.db-wal"].len();
        let (mut told, mut whole) = (0, 0);
        for cut in (WAL_HEADER_SIZE..=size).step_by(FRAME_SIZE) {
            let mut files = files.clone();
            files.get_mut("log.db-wal").unwrap().truncate(cut);
            let label = format!("{cut} of {size} bytes, relaxed: {relaxed}");
            let opened = Database::open(disk_of(&files), &options(Recovery::Refuse));
            match opened.map(|database| ids(&database)) {
                Ok(found) => {
                    // Nothing in `main` says that there were more.
                    assert!(
                        [&[1, 2, 3][..], &[1, 2, 3, 4], &[1, 2, 3, 4, 5]].contains(&&found[..]),
                        "{label}: {found:?}"
                    );
                    whole += 1;
                    continue;
                }
                Err(error) => {
                    assert_eq!(error.code, StoreErrorCode::Corrupt, "{label}: {error:?}");
                    told += 1;
                }
            }
            let io = disk_of(&files);
            let database = Database::open(io.clone(), &options(Recovery::Salvage)).unwrap();
            let lost: Vec<_> = database.store.damage.iter().map(|d| &d.file[..]).collect();
            assert_eq!(lost, ["log.db-wal"], "{label}");
            let found = ids(&database);
            assert!(
                [&[3][..], &[1, 3]].contains(&&found[..]),
                "{label}: {found:?}"
            );
            let connection = database.connect();
            assert_eq!(
                texts(&connection, "PRAGMA integrity_check"),
                ["ok"],
                "{label}"
            );
            connection.run("INSERT INTO t VALUES (6); BEGIN; INSERT INTO t VALUES (7); INSERT INTO p VALUES (7); COMMIT");
            drop(connection);
            // As if its process ended here, and as if it was closed.
            let crashed = disk_of(&copy_of(&*io));
            database.store.close().unwrap();
            drop(database);
            for io in [crashed, io] {
                let again = Database::open(io, &options(Recovery::Refuse)).unwrap();
                assert_eq!(ids(&again), [&found[..], &[6, 7]].concat(), "{label}");
            }
        }
        assert!(told >= 2 && whole >= 2, "{told} told, {whole} whole");
    }
}

/// A commit that is taken back leaves its row in the log, empty: were it gone, the log would seem to have lost its end.
#[test]
fn a_commit_that_was_taken_back_is_no_lost_end() {
    let inner: SharedIo = Arc::new(MemoryIo::new());
    let io = FaultyIo::new(inner.clone());
    let database = Database::on(io.clone());
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); CREATE TABLE p(id INTEGER PRIMARY KEY)");
    fill_up(&io);
    connection.run("INSERT INTO t VALUES (1)");
    let sequence = database.store.sequencer.published().sequence;
    database.store.log.remove(sequence).unwrap();
    connection.run("BEGIN; INSERT INTO t VALUES (2); INSERT INTO p VALUES (2); COMMIT");
    let files = copy_of(&*inner);
    drop(connection);
    drop(database.store.close());
    let database = open(&disk_of(&files), Recovery::Refuse).unwrap();
    let connection = database.connect();
    assert_eq!(connection.integers("SELECT id FROM t"), [2]);
}
