//! The codes that errors have, for programs: none is ever taken away, and none changes its meaning.

use serde_json::{Value, json};

/// What a code says.
pub struct Code {
    /// The code: snake_case.
    pub name: &'static str,
    /// Statuses of answers with it.
    pub statuses: &'static [u16],
    /// When it is given, for people.
    pub when: &'static str,
    /// What to do, where the answer knows nothing better.
    pub hint: Option<&'static str>,
}

const fn code(name: &'static str, statuses: &'static [u16], when: &'static str) -> Code {
    Code {
        name,
        statuses,
        when,
        hint: None,
    }
}

impl Code {
    const fn hint(self, hint: &'static str) -> Self {
        Self {
            hint: Some(hint),
            ..self
        }
    }
}

const DESCRIBED: &str = "`/docs` describes every parameter";
const FIND: &str = "`/api/v1/resolve?q=` finds alerts and objects";
const LIST_FILTERS: &str = "`/api/v1/filters` lists the filters, with their versions";
const LATER: &str = "try again after `retry-after` seconds";

/// All codes.
pub const CODES: &[Code] = &[
    code(
        "bad_parameter",
        &[400],
        "a parameter has a value that it cannot have; `where` names it",
    )
    .hint(DESCRIBED),
    code(
        "missing_parameter",
        &[400],
        "a parameter is needed; `where` names it",
    )
    .hint(DESCRIBED),
    code(
        "unknown_parameter",
        &[400],
        "there is no such parameter; `where` names it, `hint` the nearest",
    ),
    code("unknown_path", &[404], "there is nothing at this path"),
    code(
        "bad_path",
        &[400],
        "the path cannot be read: it is not UTF-8",
    ),
    code(
        "method_not_allowed",
        &[405],
        "the path does not take this method; `Allow` says what it takes",
    ),
    code("bad_body", &[400], "the body of a POST cannot be read").hint(DESCRIBED),
    code(
        "unsupported_media_type",
        &[415],
        "the body of a POST is neither JSON nor a form",
    ),
    code("too_large", &[413], "the body is too large").hint("send less at once"),
    code("too_slow", &[408], "the body did not come in time"),
    code("needs_token", &[401], "it takes a token"),
    code(
        "forbidden",
        &[403],
        "this token, or a web page from elsewhere, may not",
    ),
    code(
        "rate_limited",
        &[429],
        "too many requests, streams or costly questions of one caller",
    )
    .hint(LATER),
    code(
        "unknown_host",
        &[421],
        "the name in `Host` is not expected (`http.names`)",
    ),
    code("bad_sql", &[400], "the query is wrong or too large")
        .hint("`/api/v1/tables` lists tables and columns"),
    code("read_only", &[403], "the query would change something"),
    code(
        "bad_filter",
        &[422],
        "the text is no filter; `detail` says where",
    ),
    code(
        "time_limit",
        &[422, 503],
        "the query needs longer than 25 s (or `query.timeout_s`), or an answer more than its time",
    ),
    code(
        "memory_limit",
        &[422],
        "the query needs more than `query.memory_mb`",
    ),
    code("unknown_alert", &[404], "there is no such alert").hint(FIND),
    code("unknown_object", &[404], "there is no such object").hint(FIND),
    code("unknown_survey", &[404], "there is no such survey")
        .hint("`/api/v1/statistics` lists the surveys"),
    code("unknown_night", &[404], "there is no such night"),
    code("unknown_schema", &[404], "there is no such schema"),
    code("unknown_cutout", &[404], "there is no stamp of this kind"),
    code("no_cutout", &[404], "the alert came without this stamp")
        .hint("`cutouts` of the alert lists those it brings"),
    code("no_position", &[404], "the object has no position"),
    code(
        "unknown_filter",
        &[404],
        "there is no such filter, or not any more",
    )
    .hint(LIST_FILTERS),
    code("unknown_version", &[404], "the filter has no such version").hint(LIST_FILTERS),
    code(
        "unknown_replay",
        &[404],
        "there is no such replay, or not any more",
    )
    .hint("`/api/v1/replays` lists those with your token"),
    code("unknown_chunk", &[404], "the replay has no such chunk"),
    code(
        "unknown_webhook",
        &[404],
        "there is no such webhook, or not any more",
    )
    .hint("`/api/v1/webhooks` lists them"),
    code(
        "conflict",
        &[409],
        "not while the other is there; `detail` says which",
    ),
    code(
        "too_many_replays",
        &[409],
        "the token has as many replays as it may",
    ),
    code(
        "too_many_webhooks",
        &[409],
        "the archive has 100 webhooks already",
    ),
    code("too_many_rows", &[422], "a replay would cover too much"),
    code(
        "ambiguous_alert",
        &[409],
        "several surveys have the id: say which with `survey`",
    ),
    code(
        "damaged_cutout",
        &[422],
        "the stamp cannot be decoded; `format=raw` still gives it as it came",
    ),
    code("busy", &[503], "too much is asked at once").hint(LATER),
    code("archive_closed", &[503], "the archive is being closed").hint(LATER),
    code("fault", &[500], "ours: the log of the broker says more"),
];

/// What a code says, if there is such a code.
pub fn find(name: &str) -> Option<&'static Code> {
    CODES.iter().find(|code| code.name == name)
}

/// All codes, for the OpenAPI document.
pub fn listed() -> Value {
    let list = CODES.iter().map(|code| {
        json!({"code": code.name, "statuses": code.statuses, "when": code.when, "hint": code.hint})
    });
    list.collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn the_page_of_the_api_lists_the_codes() {
        let mut table = String::from("| code | status | when |\n|---|---|---|\n");
        for Code {
            name,
            statuses,
            when,
            ..
        } in CODES
        {
            let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
            writeln!(table, "| `{name}` | {} | {when} |", statuses.join(", ")).unwrap();
        }
        let page = include_str!("../../../../../docs/api.md");
        assert!(
            page.contains(&table),
            "docs/api.md should have this table of errors:\n{table}"
        );
    }
}
