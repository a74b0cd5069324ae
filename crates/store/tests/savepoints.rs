//! What savepoints do to Tonbo tables that are dropped, altered and declared again while they are open: as with ordinary tables.

mod engine;

use engine::twins::Twins;

const COLUMNS: &str = "id INTEGER PRIMARY KEY, a TEXT, b INTEGER";

/// With an index that the rows are found by.
fn twins() -> Twins {
    let mut twins = Twins::new(COLUMNS, "STRICT");
    twins.run("CREATE INDEX by_b ON t(b)");
    twins.run("INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2)");
    twins.compare("SELECT id, a, b FROM t WHERE b >= 0 ORDER BY b, id");
    twins
}

/// Runs statements one by one; the table need not be there behind each of them.
fn run(twins: &mut Twins, statements: &[&str]) {
    for sql in statements {
        let is_there = twins.tonbo().try_rows("SELECT 1 FROM t").is_ok();
        if !is_there || sql.starts_with("DROP TABLE") {
            twins.compare("SELECT 1");
        }
        twins.run(sql);
        twins.compare("SELECT 1");
        if twins.tonbo().try_rows("SELECT 1 FROM t").is_ok() {
            twins.compare("SELECT id, a, b FROM t WHERE b >= 0 ORDER BY b, id");
            twins.rows("SELECT * FROM t ORDER BY id");
        }
    }
    twins.reopen();
    twins.run("INSERT INTO t VALUES (100, 'works', 100)");
}

#[test]
fn a_dropped_table_comes_back_as_it_was_at_the_savepoint() {
    for end in ["COMMIT", "ROLLBACK"] {
        run(
            &mut twins(),
            &[
                "BEGIN",
                "INSERT INTO t VALUES (3, 'three', 3)",
                "SAVEPOINT s",
                "INSERT INTO t VALUES (4, 'four', 4)",
                "DELETE FROM t WHERE id = 1",
                "UPDATE t SET b = 20 WHERE id = 2",
                "DROP TABLE t",
                "ROLLBACK TO s",
                // The savepoint is still open, and the table takes part in it.
                "INSERT INTO t VALUES (5, 'five', 5)",
                "ROLLBACK TO s",
                "INSERT INTO t VALUES (6, 'six', 6)",
                "RELEASE s",
                end,
            ],
        );
    }
}

#[test]
fn rows_from_before_the_savepoint_are_committed_though_nothing_is_written_after_it() {
    run(
        &mut twins(),
        &[
            "BEGIN",
            "INSERT INTO t VALUES (3, 'three', 3)",
            "SAVEPOINT s",
            "DROP TABLE t",
            "ROLLBACK TO s",
            "COMMIT",
        ],
    );
}

#[test]
fn a_savepoint_that_begins_the_transaction_has_no_number() {
    run(
        &mut twins(),
        &[
            "SAVEPOINT outer_one",
            "INSERT INTO t VALUES (3, 'three', 3)",
            "SAVEPOINT s",
            "INSERT INTO t VALUES (4, 'four', 4)",
            "DROP TABLE t",
            "ROLLBACK TO s",
            "DROP TABLE t",
            "ROLLBACK TO outer_one",
            "INSERT INTO t VALUES (5, 'five', 5)",
            "RELEASE outer_one",
        ],
    );
}

#[test]
fn savepoints_within_savepoints_and_of_one_name() {
    run(
        &mut twins(),
        &[
            "BEGIN",
            "SAVEPOINT a",
            "INSERT INTO t VALUES (3, 'three', 3)",
            "SAVEPOINT b",
            "INSERT INTO t VALUES (4, 'four', 4)",
            "SAVEPOINT b",
            "INSERT INTO t VALUES (5, 'five', 5)",
            "DROP TABLE t",
            "SAVEPOINT c",
            "CREATE TABLE other(x)",
            "RELEASE c",
            "ROLLBACK TO b",
            "RELEASE b",
            // Has the number of the one that was just released.
            "INSERT INTO t VALUES (6, 'six', 6)",
            "SAVEPOINT d",
            "INSERT INTO t VALUES (7, 'seven', 7)",
            "DROP TABLE t",
            "ROLLBACK TRANSACTION TO SAVEPOINT D",
            "RELEASE SAVEPOINT \"d\"",
            "SAVEPOINT e",
            "DROP TABLE t",
            "ROLLBACK TO b",
            "RELEASE b",
            "INSERT INTO t VALUES (8, 'eight', 8)",
            "SAVEPOINT f",
            "INSERT INTO t VALUES (9, 'nine', 9)",
            "ROLLBACK TO a",
            "INSERT INTO t VALUES (10, 'ten', 10)",
            "COMMIT",
        ],
    );
}

#[test]
fn a_table_that_is_first_written_within_is_empty_of_it_before() {
    run(
        &mut twins(),
        &[
            "BEGIN",
            "SAVEPOINT a",
            "SAVEPOINT b",
            "INSERT INTO t VALUES (3, 'three', 3)",
            "DROP TABLE t",
            "RELEASE b",
            "SAVEPOINT c",
            "ROLLBACK TO a",
            "INSERT INTO t VALUES (4, 'four', 4)",
            "SAVEPOINT d",
            "INSERT INTO t VALUES (5, 'five', 5)",
            "ROLLBACK TO d",
            "COMMIT",
        ],
    );
}

#[test]
fn a_drop_that_stays_and_another_table_of_that_name() {
    let mut twins = twins();
    for sql in [
        "BEGIN",
        "SAVEPOINT a",
        "INSERT INTO t VALUES (3, 'three', 3)",
    ] {
        twins.run(sql);
    }
    twins.compare("SELECT 1");
    twins.run("DROP TABLE t");
    let tonbo = format!("CREATE VIRTUAL TABLE t USING tonbo({COLUMNS})");
    twins.tonbo().run(&tonbo);
    twins
        .ordinary()
        .run(&format!("CREATE TABLE t({COLUMNS}) STRICT"));
    twins.compare("SELECT * FROM t ORDER BY id");
    twins.run("INSERT INTO t VALUES (3, 'another', 3)");
    twins.run("SAVEPOINT b");
    twins.run("INSERT INTO t VALUES (4, 'another', 4)");
    twins.run("ROLLBACK TO b");
    twins.run("ROLLBACK TO a");
    twins.run("INSERT INTO t VALUES (5, 'five', 5)");
    twins.run("COMMIT");
    twins.reopen();
}

#[test]
fn indexes_that_were_made_and_dropped_come_and_go_with_the_savepoint() {
    run(
        &mut twins(),
        &[
            "BEGIN",
            "INSERT INTO t VALUES (3, 'three', 3)",
            "SAVEPOINT a",
            "CREATE UNIQUE INDEX by_a ON t(a)",
            "INSERT INTO t VALUES (4, 'four', 4)",
            "SAVEPOINT b",
            "DROP INDEX by_b",
            "INSERT INTO t VALUES (5, 'five', 5)",
            "DROP TABLE t",
            "ROLLBACK TO b",
            "INSERT INTO t VALUES (6, 'six', 6)",
            "ROLLBACK TO a",
            "INSERT INTO t VALUES (7, 'one', 7)",
            "COMMIT",
        ],
    );
}

#[test]
fn what_was_written_before_an_alteration_that_fails_is_committed() {
    let mut twins = twins();
    twins.run("BEGIN");
    twins.run("INSERT INTO t VALUES (3, 'three', 3)");
    twins.fails("ALTER TABLE t DROP COLUMN id");
    twins.run("SAVEPOINT s");
    twins.run("INSERT INTO t VALUES (4, 'four', 4)");
    twins.run("SAVEPOINT s2");
    twins.run("INSERT INTO t VALUES (5, 'five', 5)");
    twins.fails("ALTER TABLE t DROP COLUMN nope");
    twins.run("INSERT INTO t VALUES (6, 'six', 6)");
    twins.run("ROLLBACK TO s2");
    twins.run("INSERT INTO t VALUES (7, 'seven', 7)");
    twins.run("ROLLBACK TO s");
    twins.run("INSERT INTO t VALUES (8, 'eight', 8)");
    twins.run("SAVEPOINT s2");
    twins.run("ALTER TABLE t ADD COLUMN c TEXT");
    twins.run("INSERT INTO t VALUES (9, 'nine', 9, 'c')");
    twins.run("ROLLBACK TO s2");
    twins.run("COMMIT");
    twins.reopen();
    assert_eq!(twins.rows("SELECT id FROM t").len(), 4);
}
