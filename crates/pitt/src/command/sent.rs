//! The end of a command that sent alerts into a stream.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use crate::feed::Tally;
use crate::screen::{self, bytes, counted};

/// What there is to say beside the tally.
pub(super) struct Told<'a> {
    /// Where the alerts went.
    pub(super) topic: &'a str,
    /// The end of the sentence.
    pub(super) tail: String,
    /// Further fields of the JSON, an object.
    pub(super) more: Value,
    /// Whether all went well, apart from what was left out.
    pub(super) good: bool,
}

/// Says what was sent, in words or as JSON.
pub(super) fn tell(tally: &Tally, told: Told<'_>, as_json: bool) -> Result<ExitCode> {
    let Told {
        topic, tail, more, ..
    } = told;
    if as_json {
        let mut said = json!({
            "topic": topic,
            "sent": tally.sent,
            "bytes": tally.bytes,
            "left_out": tally.left_out,
        });
        if let (Some(said), Value::Object(more)) = (said.as_object_mut(), more) {
            said.extend(more);
        }
        screen::print_json(&said)?;
    } else {
        let (alerts, size) = (counted(tally.sent, "alert"), bytes(tally.bytes));
        screen::print(&format!("{alerts} ({size}) sent to {topic}{tail}.\n"))?;
    }
    Ok(if told.good && tally.left_out == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
