//! What a user's statement may not do: write the tables that the store keeps in `main` and `temp` for itself, take names that begin as theirs
//! do, attach the store's files, and set what the store's promises stand on ([`Settings`]).
//!
//! SQLite asks an authorizer about each thing that a statement does, while it prepares it; a trigger's or view's doings are asked about with the
//! statement that sets them off. It asks about the engine's own statements, too, which may do everything: a statement is a user's while
//! [`Guard::prepare`] runs. What is prepared within, by a table that is connected, only reads. When SQLite prepares a statement again, because
//! the schema has changed before its first step, it is not watched any more: it was.
//!
//! Refusals are in SQLite's words for its own tables (`sqlite_schema`).

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};

use rusqlite::ffi;

use crate::commit::log::Durability;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::own_files::is_own;
use crate::schema::quote_identifier;
use crate::session::Shared;
use crate::settings::{self, Ruling, Settings};
use crate::statement::{Handle, Statement};
use crate::tokens::Tokens;

/// How the names begin that the store keeps for itself.
const RESERVED: &str = "heddle_";

/// Watches over a connection's statements.
pub struct Guard {
    durability: Durability,
    /// Whether a user's statement is being prepared.
    watches: Cell<bool>,
    is_lifted: Cell<bool>,
    refused: RefCell<Option<Refused>>,
    /// What the user has set.
    pub settings: Settings,
}

/// Why a statement was refused.
struct Refused {
    error: StoreError,
    /// The word of the statement that is to blame.
    word: String,
}

impl Guard {
    /// For a connection to a database of this durability.
    pub fn new(durability: Durability) -> Guard {
        Guard {
            durability,
            watches: Cell::new(false),
            is_lifted: Cell::new(false),
            refused: RefCell::new(None),
            settings: Settings::default(),
        }
    }

    /// Has SQLite ask.
    pub fn register(shared: &Shared) -> StoreResult<()> {
        let client: *const Shared = shared;
        // SAFETY: `shared` outlives the connection, as the session sees to it.
        let code = unsafe {
            ffi::sqlite3_set_authorizer(
                shared.handle.raw(),
                Some(authorize),
                client.cast_mut().cast(),
            )
        };
        match code {
            ffi::SQLITE_OK => Ok(()),
            code => Err(shared.handle.error(code)),
        }
    }

    /// From here on the connection's statements may do anything.
    pub fn lift(&self) {
        self.is_lifted.set(true);
    }

    /// Prepares the first statement of a user's text, as [`Handle::prepare`].
    ///
    /// # Errors
    /// Why it is refused, with the byte of the word that is to blame.
    pub fn prepare(&self, handle: Handle, sql: &str) -> StoreResult<(Option<Statement>, usize)> {
        self.watches.set(!self.is_lifted.get());
        let prepared = handle.prepare(sql);
        self.watches.set(false);
        match self.refused.take() {
            Some(Refused { error, word }) if prepared.is_err() => Err(match place_of(sql, &word) {
                Some(at) => error.at(at),
                None => error,
            }),
            _ => prepared,
        }
    }

    /// The error of what SQLite is about to do for a user, if that is refused; whether it is passed over.
    fn rule(
        &self,
        action: c_int,
        first: &str,
        second: Option<&str>,
        schema: Option<&str>,
    ) -> Ruling {
        if action == ffi::SQLITE_PRAGMA {
            let settings = &self.settings;
            return settings.rule(self.durability, schema, first, second);
        }
        // ALTER TABLE alone tells the schema first.
        let (schema, name, of) = match action {
            ffi::SQLITE_ALTER_TABLE => (Some(first), second.unwrap_or_default(), ""),
            _ => (schema, first, second.unwrap_or_default()),
        };
        let is_about_reserved = is_reserved(name) || is_reserved(of);
        if !is_about_reserved || schema.is_some_and(|schema| !settings::is_own(schema)) {
            return Ruling::Allowed;
        }
        let (is_refused, words) = match action {
            ffi::SQLITE_INSERT | ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => (
                is_reserved(name),
                format!("table {name} may not be modified"),
            ),
            ffi::SQLITE_ALTER_TABLE => (
                is_reserved(name),
                format!("table {name} may not be altered"),
            ),
            ffi::SQLITE_DROP_TABLE
            | ffi::SQLITE_DROP_TEMP_TABLE
            | ffi::SQLITE_DROP_VIEW
            | ffi::SQLITE_DROP_TEMP_VIEW
            | ffi::SQLITE_DROP_VTABLE => (
                is_reserved(name),
                format!("table {name} may not be dropped"),
            ),
            ffi::SQLITE_CREATE_INDEX | ffi::SQLITE_CREATE_TEMP_INDEX if is_reserved(of) => {
                (true, format!("table {of} may not be indexed"))
            }
            ffi::SQLITE_CREATE_TRIGGER | ffi::SQLITE_CREATE_TEMP_TRIGGER if is_reserved(of) => {
                (true, "cannot create trigger on system table".to_owned())
            }
            ffi::SQLITE_CREATE_TABLE
            | ffi::SQLITE_CREATE_TEMP_TABLE
            | ffi::SQLITE_CREATE_VIEW
            | ffi::SQLITE_CREATE_TEMP_VIEW
            | ffi::SQLITE_CREATE_INDEX
            | ffi::SQLITE_CREATE_TEMP_INDEX
            | ffi::SQLITE_CREATE_TRIGGER
            | ffi::SQLITE_CREATE_TEMP_TRIGGER
            | ffi::SQLITE_CREATE_VTABLE => (is_reserved(name), reserved(name)),
            _ => return Ruling::Allowed,
        };
        match is_refused {
            true => Ruling::Refused(words),
            false => Ruling::Allowed,
        }
    }

    fn refuse(&self, action: c_int, words: String, first: &str, second: Option<&str>) {
        let (error, word) = match action {
            ffi::SQLITE_PRAGMA => (StoreError::new(StoreErrorCode::Misuse, words), first),
            ffi::SQLITE_ALTER_TABLE => (StoreError::of_sqlite(words), second.unwrap_or_default()),
            _ => {
                let word = match is_reserved(first) {
                    true => first,
                    false => second.unwrap_or_default(),
                };
                (StoreError::of_sqlite(words), word)
            }
        };
        let word = word.to_owned();
        self.refused.replace(Some(Refused { error, word }));
    }
}

/// Refuses a name that the store keeps for itself.
///
/// # Errors
/// SQLite's words.
pub fn check_name(name: &str) -> StoreResult<()> {
    match is_reserved(name) {
        true => Err(StoreError::of_sqlite(reserved(name))),
        false => Ok(()),
    }
}

fn reserved(name: &str) -> String {
    format!("object name reserved for internal use: {name}")
}

fn is_reserved(name: &str) -> bool {
    let start = name.as_bytes().get(..RESERVED.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(RESERVED.as_bytes()))
}

/// Detaches what an ATTACH has just attached, where that is a file of the store. Its name may have come from anywhere, and SQLite knows it
/// only now.
///
/// # Errors
/// [`StoreErrorCode::Misuse`].
pub fn check_attached(handle: Handle) -> StoreResult<()> {
    for (schema, file) in handle.attached() {
        if is_own(&file) {
            handle.execute(&format!("DETACH {}", quote_identifier(&schema)))?;
            let message = format!("{file} is a file of the store and can't be attached");
            return Err(StoreError::new(StoreErrorCode::Misuse, message));
        }
    }
    Ok(())
}

/// The error of an ATTACH or VACUUM INTO, which may be that of our VFS about a file of the store.
pub fn of_attached(mut error: StoreError) -> StoreError {
    if error.sqlite_code == Some(ffi::SQLITE_MISUSE) {
        error.message = format!("{}: it is a file of the store", error.message);
    }
    error
}

/// The byte of the first word of a text that means this name.
fn place_of(sql: &str, name: &str) -> Option<usize> {
    let mut tokens = Tokens::new(sql);
    std::iter::from_fn(|| tokens.next_token())
        .find(|token| token.unquoted().eq_ignore_ascii_case(name))
        .map(|token| token.start)
}

/// The authorizer.
unsafe extern "C" fn authorize(
    shared: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    schema: *const c_char,
    _by: *const c_char,
) -> c_int {
    // SAFETY: `Guard::register` passed a `Shared` that lives as long as the connection.
    let guard = unsafe { &(*shared.cast::<Shared>()).guard };
    let is_reading = matches!(
        action,
        ffi::SQLITE_READ | ffi::SQLITE_SELECT | ffi::SQLITE_FUNCTION
    );
    if is_reading || !guard.watches.get() {
        return ffi::SQLITE_OK;
    }
    // SAFETY: null, or strings that end in NUL and live as long as this call.
    let (first, second, schema) = unsafe { (text(first), text(second), text(schema)) };
    let first = first.unwrap_or_default();
    match guard.rule(action, first, second, schema) {
        Ruling::Allowed => ffi::SQLITE_OK,
        Ruling::Ignored => ffi::SQLITE_IGNORE,
        Ruling::Refused(words) => {
            guard.refuse(action, words, first, second);
            ffi::SQLITE_DENY
        }
    }
}

/// # Safety
/// `text` must be null or end in NUL, for as long as the result is used.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a str> {
    // SAFETY: the caller's promise.
    let text = (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) });
    // SQLite was given UTF-8, and hands on words of it.
    text.and_then(|text| text.to_str().ok())
}
