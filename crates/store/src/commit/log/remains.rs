//! What can be read of a damaged log file, and a new one made of it.

use std::collections::BTreeMap;

use super::{LogFile, parse_row, transaction};
use crate::error::{StoreError, StoreResult};
use crate::table::TableId;
use crate::table::version::Sequence;
use crate::value::Value;

/// What can be read of a log file.
#[derive(Default)]
pub struct Remains {
    /// The first damage that was met.
    pub damage: Option<StoreError>,
    floor: Option<Sequence>,
    table_floors: BTreeMap<TableId, Sequence>,
    /// The rows, as they stand there.
    rows: Vec<Vec<Value>>,
}

impl Remains {
    /// What there is of a file that can't be opened.
    pub fn nothing(damage: StoreError) -> Remains {
        Remains {
            damage: Some(damage),
            ..Remains::default()
        }
    }
}

impl LogFile {
    /// Reads as much as can be read.
    pub fn remains(&self) -> Remains {
        let mut remains = Remains::default();
        let mut damage = None;
        let mut meet = |error: StoreError| {
            damage.get_or_insert(error);
        };
        remains.floor = self.floor().map_err(&mut meet).ok();
        remains.table_floors = self.table_floors().map_err(&mut meet).unwrap_or_default();
        let rows = self.connection().0.statement(
            "SELECT sequence, changes, row_count, checksum, after_mixed FROM log ORDER BY sequence",
        );
        match rows {
            Ok(mut statement) => loop {
                match statement.step() {
                    Ok(true) => {
                        let row: Vec<Value> =
                            (0..5).map(|column| statement.value(column)).collect();
                        match parse_row(&row) {
                            Ok(_) => remains.rows.push(row),
                            Err(error) => meet(error),
                        }
                    }
                    Ok(false) => break,
                    Err(error) => {
                        meet(error);
                        break;
                    }
                }
            },
            Err(error) => meet(error),
        }
        remains.damage = damage;
        remains
    }

    /// Fills a log file that was just made with what remains of another. Where that one's floor is lost, it is `floor_unknown`.
    pub fn restore(
        &self,
        remains: &Remains,
        floor_unknown: impl FnOnce() -> StoreResult<Sequence>,
    ) -> StoreResult<()> {
        let floor = remains.floor.map_or_else(floor_unknown, Ok)?;
        let connection = self.connection();
        transaction(connection.0, || {
            let mut statement = connection.0.statement(
                "INSERT INTO log(sequence, changes, row_count, checksum, after_mixed) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for row in &remains.rows {
                statement.run(row)?;
            }
            let mut statement = connection
                .0
                .statement("INSERT INTO table_floors VALUES (?1, ?2)")?;
            for (table, sequence) in &remains.table_floors {
                statement.run(&[
                    Value::Integer(*table as i64),
                    Value::Integer(*sequence as i64),
                ])?;
            }
            connection
                .0
                .statement("UPDATE state SET value = ?1 WHERE name = 'floor'")?
                .run(&[Value::Integer(floor as i64)])
        })
    }
}
