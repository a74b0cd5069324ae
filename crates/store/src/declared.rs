//! What a connection has declared in `temp` of the catalogue: the tables that SQLite knows there, with the columns that it knows.
//!
//! It is brought up to date before a statement outside of a transaction. A transaction keeps what was declared at its BEGIN, though its snapshot
//! is taken later, by the statement that reads first; and between a statement's start and its snapshot another connection may commit, too. A
//! row that is read with columns that it no longer has, or lacks new ones, would lose values when it is written back. So a table that the
//! snapshot has otherwise than it is declared is refused: begin again.
//!
//! `main.heddle_state` counts the catalogue's changes, so that a snapshot tells whether there was one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::catalogue::{self, Entry};
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::routing;
use crate::schema::{TableSchema, quote_identifier};
use crate::session::{Purpose, Shared};
use crate::settings;
use crate::statement::Handle;
use crate::table::TableId;
use crate::value::Value;
use crate::view;

/// See the module's documentation.
#[derive(Default)]
pub struct Declared {
    tables: RefCell<BTreeMap<TableId, Entry>>,
    /// The store's count of changes, and that of `main`, when it was brought up to date.
    seen: Cell<u64>,
    seen_in_main: Cell<i64>,
    /// The catalogue as the open transaction's snapshot has it, where that may be another one.
    moved: RefCell<Option<BTreeMap<TableId, Entry>>>,
    /// Whether a table was refused since this was asked last.
    has_refused: Cell<bool>,
}

impl Declared {
    /// Declares what the catalogue holds, and nothing else, if it has changed.
    pub fn refresh(&self, shared: &Shared) -> StoreResult<()> {
        let version = shared.store.catalogue_version.load(Ordering::SeqCst);
        if self.seen.get() == version {
            return Ok(());
        }
        settings::despite_query_only(shared.handle, || self.declare(shared, version))
    }

    /// Declares what the catalogue holds; it had `version` changes before it is read.
    fn declare(&self, shared: &Shared, version: u64) -> StoreResult<()> {
        let handle = shared.handle;
        // Before the tables are read: if they change in between, a transaction looks once too often.
        let in_main = catalogue::changes(handle)?;
        let entries = read(shared)?;
        // What is declared is noted one by one: whatever fails in here is taken up again by the next statement.
        let declared = self.tables.borrow().clone();
        for (id, entry) in &declared {
            if entries.get(id) != Some(entry) {
                let sql = format!(
                    "DROP TABLE IF EXISTS temp.{}",
                    quote_identifier(&entry.name)
                );
                if !is_hidden(handle, &entry.name)? {
                    shared.with_purpose(Purpose::Forget, || handle.execute(&sql))?;
                }
                self.tables.borrow_mut().remove(id);
            }
        }
        for (id, entry) in &entries {
            if declared.get(id) != Some(entry) && !is_hidden(handle, &entry.name)? {
                let purpose = Purpose::Declare(entry.clone());
                shared.with_purpose(purpose, || handle.execute(&entry.declaration()))?;
                self.tables.borrow_mut().insert(*id, entry.clone());
            }
        }
        view::refresh(shared)?;
        shared.forget_destroyed();
        self.seen.set(version);
        self.seen_in_main.set(in_main);
        Ok(())
    }

    /// Whether the catalogue may have changed since it was brought up to date.
    pub fn is_behind(&self, shared: &Shared) -> bool {
        self.seen.get() != shared.store.catalogue_version.load(Ordering::SeqCst)
    }

    /// Has all tables compared by the next [`Declared::refresh`].
    pub fn mistrust(&self) {
        self.seen.set(u64::MAX);
    }

    /// A table was altered here, or almost: what is declared of it may be anything.
    pub fn forget(&self, id: TableId) {
        self.tables.borrow_mut().remove(&id);
    }

    /// The open transaction has a snapshot now, in which `main` counts so many changes of the catalogue.
    pub fn note_snapshot(&self, shared: &Shared, in_main: i64) -> StoreResult<()> {
        if in_main != self.seen_in_main.get() {
            self.moved.replace(Some(read(shared)?));
        }
        Ok(())
    }

    /// The transaction has ended.
    pub fn end(&self) {
        self.moved.replace(None);
    }

    /// Refuses a table that the snapshot has otherwise than it is declared.
    ///
    /// # Errors
    /// [`StoreErrorCode::Conflict`].
    pub fn check(
        &self,
        shared: &Shared,
        id: TableId,
        name: &str,
        schema: &TableSchema,
    ) -> StoreResult<()> {
        let mut moved = self.moved.borrow_mut();
        let Some(entries) = &mut *moved else {
            return Ok(());
        };
        let is_current = |entries: &BTreeMap<TableId, Entry>| {
            entries.get(&id).is_some_and(|entry| {
                let now = entry.declared_schema();
                entry.name == name
                    && now.definition() == schema.definition()
                    && now.layout_text() == schema.layout_text()
            })
        };
        if is_current(entries) {
            return Ok(());
        }
        // The transaction itself may have altered it since, or undone that.
        *entries = read(shared)?;
        if is_current(entries) {
            return Ok(());
        }
        Err(self.refuse(name))
    }

    /// The error of a commit that wrote a table which is not there any more, as `error` says.
    pub fn refuse_commit(&self, error: StoreError) -> StoreError {
        self.has_refused.set(true);
        StoreError::new(StoreErrorCode::Conflict, error.message)
    }

    /// The error for a table that is another one by now.
    pub fn refuse(&self, name: &str) -> StoreError {
        self.has_refused.set(true);
        let message = format!(
            "another connection has altered or dropped the table {name} since this transaction began: roll back and try again"
        );
        StoreError::new(StoreErrorCode::Conflict, message)
    }

    /// Whether a table was refused since this was asked last.
    pub fn has_refused(&self) -> bool {
        self.has_refused.take()
    }
}

fn read(shared: &Shared) -> StoreResult<BTreeMap<TableId, Entry>> {
    let entries = catalogue::read(shared.handle)?.into_iter();
    Ok(entries.map(|entry| (entry.id, entry)).collect())
}

/// Whether the user has something else of that name in `temp`: it stands before ours as it would before what is in `main`.
pub fn is_hidden(handle: Handle, name: &str) -> StoreResult<bool> {
    let text = handle
        .statement(
            "SELECT sql FROM temp.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'",
        )?
        .first(&[Value::Text(name.into())])?;
    let is_ours =
        |text: &Value| matches!(text, Value::Text(text) if routing::route(text).is_some());
    Ok(text.is_some_and(|row| !row.first().is_some_and(is_ours)))
}
