//! `pitt show`

use std::process::ExitCode;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field};
use pitt_alert::Selection;
use serde_json::json;

use super::settings;
use crate::broker::open_archive;
use crate::cli::{Global, Show};
use crate::screen::{self, Align, Table, cell, counted};
use crate::stored::{Reader, StoredAlert};

/// Longest description shown in the table.
const MOST_WORDS: usize = 70;

pub(super) fn run(global: &Global, args: &Show) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let archive = open_archive(&config.settings, false)?;
    let alert = Reader::new(&archive, Selection::everything())?.alert(args.alert)?;
    if let Some(file) = &args.raw {
        std::fs::write(file, &alert.packet.bytes)
            .with_context(|| format!("cannot write `{}`", file.display()))?;
        let size = screen::bytes(alert.packet.bytes.len() as u64);
        screen::print(&format!("{size} in {}\n", file.display()))?;
    } else if args.json {
        screen::print_json(&as_json(&alert))?;
    } else {
        screen::print(&as_text(&alert, args.history))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(alert: &StoredAlert) -> serde_json::Value {
    let schema = alert.row.schema();
    let columns = schema.fields().iter().zip(alert.row.columns());
    let values: serde_json::Map<String, serde_json::Value> = columns
        .map(|(field, column)| (field.name().clone(), cell::json(field, column, 0)))
        .collect();
    json!({
        "survey": alert.packet.survey,
        "alert_id": alert.packet.alert_id.to_string(),
        "packet": {
            "name": &*alert.packet.name,
            "partition": &*alert.packet.position.partition,
            "offset": alert.packet.position.offset,
            "record": alert.packet.record,
            "received_us": alert.packet.received_us,
            "bytes": alert.packet.bytes.len(),
            "schema": alert.packet.schema,
        },
        "values": values,
    })
}

fn as_text(alert: &StoredAlert, history: bool) -> String {
    let packet = &alert.packet;
    let received = pitt_sky::time::MjdTai::from_unix_us(packet.received_us).iso_utc();
    let mut text = format!(
        "{} alert {}: {}, {}, received {received}\n\n",
        packet.survey,
        packet.alert_id,
        packet.name,
        screen::bytes(packet.bytes.len() as u64),
    );
    let columns = [
        ("value of", Align::Left),
        ("", Align::Left),
        ("unit", Align::Left),
        ("meaning", Align::Left),
    ];
    let mut rows = Rows {
        table: Table::new(columns),
        history,
    };
    for (field, column) in alert.row.schema().fields().iter().zip(alert.row.columns()) {
        rows.add("", field, column, 0);
    }
    text.push_str(&rows.table.render());
    text
}

struct Rows {
    table: Table,
    history: bool,
}

impl Rows {
    fn add(&mut self, before: &str, field: &Field, array: &ArrayRef, row: usize) {
        let path = format!("{before}{}", field.name());
        match array.data_type() {
            DataType::Struct(fields) if array.is_valid(row) => {
                for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                    self.add(&format!("{path}."), field, column, row);
                }
            }
            DataType::List(item) if array.is_valid(row) => {
                let items = array.as_list::<i32>().value(row);
                self.line(&path, counted_entries(items.len()), field);
                for row in 0..if self.history { items.len() } else { 0 } {
                    let before = format!("{path}[{row}]");
                    if matches!(items.data_type(), DataType::Struct(_)) {
                        self.inside(&before, &items, row);
                    } else {
                        self.line(&before, cell::text(&items, row), item);
                    }
                }
            }
            _ => self.line(&path, cell::text(array, row), field),
        }
    }

    fn inside(&mut self, before: &str, items: &ArrayRef, row: usize) {
        let DataType::Struct(fields) = items.data_type() else {
            return;
        };
        for (field, column) in fields.iter().zip(items.as_struct().columns()) {
            self.add(&format!("{before}."), field, column, row);
        }
    }

    fn line(&mut self, path: &str, value: String, field: &Field) {
        let word = |key: &str| field.metadata().get(key).cloned().unwrap_or_default();
        let mut meaning = [word("description"), word("doc")]
            .into_iter()
            .find(|text| !text.is_empty());
        if let Some(long) = meaning
            .as_mut()
            .filter(|text| text.chars().count() > MOST_WORDS)
        {
            *long = long.chars().take(MOST_WORDS - 1).chain(['…']).collect();
        }
        self.table.row([
            path.to_owned(),
            value,
            word("unit"),
            meaning.unwrap_or_default(),
        ]);
    }
}

fn counted_entries(number: usize) -> String {
    counted(number as u64, "entry").replace("entrys", "entries")
}
