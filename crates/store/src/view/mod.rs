//! Views and triggers that name Tonbo tables.
//!
//! Those of `main` can't see `temp`, where Tonbo tables are declared. So such a view or trigger is a row of the catalogue too, and every
//! connection declares it in its `temp` when the row is visible to it. What a connection has declared stands in a view of its `temp`,
//! `heddle_declared`, which a rollback, of a savepoint too, brings back together with the declarations themselves.
//!
//! What SQLite does to the declarations – ALTER TABLE rewrites them, DROP TABLE drops a table's triggers – is written into the catalogue
//! behind the statement, in the same savepoint ([`follow`]).

pub mod parse;

use crate::catalogue;
use crate::declared;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::names;
use crate::routing::Routed;
use crate::schema::quote_identifier;
use crate::session::Shared;
use crate::statement::{Handle, Statement};
use crate::value::Value;
use parse::{Creation, Kind, Reference};

/// A view or trigger of the catalogue, or as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its number.
    pub id: i64,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its text, as SQLite keeps it: `CREATE VIEW v AS …`, without a schema.
    pub sql: String,
}

impl View {
    /// From a row of `id, type, name, sql`.
    pub fn from_row(row: &Statement) -> Option<View> {
        let (Value::Integer(id), Value::Text(kind), Value::Text(name)) =
            (row.value(0), row.value(1), row.value(2))
        else {
            return None;
        };
        Some(View {
            id,
            kind: match &*kind {
                "trigger" => Kind::Trigger,
                _ => Kind::View,
            },
            name: name.to_string(),
            sql: match row.value(3) {
                Value::Text(sql) => sql.to_string(),
                _ => String::new(),
            },
        })
    }

    /// The statement that declares it in `temp`.
    fn declaration(&self) -> String {
        format!(
            "CREATE TEMP{}",
            self.sql.strip_prefix("CREATE").unwrap_or_default()
        )
    }
}

/// The text to run instead of `sql`, if that makes a view or trigger which belongs into the catalogue.
pub fn route(shared: &Shared, sql: &str) -> StoreResult<Option<(Creation, Routed)>> {
    let Some(creation) = parse::creation(sql) else {
        return Ok(None);
    };
    let handle = shared.handle;
    let tables = catalogue::read(handle)?.into_iter().map(|table| table.name);
    let views = catalogue::read_views(handle)?.into_iter();
    let views = views.filter(|view| view.kind == Kind::View);
    let catalogued: Vec<String> = tables.chain(views.map(|view| view.name)).collect();
    let is_in = |schema: &str, reference: &Reference| {
        let named = reference.schema.as_ref();
        named.is_none_or(|named| named.eq_ignore_ascii_case(schema))
    };
    let is_catalogued = |reference: &Reference| {
        let is_it = |name: &String| name.eq_ignore_ascii_case(&reference.name);
        is_in("temp", reference) && catalogued.iter().any(is_it)
    };
    let target = creation.target.as_ref();
    if let Some(target) = target
        && !is_catalogued(target)
        && is_in("temp", target)
        && is_in_temp(handle, Kind::View, &target.name)?
    {
        // The user's own table: SQLite makes the trigger in `temp`.
        return Ok(None);
    }
    if !target
        .into_iter()
        .chain(&creation.references)
        .any(is_catalogued)
    {
        return Ok(None);
    }
    let routed = Routed::to_temp(sql, &creation.named);
    Ok(Some((creation, routed)))
}

/// The text to run instead of `sql`, if that drops a view or trigger of the catalogue by the schema `main`.
pub fn route_removal(shared: &Shared, sql: &str) -> StoreResult<Option<Routed>> {
    let Some((kind, named)) = parse::removal(sql) else {
        return Ok(None);
    };
    let is_it = |view: &View| view.kind == kind && view.name.eq_ignore_ascii_case(&named.name);
    let is_catalogued = catalogue::read_views(shared.handle)?.iter().any(is_it);
    Ok(is_catalogued.then(|| Routed::to_temp(sql, &named)))
}

/// Runs the statement that [`route`] found.
pub fn create(shared: &Shared, creation: &Creation, statement: &mut Statement) -> StoreResult<()> {
    let handle = shared.handle;
    let (kind, name) = (creation.kind, &creation.named.name);
    let if_not_exists = creation.named.has_if;
    if is_in_temp(handle, kind, name)? {
        // SQLite has refused it already, or has nothing to do.
        return statement.step().map(drop);
    }
    // Where another connection has made it, the next statement declares it, though that one has not told of it yet.
    if !is_free(handle, kind, name, if_not_exists)? {
        shared.forget_catalogue_version();
        return Ok(());
    }
    shared.in_savepoint(|| {
        catalogue::lock(handle)?;
        if !is_free(handle, kind, name, if_not_exists)? {
            shared.forget_catalogue_version();
            return Ok(());
        }
        while statement.step()? {}
        shared.unnoticed(|| note(handle, kind, name))?;
        shared.note_views();
        match kind {
            Kind::View => adopt(shared),
            Kind::Trigger => Ok(()),
        }
    })
}

/// Whether a table or view of that name stands in `temp`, or a trigger.
pub fn is_in_temp(handle: Handle, kind: Kind, name: &str) -> StoreResult<bool> {
    let found = handle
        .statement(
            "SELECT 1 FROM temp.sqlite_schema
             WHERE name = ?1 COLLATE NOCASE AND (type = 'trigger') = (?2 = 'trigger')",
        )?
        .first(&[Value::Text(name.into()), Value::Text(kind.name().into())])?;
    Ok(found.is_some())
}

fn is_free(handle: Handle, kind: Kind, name: &str, if_not_exists: bool) -> StoreResult<bool> {
    match kind {
        Kind::View => names::is_free(handle, name, if_not_exists),
        Kind::Trigger => {
            let found = handle
                .statement(
                    "SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' AND name = ?1 COLLATE NOCASE
                     UNION ALL SELECT 1 FROM main.heddle_views WHERE type = 'trigger' AND name = ?1",
                )?
                .first(&[Value::Text(name.into())])?;
            match found {
                None => Ok(true),
                Some(_) if if_not_exists => Ok(false),
                Some(_) => Err(StoreError::of_sqlite(format!(
                    "trigger {name} already exists"
                ))),
            }
        }
    }
}

/// Refuses the name of an ordinary view or trigger where the catalogue has it; `false` where `IF NOT EXISTS` has nothing to do.
pub fn is_free_in_main(handle: Handle, creation: &Creation) -> StoreResult<bool> {
    let Creation {
        kind,
        named,
        target,
        ..
    } = creation;
    if let Some(target) = target
        && target.schema.is_none()
        && is_in_temp(handle, Kind::View, &target.name)?
    {
        // SQLite makes the trigger in `temp`, as what it is on stands there.
        return Ok(true);
    }
    is_free(handle, *kind, &named.name, named.has_if)
}

/// Writes what was just made in `temp` into the catalogue.
fn note(handle: Handle, kind: Kind, name: &str) -> StoreResult<()> {
    let made = handle
        .statement(
            "SELECT sql FROM temp.sqlite_schema WHERE type = ?1 AND name = ?2 COLLATE NOCASE",
        )?
        .first(&[Value::Text(kind.name().into()), Value::Text(name.into())])?;
    let Some([Value::Text(sql)]) = made.as_deref() else {
        let message = format!("{} {name} has no text", kind.name());
        return Err(StoreError::new(StoreErrorCode::EngineFailed, message));
    };
    let mut here = declared(handle)?;
    let mut view = View {
        id: 0,
        kind,
        name: name.into(),
        sql: sql.to_string(),
    };
    view.id = catalogue::insert_view(handle, &view)?;
    here.push(view);
    note_declared(handle, &here)
}

/// What is declared here, as SQLite has it now: without a text where it has been dropped.
fn declared(handle: Handle) -> StoreResult<Vec<View>> {
    let is_there = handle
        .statement(
            "SELECT 1 FROM temp.sqlite_schema WHERE type = 'view' AND name = 'heddle_declared'",
        )?
        .first(&[])?;
    if is_there.is_none() {
        return Ok(Vec::new());
    }
    let mut statement = handle.statement(
        "SELECT d.id, d.type, d.name, s.sql FROM temp.heddle_declared AS d
         LEFT JOIN temp.sqlite_schema AS s ON s.type = d.type AND s.name = d.name COLLATE NOCASE
         ORDER BY d.type DESC, d.id",
    )?;
    let mut views = Vec::new();
    while statement.step()? {
        views.extend(View::from_row(&statement));
    }
    Ok(views)
}

fn note_declared(handle: Handle, views: &[View]) -> StoreResult<()> {
    let row = |view: &View| {
        let name = view.name.replace('\'', "''");
        format!("({}, '{}', '{name}')", view.id, view.kind.name())
    };
    let rows: Vec<String> = views.iter().map(row).collect();
    handle.execute("DROP VIEW IF EXISTS temp.heddle_declared")?;
    if rows.is_empty() {
        return Ok(());
    }
    handle.execute(&format!(
        "CREATE TEMP VIEW heddle_declared(id, type, name) AS VALUES {}",
        rows.join(", ")
    ))
}

/// Declares in `temp` what the catalogue holds, and nothing else.
pub fn refresh(shared: &Shared) -> StoreResult<()> {
    let handle = shared.handle;
    let (before, wanted) = (declared(handle)?, catalogue::read_views(handle)?);
    if before == wanted {
        return Ok(());
    }
    shared.in_savepoint(|| {
        // All of them: a view that goes takes its triggers with it.
        for view in before.iter().rev() {
            forget(handle, view)?;
        }
        let mut here = Vec::new();
        for view in wanted {
            let declare = |sql: &str| handle.statement(sql)?.step();
            match declare(&view.declaration()) {
                Ok(_) => here.push(view),
                // The user has something of that name in `temp`, and it stands before ours as it would before one of `main`.
                Err(error) if error.code == StoreErrorCode::SqlError => {}
                Err(error) => return Err(error),
            }
        }
        note_declared(handle, &here)
    })
}

fn forget(handle: Handle, view: &View) -> StoreResult<()> {
    let (kind, name) = (view.kind.name(), &view.name);
    handle.execute(&format!(
        "DROP {kind} IF EXISTS temp.{}",
        quote_identifier(name)
    ))?;
    if view.kind == Kind::View || !is_in_temp(handle, Kind::Trigger, name)? {
        return Ok(());
    }
    // Another connection has dropped its table, so that SQLite passed over the trigger when it read the schema, and doesn't know it to drop.
    // It would be there again with another table of that name.
    let was_writable = handle.statement("PRAGMA writable_schema")?.first(&[])?;
    handle.execute("PRAGMA writable_schema = ON")?;
    let outcome = handle
        .statement(
            "DELETE FROM temp.sqlite_schema WHERE type = 'trigger' AND name = ?1 COLLATE NOCASE",
        )
        .and_then(|mut statement| statement.run(&[Value::Text(name.as_str().into())]));
    if was_writable.as_deref() != Some(&[Value::Integer(1)]) {
        handle.execute("PRAGMA writable_schema = OFF")?;
    }
    outcome
}

/// Whether `main` has views or triggers.
pub fn any_in_main(handle: Handle) -> StoreResult<bool> {
    let found = handle
        .statement("SELECT 1 FROM main.sqlite_schema WHERE type IN ('view', 'trigger') LIMIT 1")?
        .first(&[])?;
    Ok(found.is_some())
}

/// A Tonbo table has got its name, or a view of the catalogue: views and triggers of `main` that were waiting for one of that name go into the
/// catalogue, and those that name them.
pub fn adopt(shared: &Shared) -> StoreResult<()> {
    let handle = shared.handle;
    while let Some(creation) = next_to_adopt(shared)? {
        let (kind, name) = (creation.kind, &creation.named.name);
        let mut texts = Vec::new();
        let mut statement = handle.statement(
            "SELECT sql FROM main.sqlite_schema WHERE name = ?1 AND type = ?2
             UNION ALL SELECT sql FROM main.sqlite_schema WHERE ?2 = 'view' AND tbl_name = ?1 AND type = 'trigger'",
        )?;
        statement.bind_all(&[
            Value::Text(name.as_str().into()),
            Value::Text(kind.name().into()),
        ])?;
        while statement.step()? {
            if let Value::Text(text) = statement.value(0) {
                texts.push(text);
            }
        }
        drop(statement);
        let name = quote_identifier(name);
        handle.execute(&format!("DROP {} main.{name}", kind.name()))?;
        for text in texts {
            let Some(creation) = parse::creation(&text) else {
                continue;
            };
            handle.execute(&Routed::to_temp(&text, &creation.named).sql)?;
            shared.unnoticed(|| note(handle, creation.kind, &creation.named.name))?;
        }
        shared.note_views();
    }
    Ok(())
}

fn next_to_adopt(shared: &Shared) -> StoreResult<Option<Creation>> {
    let mut statement = shared.handle.statement(
        "SELECT sql FROM main.sqlite_schema WHERE type IN ('view', 'trigger') ORDER BY type DESC",
    )?;
    while statement.step()? {
        if let Value::Text(text) = statement.value(0)
            && let Some((creation, _)) = route(shared, &text)?
        {
            return Ok(Some(creation));
        }
    }
    Ok(None)
}

/// Whether the catalogue has any.
pub fn any(handle: Handle) -> StoreResult<bool> {
    let found = handle
        .statement("SELECT 1 FROM main.heddle_views LIMIT 1")?
        .first(&[])?;
    Ok(found.is_some())
}

/// Whether `sql` alters or drops something in `temp` that is the user's own. What SQLite rewrites with it is for this connection alone.
pub fn is_own(shared: &Shared, sql: &str) -> StoreResult<bool> {
    let Some((kind, named)) = parse::target(sql) else {
        return Ok(false);
    };
    if !named.is_in("temp") || !is_in_temp(shared.handle, kind, &named.name)? {
        return Ok(false);
    }
    let is_it = |view: &View| view.kind == kind && view.name.eq_ignore_ascii_case(&named.name);
    let is_declared = declared(shared.handle)?.iter().any(is_it);
    Ok(!is_declared && (kind == Kind::Trigger || declared::is_hidden(shared.handle, &named.name)?))
}

/// Runs a statement that may alter or drop declared views and triggers, and has the catalogue follow.
pub fn followed(shared: &Shared, run: impl FnOnce() -> StoreResult<()>) -> StoreResult<()> {
    shared.in_savepoint(|| {
        catalogue::lock(shared.handle)?;
        // What others have committed since this connection looked is altered too.
        refresh(shared)?;
        run()?;
        follow(shared)
    })
}

/// Writes into the catalogue what a statement has done to declared views and triggers.
pub fn follow(shared: &Shared) -> StoreResult<()> {
    let handle = shared.handle;
    let catalogued = catalogue::read_views(handle)?;
    let (gone, here): (Vec<View>, Vec<View>) = declared(handle)?
        .into_iter()
        .partition(|view| view.sql.is_empty());
    let changed = here.iter().filter(|view| !catalogued.contains(view));
    let changed: Vec<&View> = changed.collect();
    if gone.is_empty() && changed.is_empty() {
        return Ok(());
    }
    shared.note_views();
    shared.unnoticed(|| {
        for view in &gone {
            catalogue::remove_view(handle, view.id)?;
        }
        for view in changed {
            catalogue::update_view(handle, view)?;
        }
        if gone.is_empty() {
            return Ok(());
        }
        note_declared(handle, &here)
    })
}
