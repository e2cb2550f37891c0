//! Cursors: where a list goes on, as text that clients give back as it is.
//!
//! A cursor holds the place itself (the values the list is ordered by), not a number of rows, so new alerts shift nothing
//! and a restart forgets nothing. What list it is of stands in it; one of another list is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::problem::Problem;

/// Longest cursor that is looked at `[bytes]`.
const LONGEST: usize = 1024;

/// The text of a place in a list.
pub fn write(list: &str, place: &[String]) -> String {
    let parts: Vec<&str> = [list]
        .into_iter()
        .chain(place.iter().map(String::as_str))
        .collect();
    URL_SAFE_NO_PAD.encode(parts.join("\u{1f}"))
}

/// The place that a cursor of this list means.
///
/// # Errors
/// It is no cursor of this list.
pub fn read<const N: usize>(list: &str, cursor: &str) -> Result<[String; N], Problem> {
    let bad = || {
        let detail =
            "the cursor is not one of this list (take it from `next` as it is, or leave it out)";
        Problem::bad_parameter("cursor", detail)
    };
    let bytes = Some(cursor).filter(|cursor| cursor.len() <= LONGEST);
    let bytes = bytes
        .and_then(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok())
        .ok_or_else(bad)?;
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    let mut parts = text.split('\u{1f}');
    if parts.next() != Some(list) {
        return Err(bad());
    }
    let place: Vec<String> = parts.map(str::to_owned).collect();
    place.try_into().map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_one_of_another_list_does_not() {
        let place = ["61000.25".to_owned(), "ztf".to_owned(), "-7".to_owned()];
        let cursor = write("alerts", &place);
        assert_eq!(read::<3>("alerts", &cursor), Ok(place));
        let codes = [
            read::<3>("matches", &cursor),
            read::<3>("alerts", "!"),
            read::<3>("alerts", "AAAA"),
            read::<3>("alerts", &"A".repeat(5000)),
            read::<3>("alerts", &write("alerts", &[])),
        ];
        assert!(codes.iter().all(|read| read.is_err()));
    }
}
