//! What the model holds: three small tables, as maps, and how their rows are written in SQL.

use imbl::OrdMap;

use heddle_store::value::Value;

/// How many keys a table can have: few, so that transactions meet.
pub const KEYS: u16 = 120;

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableName {
    /// A Tonbo table with an integer as key.
    Warp,
    /// A Tonbo table with a key of two columns.
    Weft,
    /// An ordinary table.
    Plain,
}

use TableName::{Plain, Warp, Weft};

impl TableName {
    pub const ALL: [TableName; 3] = [Warp, Weft, Plain];
    pub const TONBO: [TableName; 2] = [Warp, Weft];

    pub fn sql(self) -> &'static str {
        match self {
            Warp => "warp",
            Weft => "weft",
            Plain => "plain",
        }
    }

    pub fn create(self) -> &'static str {
        match self {
            Warp => {
                "CREATE VIRTUAL TABLE warp USING tonbo(id INTEGER PRIMARY KEY, n INTEGER, t TEXT)"
            }
            Weft => {
                "CREATE VIRTUAL TABLE weft USING tonbo(k TEXT, j INTEGER, n INTEGER, t TEXT, PRIMARY KEY (k, j))"
            }
            Plain => "CREATE TABLE plain(id INTEGER PRIMARY KEY, n INTEGER, t TEXT)",
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

    /// A condition that holds for one key.
    pub fn is_key(self, key: u16) -> String {
        match self {
            Weft => format!("(k, j) = ({})", self.key_sql(key)),
            Warp | Plain => format!("id = {}", self.key_sql(key)),
        }
    }

    /// A condition that holds for the keys from `first` to `last`.
    pub fn between(self, first: u16, last: u16) -> String {
        let (first, last) = (self.key_sql(first), self.key_sql(last));
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

/// A row without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub n: Option<i64>,
    pub t: Option<String>,
}

impl Row {
    pub fn values(&self) -> [Value; 2] {
        [
            self.n.map_or(Value::Null, Value::Integer),
            self.t
                .as_ref()
                .map_or(Value::Null, |text| Value::Text(text.clone().into())),
        ]
    }
}

/// A table's rows.
pub type Rows = OrdMap<u16, Row>;

/// All tables at one moment.
#[derive(Clone, Default)]
pub struct State {
    pub warp: Rows,
    pub weft: Rows,
    pub plain: Rows,
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
pub fn whole_row(table: TableName, key: u16, row: &Row) -> Vec<Value> {
    let mut values = table.key_values(key);
    values.extend(row.values());
    values
}
