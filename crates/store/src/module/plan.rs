//! What the query planner and a cursor tell each other: which constraints go into the scan, and along what it goes.
//!
//! The plan travels as SQLite's `idxStr`: words for people, which EXPLAIN QUERY PLAN shows (`id>=? AND id<? ORDER BY key`), a bar, one letter for
//! each argument of xFilter, then the mask of used columns in hexadecimal, with a `!` where
//! rows must come in the order of the scan, and, for an index, its number and columns, with a letter behind one that is in another order than
//! BINARY. SQLite checks every
//! constraint again (`omit` is never set), so a scan may return more than was asked for, never less.
//!
//! | letter | means |
//! |---|---|
//! | `e`, `i`, `z` | `=`, `IS`, `IS NULL`: fix the columns from the first on |
//! | `E` | `IN` for a TEXT or DECIMAL column, all values at once: fixes the column as the last one |
//! | `g`, `G`, `l`, `L`, `m` | `>=`, `>`, `<=`, `<`, `IS NOT NULL`: bound the next one |
//! | `h`, `H` | `>=`, `>` with a number that stands in the statement: it is no column's, so that a TEXT or DECIMAL one makes it a text |
//! | `n`, `o` | LIMIT and OFFSET, as a hint of how much will be read |

use std::ffi::{CStr, c_char, c_int};
use std::sync::Arc;

use rusqlite::ffi;

use super::bounds::Path;
use crate::collation::Collation;
use crate::index::Index;
use crate::schema::{ColumnType, KeyPart, TableSchema};
use crate::table::TableId;

/// `idxNum`'s bit for a scan from the greatest key down.
pub const DESCENDING: c_int = 1;

/// SQLite's number for the row id among columns.
const ROWID: c_int = -1;

/// What a row costs that is looked up for an index's entry, where a scanned one costs 1.
const LOOKUP_COST: f64 = 6.0;

/// Rows that a LIMIT asks for where the planner doesn't know.
const LIMIT_UNKNOWN: f64 = 100.0;

/// Values of an IN, as SQLite guesses for a subquery.
const LIST_VALUES: f64 = 25.0;

/// A plan, read back.
#[derive(Debug, PartialEq)]
pub struct Plan<'a> {
    /// One for each argument of xFilter.
    pub letters: &'a str,
    /// The columns that are used, a bit each.
    pub mask: u64,
    /// Whether rows must come in the order of the scan.
    pub is_ordered: bool,
    /// The index that the scan goes along, by number, and its columns.
    pub index: Option<(TableId, Vec<KeyPart>)>,
}

/// A way to go, and what it would cost.
struct Candidate<'a> {
    path: Path<'a>,
    index: Option<&'a Index>,
    letters: String,
    /// The constraints that the letters stand for.
    taken: Vec<usize>,
    /// `Some(true)` where rows come in the wanted order from the greatest down; `None` where they don't come in it.
    order: Option<bool>,
    is_one_row: bool,
    rows: f64,
    cost: f64,
}

/// SQLite's record, as far as it is read.
struct Question<'a> {
    schema: &'a TableSchema,
    info: *mut ffi::sqlite3_index_info,
    constraints: &'a [ffi::sqlite3_index_constraint],
    order: &'a [ffi::sqlite3_index_orderby],
    rows: f64,
}

/// Fills SQLite's record for xBestIndex.
///
/// # Safety
/// `info` must be SQLite's record, for the duration of xBestIndex.
pub unsafe fn best_index(
    schema: &TableSchema,
    indexes: &[Arc<Index>],
    rows: f64,
    info: *mut ffi::sqlite3_index_info,
) {
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
    let question = Question {
        schema,
        info,
        constraints,
        order,
        rows,
    };
    let mut best = question.candidate(None);
    for index in indexes {
        // One on a column that was added behind this connection's back serves no statement yet.
        let Some(columns) = index.parts(schema) else {
            continue;
        };
        let candidate = question.candidate(Some((index, &columns)));
        if candidate.total(order) < best.total(order) {
            best = candidate;
        }
    }
    for (argument, (position, letter)) in best.taken.iter().zip(best.letters.chars()).enumerate() {
        usages[*position].argvIndex = argument as c_int + 1;
        if letter == 'E' {
            // SAFETY: the position is a constraint's.
            unsafe { ffi::sqlite3_vtab_in(info, *position as c_int, 1) };
        }
    }
    record.orderByConsumed = best.order.is_some().into();
    if best.order == Some(true) {
        record.idxNum |= DESCENDING;
    }
    record.estimatedRows = best.rows.max(1.0) as i64;
    record.estimatedCost = best.cost;
    // A DELETE or UPDATE of a unique scan looks at one row. A number can equal several texts or decimals, and is left to SQLite.
    let can_be_loose = |place: usize| can_equal_several(best.path.kind(place));
    if best.is_one_row && best.index.is_none() && !(0..best.path.columns.len()).any(can_be_loose) {
        record.idxFlags |= ffi::SQLITE_INDEX_SCAN_UNIQUE;
    }
    let plan = best.told(record.colUsed) + "\0";
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

impl<'a> Question<'a> {
    /// What can be pushed down along an index, or the key.
    fn candidate(&self, index: Option<(&'a Index, &[KeyPart])>) -> Candidate<'a> {
        let path = match index {
            None => Path::key(self.schema),
            Some((index, columns)) => Path::index(self.schema, columns, index.is_unique),
        };
        let index = index.map(|(index, _)| index);
        let (mut letters, mut taken) = (String::new(), Vec::new());
        let mut take = |found: Option<(usize, char)>| {
            if let Some((position, letter)) = found {
                letters.push(letter);
                taken.push(position);
            }
            found.is_some()
        };
        let (mut fixed, mut has_null, mut has_list) = (0, false, false);
        while fixed < path.columns.len() {
            let column = path.columns[fixed];
            let found = self.find(column, &EQUAL);
            let found = found.or_else(|| {
                let null = self.find(column, &NULL).filter(|_| path.is_index);
                has_null |= null.is_some();
                null
            });
            let is_list =
                found.is_some_and(|(position, _)| self.is_list(path.kind(fixed), position));
            let found = found.map(|(position, letter)| match is_list {
                true => (position, 'E'),
                false => (position, letter),
            });
            if !take(found) {
                break;
            }
            fixed += 1;
            if is_list {
                has_list = true;
                break;
            }
        }
        let (mut has_lower, mut has_upper) = (false, false);
        if let Some(column) = path.columns.get(fixed).filter(|_| !has_list) {
            let lower = self.find(*column, &LOWER);
            has_lower = take(lower.map(|(position, letter)| match letter {
                'g' if self.is_number(position) => (position, 'h'),
                'G' if self.is_number(position) => (position, 'H'),
                _ => (position, letter),
            }));
            has_upper = take(self.find(*column, &UPPER));
            if path.is_index && !has_lower && !has_upper {
                take(self.find(*column, &NOT_NULL));
            }
        }
        let is_whole = path.is_unique && fixed == path.columns.len() && !has_null;
        let is_one_row = is_whole && !has_list;
        // A number can equal several values of a column that it fixes.
        let is_loose = |place: usize| {
            can_equal_several(path.kind(place))
                && letters.as_bytes()[place] != b'z'
                && !self.is_text(taken[place])
        };
        // What is in a list comes in the order of its values.
        let order = self.order_of(&path, fixed - usize::from(has_list), is_loose);
        let share = match (is_one_row, fixed, has_lower, has_upper) {
            (true, ..) => 1.0 / self.rows.max(1.0),
            (_, 1.., ..) if !path.is_index => 1.0 / 256.0,
            (_, 1.., has_lower, has_upper) => {
                let bounds = i32::from(has_lower) + i32::from(has_upper);
                1.0 / (64.0 * 8f64.powi(fixed as i32 - 1) * 2f64.powi(bounds))
            }
            (_, 0, true, true) => 1.0 / 16.0,
            (_, 0, false, false) => 1.0,
            _ => 1.0 / 4.0,
        };
        let rows = match is_whole && has_list {
            true => (self.rows * share).min(LIST_VALUES),
            false => self.rows * share,
        };
        // LIMIT tells how much will be read only if nothing is filtered out above.
        let others = self.constraints.iter().filter(|c| !is_limit(c.op)).count();
        let mut read = rows;
        if taken.len() == others {
            for (letter, operator) in [
                ('n', ffi::SQLITE_INDEX_CONSTRAINT_LIMIT),
                ('o', ffi::SQLITE_INDEX_CONSTRAINT_OFFSET),
            ] {
                let position = self.constraints.iter().position(|constraint| {
                    u32::from(constraint.op) == operator as u32 && constraint.usable != 0
                });
                if let Some(position) = position {
                    letters.push(letter);
                    taken.push(position);
                    if letter == 'n' && (order.is_some() || self.order.is_empty()) {
                        read = read.min(self.limit(position));
                    }
                }
            }
        }
        let cost = match (path.is_index, is_one_row) {
            (false, true) => 5.0,
            (true, true) => 10.0,
            (false, false) => 10.0 + rows,
            (true, false) => 15.0 + LOOKUP_COST * read,
        };
        Candidate {
            path,
            index,
            letters,
            taken,
            order,
            is_one_row,
            rows,
            cost,
        }
    }

    /// The first usable constraint of a column with one of the operators, and its letter.
    fn find(&self, part: Option<KeyPart>, operators: &[(char, c_int)]) -> Option<(usize, char)> {
        operators.iter().find_map(|(letter, operator)| {
            let is_it = |position: &usize| {
                let constraint = &self.constraints[*position];
                constraint.usable != 0
                    && self.is_column(constraint.iColumn, part)
                    && u32::from(constraint.op) == *operator as u32
                    && (is_about_null(constraint.op) || self.has_collation(*position, part))
            };
            let position = (0..self.constraints.len()).find(is_it)?;
            Some((position, *letter))
        })
    }

    /// Whether SQLite's number of a column means this one. The row id is another name of an INTEGER PRIMARY KEY.
    fn is_column(&self, number: c_int, part: Option<KeyPart>) -> bool {
        match part.map(|part| part.column) {
            Some(column) if number != ROWID => number == column as c_int,
            Some(column) => self.schema.has_rowid() && self.schema.key_columns() == [column],
            None => number == ROWID,
        }
    }

    /// Whether a constraint compares as the path's column is ordered.
    fn has_collation(&self, position: usize, part: Option<KeyPart>) -> bool {
        // SAFETY: the position is a constraint's; SQLite returns a static name.
        let collation =
            unsafe { CStr::from_ptr(ffi::sqlite3_vtab_collation(self.info, position as c_int)) };
        let own = part.map_or("BINARY", |part| {
            let column = &self.schema.columns[part.column];
            match column.kind {
                ColumnType::Text => part.collation.name(),
                _ => column.collation_name(),
            }
        });
        collation.to_bytes() == own.as_bytes()
    }

    /// Whether a constraint is an IN whose values are to come at once. One after another, each number of a subquery would be a scan of its own,
    /// and of all keys: it can equal several texts.
    fn is_list(&self, kind: ColumnType, position: usize) -> bool {
        can_equal_several(kind)
            // SAFETY: the position is a constraint's; -1 only asks.
            && unsafe { ffi::sqlite3_vtab_in(self.info, position as c_int, -1) } != 0
    }

    /// The LIMIT, as far as it is known.
    fn limit(&self, position: usize) -> f64 {
        let mut value = std::ptr::null_mut();
        // SAFETY: the position is a constraint's; SQLite sets a value that lives as long as xBestIndex.
        unsafe {
            let code = ffi::sqlite3_vtab_rhs_value(self.info, position as c_int, &mut value);
            if code == ffi::SQLITE_OK && !value.is_null() {
                return (ffi::sqlite3_value_int64(value) as f64).max(1.0);
            }
        }
        LIMIT_UNKNOWN
    }

    /// Whether a constraint's value is known to be a text.
    fn is_text(&self, position: usize) -> bool {
        self.known_type(position) == Some(ffi::SQLITE_TEXT)
    }

    /// Whether a constraint's value is known to be a number: so it is no column's, and is made a text where a text column is compared with it.
    fn is_number(&self, position: usize) -> bool {
        matches!(
            self.known_type(position),
            Some(ffi::SQLITE_INTEGER | ffi::SQLITE_FLOAT)
        )
    }

    fn known_type(&self, position: usize) -> Option<c_int> {
        let mut value = std::ptr::null_mut();
        // SAFETY: the position is a constraint's; SQLite sets a value that lives as long as xBestIndex.
        unsafe {
            (ffi::sqlite3_vtab_rhs_value(self.info, position as c_int, &mut value)
                == ffi::SQLITE_OK)
                .then(|| ffi::sqlite3_value_type(value))
        }
    }

    /// Whether rows along the path, its first columns fixed, and the loose ones of them to several values, are in the wanted order. SQLite asks for
    /// orders under columns' own collations only.
    fn order_of(
        &self,
        path: &Path<'_>,
        fixed: usize,
        is_loose: impl Fn(usize) -> bool,
    ) -> Option<bool> {
        let first = self.order.first()?;
        let (fixed, rest) = path.columns.split_at(fixed);
        // Entries with equal columns are in the order of their rows' keys.
        let key = path.is_index.then(|| Path::key(self.schema).columns);
        let rest: Vec<Option<KeyPart>> = rest
            .iter()
            .copied()
            .chain(key.into_iter().flatten())
            .collect();
        let mut at = 0;
        for term in self.order {
            if term.desc != first.desc {
                return None;
            }
            let is_it = |part: &Option<KeyPart>| self.is_column(term.iColumn, *part);
            let is_decided = |part: &Option<KeyPart>| {
                is_it(part) && collation_of(*part).decides(self.own_collation(*part))
            };
            let mut places = fixed.iter().enumerate();
            if places.any(|(place, part)| is_it(part) && is_loose(place)) {
                return None;
            }
            if fixed.iter().chain(&rest[..at]).any(is_decided) {
                continue;
            }
            // A column that is fixed, or came before, orders nothing.
            while let Some(part) = rest.get(at)
                && fixed.iter().chain(&rest[..at]).any(|before| {
                    before.map(|part| part.column) == part.map(|part| part.column)
                        && collation_of(*before).decides(collation_of(*part))
                })
            {
                at += 1;
            }
            let part = rest.get(at).filter(|part| is_it(part))?;
            if collation_of(*part) != self.own_collation(*part) {
                return None;
            }
            at += 1;
        }
        Some(first.desc != 0)
    }

    /// The collation that a column is declared with.
    fn own_collation(&self, part: Option<KeyPart>) -> Collation {
        part.map_or(Collation::Binary, |part| {
            self.schema.columns[part.column].collation
        })
    }
}

/// Whether a number can equal several values of a column.
fn can_equal_several(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Text | ColumnType::Decimal { .. })
}

const EQUAL: [(char, c_int); 2] = [
    ('e', ffi::SQLITE_INDEX_CONSTRAINT_EQ as c_int),
    ('i', ffi::SQLITE_INDEX_CONSTRAINT_IS as c_int),
];
const NULL: [(char, c_int); 1] = [('z', ffi::SQLITE_INDEX_CONSTRAINT_ISNULL as c_int)];
const NOT_NULL: [(char, c_int); 1] = [('m', ffi::SQLITE_INDEX_CONSTRAINT_ISNOTNULL as c_int)];
const LOWER: [(char, c_int); 2] = [
    ('g', ffi::SQLITE_INDEX_CONSTRAINT_GE as c_int),
    ('G', ffi::SQLITE_INDEX_CONSTRAINT_GT as c_int),
];
const UPPER: [(char, c_int); 2] = [
    ('l', ffi::SQLITE_INDEX_CONSTRAINT_LE as c_int),
    ('L', ffi::SQLITE_INDEX_CONSTRAINT_LT as c_int),
];

impl Candidate<'_> {
    /// The cost with that of sorting what doesn't come in the wanted order.
    fn total(&self, order: &[ffi::sqlite3_index_orderby]) -> f64 {
        if order.is_empty() || self.order.is_some() {
            return self.cost;
        }
        self.cost + 0.2 * self.rows * (self.rows + 2.0).log2()
    }

    /// As SQLite's `idxStr`.
    fn told(&self, mask: u64) -> String {
        let mut words = String::new();
        if let Some(index) = self.index {
            words.push_str(&format!("INDEX {} ", index.name.replace(['|', '\0'], " ")));
        }
        words.push_str(in_words(&self.path, &self.letters).trim_start());
        if let Some(is_descending) = self.order {
            words.push_str(if self.index.is_some() {
                " ORDER BY index"
            } else {
                " ORDER BY key"
            });
            words.push_str(if is_descending { " DESC" } else { "" });
        }
        let index = self.index.map(|index| {
            let columns = self.path.columns.iter().flatten();
            let columns: Vec<String> = columns.map(|part| told_part(*part)).collect();
            format!(";{}:{}", index.id, columns.join(","))
        });
        format!(
            "{}|{};{mask:x}{}{}",
            words.trim(),
            self.letters,
            if self.order.is_some() { "!" } else { "" },
            index.unwrap_or_default()
        )
    }
}

/// What is pushed down, for EXPLAIN QUERY PLAN.
fn in_words(path: &Path<'_>, letters: &str) -> String {
    let (mut conditions, mut hints, mut fixed) = (Vec::new(), String::new(), 0);
    for letter in letters.chars() {
        let operator = match letter {
            'e' => "=?",
            'E' => " IN ?",
            'i' => " IS ?",
            'z' => " IS NULL",
            'm' => " IS NOT NULL",
            'g' | 'h' => ">=?",
            'G' | 'H' => ">?",
            'l' => "<=?",
            'L' => "<?",
            _ => {
                hints.push_str(if letter == 'n' {
                    " LIMIT ?"
                } else {
                    " OFFSET ?"
                });
                continue;
            }
        };
        conditions.push(format!("{}{operator}", path.name(fixed)));
        fixed += usize::from(matches!(letter, 'e' | 'i' | 'z'));
    }
    conditions.join(" AND ") + &hints
}

/// Whether a constraint is about NULL, which no collation has to do with.
fn is_about_null(operator: u8) -> bool {
    let operator = c_int::from(operator);
    [NULL, NOT_NULL]
        .iter()
        .any(|[(_, about)]| *about == operator)
}

fn collation_of(part: Option<KeyPart>) -> Collation {
    part.map_or(Collation::Binary, |part| part.collation)
}

/// The letters of the collations that are told behind a column.
const COLLATIONS: [(char, Collation); 2] = [('n', Collation::NoCase), ('r', Collation::RTrim)];

/// A column of an index, for [`parse_part`].
fn told_part(part: KeyPart) -> String {
    let mut letters = COLLATIONS.iter();
    let letter = letters.find(|(_, collation)| *collation == part.collation);
    let letter = letter.map(|(letter, _)| letter.to_string());
    format!("{}{}", part.column, letter.unwrap_or_default())
}

fn parse_part(text: &str) -> Option<KeyPart> {
    let mut letters = COLLATIONS.iter();
    let found = letters.find_map(|(letter, collation)| {
        let column = text.strip_suffix(*letter)?;
        Some((column, *collation))
    });
    let (column, collation) = found.unwrap_or((text, Collation::Binary));
    Some(KeyPart {
        column: column.parse().ok()?,
        collation,
    })
}

fn is_limit(operator: u8) -> bool {
    [
        ffi::SQLITE_INDEX_CONSTRAINT_LIMIT as u32,
        ffi::SQLITE_INDEX_CONSTRAINT_OFFSET as u32,
    ]
    .contains(&u32::from(operator))
}

/// A plan, from SQLite's `idxStr`.
pub fn parse(plan: &str) -> Plan<'_> {
    let (_, plan) = plan.rsplit_once('|').unwrap_or(("", plan));
    let mut parts = plan.split(';');
    let letters = parts.next().unwrap_or_default();
    let mask = parts.next().unwrap_or_default();
    let (mask, is_ordered) = match mask.strip_suffix('!') {
        Some(mask) => (mask, true),
        None => (mask, false),
    };
    let index = parts.next().and_then(|index| {
        let (id, columns) = index.split_once(':')?;
        let columns = columns.split(',').map(parse_part);
        Some((id.parse().ok()?, columns.collect::<Option<_>>()?))
    });
    Plan {
        letters,
        mask: u64::from_str_radix(mask, 16).unwrap_or(u64::MAX),
        is_ordered,
        index,
    }
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

    #[test]
    fn a_plan_is_told_in_words_and_read_back() {
        let schema =
            TableSchema::parse(&["a TEXT", "\"b|c\" INTEGER", "PRIMARY KEY (a, \"b|c\")"]).unwrap();
        let words = in_words(&Path::key(&schema), "egLno");
        assert_eq!(words, "a=? AND b|c>=? AND b|c<? LIMIT ? OFFSET ?");
        let plan = parse("a=?|egLno;1f");
        assert!(!plan.is_ordered);
        assert_eq!((plan.letters, plan.mask, plan.index), ("egLno", 0x1F, None));
        let plan = parse("INDEX i b|c IS NULL ORDER BY index|z;3!;12:1,0n,0r");
        assert!(plan.is_ordered);
        let parts = [
            (1, Collation::Binary),
            (0, Collation::NoCase),
            (0, Collation::RTrim),
        ];
        let parts = parts.map(|(column, collation)| KeyPart { column, collation });
        assert_eq!(parts.map(told_part), ["1", "0n", "0r"]);
        assert_eq!(
            (plan.letters, plan.mask, plan.index),
            ("z", 3, Some((12, parts.to_vec())))
        );
    }
}
