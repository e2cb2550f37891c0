//! The SQL dialect of filters and queries.

use datafusion::sql::sqlparser::dialect::Dialect;

/// Standard SQL with double quotes around unusual names, and `match` left free as the name of a function.
///
/// The generic dialect of sqlparser reserves `MATCH (..) AGAINST (..)`, which hides `match('gcvs', 1.5)`.
#[derive(Debug)]
pub(crate) struct AlertSql;

impl Dialect for AlertSql {
    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_select_wildcard_exclude(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }
}
