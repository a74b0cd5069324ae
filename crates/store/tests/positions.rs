//! An error of a statement says where in the text it is, as a byte offset: where the message names something, there it begins.

mod engine;

use engine::Database;

/// What stands before: characters of two, three and four bytes, in text and in a name and in a comment, and another statement.
const BEFORE: &[&str] = &[
    "",
    "SELECT 1; ",
    "SELECT 'é€😀'; ",
    "/* é€😀 */ ",
    "SELECT \"naïve\" FROM \"größe\"; -- 😀\n  ",
];

/// Statements, and the part of each that its error is about, the last where it comes more than once; `None` where it is about no part.
const STATEMENTS: &[(&str, Option<&str>)] = &[
    // What SQLite finds.
    ("SELECT nope", Some("nope")),
    ("SELECT id, nope FROM t", Some("nope")),
    ("SELECT 'é', nope FROM t", Some("nope")),
    ("SELECT \"naïve\", '😀', nope FROM \"größe\"", Some("nope")),
    (
        "SELECT id FROM t WHERE name = 'é€' AND nope = 1",
        Some("nope"),
    ),
    ("SELECT nope('é')", Some("nope")),
    ("SELECT 1 FROM t ORDER BY 'é', nope", Some("nope")),
    ("SELEC 'é'", Some("SELEC")),
    ("SELECT 'é' FRM t", Some("t")),
    ("SELECT 'é' 1", Some("1")),
    ("INSERT INTO t(id, name) VALUES (1, 'é') nope", Some("nope")),
    ("UPDATE t SET name = 'é' WHERE nope", Some("nope")),
    ("DELETE FROM t WHERE name = 'é' AND nope", Some("nope")),
    ("SELECT 'é', @@", Some("@@")),
    ("SELECT '😀', 'open", Some("'open")),
    ("SELECT 'é' FROM missing", None),
    ("INSERT INTO t(id, nope) VALUES (1, 'é')", None),
    // What the store finds.
    (
        "CREATE VIRTUAL TABLE \"ä\" USING tonbo(id INTEGER PRIMARY KEY, \"ß\" BLOB, c GEOMETRY)",
        Some("c GEOMETRY"),
    ),
    (
        "CREATE VIRTUAL TABLE w USING tonbo(a TEXT DEFAULT 'é€😀', b DECIMAL)",
        Some("b DECIMAL"),
    ),
    (
        "CREATE INDEX \"ä\" ON t(name, lower(name))",
        Some("(name))"),
    ),
    (
        "CREATE INDEX i ON \"größe\"(\"naïve\") WHERE \"naïve\" > 1",
        Some("WHERE"),
    ),
    ("PRAGMA main . synchronous = OFF", Some("synchronous")),
];

#[test]
fn an_error_says_where_it_is() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, name TEXT);
         CREATE VIRTUAL TABLE \"größe\" USING tonbo(id INTEGER PRIMARY KEY, \"naïve\" INTEGER)",
    );
    let mut wrong = Vec::new();
    for before in BEFORE {
        for (statement, part) in STATEMENTS {
            let sql = format!("{before}{statement}");
            let expected = part.map(|part| (before.len() + statement.rfind(part).unwrap()) as i32);
            let error = connection.fails(&sql);
            if error.offset != expected {
                wrong.push((sql, expected, error));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
