//! SQLite's virtual table module `tonbo`: how SQL reads and writes Tonbo tables.
//!
//! Every callback catches panics: a panic becomes an SQL error, and the connection goes on. Callbacks run on their connection's thread, while
//! the session runs a statement; they share the session's state through `Shared`.

mod bounds;
mod conflict;
mod filter;
mod integrity;
mod plan;
pub(crate) mod rules;
pub(crate) mod values;

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, Weak};

use rusqlite::ffi;

use crate::catalogue;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::index::maintain::Writer;
use crate::index::scan::Walk;
use crate::index::statement as index_statement;
use crate::key::{self, Key};
use crate::names;
use crate::offending_key::OffendingKey;
use crate::parents;
use crate::routing;
use crate::schema::{KeyKind, TableSchema};
use crate::session::{Purpose, Shared};
use crate::statement::{c_string, code_of, value_of};
use crate::table::rows::Cell;
use crate::table::scan::{Request, Scan};
use crate::table::{Table, TableId};
use crate::transaction::Transaction;
use crate::value::Value;
use rules::Rules;

/// A declared table of one connection. SQLite's part must come first.
#[repr(C)]
struct TableHandle {
    base: ffi::sqlite3_vtab,
    shared: *const Shared,
    id: TableId,
    name: String,
    schema: TableSchema,
    /// The table, or why it couldn't be used when it was declared. Not kept alive: an idle connection that has a dropped table still declared
    /// would keep its files.
    table: StoreResult<Weak<Table>>,
    /// CHECK constraints and defaults, prepared when a statement first needs them.
    rules: RefCell<Option<Rules>>,
}

/// A scan of one statement. SQLite's part must come first.
#[repr(C)]
struct Cursor {
    base: ffi::sqlite3_vtab_cursor,
    scan: Option<Walk>,
    /// For each declared column, its place in the scan's request.
    places: Vec<usize>,
}

/// Not asked for.
const NOWHERE: usize = usize::MAX;

static MODULE: ffi::sqlite3_module = ffi::sqlite3_module {
    iVersion: 4,
    xCreate: Some(x_create),
    xConnect: Some(x_connect),
    xBestIndex: Some(x_best_index),
    xDisconnect: Some(x_disconnect),
    xDestroy: Some(x_destroy),
    xOpen: Some(x_open),
    xClose: Some(x_close),
    xFilter: Some(x_filter),
    xNext: Some(x_next),
    xEof: Some(x_eof),
    xColumn: Some(x_column),
    xRowid: Some(x_rowid),
    xUpdate: Some(x_update),
    xBegin: Some(x_begin),
    xSync: Some(x_sync),
    xCommit: Some(x_commit),
    xRollback: Some(x_rollback),
    xFindFunction: None,
    xRename: Some(x_rename),
    xSavepoint: Some(x_savepoint),
    xRelease: Some(x_release),
    xRollbackTo: Some(x_rollback_to),
    xShadowName: None,
    xIntegrity: Some(x_integrity),
};

/// Makes the module known to a connection.
pub fn register(shared: &Shared) -> StoreResult<()> {
    let client: *const Shared = shared;
    // SAFETY: the module is static; `shared` outlives the connection, as the session sees to it.
    let code = unsafe {
        ffi::sqlite3_create_module_v2(
            shared.handle.raw(),
            c"tonbo".as_ptr(),
            &raw const MODULE,
            client.cast_mut().cast(),
            None,
        )
    };
    if code == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(shared.handle.error(code))
    }
}

/// Runs a callback's body; a panic is an error like others.
fn caught<T>(body: impl FnOnce() -> StoreResult<T>) -> StoreResult<T> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|payload| Err(StoreError::of_panic("a callback of the store", &*payload)))
}

/// Hands a message to SQLite, which frees it.
fn message_for_sqlite(message: &str) -> *mut c_char {
    let Ok(message) = c_string(message) else {
        return ptr::null_mut();
    };
    // SAFETY: `%s` with a string that ends in NUL; SQLite copies it.
    unsafe { ffi::sqlite3_mprintf(c"%s".as_ptr(), message.as_ptr()) }
}

/// Runs the body of a callback that has a table, and leaves its error there.
///
/// # Safety
/// `table` must be what [`x_create`] handed out.
unsafe fn on_table(
    table: *mut ffi::sqlite3_vtab,
    body: impl FnOnce(&TableHandle, &Shared) -> StoreResult<()>,
) -> c_int {
    // SAFETY: the caller's promise; the session outlives its connection's tables.
    let (handle, shared) = unsafe {
        let handle = &*table.cast::<TableHandle>();
        (handle, &*handle.shared)
    };
    let Err(error) = caught(|| body(handle, shared)) else {
        return ffi::SQLITE_OK;
    };
    let error = match error.code {
        // Another connection has dropped it, though `main` still shows it to this transaction.
        StoreErrorCode::NotFound => shared.declared.refuse(&handle.name),
        _ => error,
    };
    // SAFETY: as above; SQLite owns the old message, if there is one.
    unsafe {
        ffi::sqlite3_free((*table).zErrMsg.cast());
        (*table).zErrMsg = message_for_sqlite(&error.message);
    }
    let code = code_of(&error);
    if error.key.is_some() {
        shared.note_refused(error);
    }
    code
}

/// As [`on_table`], for callbacks that have a cursor.
///
/// # Safety
/// `cursor` must be what [`x_open`] handed out.
unsafe fn on_cursor(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    body: impl FnOnce(&mut Cursor, &TableHandle, &Shared) -> StoreResult<()>,
) -> c_int {
    // SAFETY: the caller's promise; SQLite has filled in the cursor's table.
    unsafe {
        on_table((*cursor).pVtab, |handle, shared| {
            body(&mut *cursor.cast::<Cursor>(), handle, shared)
        })
    }
}

unsafe extern "C" fn x_create(
    db: *mut ffi::sqlite3,
    client: *mut c_void,
    count: c_int,
    arguments: *const *const c_char,
    table: *mut *mut ffi::sqlite3_vtab,
    message: *mut *mut c_char,
) -> c_int {
    // SAFETY: SQLite's own arguments, passed on.
    unsafe { declare(db, client, count, arguments, table, message, create) }
}

/// SQLite has read `temp`'s schema again, as after a rollback: the table is in the catalogue.
unsafe extern "C" fn x_connect(
    db: *mut ffi::sqlite3,
    client: *mut c_void,
    count: c_int,
    arguments: *const *const c_char,
    table: *mut *mut ffi::sqlite3_vtab,
    message: *mut *mut c_char,
) -> c_int {
    // SAFETY: SQLite's own arguments, passed on.
    unsafe { declare(db, client, count, arguments, table, message, connect) }
}

/// # Safety
/// The arguments must be those of xCreate or xConnect.
unsafe fn declare(
    db: *mut ffi::sqlite3,
    client: *mut c_void,
    count: c_int,
    arguments: *const *const c_char,
    table: *mut *mut ffi::sqlite3_vtab,
    message: *mut *mut c_char,
    make: impl FnOnce(&Shared, &[String]) -> StoreResult<TableHandle>,
) -> c_int {
    let outcome = caught(|| {
        // SAFETY: SQLite passes what `register` gave it, and `count` strings that end in NUL.
        let (shared, words) = unsafe {
            let words: Vec<String> = (0..count.max(0) as usize)
                .map(|index| {
                    CStr::from_ptr(*arguments.add(index))
                        .to_string_lossy()
                        .into_owned()
                })
                .collect();
            (&*client.cast::<Shared>(), words)
        };
        let handle = make(shared, &words)?;
        let declaration = c_string(&handle.schema.declaration())?;
        // SAFETY: within xCreate, with a string that ends in NUL.
        let code = unsafe { ffi::sqlite3_declare_vtab(db, declaration.as_ptr()) };
        if code != ffi::SQLITE_OK {
            return Err(shared.handle.error(code));
        }
        // SAFETY: within xCreate; the option takes one int.
        unsafe { ffi::sqlite3_vtab_config(db, ffi::SQLITE_VTAB_CONSTRAINT_SUPPORT, 1 as c_int) };
        Ok(Box::new(handle))
    });
    match outcome {
        Ok(handle) => {
            // SAFETY: SQLite gives a place for the pointer; `x_disconnect` frees it.
            unsafe { *table = Box::into_raw(handle).cast() };
            ffi::SQLITE_OK
        }
        Err(error) => {
            // SAFETY: SQLite gives a place for the message and frees it.
            unsafe { *message = message_for_sqlite(&error.message) };
            code_of(&error)
        }
    }
}

/// `words`: the module's name, the schema's, the table's, then the arguments.
fn create(shared: &Shared, words: &[String]) -> StoreResult<TableHandle> {
    let (name, schema) = parse(words)?;
    let store = &shared.store;
    let purpose = shared.purpose.borrow().clone();
    if let Purpose::Declare(entry) = purpose {
        return Ok(TableHandle::of(shared, &entry));
    }
    // Before anything is read: who has read can't wait for the writer of `main`.
    shared.unnoticed(|| catalogue::lock(shared.handle))?;
    if matches!(purpose, Purpose::StatementIfNotExists)
        && let Some(entry) = catalogue::find(shared.handle, name)?
    {
        // Another connection has made it since this one looked last.
        return Ok(TableHandle::of(shared, &entry));
    }
    names::is_free(shared.handle, name, false)?;
    parents::check_name(shared.handle, name)?;
    rules::validate(shared.handle, name, &schema)?;
    let id = store.new_table_id();
    let entry = catalogue::Entry {
        id,
        name: name.to_owned(),
        definition: schema.definition(),
        layout: Some(schema.layout_text()),
    };
    let indexes = shared.unnoticed(|| {
        catalogue::insert(shared.handle, &entry)?;
        index_statement::create_constraints(shared, id, name, &schema)
    })?;
    shared.made.borrow_mut().push(id);
    let table = store.create_table(id, name, schema.clone(), indexes)?;
    Ok(TableHandle::new(shared, id, name, schema, Ok(table)))
}

/// As [`create`], for a table that the catalogue holds.
fn connect(shared: &Shared, words: &[String]) -> StoreResult<TableHandle> {
    let (name, declared) = parse(words)?;
    if let Some(entry) = catalogue::find(shared.handle, name)? {
        // Not as it was declared here: another connection may have altered it.
        return Ok(TableHandle::of(shared, &entry));
    }
    match *shared.purpose.borrow() {
        // Another connection has dropped it since this statement began.
        Purpose::Statement | Purpose::StatementIfNotExists => Err(shared.declared.refuse(name)),
        // SQLite connects what it is told to forget.
        Purpose::Declare(_) | Purpose::Forget => {
            let message = format!("table {name} has been dropped");
            let dropped = StoreError::new(StoreErrorCode::NotFound, message);
            Ok(TableHandle::new(shared, 0, name, declared, Err(dropped)))
        }
    }
}

/// The error for a Tonbo table that is to stand in a schema.
pub fn not_in(schema: &str) -> StoreError {
    StoreError::new(
        StoreErrorCode::Misuse,
        format!("a Tonbo table cannot stand in the schema {schema}: name none"),
    )
}

fn parse(words: &[String]) -> StoreResult<(&str, TableSchema)> {
    let [_, place, name, arguments @ ..] = words else {
        return Err(StoreError::new(
            StoreErrorCode::EngineFailed,
            "a table without a name",
        ));
    };
    if place != "temp" {
        return Err(not_in(place));
    }
    Ok((
        name,
        TableSchema::parse(&routing::column_definitions(arguments))?,
    ))
}

impl TableHandle {
    /// The table; one that could not be opened, because of a fault that may be over, is tried again.
    fn table(&self, shared: &Shared) -> StoreResult<Arc<Table>> {
        match self.table.as_ref().ok().and_then(Weak::upgrade) {
            Some(table) => Ok(table),
            None => shared.store.table(self.id),
        }
    }

    /// Refuses a table that the transaction's snapshot has otherwise than it is declared here.
    fn check_current(&self, shared: &Shared) -> StoreResult<()> {
        let declared = &shared.declared;
        declared.check(shared, self.id, &self.name, &self.schema)
    }

    /// A table of the catalogue.
    fn of(shared: &Shared, entry: &catalogue::Entry) -> TableHandle {
        let table = shared.store.table(entry.id);
        TableHandle::new(
            shared,
            entry.id,
            &entry.name,
            entry.declared_schema(),
            table,
        )
    }

    fn new(
        shared: &Shared,
        id: TableId,
        name: &str,
        schema: TableSchema,
        table: StoreResult<Arc<Table>>,
    ) -> TableHandle {
        TableHandle {
            base: ffi::sqlite3_vtab {
                pModule: ptr::null(),
                nRef: 0,
                zErrMsg: ptr::null_mut(),
            },
            shared,
            id,
            name: name.into(),
            schema,
            table: table.map(|table| Arc::downgrade(&table)),
            rules: RefCell::new(None),
        }
    }

    /// The table's CHECK constraints and defaults.
    fn with_rules<T>(
        &self,
        shared: &Shared,
        body: impl FnOnce(&mut Rules) -> StoreResult<T>,
    ) -> StoreResult<T> {
        let mut rules = self.rules.borrow_mut();
        let rules = match &mut *rules {
            Some(rules) => rules,
            empty => empty.insert(Rules::new(shared.handle, &self.name, &self.schema)?),
        };
        body(rules)
    }

    /// What stands for a NULL that is refused: the column's default with OR REPLACE, as SQLite has it.
    fn default_for_null(&self, shared: &Shared, column: usize) -> StoreResult<Value> {
        // SAFETY: within xUpdate.
        let on_conflict = unsafe { ffi::sqlite3_vtab_on_conflict(shared.handle.raw()) };
        if on_conflict != ffi::SQLITE_REPLACE || self.schema.columns[column].default.is_none() {
            return Ok(Value::Null);
        }
        self.with_rules(shared, |rules| {
            rules.default(&self.schema, &self.name, column)
        })
    }

    /// Refuses a row that a CHECK constraint does not hold for.
    fn check(&self, shared: &Shared, key: &Key, row: &[Value]) -> StoreResult<()> {
        if self.schema.checks.is_empty() {
            return Ok(());
        }
        self.with_rules(shared, |rules| {
            rules.check(&self.schema, key::decode_integer(key), |column| {
                row[column].clone()
            })
        })
    }
}

unsafe extern "C" fn x_disconnect(table: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: `x_create` made it with Box, and SQLite uses it no more.
    drop(unsafe { Box::from_raw(table.cast::<TableHandle>()) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_destroy(table: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out.
    let code = unsafe {
        on_table(table, |handle, shared| {
            shared.note_destroyed();
            if matches!(*shared.purpose.borrow(), Purpose::Statement) {
                shared.unnoticed(|| {
                    catalogue::lock(shared.handle)?;
                    if !catalogue::ids(shared.handle)?.contains(&handle.id) {
                        return Err(shared.declared.refuse(&handle.name));
                    }
                    catalogue::remove(shared.handle, handle.id)?;
                    index_statement::drop_all(shared, handle.id)
                })?;
                shared.dropped.borrow_mut().push(handle.id);
            }
            Ok(())
        })
    };
    if code == ffi::SQLITE_OK {
        // SAFETY: as `x_disconnect`, which SQLite does not call after a success here.
        return unsafe { x_disconnect(table) };
    }
    code
}

unsafe extern "C" fn x_best_index(
    table: *mut ffi::sqlite3_vtab,
    info: *mut ffi::sqlite3_index_info,
) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out, and its own record.
    unsafe {
        on_table(table, |handle, shared| {
            let indexes = filter::indexes(handle, shared)?;
            let rows = row_estimate(handle, shared);
            plan::best_index(&handle.schema, &indexes, rows, info);
            Ok(())
        })
    }
}

/// How many rows the planner should reckon with.
fn row_estimate(handle: &TableHandle, shared: &Shared) -> f64 {
    // A plan outlives the moment: a table that nobody has read to its end is none for which a scan is as good as a look.
    const ROWS_MIN: usize = 1024;
    match shared.store.sequencer.published().tables.get(&handle.id) {
        Some(version) => {
            let (known, is_all) = version.base.known_rows();
            let stored = match is_all {
                true => known,
                false => known
                    .max(version.table.source.estimated_rows())
                    .max(ROWS_MIN),
            };
            (stored + version.delta.len()) as f64
        }
        None => 0.0,
    }
}

unsafe extern "C" fn x_open(
    table: *mut ffi::sqlite3_vtab,
    cursor: *mut *mut ffi::sqlite3_vtab_cursor,
) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out, gives a place for the pointer and fills in the table; `x_close` frees it.
    unsafe {
        on_table(table, |_, _| {
            let fresh = Cursor {
                base: ffi::sqlite3_vtab_cursor {
                    pVtab: ptr::null_mut(),
                },
                scan: None,
                places: Vec::new(),
            };
            *cursor = Box::into_raw(Box::new(fresh)).cast();
            Ok(())
        })
    }
}

unsafe extern "C" fn x_close(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: `x_open` made it with Box, and SQLite uses it no more.
    drop(unsafe { Box::from_raw(cursor.cast::<Cursor>()) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_filter(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    index: c_int,
    plan: *const c_char,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) -> c_int {
    // SAFETY: SQLite passes what `x_open` handed out, the string of `best_index`, and `count` values.
    unsafe {
        on_cursor(cursor, |cursor, handle, shared| {
            let plan = if plan.is_null() {
                ""
            } else {
                CStr::from_ptr(plan).to_str().unwrap_or_default()
            };
            let values = std::slice::from_raw_parts(arguments, count.max(0) as usize);
            filter::start(cursor, handle, shared, index, &plan::parse(plan), values)
        })
    }
}

unsafe extern "C" fn x_next(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: SQLite passes what `x_open` handed out.
    unsafe {
        on_cursor(cursor, |cursor, _, _| match &mut cursor.scan {
            Some(scan) => scan.advance(),
            None => Ok(()),
        })
    }
}

unsafe extern "C" fn x_eof(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: SQLite passes what `x_open` handed out.
    let cursor = unsafe { &*cursor.cast::<Cursor>() };
    cursor.scan.as_ref().is_none_or(Walk::is_done).into()
}

unsafe extern "C" fn x_column(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    context: *mut ffi::sqlite3_context,
    column: c_int,
) -> c_int {
    // SAFETY: SQLite passes what `x_open` handed out, and a context for the result.
    let outcome = caught(|| unsafe {
        let own = &*cursor.cast::<Cursor>();
        let Some(scan) = &own.scan else { return Ok(()) };
        match own.places.get(column as usize) {
            Some(&NOWHERE) => Err(StoreError::new(
                StoreErrorCode::EngineFailed,
                "a column that was not asked for",
            )),
            Some(place) => {
                let cell = scan.cell(*place);
                let handle = &*own.base.pVtab.cast::<TableHandle>();
                match handle.schema.columns[column as usize].kind.show(cell) {
                    Some(text) => return_cell(context, Cell::Text(&text)),
                    None => return_cell(context, cell),
                }
                Ok(())
            }
            None => {
                if let Some(key) = scan.key() {
                    return_cell(context, Cell::Blob(&key));
                }
                Ok(())
            }
        }
    });
    match outcome {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) => code_of(&error),
    }
}

/// # Safety
/// `context` must be a context of SQLite's.
unsafe fn return_cell(context: *mut ffi::sqlite3_context, cell: Cell<'_>) {
    // SAFETY: the caller's promise. SQLite copies text and bytes (SQLITE_TRANSIENT), into a buffer that the register keeps from row to row:
    // it may hold on to a value after the cursor has moved on.
    unsafe {
        match cell {
            Cell::Null => ffi::sqlite3_result_null(context),
            Cell::Integer(value) => ffi::sqlite3_result_int64(context, value),
            Cell::Real(value) => ffi::sqlite3_result_double(context, value),
            Cell::Text(value) => ffi::sqlite3_result_text64(
                context,
                value.as_ptr().cast(),
                value.len() as u64,
                ffi::SQLITE_TRANSIENT(),
                ffi::SQLITE_UTF8 as u8,
            ),
            Cell::Blob([]) => ffi::sqlite3_result_zeroblob(context, 0),
            Cell::Blob(value) => {
                ffi::sqlite3_result_blob64(
                    context,
                    value.as_ptr().cast(),
                    value.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                );
            }
        }
    }
}

unsafe extern "C" fn x_rowid(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    rowid: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes what `x_open` handed out, and a place for the result.
    unsafe {
        on_cursor(cursor, |cursor, _, _| {
            let scan = cursor.scan.as_mut().ok_or_else(|| {
                StoreError::new(StoreErrorCode::EngineFailed, "a row id of no row")
            })?;
            scan.need_key()?;
            *rowid = scan
                .rowid()
                .ok_or_else(|| StoreError::corrupt("a row without its integer key"))?;
            Ok(())
        })
    }
}

unsafe extern "C" fn x_update(
    table: *mut ffi::sqlite3_vtab,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
    rowid: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out, `count` values, and a place for the row id.
    unsafe {
        on_table(table, |handle, shared| {
            let values = std::slice::from_raw_parts(arguments, count.max(0) as usize);
            // Of an INSERT, SQLite takes it for the last row id that was given: a table without row ids leaves that as it was.
            *rowid = match update(handle, shared, values)? {
                Some(inserted) => inserted,
                None => shared.handle.last_insert_rowid(),
            };
            Ok(())
        })
    }
}

/// # Safety
/// `values` must be xUpdate's arguments.
unsafe fn update(
    handle: &TableHandle,
    shared: &Shared,
    values: &[*mut ffi::sqlite3_value],
) -> StoreResult<Option<i64>> {
    let mut transaction = shared.transaction()?;
    handle.check_current(shared)?;
    let table = &handle.table(shared)?;
    // SAFETY: the caller's promise.
    let old = match unsafe { value_of(values[0]) } {
        Value::Null => None,
        Value::Integer(rowid) if handle.schema.has_rowid() => {
            Some(Key::from(&key::encode_integer(rowid)[..]))
        }
        Value::Blob(bytes) => Some(bytes),
        _ => {
            return Err(StoreError::new(
                StoreErrorCode::EngineFailed,
                "a row is named by neither number nor key",
            ));
        }
    };
    let version = transaction.version(&shared.store, table)?;
    let indexes = index_statement::visible(shared, &version)?;
    let writer = Writer {
        store: &shared.store,
        table,
        indexes: &indexes,
    };
    let [old_rowid, new_rowid, columns @ ..] = values else {
        if let Some(old) = old {
            writer.delete(&mut transaction, old)?;
        }
        return Ok(None);
    };
    let old = match old {
        Some(old) if !indexes.is_empty() => match writer.old_row(&transaction, &old)? {
            Some(row) => Some((old, row)),
            // An earlier row of this statement has taken its place: an ordinary table passes over it too.
            None => {
                shared.uncount();
                return Ok(None);
            }
        },
        old => old.map(|old| (old, Vec::new())),
    };
    // SAFETY: the caller's promise: behind the row id stands a value for each declared column.
    let (mut row, given) = unsafe {
        let given = if handle.schema.has_rowid() {
            values::rowid(&handle.schema, &handle.name, *new_rowid)?
        } else {
            None
        };
        let default = |column| handle.default_for_null(shared, column);
        let row = values::row(&handle.schema, &handle.name, columns, default)?;
        (row, given)
    };
    // SAFETY: the caller's promise.
    let was = unsafe { value_of(*old_rowid) };
    if handle.schema.has_rowid() && was != Value::Null && given.is_none() {
        return Err(values::no_rowid(&handle.schema, &handle.name));
    }
    let number = || match given {
        Some(rowid) => Ok(rowid),
        None => next_rowid(shared, &transaction, table),
    };
    if let KeyKind::Integer(position) = handle.schema.key {
        let own = &mut row[position];
        match (&*own, given) {
            (Value::Null, _) if was == Value::Null => *own = Value::Integer(number()?),
            (Value::Null, _) => return Err(values::no_rowid(&handle.schema, &handle.name)),
            // An UPDATE of the row id by that name, which is the column's too.
            (own_value, Some(rowid)) if *own_value == was && was != Value::Integer(rowid) => {
                *own = Value::Integer(rowid);
            }
            _ => {}
        }
    }
    let key = values::key_of(&handle.schema, &row, number)?;
    handle.check(shared, &key, &row)?;
    let row = handle.schema.by_slots(row);
    let mut rivals = Vec::new();
    let old_key = old.as_ref().map(|(key, _)| key);
    if old_key != Some(&key) && transaction.has_row(&shared.store, table, &key)? {
        rivals.push((key.clone(), None));
    }
    let of_indexes = writer.rivals(&transaction, old_key, &row)?;
    rivals.extend(
        of_indexes
            .into_iter()
            .map(|(rival, index)| (rival, Some(index))),
    );
    if let Some(index) = rivals.first().map(|(_, index)| *index) {
        // SAFETY: within xUpdate.
        let on_conflict = unsafe { ffi::sqlite3_vtab_on_conflict(shared.handle.raw()) };
        let failure = || match index {
            None => duplicate(handle),
            Some(index) => index.violation(&handle.name, &handle.schema),
        };
        match on_conflict {
            ffi::SQLITE_REPLACE => {
                for (rival, _) in rivals {
                    writer.delete(&mut transaction, rival)?;
                }
            }
            // SQLite itself passes over the row, and the key is nobody's concern.
            ffi::SQLITE_IGNORE => return Err(failure()),
            _ => {
                let (name, schema) = (&handle.name, &handle.schema);
                return Err(failure().about(match index {
                    None => OffendingKey::of_row(name, schema, &key, |c| row[c.slot].clone()),
                    Some(index) => OffendingKey::of_index(index, name, schema, &row),
                }));
            }
        }
    }
    if handle.schema.has_rowid()
        && let Some(rowid) = key::decode_integer(&key)
    {
        table.note_rowid(rowid);
    }
    let old = old.as_ref().map(|(key, row)| (key, &row[..]));
    writer.put(&mut transaction, old, key.clone(), row)?;
    Ok(if handle.schema.has_rowid() {
        key::decode_integer(&key)
    } else {
        None
    })
}

fn duplicate(handle: &TableHandle) -> StoreError {
    let columns: Vec<String> = handle
        .schema
        .key_columns()
        .iter()
        .map(|column| format!("{}.{}", handle.name, handle.schema.columns[*column].name))
        .collect();
    let (what, code) = match handle.schema.key {
        KeyKind::RowId => (
            format!("{}.rowid", handle.name),
            ffi::SQLITE_CONSTRAINT_ROWID,
        ),
        _ => (columns.join(", "), ffi::SQLITE_CONSTRAINT_PRIMARYKEY),
    };
    let mut error = StoreError::new(
        StoreErrorCode::Constraint,
        format!("UNIQUE constraint failed: {what}"),
    );
    error.sqlite_code = Some(code);
    error
}

/// A row id above every other, for a row that is given none.
fn next_rowid(shared: &Shared, transaction: &Transaction, table: &Arc<Table>) -> StoreResult<i64> {
    table.next_rowid(|| {
        // Not as the transaction sees it: a row that was committed since has its number too.
        let published = shared
            .store
            .sequencer
            .published()
            .tables
            .get(&table.id)
            .cloned();
        let version = match published {
            Some(version) => version,
            None => transaction.version(&shared.store, table)?,
        };
        let request = Request {
            with_key: true,
            descending: true,
            ..Request::default()
        };
        let last = Scan::new(version, transaction.buffer(table), request)?;
        Ok(last.rowid())
    })
}

unsafe extern "C" fn x_begin(table: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out.
    unsafe { on_table(table, |_, shared| shared.transaction().map(drop)) }
}

unsafe extern "C" fn x_sync(table: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out.
    unsafe {
        on_table(table, |_, shared| {
            match shared.open_transaction().as_mut() {
                Some(transaction) if !transaction.is_reserved() => shared.unnoticed(|| {
                    shared.bound_wait()?;
                    let reindexings = index_statement::reindexings(shared, transaction)?;
                    let names = match shared.has_altered() {
                        true => Some(catalogue::names(shared.handle)?),
                        false => None,
                    };
                    transaction
                        .sync(&shared.store, shared.handle, reindexings, names)
                        .map_err(|refusal| match refusal.error.code {
                            StoreErrorCode::NotFound => {
                                shared.declared.refuse_commit(refusal.error)
                            }
                            _ => conflict::told(shared, transaction, refusal),
                        })
                }),
                _ => Ok(()),
            }
        })
    }
}

unsafe extern "C" fn x_commit(table: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out.
    unsafe {
        on_table(table, |_, shared| {
            let transaction = shared.open_transaction().take();
            if let Some(transaction) = transaction {
                shared.store.publish(transaction);
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn x_rollback(table: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out.
    unsafe { on_table(table, |_, shared| shared.take_rolled_back()) }
}

unsafe extern "C" fn x_rename(table: *mut ffi::sqlite3_vtab, _name: *const c_char) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out.
    unsafe {
        on_table(table, |handle, _| {
            // The session has `alter` do it, and never asks SQLite to.
            Err(StoreError::new(
                StoreErrorCode::Misuse,
                format!("Tonbo tables are renamed by the store: {}", handle.name),
            ))
        })
    }
}

/// `flags` is 1 for `PRAGMA quick_check`.
unsafe extern "C" fn x_integrity(
    table: *mut ffi::sqlite3_vtab,
    _schema: *const c_char,
    _name: *const c_char,
    flags: c_int,
    message: *mut *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out, and a place for what it tells the user.
    unsafe {
        on_table(table, |handle, shared| {
            if let Some(report) = integrity::check(handle, shared, flags & 1 != 0)? {
                *message = message_for_sqlite(&report);
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn x_savepoint(table: *mut ffi::sqlite3_vtab, savepoint: c_int) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out.
    unsafe {
        on_table(table, |handle, shared| {
            shared.transaction()?.save(handle.id, savepoint);
            Ok(())
        })
    }
}

unsafe extern "C" fn x_release(table: *mut ffi::sqlite3_vtab, savepoint: c_int) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out.
    unsafe {
        on_table(table, |handle, shared| {
            if let Some(transaction) = shared.open_transaction().as_mut() {
                transaction.release(handle.id, savepoint);
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn x_rollback_to(table: *mut ffi::sqlite3_vtab, savepoint: c_int) -> c_int {
    // SAFETY: SQLite passes what `x_create` handed out.
    unsafe {
        on_table(table, |handle, shared| {
            if let Some(transaction) = shared.open_transaction().as_mut() {
                transaction.roll_back_to(&shared.store, handle.id, savepoint);
            }
            Ok(())
        })
    }
}
