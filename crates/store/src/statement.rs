//! SQLite's C interface, as the engine needs it: a connection's handle, statements, values and errors.
//!
//! The engine runs every statement of a connection itself, from inside the module's callbacks too, where only the raw handle is at hand;
//! hence this layer instead of rusqlite's.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{self, NonNull};

use rusqlite::ffi;

use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::quotes::{without_strings, without_values};
use crate::value::Value;

/// The longest pattern of LIKE and GLOB, in bytes.
const PATTERN_SIZE_MAX: c_int = 2000;

/// A connection's handle, borrowed: whoever opened it closes it after the last copy was used.
#[derive(Clone, Copy, Debug)]
pub struct Handle(NonNull<ffi::sqlite3>);

/// A prepared statement.
#[derive(Debug)]
pub struct Statement {
    raw: NonNull<ffi::sqlite3_stmt>,
    handle: Handle,
}

impl Handle {
    /// Opens a database of a VFS.
    pub fn open(path: &str, vfs: &str) -> StoreResult<Handle> {
        let (path, vfs) = (c_string(path)?, c_string(vfs)?);
        let mut raw = ptr::null_mut();
        // SAFETY: the strings end in NUL and outlive the call; SQLite writes `raw`.
        let code = unsafe {
            ffi::sqlite3_open_v2(
                path.as_ptr(),
                &mut raw,
                crate::sqlite::OPEN_FLAGS.bits(),
                vfs.as_ptr(),
            )
        };
        let handle = Handle(
            NonNull::new(raw)
                .ok_or_else(|| StoreError::new(StoreErrorCode::EngineFailed, "out of memory"))?,
        );
        let code = match code {
            // SAFETY: the connection was just opened.
            ffi::SQLITE_OK => unsafe { crate::sqlite::keep_page_sums(handle.raw()) },
            code => code,
        };
        if code == ffi::SQLITE_OK {
            return Ok(handle);
        }
        let error = handle.error(code);
        handle.close();
        Err(error)
    }

    /// The handle that SQLite gave to a callback.
    pub fn from_raw(raw: *mut ffi::sqlite3) -> Option<Handle> {
        NonNull::new(raw).map(Handle)
    }

    /// For SQLite's functions.
    pub fn raw(self) -> *mut ffi::sqlite3 {
        self.0.as_ptr()
    }

    /// Closes the connection, once its last statement is gone.
    pub fn close(self) {
        // SAFETY: the caller uses no copy of the handle from here on, and its statements are gone.
        let code = unsafe { ffi::sqlite3_close(self.raw()) };
        debug_assert_eq!(code, ffi::SQLITE_OK, "a statement outlives its connection");
    }

    /// Prepares the first statement of `sql`; `None` where there is only white space. Also the byte offset behind it.
    pub fn prepare(self, sql: &str) -> StoreResult<(Option<Statement>, usize)> {
        let length = c_int::try_from(sql.len())
            .map_err(|_| StoreError::new(StoreErrorCode::Misuse, "the SQL text is too long"))?;
        let mut raw = ptr::null_mut();
        let mut tail: *const c_char = ptr::null();
        // SAFETY: SQLite reads at most `length` bytes and sets `tail` inside or just behind them.
        let code = unsafe {
            ffi::sqlite3_prepare_v3(
                self.raw(),
                sql.as_ptr().cast(),
                length,
                0,
                &mut raw,
                &mut tail,
            )
        };
        if code != ffi::SQLITE_OK {
            return Err(self.error(code));
        }
        let used = tail.addr().saturating_sub(sql.as_ptr().addr());
        Ok((
            NonNull::new(raw).map(|raw| Statement { raw, handle: self }),
            used,
        ))
    }

    /// Prepares one statement of the engine's own.
    pub fn statement(self, sql: &str) -> StoreResult<Statement> {
        self.prepare(sql)?
            .0
            .ok_or_else(|| StoreError::new(StoreErrorCode::EngineFailed, "an empty statement"))
    }

    /// Runs statements of the engine's own, ignoring rows.
    pub fn execute(self, sql: &str) -> StoreResult<()> {
        let mut rest = sql;
        while !rest.is_empty() {
            let (statement, used) = self.prepare(rest)?;
            if let Some(mut statement) = statement {
                while statement.step()? {}
            }
            rest = &rest[used..];
        }
        Ok(())
    }

    /// Whether no explicit transaction is open.
    pub fn is_autocommit(self) -> bool {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_get_autocommit(self.raw()) != 0 }
    }

    /// Bounds the bytes of a value, a row and a statement's text: what exceeds them is [`StoreErrorCode::TooBig`].
    pub fn limit_values(self, size_max: c_int) {
        // SAFETY: the connection is open.
        unsafe {
            ffi::sqlite3_limit(self.raw(), ffi::SQLITE_LIMIT_LENGTH, size_max);
            ffi::sqlite3_limit(self.raw(), ffi::SQLITE_LIMIT_SQL_LENGTH, size_max);
            // A pattern is matched by a function that calls itself at each `%`: a longer one ran into the end of a worker's stack.
            ffi::sqlite3_limit(
                self.raw(),
                ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH,
                PATTERN_SIZE_MAX,
            );
        }
    }

    /// Whether a write transaction is open on the database file.
    pub fn writes_main(self) -> bool {
        // SAFETY: the connection is open, the name ends in NUL.
        unsafe { ffi::sqlite3_txn_state(self.raw(), c"main".as_ptr()) == ffi::SQLITE_TXN_WRITE }
    }

    /// The databases that users have attached: schema and path.
    pub fn attached(self) -> Vec<(String, String)> {
        // Behind `main` and `temp`.
        let databases = (2..).map_while(|at| {
            // SAFETY: the connection is open; both strings end in NUL, and are copied before anything is attached or detached.
            unsafe {
                let schema = ffi::sqlite3_db_name(self.raw(), at);
                let file = match schema.is_null() {
                    true => return None,
                    false => ffi::sqlite3_db_filename(self.raw(), schema),
                };
                let file = match file.is_null() {
                    true => String::new(),
                    false => CStr::from_ptr(file).to_string_lossy().into_owned(),
                };
                Some((CStr::from_ptr(schema).to_string_lossy().into_owned(), file))
            }
        });
        databases.collect()
    }

    /// Whether any statement has begun and not ended.
    pub fn has_running_statement(self) -> bool {
        let mut statement = ptr::null_mut();
        loop {
            // SAFETY: the connection is open; SQLite walks its own list.
            statement = unsafe { ffi::sqlite3_next_stmt(self.raw(), statement) };
            if statement.is_null() {
                return false;
            }
            // SAFETY: the statement was just listed.
            if unsafe { ffi::sqlite3_stmt_busy(statement) } != 0 {
                return true;
            }
        }
    }

    /// The number of rows changed by the connection since it was opened.
    pub fn total_changes(self) -> i64 {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_total_changes64(self.raw()) }
    }

    /// The last row id inserted.
    pub fn last_insert_rowid(self) -> i64 {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_last_insert_rowid(self.raw()) }
    }

    /// Sets what [`Handle::last_insert_rowid`] and SQL's `last_insert_rowid()` return.
    pub fn set_last_insert_rowid(self, rowid: i64) {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_set_last_insert_rowid(self.raw(), rowid) }
    }

    /// The error that a call just reported with `code`.
    pub fn error(self, code: c_int) -> StoreError {
        // SAFETY: the connection is open; SQLite's message ends in NUL and is copied at once.
        let (message, extended, offset) = unsafe {
            (
                CStr::from_ptr(ffi::sqlite3_errmsg(self.raw()))
                    .to_string_lossy()
                    .into_owned(),
                ffi::sqlite3_extended_errcode(self.raw()),
                ffi::sqlite3_error_offset(self.raw()),
            )
        };
        let code = if extended & 0xFF == code & 0xFF {
            extended
        } else {
            code
        };
        let mut error = StoreError::new(kind_of(code), without_strings(message));
        error.sqlite_code = Some(code);
        error.offset = (offset >= 0).then_some(offset);
        if error.code == StoreErrorCode::IoError
            && let Some(cause) = crate::sqlite::take_io_error()
        {
            let cause = StoreError::from(cause);
            error.code = cause.code;
            error.message = format!("{}: {}", error.message, cause.message);
        }
        error
    }
}

/// What SQLite's result code means to a user of the store.
pub fn kind_of(code: c_int) -> StoreErrorCode {
    match code {
        ffi::SQLITE_BUSY_SNAPSHOT => return StoreErrorCode::Conflict,
        ffi::SQLITE_LOCKED_VTAB => return StoreErrorCode::TableBusy,
        ffi::SQLITE_CONSTRAINT_DATATYPE => return StoreErrorCode::TypeMismatch,
        ffi::SQLITE_IOERR_NOMEM => return StoreErrorCode::OutOfMemory,
        _ => {}
    }
    match code & 0xFF {
        ffi::SQLITE_NOMEM => StoreErrorCode::OutOfMemory,
        ffi::SQLITE_TOOBIG => StoreErrorCode::TooBig,
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => StoreErrorCode::Busy,
        ffi::SQLITE_CONSTRAINT => StoreErrorCode::Constraint,
        ffi::SQLITE_MISMATCH => StoreErrorCode::TypeMismatch,
        ffi::SQLITE_INTERRUPT | ffi::SQLITE_ABORT => StoreErrorCode::Interrupted,
        ffi::SQLITE_FULL => StoreErrorCode::NoSpace,
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => StoreErrorCode::Corrupt,
        ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN => StoreErrorCode::IoError,
        ffi::SQLITE_PERM | ffi::SQLITE_READONLY | ffi::SQLITE_AUTH => {
            StoreErrorCode::PermissionDenied
        }
        ffi::SQLITE_MISUSE | ffi::SQLITE_RANGE => StoreErrorCode::Misuse,
        ffi::SQLITE_INTERNAL => StoreErrorCode::EngineFailed,
        _ => StoreErrorCode::SqlError,
    }
}

/// SQLite's result code for an error of the store: [`kind_of`] turns it back.
pub fn code_of(error: &StoreError) -> c_int {
    // A failed file operation may have a cause that has a code of its own.
    if let Some(code) = error.sqlite_code
        && kind_of(code) == error.code
    {
        return code;
    }
    match error.code {
        StoreErrorCode::Conflict => ffi::SQLITE_BUSY_SNAPSHOT,
        StoreErrorCode::TableBusy => ffi::SQLITE_LOCKED_VTAB,
        StoreErrorCode::TypeMismatch => ffi::SQLITE_CONSTRAINT_DATATYPE,
        StoreErrorCode::Constraint => ffi::SQLITE_CONSTRAINT,
        StoreErrorCode::Busy => ffi::SQLITE_BUSY,
        StoreErrorCode::Interrupted => ffi::SQLITE_INTERRUPT,
        StoreErrorCode::OutOfMemory => ffi::SQLITE_NOMEM,
        StoreErrorCode::TooBig => ffi::SQLITE_TOOBIG,
        StoreErrorCode::NoSpace => ffi::SQLITE_FULL,
        StoreErrorCode::Corrupt => ffi::SQLITE_CORRUPT_VTAB,
        StoreErrorCode::IoError => ffi::SQLITE_IOERR,
        StoreErrorCode::PermissionDenied => ffi::SQLITE_PERM,
        StoreErrorCode::Misuse => ffi::SQLITE_MISUSE,
        StoreErrorCode::EngineFailed => ffi::SQLITE_INTERNAL,
        _ => ffi::SQLITE_ERROR,
    }
}

/// A run of a statement, which is ready for another when this is dropped: also where a panic ends it, for the next would go on with its rows.
struct Running<'a>(&'a mut Statement);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.reset();
    }
}

impl Statement {
    /// For SQLite's functions.
    pub fn raw(&self) -> *mut ffi::sqlite3_stmt {
        self.raw.as_ptr()
    }

    /// Binds a value to the parameter at `index`, counted from 1.
    pub fn bind(&mut self, index: usize, value: &Value) -> StoreResult<()> {
        let index = c_int::try_from(index).unwrap_or(c_int::MAX);
        let raw = self.raw();
        // SAFETY: SQLite copies text and bytes (SQLITE_TRANSIENT) before the call ends.
        let code = unsafe {
            match value {
                Value::Null => ffi::sqlite3_bind_null(raw, index),
                Value::Integer(value) => ffi::sqlite3_bind_int64(raw, index, *value),
                Value::Real(value) => ffi::sqlite3_bind_double(raw, index, *value),
                Value::Text(value) => ffi::sqlite3_bind_text64(
                    raw,
                    index,
                    value.as_ptr().cast(),
                    value.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                    ffi::SQLITE_UTF8 as u8,
                ),
                Value::Blob(value) if value.is_empty() => ffi::sqlite3_bind_zeroblob(raw, index, 0),
                Value::Blob(value) => ffi::sqlite3_bind_blob64(
                    raw,
                    index,
                    value.as_ptr().cast(),
                    value.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                ),
            }
        };
        self.check(code)
    }

    /// Binds values to the parameters from the first on, after forgetting those bound before.
    pub fn bind_all(&mut self, values: &[Value]) -> StoreResult<()> {
        values
            .iter()
            .enumerate()
            .try_for_each(|(position, value)| self.bind(position + 1, value))
    }

    /// How many parameters there are.
    pub fn parameter_count(&self) -> usize {
        // SAFETY: the statement is alive.
        usize::try_from(unsafe { ffi::sqlite3_bind_parameter_count(self.raw()) })
            .unwrap_or_default()
    }

    /// The name of a parameter, with its `:`, `@` or `$`; `None` for `?`.
    pub fn parameter_name(&self, index: usize) -> Option<String> {
        let index = c_int::try_from(index).ok()?;
        // SAFETY: SQLite returns null or a string that lives as long as the statement.
        unsafe {
            let name = ffi::sqlite3_bind_parameter_name(self.raw(), index);
            (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
        }
    }

    /// Its text, with the names of parameters, not their values.
    fn sql(&self) -> Cow<'_, str> {
        // SAFETY: the statement is alive, its text lives as long and ends in NUL; null where there was no memory for it.
        unsafe {
            let sql = ffi::sqlite3_sql(self.raw());
            match sql.is_null() {
                true => Cow::Borrowed(""),
                false => CStr::from_ptr(sql).to_string_lossy(),
            }
        }
    }

    /// Goes to the next row; false when there is none.
    pub fn step(&mut self) -> StoreResult<bool> {
        // SAFETY: the statement is alive.
        match unsafe { ffi::sqlite3_step(self.raw()) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            code => {
                let mut error = self.handle.error(code);
                error.message = without_values(error.message, &self.sql());
                Err(error)
            }
        }
    }

    /// Runs to the end with these parameters, and is ready to run again.
    pub fn run(&mut self, values: &[Value]) -> StoreResult<()> {
        let running = Running(self);
        running.0.bind_all(values)?;
        while running.0.step()? {}
        Ok(())
    }

    /// The first row's values with these parameters, and is ready to run again.
    pub fn first(&mut self, values: &[Value]) -> StoreResult<Option<Vec<Value>>> {
        let running = Running(self);
        running.0.bind_all(values)?;
        let found = running.0.step()?;
        Ok(found.then(|| {
            (0..running.0.column_count())
                .map(|column| running.0.value(column))
                .collect()
        }))
    }

    /// Ends the run, ready for another. What failed in it was reported by [`Statement::step`].
    pub fn reset(&mut self) {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_reset(self.raw()) };
    }

    /// Whether it changes nothing in the database.
    pub fn is_read_only(&self) -> bool {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_stmt_readonly(self.raw()) != 0 }
    }

    /// How many columns a row has; 0 for statements that return none.
    pub fn column_count(&self) -> usize {
        // SAFETY: the statement is alive.
        usize::try_from(unsafe { ffi::sqlite3_column_count(self.raw()) }).unwrap_or_default()
    }

    /// The columns' names.
    pub fn column_names(&self) -> Vec<String> {
        (0..self.column_count())
            .map(|column| {
                // SAFETY: the column exists; the string is copied at once.
                unsafe {
                    let name = ffi::sqlite3_column_name(self.raw(), column as c_int);
                    if name.is_null() {
                        String::new()
                    } else {
                        CStr::from_ptr(name).to_string_lossy().into_owned()
                    }
                }
            })
            .collect()
    }

    /// A column of the current row.
    pub fn value(&self, column: usize) -> Value {
        let (raw, column) = (self.raw(), column as c_int);
        // SAFETY: the statement is on a row; text and bytes are asked for before their lengths, as SQLite wants it, and copied at once.
        unsafe {
            match ffi::sqlite3_column_type(raw, column) {
                ffi::SQLITE_INTEGER => Value::Integer(ffi::sqlite3_column_int64(raw, column)),
                ffi::SQLITE_FLOAT => Value::Real(ffi::sqlite3_column_double(raw, column)),
                ffi::SQLITE_TEXT => {
                    let start = ffi::sqlite3_column_text(raw, column);
                    Value::Text(
                        String::from_utf8_lossy(bytes(
                            start,
                            ffi::sqlite3_column_bytes(raw, column),
                        ))
                        .into(),
                    )
                }
                ffi::SQLITE_BLOB => {
                    let start = ffi::sqlite3_column_blob(raw, column);
                    Value::Blob(bytes(start.cast(), ffi::sqlite3_column_bytes(raw, column)).into())
                }
                _ => Value::Null,
            }
        }
    }

    /// Writes a column of the current row as MessagePack.
    pub fn write_value(&self, column: usize, into: &mut Vec<u8>) -> StoreResult<()> {
        let (raw, column) = (self.raw(), column as c_int);
        // SAFETY: as in `value`; nothing touches the statement before the bytes are copied.
        let written = unsafe {
            match ffi::sqlite3_column_type(raw, column) {
                ffi::SQLITE_INTEGER => {
                    rmp::encode::write_sint(into, ffi::sqlite3_column_int64(raw, column)).map(drop)
                }
                ffi::SQLITE_FLOAT => {
                    rmp::encode::write_f64(into, ffi::sqlite3_column_double(raw, column))
                }
                ffi::SQLITE_TEXT => {
                    let start = ffi::sqlite3_column_text(raw, column);
                    let text = bytes(start, ffi::sqlite3_column_bytes(raw, column));
                    rmp::encode::write_str(into, &String::from_utf8_lossy(text))
                }
                ffi::SQLITE_BLOB => {
                    let start = ffi::sqlite3_column_blob(raw, column);
                    rmp::encode::write_bin(
                        into,
                        bytes(start.cast(), ffi::sqlite3_column_bytes(raw, column)),
                    )
                }
                _ => {
                    into.push(rmp::Marker::Null.to_u8());
                    Ok(())
                }
            }
        };
        written.map_err(|error| {
            StoreError::new(
                StoreErrorCode::EngineFailed,
                format!("a value cannot be written: {error}"),
            )
        })
    }

    fn check(&self, code: c_int) -> StoreResult<()> {
        if code == ffi::SQLITE_OK {
            Ok(())
        } else {
            Err(self.handle.error(code))
        }
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: the statement is alive, and nobody else has it.
        unsafe { ffi::sqlite3_finalize(self.raw()) };
    }
}

/// The value that SQLite passes to a callback.
///
/// # Safety
/// `raw` must be a valid value of SQLite's.
pub unsafe fn value_of(raw: *mut ffi::sqlite3_value) -> Value {
    // SAFETY: the caller's promise; text and bytes are asked for before their lengths, and copied at once.
    unsafe {
        match ffi::sqlite3_value_type(raw) {
            ffi::SQLITE_INTEGER => Value::Integer(ffi::sqlite3_value_int64(raw)),
            ffi::SQLITE_FLOAT => Value::Real(ffi::sqlite3_value_double(raw)),
            ffi::SQLITE_TEXT => text_of(raw),
            ffi::SQLITE_BLOB => {
                let start = ffi::sqlite3_value_blob(raw);
                Value::Blob(bytes(start.cast(), ffi::sqlite3_value_bytes(raw)).into())
            }
            _ => Value::Null,
        }
    }
}

/// A value as SQLite's text of it.
///
/// # Safety
/// `raw` must be a valid value of SQLite's.
pub unsafe fn text_of(raw: *mut ffi::sqlite3_value) -> Value {
    // SAFETY: the caller's promise; the text is asked for before its length, and copied at once.
    unsafe {
        let start = ffi::sqlite3_value_text(raw);
        Value::Text(String::from_utf8_lossy(bytes(start, ffi::sqlite3_value_bytes(raw))).into())
    }
}

/// Whether a text is UTF-8, which SQLite does not ask for: a CAST makes text of any bytes.
///
/// # Safety
/// `raw` must be a valid value of SQLite's, a text.
pub unsafe fn is_utf8(raw: *mut ffi::sqlite3_value) -> bool {
    // SAFETY: the caller's promise; the text is asked for before its length, and looked at before anything else is.
    unsafe {
        let start = ffi::sqlite3_value_text(raw);
        std::str::from_utf8(bytes(start, ffi::sqlite3_value_bytes(raw))).is_ok()
    }
}

/// A string for SQLite.
pub fn c_string(text: &str) -> StoreResult<CString> {
    CString::new(text)
        .map_err(|_| StoreError::new(StoreErrorCode::Misuse, "a NUL character where none can be"))
}

/// # Safety
/// `start` must be null or have `length` readable bytes for as long as the result is used.
pub unsafe fn bytes<'a>(start: *const u8, length: c_int) -> &'a [u8] {
    match usize::try_from(length) {
        // SAFETY: the caller's promise.
        Ok(length) if length > 0 && !start.is_null() => unsafe {
            std::slice::from_raw_parts(start, length)
        },
        _ => &[],
    }
}
