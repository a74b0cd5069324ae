//! A Tonbo table and the same ordinary table, each in a database of its own: every statement runs on both, and both must do the same.

use heddle_store::error::StoreError;
use heddle_store::parameters::Parameters;
use heddle_store::session::Discard;

use super::{Connection, Database, Rows};

/// Two databases, the first one's table `t` a Tonbo table.
pub struct Twins {
    pub tonbo: Option<(Database, Connection)>,
    ordinary: (Database, Connection),
    content: String,
}

/// What a statement did: rows changed, or the error's code, message and SQLite's code.
type Outcome = Result<i64, (String, String, Option<i32>)>;

fn outcome(result: Result<i64, StoreError>) -> Outcome {
    result.map_err(|error| {
        (
            format!("{:?}", error.code),
            error.message,
            error.sqlite_code,
        )
    })
}

impl Twins {
    /// Makes the table with these columns in both; the ordinary one with `options` such as `STRICT`.
    pub fn new(columns: &str, options: &str) -> Twins {
        let twins = Twins::empty("t");
        twins
            .tonbo()
            .run(&format!("CREATE VIRTUAL TABLE t USING tonbo({columns})"));
        twins
            .ordinary
            .1
            .run(&format!("CREATE TABLE t({columns}) {options}"));
        twins
    }

    /// Two databases without tables; `table` is what will be compared.
    pub fn empty(table: &str) -> Twins {
        let start = || {
            let database = Database::new();
            let connection = database.connect();
            (database, connection)
        };
        Twins {
            tonbo: Some(start()),
            ordinary: start(),
            content: format!("SELECT * FROM {table} ORDER BY 1"),
        }
    }

    /// Compares this query's rows from now on.
    pub fn compare(&mut self, content: &str) {
        self.content = content.into();
    }

    /// The connection to the database with the Tonbo table.
    pub fn tonbo(&self) -> &Connection {
        &self.tonbo.as_ref().unwrap().1
    }

    /// The connection to the database with the ordinary table.
    pub fn ordinary(&self) -> &Connection {
        &self.ordinary.1
    }

    /// Runs a statement on both.
    pub fn run(&self, sql: &str) -> i64 {
        self.both(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// Runs a statement that must fail on both, and returns the message. Whatever it was, the next statement works.
    pub fn fails(&self, sql: &str) -> String {
        self.both(sql).expect_err(sql).1
    }

    /// The error of a statement on the ordinary table's database alone.
    pub fn fails_ordinary(&self, sql: &str) -> StoreError {
        self.ordinary.1.fails(sql)
    }

    /// The rows of a query, which must be the same on both.
    pub fn rows(&self, sql: &str) -> Rows {
        let rows = self.tonbo().rows(sql);
        assert_eq!(rows, self.ordinary.1.rows(sql), "{sql}");
        rows
    }

    /// Opens the Tonbo table's database again.
    pub fn reopen(&mut self) {
        let (database, connection) = self.tonbo.take().unwrap();
        drop(connection);
        let database = database.reopen();
        let connection = database.connect();
        self.tonbo = Some((database, connection));
        self.rows(&self.content);
    }

    fn both(&self, sql: &str) -> Outcome {
        let run = |connection: &Connection| {
            let result = connection.0.run(sql, &Parameters::none(), &mut Discard);
            outcome(result.map(|outcome| outcome.changes))
        };
        let (ours, theirs) = (run(self.tonbo()), run(&self.ordinary.1));
        assert_eq!(ours, theirs, "Tonbo's and SQLite's outcome of {sql}");
        self.rows(&self.content);
        ours
    }
}
