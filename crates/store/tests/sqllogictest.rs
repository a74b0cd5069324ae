//! Runs `sqllogictest/*.slt`: what is documented about SQL, as statements and their results, on Tonbo tables and on ordinary ones.
//!
//! The files are written in a part of sqllogictest's language. Records are set off by empty lines; `#` begins a comment.
//!
//! | record | meaning |
//! |---|---|
//! | `statement ok`, `statement count N`, `statement error CODE` | runs; changes N rows; fails with that `StoreErrorCode` |
//! | `query`, `query rowsort` | after `----` the rows, one a line, in order or sorted; texts stand as they are, `(empty)` is one, `\0` is NUL |
//! | `plan` | after `----` what EXPLAIN QUERY PLAN says, up to the part that is not for people |
//! | `move`, `flush`, `reopen` | the Tonbo tables' changes go to Tonbo, to files, or the database is opened again |
//! | `onlyif KIND`, `skipif KIND` | the next record is for `tonbo` or `ordinary` tables alone |
//!
//! `${TABLE}`, `${USING}`, `${STRICT}` and `${WITHOUT_ROWID}` make `CREATE ${TABLE} t ${USING}(…) ${STRICT}` a table of the kind.
//!
//! Each file also runs as four copies at once, on four threads over one database: a copy has connections of its own, and what it makes has
//! names of its own. Its answers are the same, but that a transaction that another copy has overtaken in `main` begins again, as its error
//! says; and all four meet where the database is opened again.
//!
//! The published crate of that name is not used: with it, cargo unifies other features of our dependencies, so that all of Arrow and Tonbo
//! would be compiled once for tests and once for the rest.

mod engine;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use engine::{Collect, Connection, Database};
use heddle_store::commit::mover;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::io::{MemoryIo, SharedIo};
use heddle_store::parameters::Parameters;
use heddle_store::store::StoreOptions;
use heddle_store::table::unflushed::Due;
use heddle_store::value::Value;

/// Copies of a file that run at once.
const COPIES: usize = 4;

/// How often a transaction of a copy begins again at most.
const RETRIES_MAX: usize = 1000;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Tonbo,
    Ordinary,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Tonbo => "tonbo",
            Kind::Ordinary => "ordinary",
        }
    }

    fn substitute(self, text: &str) -> String {
        let (table, using, strict, without_rowid) = match self {
            Kind::Tonbo => ("VIRTUAL TABLE", "USING tonbo", "", ""),
            Kind::Ordinary => ("TABLE", "", "STRICT", "STRICT, WITHOUT ROWID"),
        };
        text.replace("${TABLE}", table)
            .replace("${USING}", using)
            .replace("${STRICT}", strict)
            .replace("${WITHOUT_ROWID}", without_rowid)
    }
}

/// A file's record, as one kind of table has it.
struct Record {
    line: usize,
    head: String,
    sql: String,
    expected: String,
}

/// The records of a file that are meant for this kind.
fn records(source: &str, kind: Kind) -> Vec<Record> {
    let mut found = Vec::new();
    let mut at = 1;
    for paragraph in source.split("\n\n") {
        let line = at;
        at += paragraph.lines().count() + 1;
        let mut lines = paragraph
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .peekable();
        let mut is_wanted = true;
        while let Some(line) = lines.peek() {
            if let Some(only) = line.strip_prefix("onlyif ") {
                is_wanted &= only.trim() == kind.name();
            } else if let Some(skip) = line.strip_prefix("skipif ") {
                is_wanted &= skip.trim() != kind.name();
            } else {
                break;
            }
            lines.next();
        }
        let Some(head) = lines.next().filter(|_| is_wanted) else {
            continue;
        };
        let body: Vec<&str> = lines.collect();
        let body = kind.substitute(&body.join("\n"));
        let (sql, expected) = body.split_once("----").unwrap_or((&body, ""));
        found.push(Record {
            line,
            head: head.into(),
            sql: sql.trim().into(),
            expected: expected.trim().into(),
        });
    }
    found
}

/// The words of SQL, and what stands between them; a text between quotes is none.
fn words(sql: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            '\'' => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (part, behind) = rest.split_at(length);
        parts.push(part);
        rest = behind;
    }
    parts
}

/// The names of all that the records make.
fn names(records: &[Record]) -> BTreeSet<String> {
    const BEFORE: [&str; 4] = ["TABLE", "INDEX", "TRIGGER", "TO"];
    const BETWEEN: [&str; 3] = ["IF", "NOT", "EXISTS"];
    let mut found = BTreeSet::new();
    for record in records {
        let all = words(&record.sql);
        let all: Vec<&str> = all
            .into_iter()
            .filter(|part| !part.trim().is_empty())
            .collect();
        for (at, word) in all.iter().enumerate() {
            let makes = BEFORE.contains(word)
                && (*word != "TO" || at > 0 && all[at - 1] == "RENAME")
                && (*word == "TO" || all[..at].iter().rev().take(2).any(|w| *w == "CREATE"));
            let mut behind = all[at + 1..].iter().filter(|w| !BETWEEN.contains(w));
            if let Some(name) = behind.next().filter(|_| makes) {
                found.insert((*name).to_owned());
            }
        }
    }
    found
}

/// The records under names that no other copy has.
fn copy_of(records: &[Record], copy: usize) -> Vec<Record> {
    let names = names(records);
    assert!(!names.is_empty(), "every file makes a table");
    let renamed_word = |word: &str| {
        const AUTOMATIC: &str = "sqlite_autoindex_";
        let automatic = word.strip_prefix(AUTOMATIC);
        match automatic.and_then(|behind| behind.rsplit_once('_')) {
            Some((table, number)) => format!("{AUTOMATIC}{table}_{copy}_{number}"),
            None if names.contains(word) => format!("{word}_{copy}"),
            None => word.to_owned(),
        }
    };
    let renamed = |text: &str| -> String { words(text).into_iter().map(renamed_word).collect() };
    let records = records.iter();
    records
        .map(|record| Record {
            line: record.line,
            head: record.head.clone(),
            sql: renamed(&record.sql),
            expected: match &record.head[..] {
                "plan" => renamed(&record.expected),
                _ => record.expected.clone(),
            },
        })
        .collect()
}

/// Why a record fails.
enum Wrong {
    /// Another copy's transaction has come first.
    Overtaken(StoreError),
    Other(String),
}

impl Wrong {
    fn of(error: StoreError) -> Wrong {
        match error.code {
            StoreErrorCode::Conflict | StoreErrorCode::Busy => Wrong::Overtaken(error),
            _ => Wrong::Other(format!("{error:?}")),
        }
    }
}

/// A file's database.
struct Runner {
    database: Database,
    options: StoreOptions,
    /// Whether changes are moved to Tonbo's files after every record.
    moves_always: bool,
}

impl Runner {
    fn open(io: SharedIo, moves_always: bool) -> Runner {
        let options = StoreOptions {
            chunk_rows: if moves_always {
                2
            } else {
                StoreOptions::default().chunk_rows
            },
            // What moves is told by the files.
            moves_in_background: false,
            ..StoreOptions::default()
        };
        Runner {
            database: Database::open(io, &options).unwrap(),
            options,
            moves_always,
        }
    }

    /// The database is let go of before it is opened again: the connections of another one over the same files would write to them as they close.
    fn reopen(self) -> Runner {
        let io = self.database.io.clone();
        self.database.store.close().unwrap();
        drop(self.database);
        Runner {
            database: Database::open(io, &self.options).unwrap(),
            ..self
        }
    }

    fn move_changes(&self, to_files: bool) {
        let store = &self.database.store;
        mover::round(store).unwrap();
        if to_files {
            for version in store.sequencer.published().tables.values() {
                let _writing = store.mover.writing();
                mover::flush(&version.table, Due::Any).unwrap();
            }
        }
    }

    /// Runs records on a connection of their own.
    fn run(&self, records: &[Record]) -> Result<(), String> {
        let connection = self.database.connect();
        connection.run("PRAGMA busy_timeout = 60000");
        let (mut at, mut begun, mut retries) = (0, 0, 0);
        while let Some(record) = records.get(at) {
            let is_inside = connection.0.is_in_transaction();
            if !is_inside {
                begun = at;
            }
            match self.record(&connection, record) {
                Ok(()) => at += 1,
                Err(Wrong::Overtaken(_))
                    if (is_inside || connection.0.is_in_transaction()) && retries < RETRIES_MAX =>
                {
                    if connection.0.is_in_transaction() {
                        connection.run("ROLLBACK");
                    }
                    (at, retries) = (begun, retries + 1);
                }
                Err(Wrong::Overtaken(error)) => return Err(told(record, &format!("{error:?}"))),
                Err(Wrong::Other(wrong)) => return Err(told(record, &wrong)),
            }
            if self.moves_always {
                self.move_changes(true);
            }
        }
        Ok(())
    }

    /// Runs one record, or says what is wrong.
    fn record(&self, connection: &Connection, record: &Record) -> Result<(), Wrong> {
        let words: Vec<&str> = record.head.split_whitespace().collect();
        let (sql, expected) = (&record.sql[..], &record.expected[..]);
        let run = |sql: &str| {
            let mut rows = Collect(Vec::new());
            let outcome = connection.0.run(sql, &Parameters::none(), &mut rows);
            outcome.map(|outcome| (rows.0, outcome.changes))
        };
        match words[..] {
            ["statement", "ok"] => run(sql).map(drop).map_err(Wrong::of),
            ["statement", "count", count] => {
                let (_, changes) = run(sql).map_err(Wrong::of)?;
                (changes.to_string() == count)
                    .then_some(())
                    .ok_or_else(|| Wrong::Other(format!("{changes} changes")))
            }
            ["statement", "error", code] => match run(sql) {
                Err(error) if format!("{:?}", error.code) == code => Ok(()),
                Err(error) => Err(Wrong::of(error)),
                Ok(rows) => Err(Wrong::Other(format!("{rows:?}"))),
            },
            ["query", ref order @ ..] => {
                let (rows, _) = run(sql).map_err(Wrong::of)?;
                let line = |row: &Vec<Value>| row.iter().map(text).collect::<Vec<_>>().join(" ");
                let mut lines: Vec<String> = rows.iter().map(line).collect();
                if order == ["rowsort"] {
                    lines.sort();
                }
                same_lines(&lines, expected)
            }
            ["plan"] => {
                let (rows, _) = run(&format!("EXPLAIN QUERY PLAN {sql}")).map_err(Wrong::of)?;
                let lines: Vec<String> = rows
                    .iter()
                    .map(|row| {
                        let detail = text(&row[3]);
                        detail
                            .rsplit_once('|')
                            .map_or(detail.clone(), |(words, _)| words.into())
                    })
                    .collect();
                same_lines(&lines, expected)
            }
            ["move"] => {
                self.move_changes(false);
                Ok(())
            }
            ["flush"] => {
                self.move_changes(true);
                Ok(())
            }
            _ => Err(Wrong::Other("not understood".into())),
        }
    }
}

fn told(record: &Record, wrong: &str) -> String {
    let Record {
        line, head, sql, ..
    } = record;
    format!("the record at line {line}:\n{head}\n{sql}\n{wrong}")
}

fn same_lines(found: &[String], expected: &str) -> Result<(), Wrong> {
    let expected: Vec<&str> = expected.lines().map(str::trim_end).collect();
    let found: Vec<&str> = found.iter().map(|line| line.trim_end()).collect();
    (found == expected)
        .then_some(())
        .ok_or_else(|| Wrong::Other(format!("found\n{}", found.join("\n"))))
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => format!("{value:?}"),
        Value::Text(text) if text.is_empty() => "(empty)".into(),
        Value::Text(text) => text.replace('\0', "\\0"),
        Value::Blob(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{digits}'")
        }
    }
}

/// Runs copies of a file; returns how many records that were. What is between two openings runs at once.
fn run_file(path: &Path, kind: Kind, moves_always: bool, copies: usize) -> usize {
    let source = std::fs::read_to_string(path).unwrap();
    let records = records(&source, kind);
    let records: Vec<Vec<Record>> = match copies {
        1 => vec![records],
        _ => (0..copies).map(|copy| copy_of(&records, copy)).collect(),
    };
    let mut runner = Runner::open(Arc::new(MemoryIo::new()), moves_always);
    let parts: Vec<Vec<&[Record]>> = records
        .iter()
        .map(|records| records.split(|record| record.head == "reopen").collect())
        .collect();
    for part in 0..parts[0].len() {
        if part > 0 {
            runner = runner.reopen();
        }
        let outcomes: Vec<Result<(), String>> = thread::scope(|scope| {
            let runner = &runner;
            let threads: Vec<_> = parts
                .iter()
                .map(|parts| scope.spawn(move || runner.run(parts[part])))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        if let Some(wrong) = outcomes.into_iter().find_map(Result::err) {
            panic!("{}, on {} tables, {wrong}", path.display(), kind.name());
        }
    }
    records.iter().map(Vec::len).sum()
}

fn run_all(kind: Kind, moves_always: bool, copies: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sqllogictest");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let count: usize = paths
        .iter()
        .map(|path| run_file(path, kind, moves_always, copies))
        .sum();
    println!("{count} records of {} files", paths.len());
}

#[test]
fn the_files_hold_on_tonbo_tables() {
    run_all(Kind::Tonbo, false, 1);
}

#[test]
fn the_files_hold_on_tonbo_tables_whose_rows_are_in_files_of_small_chunks() {
    run_all(Kind::Tonbo, true, 1);
}

#[test]
fn the_files_hold_on_ordinary_tables() {
    run_all(Kind::Ordinary, false, 1);
}

#[test]
fn four_copies_of_each_file_hold_at_once_on_tonbo_tables() {
    run_all(Kind::Tonbo, false, COPIES);
    run_all(Kind::Tonbo, true, COPIES);
}

#[test]
fn four_copies_of_each_file_hold_at_once_on_ordinary_tables() {
    run_all(Kind::Ordinary, false, COPIES);
}
