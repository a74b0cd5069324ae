//! Imports.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use heddle_store::error::StoreErrorCode;
use heddle_store::import::{self, ImportOptions};
use heddle_store::value::Value;

use super::history::History;
use super::state::{Row, TableName};
use super::transaction::Commit;

impl History {
    /// Imports a file of some new rows, now and then with one that is there already.
    pub fn import(&mut self, who: usize) {
        let table = *self.random.pick(&TableName::TONBO);
        let mut keys: Vec<u16> = (0..12).map(|_| self.random_key()).collect();
        if !self.random.chance(20) {
            keys.retain(|key| !self.last().rows(table).contains_key(key));
        }
        keys.sort_unstable();
        keys.dedup();
        let rows: Vec<(u16, Row)> = keys
            .into_iter()
            .map(|key| (key, self.random_row()))
            .collect();
        let batch_rows = 1 + self.random.below(6) as usize;
        let options = ImportOptions {
            table: self.last().schemas[&table].name.clone(),
            batch_rows: Some(batch_rows),
            ..ImportOptions::default()
        };
        let mut is_refused = false;
        for batch in rows.chunks(batch_rows) {
            let mut state = self.last().clone();
            let target = state.rows_mut(table);
            if batch.iter().any(|(key, _)| target.contains_key(key)) {
                is_refused = true;
                break;
            }
            target.extend(batch.iter().cloned());
            self.commits.push(Commit {
                state,
                written: BTreeSet::new(),
                is_mixed: false,
                imported: Some(table),
            });
        }
        let file = arrow_file(table, &rows);
        let outcome = import::run(
            &self.links[who].connection.0,
            file.into(),
            &options,
            &mut |_| Ok(()),
        );
        self.note(format!(
            "[{who}] import {} rows into {}: {outcome:?}",
            rows.len(),
            options.table
        ));
        match outcome {
            Ok(count) => {
                assert!(!is_refused, "a duplicate was imported");
                assert_eq!(count, rows.len() as u64);
            }
            Err(error) => {
                assert!(is_refused, "{error:?}");
                assert_eq!(error.code, StoreErrorCode::BadImport, "{error:?}");
            }
        }
    }
}

/// The rows as a file to import.
fn arrow_file(table: TableName, rows: &[(u16, Row)]) -> Vec<u8> {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for (index, name) in table.key_columns().split(", ").enumerate() {
        let values: Vec<Value> = rows
            .iter()
            .map(|(key, _)| table.key_values(*key).swap_remove(index))
            .collect();
        let texts = values.iter().map(|value| match value {
            Value::Text(text) => Some(text.to_string()),
            _ => None,
        });
        let integers = values.iter().map(|value| match value {
            Value::Integer(value) => Some(*value),
            _ => None,
        });
        let column: ArrayRef = if name == "k" {
            Arc::new(StringArray::from_iter(texts))
        } else {
            Arc::new(Int64Array::from_iter(integers))
        };
        columns.push((name.to_owned(), column));
    }
    let n = Int64Array::from_iter(rows.iter().map(|(_, row)| row.n));
    let t = StringArray::from_iter(rows.iter().map(|(_, row)| row.t.clone()));
    columns.push(("n".into(), Arc::new(n)));
    columns.push(("t".into(), Arc::new(t)));
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}
