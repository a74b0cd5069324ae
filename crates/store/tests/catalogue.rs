//! Several connections that make, alter and drop Tonbo tables at once.

mod engine;

use engine::Database;
use heddle_store::error::StoreErrorCode;

/// A table's creation read the catalogue before it took the lock of `main`: SQLite lets nobody wait who has read, and so whoever came second
/// was told BUSY at once, or that the catalogue's own UNIQUE was broken.
#[test]
fn who_makes_a_table_waits_for_the_others_and_if_not_exists_finds_theirs() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 10;
    let database = Database::new();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let database = &database;
            scope.spawn(move || {
                let connection = database.connect();
                for round in 0..ROUNDS {
                    connection.run(&format!(
                        "CREATE VIRTUAL TABLE own_{thread}_{round} USING tonbo(id INTEGER PRIMARY KEY, t TEXT UNIQUE);
                         CREATE VIRTUAL TABLE IF NOT EXISTS shared_{round} USING tonbo(id INTEGER PRIMARY KEY);
                         INSERT INTO shared_{round} VALUES ({thread})"
                    ));
                }
            });
        }
    });
    let connection = database.connect();
    for round in 0..ROUNDS {
        let sql = format!("SELECT id FROM shared_{round}");
        assert_eq!(connection.integers(&sql), [0, 1, 2, 3]);
    }
    let tables = connection.integers("SELECT count(*) FROM heddle_tables");
    assert_eq!(tables, [(ROUNDS * (THREADS + 1)) as i64]);
}

#[test]
fn a_transaction_from_before_finds_a_table_that_another_has_made() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    b.run("BEGIN");
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 1)");
    let error = b.fails("CREATE VIRTUAL TABLE t USING tonbo(x TEXT)");
    assert_eq!(error.code, StoreErrorCode::SqlError, "{error:?}");
    assert_eq!(error.message, "table t already exists");
    b.run("CREATE VIRTUAL TABLE IF NOT EXISTS t USING tonbo(x TEXT); INSERT INTO t VALUES (2, 2)");
    assert_eq!(b.integers("SELECT n FROM t"), [1, 2]);
    b.run("ROLLBACK");
    assert_eq!(b.integers("SELECT n FROM t"), [1]);
    b.run("BEGIN; CREATE VIRTUAL TABLE IF NOT EXISTS t USING tonbo(x TEXT); INSERT INTO t VALUES (3, 3); COMMIT");
    assert_eq!(a.integers("SELECT id FROM t"), [1, 3]);
}

/// SQLite connects a table before it drops it, and has no connected ones behind an ALTER TABLE. So a connection that had altered one table could
/// not forget another that somebody else had dropped or renamed: each of its statements failed from then on, whatever it was about.
#[test]
fn a_connection_that_has_altered_a_table_forgets_those_that_others_drop_and_rename() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run(
        "CREATE VIRTUAL TABLE own USING tonbo(id INTEGER PRIMARY KEY);
         CREATE VIRTUAL TABLE dropped USING tonbo(id INTEGER PRIMARY KEY);
         CREATE VIRTUAL TABLE renamed USING tonbo(id INTEGER PRIMARY KEY)",
    );
    b.run("ALTER TABLE own ADD COLUMN x INTEGER DEFAULT 7; INSERT INTO own(id) VALUES (1)");
    a.run("DROP TABLE dropped; ALTER TABLE renamed RENAME TO other; INSERT INTO other VALUES (5)");
    assert_eq!(b.integers("SELECT x FROM own"), [7]);
    assert_eq!(b.integers("SELECT id FROM other"), [5]);
    assert_eq!(
        b.fails("SELECT * FROM dropped").message,
        "no such table: dropped"
    );
    assert_eq!(
        b.fails("SELECT * FROM renamed").message,
        "no such table: renamed"
    );
}
