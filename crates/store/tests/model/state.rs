//! What the model holds: three small tables, as maps, and how their rows are written in SQL.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;

use heddle_store::value::Value;

/// How many keys a table can have: few, so that transactions meet.
pub const KEYS: u16 = 120;

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableName {
    /// A Tonbo table with an integer as key.
    Warp,
    /// A Tonbo table with a key of two columns, the first of them without regard to case.
    Weft,
    /// An ordinary table.
    Plain,
}

use TableName::{Plain, Warp, Weft};

impl TableName {
    pub const ALL: [TableName; 3] = [Warp, Weft, Plain];
    pub const TONBO: [TableName; 2] = [Warp, Weft];

    /// What it is called at first.
    fn first_name(self) -> &'static str {
        match self {
            Warp => "warp",
            Weft => "weft",
            Plain => "plain",
        }
    }

    /// The statement that makes it.
    pub fn create(self, name: &str) -> String {
        match self {
            Warp => format!(
                "CREATE VIRTUAL TABLE {name} USING tonbo(id INTEGER PRIMARY KEY, n INTEGER, t TEXT)"
            ),
            Weft => format!(
                "CREATE VIRTUAL TABLE {name} USING tonbo(k TEXT COLLATE NOCASE, j INTEGER, n INTEGER, t TEXT, PRIMARY KEY (k, j))"
            ),
            Plain => format!("CREATE TABLE {name}(id INTEGER PRIMARY KEY, n INTEGER, t TEXT)"),
        }
    }

    /// The key's columns.
    pub fn key_columns(self) -> &'static str {
        match self {
            Weft => "k, j",
            Warp | Plain => "id",
        }
    }

    pub fn key_columns_descending(self) -> &'static str {
        match self {
            Weft => "k DESC, j DESC",
            Warp | Plain => "id DESC",
        }
    }

    /// The values of a key's columns. Keys are in the order of their numbers.
    pub fn key_values(self, key: u16) -> Vec<Value> {
        match self {
            Weft => vec![
                Value::Text(["", "a", "ab", "b"][usize::from(key / 30)].into()),
                Value::Integer(i64::from(key % 30) - 3),
            ],
            Warp | Plain => vec![Value::Integer(match key {
                0 => i64::MIN,
                _ if key == KEYS - 1 => i64::MAX,
                _ => (i64::from(key) - 20) * 3,
            })],
        }
    }

    /// The key's values as SQL.
    pub fn key_sql(self, key: u16) -> String {
        let values: Vec<String> = self.key_values(key).iter().map(literal).collect();
        values.join(", ")
    }

    /// The key's values as SQL, in another spelling than the one that rows have.
    pub fn sought_sql(self, key: u16) -> String {
        self.key_sql(key).to_ascii_uppercase()
    }

    /// A condition that holds for one key.
    pub fn is_key(self, key: u16) -> String {
        match self {
            Weft => format!("(k, j) = ({})", self.sought_sql(key)),
            Warp | Plain => format!("id = {}", self.key_sql(key)),
        }
    }

    /// A condition that holds for the keys from `first` to `last`.
    pub fn between(self, first: u16, last: u16) -> String {
        let (first, last) = (self.sought_sql(first), self.sought_sql(last));
        match self {
            Weft => format!("(k, j) >= ({first}) AND (k, j) <= ({last})"),
            Warp | Plain => format!("id BETWEEN {first} AND {last}"),
        }
    }
}

/// A value as SQL.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        // The least integer can't be written as a number: its digits alone are too large for one.
        Value::Integer(i64::MIN) => "(-9223372036854775807 - 1)".into(),
        Value::Integer(value) => value.to_string(),
        Value::Text(text) => format!("'{text}'"),
        other => panic!("the model has no such value: {other:?}"),
    }
}

/// A column that was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Tells it from all others, whatever it is called.
    pub id: u64,
    pub name: String,
    /// What rows have that were there before it.
    pub default: Option<i64>,
    /// Whether a CHECK keeps it below [`CHECKED_MAX`].
    pub is_checked: bool,
}

/// What a column with a CHECK must be less than.
pub const CHECKED_MAX: i64 = 50;

/// A table's definition at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub name: String,
    /// How often it has been dropped and made again.
    pub generation: u64,
    /// The columns behind those that it has always.
    pub extras: Vec<Extra>,
}

impl Schema {
    pub fn sql_of_adding(&self, column: &Extra) -> String {
        let Extra { name, default, .. } = column;
        let default = default.map_or(String::new(), |default| format!(" DEFAULT {default}"));
        let check = match column.is_checked {
            true => format!(" CHECK ({name} < {CHECKED_MAX})"),
            false => String::new(),
        };
        format!(
            "ALTER TABLE {} ADD COLUMN {name} INTEGER{default}{check}",
            self.name
        )
    }
}

/// The definitions of all tables.
pub type Schemas = OrdMap<TableName, Arc<Schema>>;

fn first_schemas() -> Schemas {
    let first = |table: TableName| {
        let schema = Schema {
            name: table.first_name().into(),
            generation: 0,
            extras: Vec::new(),
        };
        (table, Arc::new(schema))
    };
    TableName::ALL.into_iter().map(first).collect()
}

/// A row without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub n: Option<i64>,
    pub t: Option<String>,
    /// What was written to columns that were added; in the others it has the default.
    pub extras: BTreeMap<u64, Option<i64>>,
}

impl Row {
    pub fn new(n: Option<i64>, t: Option<String>) -> Row {
        Row {
            n,
            t,
            extras: BTreeMap::new(),
        }
    }

    pub fn values(&self) -> [Value; 2] {
        [
            self.n.map_or(Value::Null, Value::Integer),
            self.t
                .as_ref()
                .map_or(Value::Null, |text| Value::Text(text.clone().into())),
        ]
    }

    pub fn extra(&self, column: &Extra) -> Option<i64> {
        self.extras
            .get(&column.id)
            .copied()
            .unwrap_or(column.default)
    }
}

/// A table's rows.
pub type Rows = OrdMap<u16, Row>;

/// All tables at one moment.
#[derive(Clone)]
pub struct State {
    pub schemas: Schemas,
    pub warp: Rows,
    pub weft: Rows,
    pub plain: Rows,
}

impl Default for State {
    fn default() -> State {
        State {
            schemas: first_schemas(),
            warp: Rows::new(),
            weft: Rows::new(),
            plain: Rows::new(),
        }
    }
}

impl State {
    pub fn rows(&self, table: TableName) -> &Rows {
        match table {
            Warp => &self.warp,
            Weft => &self.weft,
            Plain => &self.plain,
        }
    }

    pub fn rows_mut(&mut self, table: TableName) -> &mut Rows {
        match table {
            Warp => &mut self.warp,
            Weft => &mut self.weft,
            Plain => &mut self.plain,
        }
    }
}

/// A row as `SELECT *` gives it.
pub fn whole_row(table: TableName, schema: &Schema, key: u16, row: &Row) -> Vec<Value> {
    let mut values = table.key_values(key);
    values.extend(row.values());
    let extras = schema.extras.iter().map(|column| row.extra(column));
    values.extend(extras.map(|value| value.map_or(Value::Null, Value::Integer)));
    values
}
