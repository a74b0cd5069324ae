//! Views and triggers that name Tonbo tables: kept, shared by all connections, and otherwise what they are over ordinary tables.

mod engine;

use std::sync::Arc;

use engine::twins::Twins;
use engine::{Connection, Database};
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::io::{PowerLossIo, SharedIo};
use heddle_store::store::StoreOptions;
use heddle_store::value::Value;

/// A table `t` of either kind and an ordinary one `o`, with rows.
fn twins() -> Twins {
    let twins = Twins::new("id INTEGER PRIMARY KEY, a TEXT, b INTEGER", "STRICT");
    twins.run("CREATE TABLE o(x INTEGER, y TEXT)");
    twins.run("INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, NULL, NULL)");
    twins.run("INSERT INTO o VALUES (1, 'x'), (3, 'z')");
    twins
}

fn shared() -> (Database, Connection, Connection) {
    let database = Database::new();
    let (first, second) = (database.connect(), database.connect());
    first.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE o(x INTEGER)");
    first.run("INSERT INTO t VALUES (1, 'one'), (2, 'two')");
    (database, first, second)
}

fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let one = |row: &Vec<Value>| match &row[..] {
        [Value::Text(text)] => text.to_string(),
        other => panic!("{sql}: {other:?}"),
    };
    connection.rows(sql).iter().map(one).collect()
}

const CATALOGUED: &str = "SELECT type || ' ' || name FROM heddle_views ORDER BY type, name";

/// A view that names another one before that is there stood in `main`, where it could not see it once it was there: it was never found.
#[test]
fn a_view_is_kept_that_was_there_before_the_view_that_it_names() {
    let mut twins = twins();
    twins.run("CREATE VIEW top AS SELECT id FROM middle WHERE id > 1");
    twins.run("CREATE VIEW middle AS SELECT id FROM bottom");
    twins.run("CREATE TRIGGER after_o AFTER INSERT ON o BEGIN INSERT INTO o SELECT id, 'top' FROM top WHERE NEW.y = 'new'; END");
    twins.run("CREATE VIEW bottom AS SELECT id FROM t");
    for round in 0..2 {
        twins.rows("SELECT * FROM top ORDER BY id");
        twins.run("INSERT INTO o VALUES (7, 'new')");
        twins.rows("SELECT * FROM o ORDER BY x, y");
        if round == 0 {
            twins.reopen();
        }
    }
}

#[test]
fn a_view_is_kept_and_reads_as_over_an_ordinary_table() {
    let mut twins = twins();
    twins.run("CREATE VIEW v AS SELECT id, b * 2 AS twice FROM t WHERE b > 5");
    twins.run("CREATE VIEW IF NOT EXISTS \"of both\"(n, y) AS SELECT t.a, o.y FROM o LEFT JOIN t ON t.id = o.x");
    twins.run("CREATE VIEW over_v AS SELECT max(twice) AS top FROM v, (SELECT 1)");
    twins
        .run("CREATE VIEW main.counted AS WITH c AS (SELECT count(*) AS n FROM t) SELECT n FROM c");
    for round in 0..2 {
        twins.rows("SELECT * FROM v ORDER BY id");
        twins.rows("SELECT * FROM v WHERE id = 2");
        twins.rows("SELECT * FROM \"of both\" ORDER BY y");
        twins.rows("SELECT * FROM over_v");
        twins.rows("SELECT v.id, n FROM v JOIN counted ORDER BY 1");
        twins.rows("SELECT name FROM pragma_table_info('of both')");
        twins.run("UPDATE t SET b = b + 1 WHERE id IN (SELECT id FROM v)");
        if round == 0 {
            twins.reopen();
        }
    }
    for sql in [
        "INSERT INTO v VALUES (1, 2)",
        "CREATE VIEW w AS SELECT ? FROM t",
        "CREATE VIEW w AS SELECT * FROM t WHERE",
        "CREATE INDEX i ON v(id)",
        "DROP TABLE v",
        "DROP VIEW t",
        "DROP VIEW nope",
        "ALTER TABLE v RENAME TO w",
        "ALTER TABLE v ADD COLUMN x",
        "ALTER TABLE v DROP COLUMN id",
    ] {
        twins.fails(sql);
    }
    twins.run("DROP VIEW v");
    twins.fails("SELECT * FROM v");
    twins.run("DROP VIEW IF EXISTS v");
    twins.run("DROP VIEW IF EXISTS main.\"of both\"");
    twins.run("DROP VIEW main.counted");
    twins.run("DROP VIEW over_v");
    twins.reopen();
    for name in ["v", "\"of both\"", "over_v", "counted"] {
        twins.fails(&format!("SELECT * FROM {name}"));
    }
    assert_eq!(twins.tonbo().rows(CATALOGUED), Vec::<Vec<Value>>::new());
}

#[test]
fn names_are_refused_in_sqlites_words() {
    let mut twins = twins();
    twins.run("CREATE VIEW v AS SELECT id FROM t");
    twins.run("CREATE INDEX i ON t(a)");
    twins.run("CREATE VIEW ordinary AS SELECT x FROM o");
    twins.run("CREATE TRIGGER tr AFTER INSERT ON o BEGIN DELETE FROM t WHERE id = new.x; END");
    twins.run("CREATE TRIGGER tr2 AFTER DELETE ON o BEGIN SELECT 1; END");
    for _ in 0..2 {
        for sql in [
            "CREATE VIEW v AS SELECT 1",
            "CREATE VIEW v AS SELECT * FROM t",
            "CREATE VIEW t AS SELECT * FROM t",
            "CREATE VIEW o AS SELECT * FROM t",
            "CREATE VIEW ordinary AS SELECT * FROM t",
            "CREATE VIEW i AS SELECT * FROM t",
            "CREATE VIEW IF NOT EXISTS i AS SELECT * FROM t",
            "CREATE VIEW IF NOT EXISTS i AS SELECT 1",
            "CREATE TABLE v(x)",
            "CREATE TABLE i(x)",
            "CREATE TABLE IF NOT EXISTS i(x)",
            "CREATE TABLE t(x)",
            "CREATE TABLE v AS SELECT * FROM t",
            "CREATE INDEX v ON t(b)",
            "CREATE INDEX v ON o(x)",
            "CREATE INDEX t ON o(x)",
            "CREATE INDEX i ON o(x)",
            "CREATE INDEX IF NOT EXISTS v ON o(x)",
            "CREATE TRIGGER tr AFTER INSERT ON o BEGIN SELECT 1; END",
            "CREATE TRIGGER tr AFTER INSERT ON o BEGIN DELETE FROM t; END",
            "CREATE TRIGGER tr2 AFTER INSERT ON o BEGIN DELETE FROM t; END",
            "ALTER TABLE t RENAME TO v",
            "ALTER TABLE t RENAME TO o",
            "ALTER TABLE t RENAME TO i",
            "ALTER TABLE o RENAME TO v",
            "ALTER TABLE o RENAME TO t",
            "ALTER TABLE o RENAME TO i",
        ] {
            twins.fails(sql);
        }
        for sql in [
            "CREATE VIEW IF NOT EXISTS v AS SELECT 1",
            "CREATE VIEW IF NOT EXISTS o AS SELECT * FROM t",
            "CREATE VIEW IF NOT EXISTS ordinary AS SELECT * FROM t",
            "CREATE TABLE IF NOT EXISTS v(x)",
            "CREATE TABLE IF NOT EXISTS t(x)",
            "CREATE INDEX IF NOT EXISTS i ON o(x)",
            "CREATE TRIGGER IF NOT EXISTS tr AFTER INSERT ON o BEGIN SELECT 1; END",
            "CREATE TRIGGER IF NOT EXISTS tr2 AFTER INSERT ON o BEGIN DELETE FROM t; END",
        ] {
            twins.run(sql);
        }
        twins.rows("SELECT * FROM v ORDER BY id");
        twins.reopen();
    }
    let tonbo = twins.tonbo();
    for (name, message) in [
        ("o", "table o already exists"),
        ("v", "view v already exists"),
        ("ordinary", "view ordinary already exists"),
        ("i", "there is already an index named i"),
    ] {
        let error = tonbo.fails(&format!(
            "CREATE VIRTUAL TABLE {name} USING tonbo(id INTEGER)"
        ));
        assert_eq!(error.message, message);
    }
    tonbo.run("CREATE VIRTUAL TABLE IF NOT EXISTS o USING tonbo(id INTEGER)");
    // A trigger may have the name of a table.
    twins.run(
        "CREATE TRIGGER t INSTEAD OF INSERT ON v BEGIN INSERT INTO t(id) VALUES (new.id); END",
    );
    twins.run("CREATE TRIGGER o AFTER UPDATE ON o BEGIN UPDATE t SET b = 1; END");
    twins.run("INSERT INTO v VALUES (7)");
    twins.run("UPDATE o SET x = x");
    twins.compare("SELECT * FROM o ORDER BY x");
    twins.run("DROP TABLE t");
    twins.run("DROP VIEW v");
    assert_eq!(
        texts(twins.tonbo(), CATALOGUED),
        ["trigger o", "trigger tr"]
    );
}

#[test]
fn what_names_ordinary_tables_alone_stays_in_main() {
    let (database, first, second) = shared();
    first.run("CREATE VIEW plain AS SELECT x FROM o; CREATE VIEW v AS SELECT id FROM t");
    first.run("CREATE TRIGGER tr AFTER INSERT ON o BEGIN DELETE FROM o WHERE x < 0; END");
    first.run("CREATE TEMP VIEW own AS SELECT id FROM t");
    first.run("CREATE TEMP TABLE mine(x); CREATE TRIGGER of_mine AFTER INSERT ON mine BEGIN DELETE FROM t WHERE id = new.x; END");
    assert_eq!(
        texts(
            &second,
            "SELECT name FROM main.sqlite_schema WHERE type IN ('view', 'trigger') ORDER BY 1"
        ),
        ["plain", "tr"]
    );
    assert_eq!(texts(&second, CATALOGUED), ["view v"]);
    assert_eq!(
        texts(
            &second,
            "SELECT sql FROM temp.sqlite_schema WHERE type = 'view' AND name = 'v'"
        ),
        ["CREATE VIEW v AS SELECT id FROM t"]
    );
    second.fails("SELECT * FROM own");
    first.run("INSERT INTO mine VALUES (1)");
    assert_eq!(second.integers("SELECT id FROM v"), [2]);
    drop((first, second, database));
}

#[test]
fn instead_of_triggers_write_through_views() {
    let mut twins = twins();
    twins.run("CREATE VIEW v AS SELECT id, a FROM t");
    twins.run("CREATE TRIGGER v_insert INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES (new.id, new.a, 0); INSERT INTO o VALUES (new.id, 'inserted'); END");
    twins.run("CREATE TRIGGER v_update INSTEAD OF UPDATE OF a ON v WHEN new.a IS NOT NULL BEGIN UPDATE t SET a = new.a, b = CASE WHEN b THEN b + 1 END WHERE id = old.id; END");
    twins.run("CREATE TRIGGER main.v_delete INSTEAD OF DELETE ON v BEGIN DELETE FROM t WHERE id = old.id; END");
    twins.compare("SELECT t.*, (SELECT group_concat(x || y, ' ') FROM o) FROM t ORDER BY id");
    for round in 0..2 {
        twins.run(&format!(
            "INSERT INTO v VALUES ({}, 'new'), ({}, 'two')",
            10 + round,
            20 + round
        ));
        twins.run("UPDATE v SET a = a || '!' WHERE id < 20");
        twins.run("UPDATE v SET a = NULL WHERE id = 1");
        twins.run(&format!("DELETE FROM v WHERE id = {}", 1 + round));
        assert_eq!(
            twins.fails("INSERT INTO v VALUES (20, 'there')"),
            "UNIQUE constraint failed: t.id"
        );
        twins.reopen();
    }
    twins.run("DROP TRIGGER v_delete");
    twins.fails("DELETE FROM v");
    twins.run("DROP TRIGGER main.v_update");
    twins.fails("UPDATE v SET a = 'x'");
    twins.fails("DROP TRIGGER v_update");
    twins.run("DROP TRIGGER IF EXISTS v_update");
    // A view takes its triggers with it.
    twins.run("DROP VIEW v");
    twins.fails("DROP TRIGGER v_insert");
    twins.run("CREATE VIEW v AS SELECT id, a FROM t");
    twins.fails("INSERT INTO v VALUES (99, 'x')");
    twins.reopen();
    twins.fails("INSERT INTO v VALUES (99, 'x')");
    assert_eq!(texts(twins.tonbo(), CATALOGUED), ["view v"]);
    for sql in [
        "CREATE TRIGGER x BEFORE INSERT ON v BEGIN DELETE FROM t; END",
        "CREATE TRIGGER x INSTEAD OF INSERT ON nope BEGIN DELETE FROM t; END",
        "CREATE TRIGGER x INSTEAD OF INSERT ON o BEGIN DELETE FROM t; END",
    ] {
        let (ours, theirs) = (twins.tonbo().fails(sql), twins.ordinary().fails(sql));
        assert_eq!(ours.code, theirs.code, "{sql}");
        assert_eq!(ours.message, theirs.message.replace("main.", ""), "{sql}");
    }
    let error = twins
        .tonbo()
        .fails("CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END");
    assert_eq!(error.message, "cannot create triggers on virtual tables");
}

#[test]
fn triggers_of_ordinary_tables_write_tonbo_tables() {
    let mut twins = twins();
    twins.run("CREATE TRIGGER into_t AFTER INSERT ON o WHEN new.x > 100 BEGIN INSERT INTO t VALUES (new.x, new.y, old_or(new.x)); END".replace("old_or(new.x)", "(SELECT max(b) FROM t)").as_str());
    twins.run(
        "CREATE TRIGGER before_o BEFORE DELETE ON o BEGIN DELETE FROM t WHERE id = old.x; END",
    );
    twins.run("CREATE TRIGGER checked BEFORE UPDATE ON o WHEN new.x IN (SELECT id FROM t) BEGIN SELECT raise(ABORT, 'it is there'); END");
    twins.compare("SELECT * FROM t LEFT JOIN o ON x = id ORDER BY id");
    for round in 0..2 {
        let x = 101 + round;
        twins.run(&format!("INSERT INTO o VALUES ({x}, 'new'), (4, 'small')"));
        twins.run("UPDATE o SET x = 50 WHERE x = 4");
        assert_eq!(twins.fails(&format!("UPDATE o SET x = {x}")), "it is there");
        twins.fails(&format!(
            "INSERT INTO o VALUES (900, 'undone'), ({x}, 'twice')"
        ));
        twins.run("BEGIN");
        twins.run("INSERT INTO o VALUES (500, 'rolled back')");
        twins.run("ROLLBACK");
        twins.run("DELETE FROM o WHERE x = 1");
        twins.reopen();
    }
    // The table takes its triggers with it.
    twins.compare("SELECT * FROM t ORDER BY id");
    twins.run("DROP TABLE o");
    twins.run("CREATE TABLE o(x INTEGER, y TEXT)");
    twins.run("INSERT INTO o VALUES (700, 'no trigger')");
    twins.reopen();
    twins.run("INSERT INTO o VALUES (800, 'no trigger')");
    assert_eq!(twins.tonbo().rows(CATALOGUED).len(), 0);
}

#[test]
fn other_connections_see_them_from_their_next_statement_on() {
    let (_database, first, second) = shared();
    second.integers("SELECT x FROM o");
    first.run("CREATE VIEW v AS SELECT id FROM t");
    assert_eq!(second.integers("SELECT id FROM v"), [1, 2]);
    second.run(
        "CREATE TRIGGER tr AFTER INSERT ON o BEGIN INSERT INTO t VALUES (new.x, 'by trigger'); END",
    );
    first.run("INSERT INTO o VALUES (3)");
    assert_eq!(second.integers("SELECT id FROM v"), [1, 2, 3]);

    // Not before the commit, and not at all without one.
    first.run("BEGIN; CREATE VIEW w AS SELECT count(*) AS n FROM v; DROP VIEW v; CREATE VIEW v AS SELECT id + 10 AS id FROM t");
    assert_eq!(first.integers("SELECT id FROM v"), [11, 12, 13]);
    assert_eq!(first.integers("SELECT n FROM w"), [3]);
    assert_eq!(second.integers("SELECT id FROM v"), [1, 2, 3]);
    second.fails("SELECT n FROM w");
    first.run("ROLLBACK");
    assert_eq!(first.integers("SELECT id FROM v"), [1, 2, 3]);
    first.fails("SELECT n FROM w");
    first.run("BEGIN; CREATE VIEW w AS SELECT count(*) AS n FROM v; DROP TRIGGER tr; COMMIT");
    assert_eq!(second.integers("SELECT n FROM w"), [3]);
    second.run("INSERT INTO o VALUES (4)");
    assert_eq!(second.integers("SELECT n FROM w"), [3]);

    // A transaction that has begun to read goes on with what it has seen.
    second.run("BEGIN; SELECT n FROM w");
    first.run("DROP VIEW w");
    assert_eq!(second.integers("SELECT n FROM w"), [3]);
    second.run("COMMIT");
    second.fails("SELECT n FROM w");

    // The table of a trigger goes, and another one of that name comes.
    first.run("CREATE TRIGGER again AFTER INSERT ON o BEGIN INSERT INTO t VALUES (new.x, 'by trigger'); END");
    second.run("INSERT INTO o VALUES (5)");
    first.run("DROP TABLE o");
    second.fails("SELECT * FROM o");
    first.run("CREATE TABLE o(x INTEGER)");
    second.run("INSERT INTO o VALUES (6)");
    first.run("INSERT INTO o VALUES (7)");
    assert_eq!(second.integers("SELECT id FROM v"), [1, 2, 3, 5]);
    first.run("CREATE TRIGGER again AFTER INSERT ON o BEGIN INSERT INTO t VALUES (new.x, 'by trigger'); END");
    second.run("INSERT INTO o VALUES (8)");
    assert_eq!(first.integers("SELECT id FROM v"), [1, 2, 3, 5, 8]);
}

#[test]
fn what_a_user_has_in_temp_stands_before_them() {
    let (_database, first, second) = shared();
    second.run(
        "CREATE TEMP VIEW v AS SELECT 7 AS id; CREATE TEMP TABLE w(id); INSERT INTO w VALUES (8)",
    );
    first.run("CREATE VIEW v AS SELECT id FROM t; CREATE VIEW w AS SELECT id FROM t; CREATE VIEW z AS SELECT id FROM t");
    assert_eq!(second.integers("SELECT id FROM v"), [7]);
    assert_eq!(second.integers("SELECT id FROM w"), [8]);
    assert_eq!(second.integers("SELECT id FROM z"), [1, 2]);
    first.run("CREATE VIEW more AS SELECT id FROM v");
    assert_eq!(second.integers("SELECT id FROM v"), [7]);
    second.run("DROP VIEW v; DROP TABLE w");
    assert_eq!(second.integers("SELECT id FROM v"), [1, 2]);
    assert_eq!(second.integers("SELECT id FROM w"), [1, 2]);
    // What is altered and dropped there is not altered for others, and needs no lock of theirs.
    first.run(
        "CREATE VIEW joined AS SELECT id FROM t JOIN o ON o.x = t.id; INSERT INTO o VALUES (2)",
    );
    second.run("CREATE TEMP TABLE o(x); INSERT INTO o VALUES (1)");
    assert_eq!(second.integers("SELECT id FROM joined"), [1]);
    second.run("ALTER TABLE o RENAME TO mine");
    assert_eq!(first.integers("SELECT id FROM joined"), [2]);
    assert_eq!(second.integers("SELECT id FROM joined"), [2]);
    second.run("BEGIN; SELECT * FROM o");
    first.run("INSERT INTO o VALUES (1)");
    second.run("DROP TABLE mine; COMMIT");
    // Those are the catalogue's.
    second.run("DROP VIEW v");
    first.fails("SELECT id FROM v");
}

#[test]
fn a_transaction_that_has_not_read_yet_sees_what_its_snapshot_will_have() {
    let (_database, first, second) = shared();
    second.run("BEGIN");
    first.run("CREATE TRIGGER tr AFTER INSERT ON o BEGIN INSERT INTO t VALUES (new.x, 'by trigger'); END; CREATE VIEW v AS SELECT id FROM t");
    second.run("INSERT INTO o VALUES (3)");
    assert_eq!(second.integers("SELECT id FROM v"), [1, 2, 3]);
    second.run(
        "SAVEPOINT s; INSERT INTO o VALUES (4); ROLLBACK TO s; INSERT INTO o VALUES (5); COMMIT",
    );
    assert_eq!(first.integers("SELECT id FROM v"), [1, 2, 3, 5]);
    // Not what comes after it has read.
    second.run("BEGIN; SELECT * FROM o");
    first.run("CREATE VIEW w AS SELECT id FROM t");
    second.fails("SELECT * FROM w");
    let error = second.fails("INSERT INTO o VALUES (6)");
    assert_eq!(error.code, StoreErrorCode::Conflict, "{error:?}");
    second.run("ROLLBACK");
    assert_eq!(second.integers("SELECT id FROM w"), [1, 2, 3, 5]);
}

#[test]
fn what_is_declared_within_a_transaction_goes_with_it() {
    for (end, rows) in [("COMMIT", vec![1, 2, 3, 4]), ("ROLLBACK", vec![1, 2, 4])] {
        let (_database, first, second) = shared();
        second.run("SAVEPOINT a; SAVEPOINT b");
        first.run("CREATE TRIGGER tr AFTER INSERT ON o BEGIN INSERT INTO t VALUES (new.x, 'by trigger'); END; CREATE VIEW v AS SELECT id FROM t");
        second.run("INSERT INTO o VALUES (7); ROLLBACK TO b");
        assert_eq!(second.integers("SELECT id FROM v"), [1, 2]);
        second.run("INSERT INTO o VALUES (3); SAVEPOINT c; INSERT INTO o VALUES (8); ROLLBACK TO c; ROLLBACK TO b; INSERT INTO o VALUES (3); RELEASE b");
        second.run(&format!("{end}; INSERT INTO o VALUES (4)"));
        for connection in [&first, &second] {
            assert_eq!(connection.integers("SELECT id FROM v ORDER BY id"), rows);
        }
    }
}

#[test]
fn a_temporary_table_of_the_user_is_not_lost_to_a_tonbo_table() {
    let (_database, first, second) = shared();
    second.run("CREATE TEMP TABLE n(id); INSERT INTO n VALUES (7)");
    first.run(
        "CREATE VIRTUAL TABLE n USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO n VALUES (1)",
    );
    assert_eq!(second.integers("SELECT id FROM n"), [7]);
    second.run("DROP TABLE n");
    assert_eq!(second.integers("SELECT id FROM n"), [1]);
    second.run("BEGIN; DROP TABLE n; CREATE TEMP TABLE n(id); INSERT INTO n VALUES (8); COMMIT");
    assert_eq!(second.integers("SELECT id FROM n"), [8]);
    first.fails("SELECT id FROM n");
    // Another one of that name, within a transaction that looks at the catalogue again.
    second.run("DROP TABLE n; BEGIN; DROP TABLE t; CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); SAVEPOINT s; INSERT INTO t VALUES (9); DROP TABLE t");
    second.run("ROLLBACK TO s; INSERT INTO t VALUES (10); SAVEPOINT s2; INSERT INTO t VALUES (11); ROLLBACK TO s2; COMMIT");
    assert_eq!(first.integers("SELECT id FROM t"), [10]);
}

#[test]
fn a_view_may_be_there_before_its_table() {
    let (database, first, second) = shared();
    first.run("CREATE VIEW over_v AS SELECT * FROM v; CREATE VIEW v AS SELECT id FROM late; CREATE VIEW plain AS SELECT x FROM o");
    first.run(
        "CREATE TRIGGER v_insert INSTEAD OF INSERT ON v BEGIN INSERT INTO o VALUES (new.id); END",
    );
    first.run("CREATE TRIGGER tr AFTER INSERT ON o BEGIN INSERT INTO late VALUES (new.x); END");
    second.fails("SELECT * FROM v");
    first.run("BEGIN; CREATE VIRTUAL TABLE late USING tonbo(id INTEGER PRIMARY KEY); ROLLBACK");
    assert_eq!(first.rows(CATALOGUED).len(), 0);
    first.run("CREATE VIRTUAL TABLE late_too USING tonbo(id INTEGER PRIMARY KEY); ALTER TABLE late_too RENAME TO late");
    second.run("INSERT INTO v VALUES (5)");
    assert_eq!(second.integers("SELECT id FROM over_v"), [5]);
    assert_eq!(
        texts(&second, CATALOGUED),
        ["trigger tr", "trigger v_insert", "view over_v", "view v"]
    );
    assert_eq!(
        texts(
            &second,
            "SELECT name FROM main.sqlite_schema WHERE type IN ('view', 'trigger')"
        ),
        ["plain"]
    );
    drop((first, second));
    let reopened = database.reopen();
    let connection = reopened.connect();
    connection.run("INSERT INTO v VALUES (6)");
    assert_eq!(connection.integers("SELECT id FROM over_v"), [5, 6]);
}

#[test]
fn counts_of_changes_are_the_users() {
    let (_database, first, second) = shared();
    assert_eq!(second.run("INSERT INTO o VALUES (1), (2), (3)"), 3);
    first.run("CREATE VIEW v AS SELECT id FROM t");
    assert_eq!(second.integers("SELECT changes() FROM v LIMIT 1"), [3]);
    assert_eq!(second.run("CREATE VIEW w AS SELECT id FROM t"), 0);
    assert_eq!(second.run("ALTER TABLE t RENAME COLUMN id TO key"), 0);
    assert_eq!(second.run("DROP VIEW w"), 0);
}

#[test]
fn savepoints_bring_back_what_stood() {
    let mut twins = twins();
    twins.run("CREATE VIEW v(id) AS SELECT id FROM t");
    twins.run(
        "CREATE TRIGGER tr INSTEAD OF INSERT ON v BEGIN INSERT INTO t(id) VALUES (new.id); END",
    );
    twins.compare("SELECT id FROM v ORDER BY id");
    twins.run("SAVEPOINT a");
    twins.run("INSERT INTO v VALUES (10)");
    twins.run("SAVEPOINT b");
    twins.compare("SELECT 1");
    twins.run("DROP VIEW v");
    twins.fails("SELECT * FROM v");
    twins.run("CREATE VIEW v AS SELECT id + 1 AS id FROM t");
    twins.compare("SELECT id FROM v ORDER BY id");
    twins.fails("INSERT INTO v VALUES (11)");
    twins.run("CREATE VIEW w AS SELECT id FROM v");
    twins.rows("SELECT * FROM w ORDER BY id");
    twins.run("ROLLBACK TO b");
    twins.fails("SELECT * FROM w");
    twins.run("INSERT INTO v VALUES (12)");
    twins.run("ALTER TABLE t RENAME COLUMN id TO key");
    twins.run("INSERT INTO v VALUES (13)");
    twins.run("ROLLBACK TO b");
    twins.run("INSERT INTO v VALUES (14)");
    twins.run("RELEASE a");
    twins.reopen();
    twins.run("INSERT INTO v VALUES (15)");
    twins.rows("SELECT * FROM t ORDER BY id");
}

#[test]
fn altered_tables_take_them_along() {
    let mut twins = twins();
    twins.run("CREATE VIEW v(a, b) AS SELECT a, b FROM t WHERE b > 0");
    twins.run("CREATE VIEW w AS SELECT v.a AS n FROM v JOIN o ON o.x = v.b / 10");
    twins.run("CREATE TRIGGER v_insert INSTEAD OF INSERT ON v BEGIN INSERT INTO t(a, b) VALUES (new.a, new.b); END");
    twins.run("CREATE TRIGGER o_insert AFTER INSERT ON o BEGIN UPDATE t SET a = new.y WHERE b = new.x; END");
    twins.compare("SELECT a, b FROM v ORDER BY 2");
    let other = {
        let (database, _) = twins.tonbo.as_ref().unwrap();
        database.connect()
    };
    for sql in [
        "ALTER TABLE t RENAME TO \"the table\"",
        "ALTER TABLE \"the table\" RENAME COLUMN b TO bb",
        "ALTER TABLE o RENAME TO oo",
        "ALTER TABLE oo RENAME COLUMN y TO yy",
        "ALTER TABLE \"the table\" ADD COLUMN c TEXT DEFAULT 'c'",
        "ALTER TABLE \"the table\" DROP COLUMN c",
    ] {
        twins.run(sql);
        twins.rows("SELECT * FROM w ORDER BY 1");
        assert_eq!(
            other.rows("SELECT * FROM v ORDER BY 2"),
            twins.rows("SELECT * FROM v ORDER BY 2"),
            "{sql}"
        );
    }
    drop(other);
    twins.reopen();
    twins.run("INSERT INTO v VALUES ('four', 40)");
    twins.run("INSERT INTO oo VALUES (40, 'by trigger')");
    twins.rows("SELECT * FROM w ORDER BY 1");
    let ours = "SELECT replace(sql, 'CREATE', '') FROM (SELECT name, sql FROM {} WHERE name IN ('v', 'w', 'v_insert', 'o_insert') ORDER BY name)";
    assert_eq!(
        texts(twins.tonbo(), &ours.replace("{}", "heddle_views")),
        texts(twins.ordinary(), &ours.replace("{}", "sqlite_schema"))
    );
    // What they use stays, and so do they.
    for sql in [
        "ALTER TABLE \"the table\" DROP COLUMN a",
        "ALTER TABLE oo DROP COLUMN x",
        "ALTER TABLE oo DROP COLUMN yy",
    ] {
        twins.fails(sql);
        twins.rows("SELECT * FROM w ORDER BY 1");
    }
    twins.run("BEGIN");
    twins.run("ALTER TABLE \"the table\" RENAME COLUMN a TO aa");
    twins.run("ROLLBACK");
    twins.rows("SELECT * FROM w ORDER BY 1");
    twins.run("INSERT INTO v VALUES ('five', 50)");
}

/// The message of a statement that fails on both, but for the schema that SQLite names where it looks into one alone.
fn fails_alike(twins: &Twins, sql: &str) {
    let (ours, theirs) = (twins.tonbo().fails(sql), twins.ordinary().fails(sql));
    assert_eq!(
        (ours.code, ours.message),
        (theirs.code, theirs.message.replace("main.", "")),
        "{sql}"
    );
}

#[test]
fn a_dropped_table_leaves_its_views_behind() {
    let mut twins = twins();
    twins.run("CREATE VIEW v AS SELECT id FROM t");
    twins.run(
        "CREATE TRIGGER o_insert AFTER INSERT ON o BEGIN INSERT INTO t(id) VALUES (new.x); END",
    );
    twins.compare("SELECT * FROM o ORDER BY x");
    twins.run("DROP TABLE t");
    for _ in 0..2 {
        fails_alike(&twins, "SELECT * FROM v");
        fails_alike(&twins, "INSERT INTO o VALUES (9, 'x')");
        fails_alike(&twins, "ALTER TABLE o RENAME COLUMN x TO xx");
        twins.reopen();
    }
    // Of either kind.
    twins.run("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    twins.run("INSERT INTO o VALUES (9, 'x')");
    twins.rows("SELECT * FROM v");
    twins.run("DROP TABLE t");
    let tonbo = twins.tonbo();
    tonbo.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n TEXT)");
    tonbo.run("INSERT INTO o VALUES (10, 'x')");
    assert_eq!(tonbo.integers("SELECT id FROM v"), [10]);
}

/// Makes, alters and drops a view and a trigger, and counts the statements that were acknowledged.
fn run_history(io: SharedIo, done: &mut usize) -> Result<(), StoreError> {
    let options = StoreOptions {
        moves_in_background: false,
        ..StoreOptions::default()
    };
    let database = Database::open(io, &options)?;
    let connection = database.try_connect()?;
    for sql in HISTORY {
        connection.try_rows(sql)?;
        *done += 1;
    }
    Ok(())
}

const HISTORY: [&str; 7] = [
    "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, a INTEGER)",
    "CREATE VIEW v(a) AS SELECT a FROM t",
    "CREATE TRIGGER tr INSTEAD OF INSERT ON v BEGIN INSERT INTO t(a) VALUES (new.a); END",
    "INSERT INTO v VALUES (1), (2)",
    "ALTER TABLE t RENAME COLUMN a TO b",
    "BEGIN; INSERT INTO v VALUES (3); CREATE VIEW w AS SELECT sum(a) AS total FROM v; COMMIT",
    "DROP VIEW v",
];

#[test]
fn a_power_cut_leaves_a_definition_as_it_was_or_as_it_became() {
    let whole = Arc::new(PowerLossIo::new());
    let mut done = 0;
    run_history(whole.clone(), &mut done).unwrap();
    assert_eq!(done, HISTORY.len());
    let operations = whole.operation_count();
    let cuts = 60;
    for number in 0..cuts {
        let io = Arc::new(PowerLossIo::new());
        io.cut_after(1 + number * operations / cuts);
        let mut done = 0;
        let _outcome = run_history(io.clone(), &mut done);
        let database = Database::on(Arc::new(io.crash(number)));
        let connection = database.connect();
        // The step that was under way is there whole or not at all; the table's column tells which.
        let made = texts(&connection, CATALOGUED);
        let state = |step: usize| match step {
            0 | 1 => vec![],
            2 => vec!["view v"],
            3..=5 => vec!["trigger tr", "view v"],
            6 => vec!["trigger tr", "view v", "view w"],
            _ => vec!["view w"],
        };
        assert!(
            made == state(done) || made == state(done + 1),
            "cut {number}, after {done}: {made:?}"
        );
        if made.contains(&"view v".to_owned()) {
            connection.rows("SELECT a FROM v");
        }
        if made.contains(&"trigger tr".to_owned()) {
            connection.run("INSERT INTO v VALUES (100)");
        }
        if made.contains(&"view w".to_owned()) && done < 6 {
            assert_eq!(connection.integers("SELECT total FROM w"), [106]);
        }
    }
}
