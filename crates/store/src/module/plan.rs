//! What the query planner and a cursor tell each other: which constraints go into the scan.
//!
//! The plan travels as SQLite's `idxStr`: words for people, which EXPLAIN QUERY PLAN shows (`id>=? AND id<? ORDER BY key`), a bar, one letter for
//! each argument of xFilter, then the mask of used columns in hexadecimal. Letters `e` fix the key's columns from the first on; `g`, `G`, `l`,
//! `L` bound the next one; `n` and `o` are the LIMIT and the OFFSET, as a hint of how much will be read. SQLite checks every constraint again (`omit` is never set), so a scan may return more than was asked for, never less.

use std::ffi::{CStr, c_char, c_int};

use rusqlite::ffi;

use crate::key;
use crate::schema::{ColumnType, KeyKind, TableSchema, calendar};
use crate::table::range::KeyRange;
use crate::value::Value;

/// `idxNum`'s bit for a scan from the greatest key down.
pub const DESCENDING: c_int = 1;

/// SQLite's number for the row id among columns.
const ROWID: c_int = -1;

/// A scan's bounds, from a plan and its arguments.
pub struct Bounds {
    /// The keys that can match.
    pub range: KeyRange,
    /// How many rows will be taken, if that is known.
    pub rows_expected: Option<usize>,
}

/// Fills SQLite's record for xBestIndex.
///
/// # Safety
/// `info` must be SQLite's record, for the duration of xBestIndex.
pub unsafe fn best_index(schema: &TableSchema, rows: f64, info: *mut ffi::sqlite3_index_info) {
    // SAFETY: the caller's promise: the arrays have the lengths that stand beside them.
    let (record, constraints, usages, order) = unsafe {
        let record = &mut *info;
        (
            &mut *info,
            slice(record.aConstraint, record.nConstraint),
            std::slice::from_raw_parts_mut(
                record.aConstraintUsage,
                record.nConstraint.max(0) as usize,
            ),
            slice(record.aOrderBy, record.nOrderBy),
        )
    };
    let key_columns: Vec<c_int> = match schema.key {
        KeyKind::RowId => vec![ROWID],
        _ => schema
            .key_columns()
            .iter()
            .map(|column| *column as c_int)
            .collect(),
    };
    let usable = |position: &usize, column: c_int, operators: &[u32]| {
        let constraint = &constraints[*position];
        let is_key_column =
            constraint.iColumn == column || (constraint.iColumn == ROWID && schema.has_rowid());
        // SAFETY: the position is a constraint's; SQLite returns a static name.
        let collation =
            || unsafe { CStr::from_ptr(ffi::sqlite3_vtab_collation(info, *position as c_int)) };
        let own = usize::try_from(column)
            .map_or("BINARY", |column| schema.columns[column].collation_name());
        constraint.usable != 0
            && is_key_column
            && operators.contains(&u32::from(constraint.op))
            && collation().to_bytes() == own.as_bytes()
    };
    let all: Vec<usize> = (0..constraints.len()).collect();
    let mut plan = String::new();
    let mut argument_count = 0;
    let mut take = |position: usize, letter: char, plan: &mut String| {
        argument_count += 1;
        usages[position].argvIndex = argument_count;
        plan.push(letter);
    };
    let mut fixed = 0;
    while let Some(column) = key_columns.get(fixed) {
        let Some(position) = all
            .iter()
            .find(|p| usable(p, *column, &[ffi::SQLITE_INDEX_CONSTRAINT_EQ as u32]))
        else {
            break;
        };
        take(*position, 'e', &mut plan);
        fixed += 1;
    }
    let is_unique = fixed > 0 && fixed == key_columns.len();
    let (mut has_lower, mut has_upper) = (false, false);
    if let Some(column) = key_columns.get(fixed) {
        let lower = [
            ('g', ffi::SQLITE_INDEX_CONSTRAINT_GE),
            ('G', ffi::SQLITE_INDEX_CONSTRAINT_GT),
        ];
        let upper = [
            ('l', ffi::SQLITE_INDEX_CONSTRAINT_LE),
            ('L', ffi::SQLITE_INDEX_CONSTRAINT_LT),
        ];
        for (bounds, taken) in [(lower, &mut has_lower), (upper, &mut has_upper)] {
            let found = bounds.iter().find_map(|(letter, operator)| {
                let position = all
                    .iter()
                    .find(|p| usable(p, *column, &[*operator as u32]))?;
                Some((*position, *letter))
            });
            if let Some((position, letter)) = found {
                take(position, letter, &mut plan);
                *taken = true;
            }
        }
    }
    // LIMIT tells how much will be read only if nothing is filtered out above.
    let pushed = plan.len();
    let others = constraints.iter().filter(|c| !is_limit(c.op)).count();
    if pushed == others {
        for (letter, operator) in [
            ('n', ffi::SQLITE_INDEX_CONSTRAINT_LIMIT),
            ('o', ffi::SQLITE_INDEX_CONSTRAINT_OFFSET),
        ] {
            if let Some(position) = all.iter().find(|p| {
                u32::from(constraints[**p].op) == operator as u32 && constraints[**p].usable != 0
            }) {
                take(*position, letter, &mut plan);
            }
        }
    }
    let mut words = in_words(schema, &plan);
    let rest_of_key = &key_columns[fixed.min(key_columns.len())..];
    if let Some(is_descending) = order_of_key(
        order,
        &key_columns[..fixed],
        rest_of_key,
        schema.has_rowid(),
    ) {
        record.orderByConsumed = 1;
        words.push_str(" ORDER BY key");
        if is_descending {
            record.idxNum |= DESCENDING;
            words.push_str(" DESC");
        }
    }
    let share = match (is_unique, fixed, has_lower, has_upper) {
        (true, ..) => 1.0 / rows.max(1.0),
        (_, 1.., ..) => 1.0 / 256.0,
        (_, 0, true, true) => 1.0 / 16.0,
        (_, 0, false, false) => 1.0,
        _ => 1.0 / 4.0,
    };
    record.estimatedRows = (rows * share).max(1.0) as i64;
    record.estimatedCost = if is_unique { 5.0 } else { 10.0 + rows * share };
    // A DELETE or UPDATE of a unique scan looks at one row. A number can equal several texts, and is left to SQLite.
    let is_text = |column: &c_int| {
        usize::try_from(*column).is_ok_and(|column| schema.columns[column].kind == ColumnType::Text)
    };
    if is_unique && !key_columns.iter().any(is_text) {
        record.idxFlags |= ffi::SQLITE_INDEX_SCAN_UNIQUE;
    }
    let plan = format!("{}|{plan};{:x}\0", words.trim_start(), record.colUsed);
    // SAFETY: the string is copied, with its NUL, into SQLite's memory, which SQLite frees.
    unsafe {
        let copy = ffi::sqlite3_malloc64(plan.len() as u64).cast::<c_char>();
        if !copy.is_null() {
            std::ptr::copy_nonoverlapping(plan.as_ptr(), copy.cast(), plan.len());
            record.idxStr = copy;
            record.needToFreeIdxStr = 1;
        }
    }
}

/// What is pushed down, for EXPLAIN QUERY PLAN.
fn in_words(schema: &TableSchema, letters: &str) -> String {
    let name = |place: usize| match schema.key {
        KeyKind::RowId => "rowid",
        _ => &schema.columns[schema.key_columns()[place]].name,
    };
    let (mut conditions, mut hints, mut fixed) = (Vec::new(), String::new(), 0);
    for letter in letters.chars() {
        let operator = match letter {
            'e' => "=",
            'g' => ">=",
            'G' => ">",
            'l' => "<=",
            'L' => "<",
            _ => {
                hints.push_str(if letter == 'n' {
                    " LIMIT ?"
                } else {
                    " OFFSET ?"
                });
                continue;
            }
        };
        conditions.push(format!("{}{operator}?", name(fixed)));
        fixed += usize::from(letter == 'e');
    }
    conditions.join(" AND ") + &hints
}

fn is_limit(operator: u8) -> bool {
    [
        ffi::SQLITE_INDEX_CONSTRAINT_LIMIT as u32,
        ffi::SQLITE_INDEX_CONSTRAINT_OFFSET as u32,
    ]
    .contains(&u32::from(operator))
}

/// Whether rows in the key's order are in the wanted order: `Some(true)` from the greatest down, `None` where they aren't.
fn order_of_key(
    order: &[ffi::sqlite3_index_orderby],
    fixed: &[c_int],
    rest: &[c_int],
    has_rowid: bool,
) -> Option<bool> {
    let first = order.first()?;
    let mut rest = rest.iter();
    for term in order {
        if term.desc != first.desc {
            return None;
        }
        let is_rowid = has_rowid && term.iColumn == ROWID;
        if fixed.contains(&term.iColumn) {
            continue;
        }
        match rest.next() {
            Some(column) if *column == term.iColumn || is_rowid => {}
            // Behind the whole key nothing is left to sort; the row id is the whole key of a table without one.
            None if is_rowid => {}
            _ => return None,
        }
    }
    Some(first.desc != 0)
}

/// The columns of a plan, and its letters.
pub fn parse(plan: &str) -> (&str, u64) {
    let (_, plan) = plan.rsplit_once('|').unwrap_or(("", plan));
    let (letters, mask) = plan.split_once(';').unwrap_or((plan, ""));
    (letters, u64::from_str_radix(mask, 16).unwrap_or(u64::MAX))
}

/// For each letter of a plan, whether SQLite compares its value as a number if it looks like one: so with a numeric column of the key.
pub fn are_numeric(schema: &TableSchema, letters: &str) -> Vec<bool> {
    let mut fixed = 0;
    let is_numeric = |letter: char| {
        let kind = kind_of(schema, fixed);
        fixed += usize::from(letter == 'e');
        !matches!(letter, 'n' | 'o') && kind != ColumnType::Blob && kind.affinity() != "TEXT"
    };
    letters.chars().map(is_numeric).collect()
}

/// The type of a column of the key; an integer where there is none, as the row id is one.
fn kind_of(schema: &TableSchema, place: usize) -> ColumnType {
    schema
        .key_columns()
        .get(place)
        .map_or(ColumnType::Integer, |column| schema.columns[*column].kind)
}

/// The bounds that a plan's letters and their values mean. What is `None` cannot be compared here.
pub fn bounds(schema: &TableSchema, letters: &str, values: &[Option<Value>]) -> Bounds {
    let mut prefix = Vec::new();
    let mut range: Option<KeyRange> = None;
    let mut is_exact = true;
    let (mut limit, mut offset) = (None, 0);
    let kind_of = |place: usize| kind_of(schema, place);
    let mut fixed = 0;
    for (letter, value) in letters.chars().zip(values) {
        let Some(value) = value else {
            // It equals nothing but a text.
            if letter == 'e' && kind_of(fixed) != ColumnType::Text {
                range = Some(nothing());
            }
            is_exact = false;
            continue;
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
            _ if *value == Value::Null => range = Some(nothing()),
            'e' => {
                let kind = kind_of(fixed);
                fixed += 1;
                match convert(kind, value) {
                    Converted::Exactly(value) if is_exact => key::encode(&value, &mut prefix),
                    Converted::Never => range = Some(nothing()),
                    _ => is_exact = false,
                }
            }
            _ if is_exact => {
                let kind = kind_of(fixed);
                let bounded = bound(kind, letter, value, &prefix);
                range = Some(range.unwrap_or_default().intersect(&bounded));
            }
            _ => {}
        }
    }
    let whole_key = fixed > 0 && fixed == schema.key_columns().len().max(1) && is_exact;
    let fixed_range = match (prefix.is_empty(), whole_key) {
        (true, _) => KeyRange::all(),
        (false, true) => KeyRange::point(&prefix),
        (false, false) => KeyRange::prefix(&prefix),
    };
    let range = range.map_or(fixed_range.clone(), |range| range.intersect(&fixed_range));
    Bounds {
        range,
        rows_expected: limit.map(|limit| limit.saturating_add(offset)),
    }
}

fn nothing() -> KeyRange {
    KeyRange {
        lower: Some(key::Key::from(&[][..])),
        upper: Some(key::Key::from(&[][..])),
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

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// Below 2^53 every integer is a float.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// The keys behind `prefix` whose next column is bounded by a value.
fn bound(kind: ColumnType, letter: char, value: &Value, prefix: &[u8]) -> KeyRange {
    let of_prefix = if prefix.is_empty() {
        KeyRange::all()
    } else {
        KeyRange::prefix(prefix)
    };
    // An integer column bounded by a float: by the next integer inside.
    let (letter, value) = match (kind, value) {
        (ColumnType::Integer, Value::Real(real)) if real.abs() < EXACT_INTEGERS => match letter {
            'g' => ('g', Value::Integer(real.ceil() as i64)),
            'G' => ('G', Value::Integer(real.floor() as i64)),
            'l' => ('l', Value::Integer(real.floor() as i64)),
            _ => ('L', Value::Integer(real.ceil() as i64)),
        },
        // The text of a day stands before those of all its times.
        (ColumnType::Timestamp, Value::Text(text)) if calendar::parse_date(text).is_some() => {
            let Some(midnight) = kind.stored(value) else {
                return of_prefix;
            };
            (
                if matches!(letter, 'g' | 'G') {
                    'g'
                } else {
                    'L'
                },
                midnight,
            )
        }
        _ => match convert(kind, value) {
            Converted::Exactly(value) => (letter, value),
            _ => return of_prefix,
        },
    };
    let mut bytes = prefix.to_vec();
    key::encode(&value, &mut bytes);
    let at = key::Key::from(&bytes[..]);
    // Every key that begins with the bound's bytes has the bound's value in that column; behind the last of them there may be no key at all.
    let after = key::successor_of_prefix(&bytes).map(key::Key::from);
    let range = match (letter, after) {
        ('g', _) => KeyRange {
            lower: Some(at),
            upper: None,
        },
        ('G', None) => nothing(),
        ('G', lower) => KeyRange { lower, upper: None },
        ('l', upper) => KeyRange { lower: None, upper },
        _ => KeyRange {
            lower: None,
            upper: Some(at),
        },
    };
    range.intersect(&of_prefix)
}

/// # Safety
/// `start` must have `count` elements, for as long as the result is used.
unsafe fn slice<'a, T>(start: *const T, count: c_int) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: the caller's promise.
        Ok(count) if count > 0 && !start.is_null() => unsafe {
            std::slice::from_raw_parts(start, count)
        },
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer_key(value: i64) -> Vec<u8> {
        key::encode_integer(value).to_vec()
    }

    fn some(values: &[Value]) -> Vec<Option<Value>> {
        values.iter().cloned().map(Some).collect()
    }

    #[test]
    fn a_plan_is_told_in_words_and_read_back() {
        let schema =
            TableSchema::parse(&["a TEXT", "\"b|c\" INTEGER", "PRIMARY KEY (a, \"b|c\")"]).unwrap();
        let words = in_words(&schema, "egLno");
        assert_eq!(words, "a=? AND b|c>=? AND b|c<? LIMIT ? OFFSET ?");
        assert_eq!(parse(&format!("{words}|egLno;1f")), ("egLno", 0x1F));
    }

    #[test]
    fn bounds_hold_what_matches_and_little_else() {
        let schema = TableSchema::parse(&["id INTEGER PRIMARY KEY", "x TEXT"]).unwrap();
        let holds = |letters: &str, values: &[Value], id: i64| {
            bounds(&schema, letters, &some(values))
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
            key::encode(&Value::Text(a.into()), &mut bytes);
            key::encode(&Value::Integer(b), &mut bytes);
            bytes
        };
        let first = bounds(&schema, "e", &some(&[Value::Text("x".into())])).range;
        assert!(first.contains(&key_of("x", i64::MIN)) && first.contains(&key_of("x", i64::MAX)));
        assert!(!first.contains(&key_of("xa", 0)) && !first.contains(&key_of("w", 0)));
        let both = bounds(
            &schema,
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
        let text = bounds(&schema, "l", &some(&[Value::Text("x".into())])).range;
        assert!(text.contains(&key_of("x", 9)) && !text.contains(&key_of("xa", 0)));
    }

    /// The greatest integer has no successor among the prefixes: the bound was taken for a whole key then, and what stood behind it in a
    /// composite key was outside.
    #[test]
    fn the_greatest_integer_bounds_a_composite_key() {
        let schema = TableSchema::parse(&["a INTEGER", "b TEXT", "PRIMARY KEY (a, b)"]).unwrap();
        let mut key = integer_key(i64::MAX);
        key::encode(&Value::Text("x".into()), &mut key);
        let holds = |letters: &str| {
            bounds(&schema, letters, &some(&[Value::Integer(i64::MAX)]))
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
            &schema,
            "gno",
            &some(&[Value::Integer(1), Value::Integer(10), Value::Integer(5)]),
        );
        assert_eq!(bounds.rows_expected, Some(15));
    }
}
