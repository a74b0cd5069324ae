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
//! The published crate of that name is not used: with it, cargo unifies other features of our dependencies, so that all of Arrow and Tonbo
//! would be compiled once for tests and once for the rest.

mod engine;

use std::path::Path;
use std::sync::Arc;

use engine::{Connection, Database};
use heddle_store::commit::mover;
use heddle_store::io::MemoryIo;
use heddle_store::store::StoreOptions;
use heddle_store::value::Value;

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

/// A file's database.
struct Runner {
    kind: Kind,
    options: StoreOptions,
    connection: Option<Connection>,
    database: Option<Database>,
    /// Whether changes are moved to Tonbo's files after every record.
    moves_always: bool,
}

impl Runner {
    fn connection(&self) -> &Connection {
        self.connection.as_ref().unwrap()
    }

    fn open(&mut self, io: heddle_store::io::SharedIo) {
        let database = Database::open(io, &self.options).unwrap();
        self.connection = Some(database.connect());
        self.database = Some(database);
    }

    fn reopen(&mut self) {
        self.connection = None;
        let database = self.database.take().unwrap();
        database.store.close().unwrap();
        let io = database.io.clone();
        drop(database);
        self.open(io);
    }

    fn move_changes(&self, to_files: bool) {
        let store = &self.database.as_ref().unwrap().store;
        mover::round(store).unwrap();
        if to_files {
            for version in store.sequencer.published().tables.values() {
                mover::flush(&version.table, 0).unwrap();
            }
        }
    }

    /// Runs one record, or says what is wrong.
    fn record(&mut self, head: &str, body: &str) -> Result<(), String> {
        let words: Vec<&str> = head.split_whitespace().collect();
        let (sql, expected) = match body.split_once("----") {
            Some((sql, expected)) => (sql.trim(), expected.trim()),
            None => (body.trim(), ""),
        };
        let sql = self.kind.substitute(sql);
        match words[..] {
            ["statement", "ok"] => {
                let session = &self.connection().0;
                let run = session.run(
                    &sql,
                    &heddle_store::parameters::Parameters::none(),
                    &mut heddle_store::session::Discard,
                );
                run.map(drop).map_err(|error| format!("{error:?}"))
            }
            ["statement", "count", count] => {
                let changes = self.connection().run(&sql);
                (changes.to_string() == count)
                    .then_some(())
                    .ok_or_else(|| format!("{changes} changes"))
            }
            ["statement", "error", code] => match self.connection().try_rows(&sql) {
                Err(error) if format!("{:?}", error.code) == code => Ok(()),
                other => Err(format!("{other:?}")),
            },
            ["query", ref order @ ..] => {
                let rows = self
                    .connection()
                    .try_rows(&sql)
                    .map_err(|error| format!("{error:?}"))?;
                let line = |row: &Vec<Value>| row.iter().map(text).collect::<Vec<_>>().join(" ");
                let mut lines: Vec<String> = rows.iter().map(line).collect();
                if order == ["rowsort"] {
                    lines.sort();
                }
                same_lines(&lines, expected)
            }
            ["plan"] => {
                let rows = self.connection().rows(&format!("EXPLAIN QUERY PLAN {sql}"));
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
            ["reopen"] => {
                self.reopen();
                Ok(())
            }
            _ => Err("not understood".into()),
        }
    }
}

fn same_lines(found: &[String], expected: &str) -> Result<(), String> {
    let expected: Vec<&str> = expected.lines().map(str::trim_end).collect();
    let found: Vec<&str> = found.iter().map(|line| line.trim_end()).collect();
    (found == expected)
        .then_some(())
        .ok_or_else(|| format!("found\n{}", found.join("\n")))
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

fn run_file(path: &Path, kind: Kind, moves_always: bool) -> usize {
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
    let mut runner = Runner {
        kind,
        options,
        connection: None,
        database: None,
        moves_always,
    };
    runner.open(Arc::new(MemoryIo::new()));
    let source = std::fs::read_to_string(path).unwrap();
    let mut count = 0;
    let mut at = 1;
    for paragraph in source.split("\n\n") {
        let line_of_paragraph = at;
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
        let body = body.join("\n");
        if let Err(wrong) = runner.record(head, &body) {
            panic!(
                "{}, the record at line {line_of_paragraph}, on {} tables:\n{head}\n{body}\n{wrong}",
                path.display(),
                kind.name()
            );
        }
        if runner.moves_always {
            runner.move_changes(true);
        }
        count += 1;
    }
    count
}

fn run_all(kind: Kind, moves_always: bool) {
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
        .map(|path| run_file(path, kind, moves_always))
        .sum();
    println!("{count} records of {} files", paths.len());
}

#[test]
fn the_files_hold_on_tonbo_tables() {
    run_all(Kind::Tonbo, false);
}

#[test]
fn the_files_hold_on_tonbo_tables_whose_rows_are_in_files_of_small_chunks() {
    run_all(Kind::Tonbo, true);
}

#[test]
fn the_files_hold_on_ordinary_tables() {
    run_all(Kind::Ordinary, false);
}
