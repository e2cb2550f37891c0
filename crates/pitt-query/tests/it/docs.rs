//! The documentation says what the table of functions says. Run with `PITT_WRITE_DOCS=1` to write it anew.

use pitt_query::{NameKind, completions, functions_markdown};

use crate::fixture::surveys;

const BEGIN: &str = "<!-- functions: generated from the table in crates/pitt-query -->\n";
const END: &str = "<!-- end of functions -->";

#[test]
fn the_page_on_filters_shows_the_table_of_functions() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/filters.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("a mark where the table begins");
    let (table, after) = rest.split_once(END).expect("a mark where the table ends");
    if std::env::var_os("PITT_WRITE_DOCS").is_some() {
        std::fs::write(
            page,
            format!("{before}{BEGIN}{}{END}{after}", functions_markdown()),
        )
        .unwrap();
        return;
    }
    assert_eq!(
        table,
        functions_markdown(),
        "run this test with PITT_WRITE_DOCS=1"
    );
}

#[test]
fn completions_offer_nested_columns_and_functions() {
    let names = completions(&surveys(), "ztf");
    let find = |text: &str| {
        names
            .iter()
            .find(|name| name.text == text)
            .map(|name| name.kind)
    };
    assert_eq!(find("candidate.magpsf"), Some(NameKind::Column));
    assert_eq!(find("rise_rate(band)"), Some(NameKind::Function));
    assert_eq!(find("abs"), Some(NameKind::SqlFunction));
}
