//! From a plan's letters and their values to the keys that can match.

use crate::collation::Collation;
use crate::key;
use crate::schema::{Column, ColumnType, KeyPart, TableSchema, calendar};
use crate::table::range::KeyRange;
use crate::value::Value;

/// What a scan goes along: a table's key, or an index.
pub struct Path<'a> {
    schema: &'a TableSchema,
    /// Its columns, in order; `None` for the row id.
    pub columns: Vec<Option<KeyPart>>,
    /// Whether it is an index, whose columns can be NULL.
    pub is_index: bool,
    /// Whether values in all of its columns are those of one row.
    pub is_unique: bool,
}

impl<'a> Path<'a> {
    /// The table's key.
    pub fn key(schema: &'a TableSchema) -> Path<'a> {
        let columns: Vec<Option<KeyPart>> = schema.key_order().map(Some).collect();
        Path {
            schema,
            columns: if columns.is_empty() {
                vec![None]
            } else {
                columns
            },
            is_index: false,
            is_unique: true,
        }
    }

    /// An index on these columns.
    pub fn index(schema: &'a TableSchema, columns: &[KeyPart], is_unique: bool) -> Path<'a> {
        Path {
            schema,
            columns: columns.iter().copied().map(Some).collect(),
            is_index: true,
            is_unique,
        }
    }

    /// The type of its column at `place`; the row id is an integer.
    pub fn kind(&self, place: usize) -> ColumnType {
        self.column(place)
            .map_or(ColumnType::Integer, |column| column.kind)
    }

    /// The collation of its column at `place`.
    pub fn collation(&self, place: usize) -> Collation {
        let part = self.columns.get(place).copied().flatten();
        part.map_or(Collation::Binary, |part| part.collation)
    }

    /// The name of its column at `place`.
    pub fn name(&self, place: usize) -> &'a str {
        self.column(place).map_or("rowid", |column| &column.name)
    }

    fn column(&self, place: usize) -> Option<&'a Column> {
        let part = self.columns.get(place).copied().flatten();
        part.map(|part| &self.schema.columns[part.column])
    }

    /// The bytes that stand before those of a column's value, behind the columns of `prefix`.
    fn before_value(&self, prefix: &[u8]) -> Vec<u8> {
        let marker = self.is_index.then_some(key::SOME);
        prefix.iter().copied().chain(marker).collect()
    }
}

/// A constraint's value, as far as it can be compared here.
#[derive(Clone, Debug)]
pub enum Argument {
    /// One.
    One(Value),
    /// Any of several.
    List(Vec<Argument>),
    /// A text that is not UTF-8 and has no place among the keys: SQLite compares it.
    Unknown,
}

/// A scan's bounds, from a plan and its arguments.
pub struct Bounds {
    /// The keys that can match.
    pub range: KeyRange,
    /// The parts of the range where they are, ascending, if there are several.
    pub parts: Option<Vec<KeyRange>>,
    /// How many columns are fixed, where one of them is TEXT or DECIMAL and stands against a number: it can equal several of them, so that rows
    /// are not in the order of the columns behind it.
    pub fixed_loosely: Option<usize>,
    /// How many rows will be taken, if that is known.
    pub rows_expected: Option<usize>,
}

/// For each letter of a plan, whether SQLite compares its value as a number if it looks like one: so with a numeric column.
pub fn are_numeric(path: &Path<'_>, letters: &str) -> Vec<bool> {
    let mut fixed = 0;
    let is_numeric = |letter: char| {
        let kind = path.kind(fixed);
        fixed += usize::from(matches!(letter, 'e' | 'i' | 'z'));
        !matches!(letter, 'n' | 'o') && kind != ColumnType::Blob && kind.affinity() != "TEXT"
    };
    letters.chars().map(is_numeric).collect()
}

/// The bounds that a plan's letters and their values mean.
pub fn bounds(path: &Path<'_>, letters: &str, values: &[Argument]) -> Bounds {
    let mut prefix = Vec::new();
    let mut range: Option<KeyRange> = None;
    let (mut is_exact, mut has_null) = (true, false);
    let (mut limit, mut offset) = (None, 0);
    let (mut parts, mut is_loose) = (None, false);
    let kind_of = |place: usize| path.kind(place);
    let mut fixed = 0;
    for (letter, value) in letters.chars().zip(values) {
        let value = match value {
            Argument::One(value) => value,
            Argument::Unknown => {
                // It equals nothing but a text.
                if matches!(letter, 'e' | 'i') && kind_of(fixed) != ColumnType::Text {
                    range = Some(KeyRange::none());
                }
                is_exact = false;
                continue;
            }
            Argument::List(list) => {
                if is_exact {
                    // An entry with a NULL has the row's key behind its columns.
                    let is_last = path.is_unique && !has_null && fixed + 1 == path.columns.len();
                    let before = path.before_value(&prefix);
                    let column = (kind_of(fixed), path.collation(fixed));
                    parts = parts_of(&before, column, list, is_last);
                }
                is_exact = false;
                continue;
            }
        };
        let count = || {
            if let Value::Integer(count) = value {
                usize::try_from(*count).ok()
            } else {
                None
            }
        };
        match letter {
            'n' => limit = count(),
            'o' => offset = count().unwrap_or_default(),
            'z' | 'i' if *value == Value::Null => {
                fixed += 1;
                has_null = true;
                match path.is_index {
                    true if is_exact => prefix.push(key::NULL),
                    true => {}
                    false => range = Some(KeyRange::none()),
                }
            }
            'm' if is_exact => {
                let bounded = of_prefix(&path.before_value(&prefix));
                range = Some(range.unwrap_or_default().intersect(&bounded));
            }
            'm' => {}
            _ if *value == Value::Null => range = Some(KeyRange::none()),
            'e' | 'i' => {
                let (kind, collation) = (kind_of(fixed), path.collation(fixed));
                fixed += 1;
                match convert(kind, value) {
                    Converted::Exactly(value) if is_exact => {
                        prefix = path.before_value(&prefix);
                        key::encode(&value, collation, &mut prefix);
                    }
                    Converted::Never => range = Some(KeyRange::none()),
                    Converted::Unknown => (is_exact, is_loose) = (false, true),
                    Converted::Exactly(_) => {}
                }
            }
            _ if is_exact => {
                let column = (kind_of(fixed), path.collation(fixed));
                let bounded = bound(column, letter, value, &path.before_value(&prefix));
                range = Some(range.unwrap_or_default().intersect(&bounded));
            }
            _ => {}
        }
    }
    let whole_key =
        path.is_unique && fixed > 0 && fixed == path.columns.len() && is_exact && !has_null;
    let fixed_range = match (prefix.is_empty(), whole_key) {
        (true, _) => KeyRange::all(),
        (false, true) => KeyRange::point(&prefix),
        (false, false) => KeyRange::prefix(&prefix),
    };
    let range = range.map_or(fixed_range.clone(), |range| range.intersect(&fixed_range));
    Bounds {
        parts: parts.filter(|_| !range.is_empty()),
        range,
        fixed_loosely: is_loose.then_some(fixed),
        rows_expected: limit.map(|limit| limit.saturating_add(offset)),
    }
}

/// The keys that begin with one of the values behind `prefix`; `None` where one of these may equal several of the column's.
fn parts_of(
    prefix: &[u8],
    (kind, collation): (ColumnType, Collation),
    list: &[Argument],
    is_point: bool,
) -> Option<Vec<KeyRange>> {
    let mut keys = Vec::new();
    for value in list {
        match value {
            Argument::One(Value::Null) => {}
            Argument::One(value) => match convert(kind, value) {
                Converted::Exactly(value) => {
                    let mut bytes = prefix.to_vec();
                    key::encode(&value, collation, &mut bytes);
                    keys.push(bytes);
                }
                Converted::Never => {}
                Converted::Unknown => return None,
            },
            _ => return None,
        }
    }
    keys.sort();
    keys.dedup();
    let range = |bytes: &Vec<u8>| match is_point {
        true => KeyRange::point(bytes),
        false => KeyRange::prefix(bytes),
    };
    Some(keys.iter().map(range).collect())
}

/// Every key that begins so.
fn of_prefix(prefix: &[u8]) -> KeyRange {
    if prefix.is_empty() {
        KeyRange::all()
    } else {
        KeyRange::prefix(prefix)
    }
}

enum Converted {
    /// The column's value that equals it.
    Exactly(Value),
    /// No value of the column equals it.
    Never,
    /// SQLite decides.
    Unknown,
}

/// Texts that look like numbers are numbers already where the column is numeric (see [`are_numeric`]).
fn convert(kind: ColumnType, value: &Value) -> Converted {
    match (kind, value) {
        (ColumnType::Integer | ColumnType::Boolean, Value::Integer(_))
        | (ColumnType::Real, Value::Real(_))
        | (ColumnType::Text, Value::Text(_))
        | (ColumnType::Blob, Value::Blob(_)) => Converted::Exactly(value.clone()),
        // SQLite compares integers and floats without rounding.
        (ColumnType::Integer | ColumnType::Boolean, Value::Real(real)) => {
            if real.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(real) {
                Converted::Exactly(Value::Integer(*real as i64))
            } else {
                Converted::Never
            }
        }
        (ColumnType::Real, Value::Integer(integer)) => {
            let real = *integer as f64;
            if real < TWO_TO_63 && real as i64 == *integer {
                Converted::Exactly(Value::Real(real))
            } else {
                Converted::Never
            }
        }
        (ColumnType::Text, Value::Integer(_) | Value::Real(_)) => Converted::Unknown,
        // SQLite compares the text of the float.
        (ColumnType::Decimal { .. }, Value::Real(_)) => Converted::Unknown,
        (ColumnType::Decimal { precision, scale }, Value::Integer(integer))
            if !equals_one_decimal(*integer, precision, scale) =>
        {
            Converted::Unknown
        }
        (ColumnType::Decimal { .. }, value) => match kind.stored(value) {
            Some(value) => Converted::Exactly(value),
            None => Converted::Never,
        },
        // SQLite compares texts: what is written in another way equals none.
        (ColumnType::Date | ColumnType::Timestamp, value) => match kind.stored(value) {
            Some(stored) if kind.shown(stored.clone()) == *value => Converted::Exactly(stored),
            _ => Converted::Never,
        },
        _ => Converted::Never,
    }
}

/// Whether an integer equals one value of a DECIMAL column at most. With a column that has a numeric type SQLite compares the float nearest to a
/// decimal, and that of several can be the same.
fn equals_one_decimal(integer: i64, precision: u8, scale: u8) -> bool {
    /// So many digits of any number are told apart by the float nearest to it.
    const DIGITS: u8 = 15;
    /// And so are numbers below this of the last digit, whichever way SQLite rounds.
    const UNSCALED: u128 = 1 << 51;
    let of_last_digit = 10u128.saturating_pow(scale.into());
    let unscaled = u128::from(integer.unsigned_abs()).saturating_mul(of_last_digit);
    precision <= DIGITS || unscaled < UNSCALED
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// Below 2^53 every integer is a float.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// The keys behind `prefix` whose next column is bounded by a value.
fn bound(
    (kind, collation): (ColumnType, Collation),
    letter: char,
    value: &Value,
    prefix: &[u8],
) -> KeyRange {
    let of_prefix = of_prefix(prefix);
    // An integer column bounded by a float: by the next integer inside.
    let (letter, value) = match (kind, value) {
        (ColumnType::Integer, Value::Real(real)) if real.abs() < EXACT_INTEGERS => match letter {
            'g' | 'h' => ('g', Value::Integer(real.ceil() as i64)),
            'G' | 'H' => ('G', Value::Integer(real.floor() as i64)),
            'l' => ('l', Value::Integer(real.floor() as i64)),
            _ => ('L', Value::Integer(real.ceil() as i64)),
        },
        // The text of a day stands before those of all its times.
        (ColumnType::Timestamp, Value::Text(text)) if calendar::parse_date(text).is_some() => {
            let Some(midnight) = kind.stored(value) else {
                return of_prefix;
            };
            let letter = if matches!(letter, 'g' | 'G') {
                'g'
            } else {
                'L'
            };
            (letter, midnight)
        }
        // A text is above the integer of a column without a type, whatever number it is. One that stands in the statement is a text itself here.
        (ColumnType::Decimal { .. }, Value::Integer(_)) if matches!(letter, 'g' | 'G') => {
            return of_prefix;
        }
        _ => match convert(kind, value) {
            Converted::Exactly(value) => (letter, value),
            _ => return of_prefix,
        },
    };
    let mut bytes = prefix.to_vec();
    key::encode(&value, collation, &mut bytes);
    let at = key::Key::from(&bytes[..]);
    // Every key that begins with the bound's bytes has the bound's value in that column; behind the last of them there may be no key at all.
    let after = key::successor_of_prefix(&bytes).map(key::Key::from);
    let range = match (letter, after) {
        ('g' | 'h', _) => KeyRange {
            lower: Some(at),
            upper: None,
        },
        ('G' | 'H', None) => KeyRange::none(),
        ('G' | 'H', lower) => KeyRange { lower, upper: None },
        ('l', upper) => KeyRange { lower: None, upper },
        _ => KeyRange {
            lower: None,
            upper: Some(at),
        },
    };
    range.intersect(&of_prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer_key(value: i64) -> Vec<u8> {
        key::encode_integer(value).to_vec()
    }

    fn part(column: usize) -> KeyPart {
        KeyPart {
            column,
            collation: Collation::Binary,
        }
    }

    fn some(values: &[Value]) -> Vec<Argument> {
        values.iter().cloned().map(Argument::One).collect()
    }

    #[test]
    fn bounds_hold_what_matches_and_little_else() {
        let schema = TableSchema::parse(&["id INTEGER PRIMARY KEY", "x TEXT"]).unwrap();
        let holds = |letters: &str, values: &[Value], id: i64| {
            bounds(&Path::key(&schema), letters, &some(values))
                .range
                .contains(&integer_key(id))
        };
        assert!(holds("e", &[Value::Integer(5)], 5) && !holds("e", &[Value::Integer(5)], 6));
        assert!(holds("gL", &[Value::Integer(-3), Value::Integer(4)], -3));
        assert!(!holds("gL", &[Value::Integer(-3), Value::Integer(4)], 4));
        assert!(holds("G", &[Value::Real(2.5)], 3) && !holds("G", &[Value::Real(2.5)], 2));
        assert!(holds("l", &[Value::Real(2.5)], 2) && !holds("l", &[Value::Real(2.5)], 3));
        assert!(holds("l", &[Value::Integer(i64::MAX)], i64::MAX));
        assert!(!holds("G", &[Value::Integer(i64::MAX)], i64::MAX));
        assert!(!holds("e", &[Value::Null], 0) && !holds("g", &[Value::Null], 0));
        // What is no number equals none; its order among them is left to SQLite.
        assert!(holds("g", &[Value::Text("x".into())], 1));
        assert!(!holds("e", &[Value::Text("x".into())], 1));
        let greatest = 9_223_372_036_854_774_784.0;
        assert!(holds("e", &[Value::Real(greatest)], greatest as i64));
        assert!(!holds("e", &[Value::Real(TWO_TO_63)], i64::MAX));
    }

    #[test]
    fn a_composite_key_is_bounded_by_its_first_columns() {
        let schema = TableSchema::parse(&["a TEXT", "b INTEGER", "PRIMARY KEY (a, b)"]).unwrap();
        let key_of = |a: &str, b: i64| {
            let mut bytes = Vec::new();
            key::encode(&Value::Text(a.into()), Collation::Binary, &mut bytes);
            key::encode(&Value::Integer(b), Collation::Binary, &mut bytes);
            bytes
        };
        let first = bounds(&Path::key(&schema), "e", &some(&[Value::Text("x".into())])).range;
        assert!(first.contains(&key_of("x", i64::MIN)) && first.contains(&key_of("x", i64::MAX)));
        assert!(!first.contains(&key_of("xa", 0)) && !first.contains(&key_of("w", 0)));
        let both = bounds(
            &Path::key(&schema),
            "eGl",
            &some(&[
                Value::Text("x".into()),
                Value::Integer(1),
                Value::Integer(3),
            ]),
        )
        .range;
        assert!(
            !both.contains(&key_of("x", 1))
                && both.contains(&key_of("x", 2))
                && both.contains(&key_of("x", 3))
        );
        assert!(!both.contains(&key_of("x", 4)) && !both.contains(&key_of("y", 2)));
        let text = bounds(&Path::key(&schema), "l", &some(&[Value::Text("x".into())])).range;
        assert!(text.contains(&key_of("x", 9)) && !text.contains(&key_of("xa", 0)));
    }

    /// The greatest integer has no successor among the prefixes: the bound was taken for a whole key then, and what stood behind it in a
    /// composite key was outside.
    #[test]
    fn the_greatest_integer_bounds_a_composite_key() {
        let schema = TableSchema::parse(&["a INTEGER", "b TEXT", "PRIMARY KEY (a, b)"]).unwrap();
        let mut key = integer_key(i64::MAX);
        key::encode(&Value::Text("x".into()), Collation::Binary, &mut key);
        let holds = |letters: &str| {
            bounds(
                &Path::key(&schema),
                letters,
                &some(&[Value::Integer(i64::MAX)]),
            )
            .range
            .contains(&key)
        };
        assert!(holds("l") && holds("g") && holds("e"));
        assert!(!holds("G") && !holds("L"));
    }

    #[test]
    fn a_limit_says_how_much_will_be_read() {
        let schema = TableSchema::parse(&["id INTEGER PRIMARY KEY"]).unwrap();
        let bounds = bounds(
            &Path::key(&schema),
            "gno",
            &some(&[Value::Integer(1), Value::Integer(10), Value::Integer(5)]),
        );
        assert_eq!(bounds.rows_expected, Some(15));
    }

    #[test]
    fn an_index_is_bounded_by_its_columns_with_null_first() {
        let schema =
            TableSchema::parse(&["id INTEGER PRIMARY KEY", "a INTEGER", "b TEXT"]).unwrap();
        let entry = |a: Value, b: &str| {
            let mut bytes = Vec::new();
            key::encode_nullable(&a, Collation::Binary, &mut bytes);
            key::encode_nullable(&Value::Text(b.into()), Collation::Binary, &mut bytes);
            bytes.extend_from_slice(&integer_key(7));
            bytes
        };
        let path = Path::index(&schema, &[part(1), part(2)], false);
        let holds = |letters: &str, values: &[Value], entry: Vec<u8>| {
            bounds(&path, letters, &some(values)).range.contains(&entry)
        };
        let (five, text) = (Value::Integer(5), |text: &str| Value::Text(text.into()));
        for letters in ["e", "i", "g", "l"] {
            let values = [five.clone()];
            assert!(
                holds(letters, &values, entry(five.clone(), "x")),
                "{letters}"
            );
            assert!(
                !holds(letters, &values, entry(Value::Null, "x")),
                "{letters}"
            );
        }
        for letters in ["z", "i"] {
            assert!(holds(letters, &[Value::Null], entry(Value::Null, "x")));
            assert!(!holds(
                letters,
                &[Value::Null],
                entry(Value::Integer(i64::MIN), "x")
            ));
        }
        assert!(holds(
            "m",
            &[Value::Null],
            entry(Value::Integer(i64::MIN), "x")
        ));
        assert!(!holds("m", &[Value::Null], entry(Value::Null, "x")));
        assert!(!holds("e", &[Value::Null], entry(Value::Null, "x")));
        let both = [five.clone(), text("x")];
        assert!(holds("eg", &both, entry(five.clone(), "xa")));
        assert!(!holds("eg", &both, entry(five.clone(), "w")));
        assert!(holds(
            "zL",
            &[Value::Null, text("x")],
            entry(Value::Null, "w")
        ));
        assert!(!holds(
            "zL",
            &[Value::Null, text("x")],
            entry(five.clone(), "w")
        ));
        let list = Argument::List(some(&[text("y"), Value::Null, text("x"), text("y")]));
        let parts = bounds(&path, "eE", &[Argument::One(five.clone()), list])
            .parts
            .unwrap();
        assert_eq!(parts.len(), 2);
        assert!(parts[0].contains(&entry(five.clone(), "x")));
        assert!(parts[1].contains(&entry(five.clone(), "y")));
        let list = Argument::List(some(&[text("y"), Value::Integer(1)]));
        let bounds_of_numbers = bounds(&path, "eE", &[Argument::One(five.clone()), list]);
        assert!(bounds_of_numbers.parts.is_none());
        assert!(bounds_of_numbers.range.contains(&entry(five.clone(), "01")));
        // A unique index's entries end with the columns, but where one is NULL.
        let unique = Path::index(&schema, &[part(1)], true);
        let mut bytes = Vec::new();
        key::encode_nullable(&five, Collation::Binary, &mut bytes);
        let range = bounds(&unique, "e", &some(&[five])).range;
        assert!(range == KeyRange::point(&bytes));
        let nulls = bounds(&unique, "z", &some(&[Value::Null])).range;
        assert!(nulls.contains(&[key::NULL, 1, 2, 3]));
    }

    /// A list behind a NULL was as many points, which no entry is: it has the row's key behind its columns then.
    #[test]
    fn a_list_behind_null_finds_entries_of_a_unique_index() {
        let schema = TableSchema::parse(&[
            "id INTEGER PRIMARY KEY",
            "a INTEGER",
            "b TEXT",
            "c DECIMAL(10, 2)",
        ])
        .unwrap();
        let text = |text: &str| Value::Text(text.into());
        for (column, values) in [(2, [text("x"), text("y")]), (3, [text("1.5"), text("2")])] {
            let path = Path::index(&schema, &[part(1), part(column)], true);
            let [first, second] = &values;
            let entry = |a: &Value, value: &Value| {
                let stored = path.kind(1).stored(value).unwrap_or(value.clone());
                let mut bytes = Vec::new();
                key::encode_nullable(a, Collation::Binary, &mut bytes);
                key::encode_nullable(&stored, Collation::Binary, &mut bytes);
                bytes
            };
            let parts = |letters: &str, a: &Value| {
                let list = some(&[second.clone(), Value::Null, first.clone()]);
                let arguments = [Argument::One(a.clone()), Argument::List(list)];
                bounds(&path, letters, &arguments).parts.unwrap()
            };
            let five = Value::Integer(5);
            let points = [first, second].map(|value| KeyRange::point(&entry(&five, value)));
            assert_eq!(parts("eE", &five), points);
            assert_eq!(parts("iE", &five), points);
            for letters in ["zE", "iE"] {
                let found = parts(letters, &Value::Null);
                assert_eq!(found.len(), 2, "{letters}: NULL in the list equals nothing");
                for (range, value) in found.iter().zip([first, second]) {
                    let mut entry = entry(&Value::Null, value);
                    entry.extend_from_slice(&integer_key(7));
                    assert!(range.contains(&entry), "{letters}");
                }
            }
        }
    }

    #[test]
    fn a_list_is_as_many_parts_of_the_key_unless_one_value_can_equal_several() {
        let schema = TableSchema::parse(&["price DECIMAL(10, 2) PRIMARY KEY"]).unwrap();
        let path = Path::key(&schema);
        let text = |text: &str| Value::Text(text.into());
        let parts = |values: &[Value]| {
            let list = Argument::List(some(values));
            bounds(&path, "E", &[list]).parts
        };
        let five = Value::Integer(5);
        let values = [
            text("19.99"),
            five.clone(),
            text("5.0"),
            text("none"),
            Value::Null,
        ];
        let found = parts(&values).unwrap();
        let key_of = |value: &Value| {
            let mut bytes = Vec::new();
            let stored = path.kind(0).stored(value).unwrap();
            key::encode(&stored, Collation::Binary, &mut bytes);
            bytes
        };
        let wanted = [five, text("19.99")].map(|value| KeyRange::point(&key_of(&value)));
        assert_eq!(found, wanted);
        assert_eq!(parts(&[Value::Null]), Some(Vec::new()));
        // SQLite compares the text of the float.
        assert_eq!(parts(&[text("5"), Value::Real(5.0)]), None);
    }

    /// An integer of a column with a numeric type was one DECIMAL, though to SQLite it equals all whose nearest float it is; and that of a column
    /// without a type was a lower bound, though to SQLite every text is above it.
    #[test]
    fn an_integer_bounds_decimals_as_sqlite_compares_them() {
        let holds = |kind: &str, letters: &str, integer: i64, decimal: &str| {
            let column = format!("d DECIMAL({kind}) PRIMARY KEY");
            let schema = TableSchema::parse(&[&column]).unwrap();
            let path = Path::key(&schema);
            let stored = path.kind(0).stored(&Value::Text(decimal.into())).unwrap();
            let mut key = Vec::new();
            key::encode(&stored, Collation::Binary, &mut key);
            let bounds = bounds(&path, letters, &some(&[Value::Integer(integer)]));
            bounds.range.contains(&key)
        };
        assert!(holds("38, 20", "e", 5, "5.00000000000000000001"));
        assert!(holds("38, 20", "l", 5, "5.00000000000000000001"));
        assert!(holds("20, 2", "e", 1 << 53, "9007199254740993"));
        assert!(holds(
            "38, 20",
            "e",
            10i64.pow(18),
            "999999999999999999.99999999999999999999"
        ));
        assert!(holds("10, 2", "g", 0, "-1") && holds("10, 2", "G", 0, "-1"));
        assert!(!holds("10, 2", "h", 0, "-1") && holds("10, 2", "h", 0, "0"));
        assert!(!holds("10, 2", "H", 0, "0") && holds("10, 2", "H", 0, "0.01"));
        // What a float tells apart is one key.
        assert!(holds("20, 2", "e", 5, "5") && !holds("20, 2", "e", 5, "5.01"));
        assert!(holds("10, 2", "l", 5, "5") && !holds("10, 2", "l", 5, "5.01"));
        assert!(holds("15, 2", "e", 9_999_999_999_999, "9999999999999"));
        assert!(!holds("15, 2", "e", 9_999_999_999_999, "9999999999999.01"));
    }

    #[test]
    fn texts_are_bounded_as_their_collation_has_them() {
        let schema = TableSchema::parse(&[
            "a TEXT COLLATE NOCASE",
            "b TEXT COLLATE RTRIM",
            "PRIMARY KEY (a, b)",
        ])
        .unwrap();
        let path = Path::key(&schema);
        let text = |text: &str| Value::Text(text.into());
        let key_of = |a: &str, b: &str| {
            let mut bytes = Vec::new();
            key::encode(&text(a), Collation::NoCase, &mut bytes);
            key::encode(&text(b), Collation::RTrim, &mut bytes);
            bytes
        };
        let holds = |letters: &str, values: &[&str], key: Vec<u8>| {
            let values: Vec<Value> = values.iter().map(|value| text(value)).collect();
            bounds(&path, letters, &some(&values)).range.contains(&key)
        };
        assert!(holds("e", &["ABC"], key_of("abc", "x")));
        assert!(holds("ee", &["aBc", "x "], key_of("Abc", "x   ")));
        assert!(!holds("ee", &["aBc", "x"], key_of("abc", "X")));
        assert!(holds("gL", &["ABC", "ABD"], key_of("abcd", "")));
        assert!(!holds("G", &["ABC"], key_of("abc", "x")));
        assert!(holds("l", &["ABC"], key_of("abc", "x")));
        // `_` stands between the two cases of the letters.
        assert!(holds("L", &["A"], key_of("_", "")));
        assert!(!holds("eG", &["a", "x"], key_of("A", "x ")));
        let index = Path::index(
            &schema,
            path.columns[..1]
                .iter()
                .flatten()
                .copied()
                .collect::<Vec<_>>()
                .as_slice(),
            true,
        );
        let list = Argument::List(some(&[text("A"), text("b"), text("a")]));
        assert_eq!(bounds(&index, "E", &[list]).parts.unwrap().len(), 2);
    }
}
