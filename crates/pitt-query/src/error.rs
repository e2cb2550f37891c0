//! What can go wrong with a filter or a query, said with the place and a way out.

use std::fmt;

/// A place in the text of a filter: line and column, both from 1 (column in characters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Line, from 1; 0 when the whole text is meant.
    pub line: u64,
    /// Column, from 1; 0 when the whole line is meant.
    pub column: u64,
}

/// Why a filter is refused. The place and the name of the filter are in [`FilterError`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterProblem {
    /// The text is no SQL.
    #[error("{message}")]
    Syntax {
        /// What the parser met, with a hint.
        message: String,
    },
    /// A header line that cannot be used.
    #[error("{message}")]
    Header {
        /// What is wrong with it.
        message: String,
    },
    /// SQL that a filter may not contain.
    #[error("{what} is not allowed in a filter ({instead})")]
    NotAllowed {
        /// The construct.
        what: String,
        /// What to do instead.
        instead: String,
    },
    /// A column no known schema has.
    #[error("no column `{column}`{}", did_you_mean(.suggestion))]
    UnknownColumn {
        /// As written.
        column: String,
        /// The nearest known name, or other advice.
        suggestion: Option<String>,
    },
    /// Several columns differ only in case from what is written.
    #[error("`{column}` could be {} (write it exactly)", .candidates.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(" or "))]
    AmbiguousColumn {
        /// As written.
        column: String,
        /// The columns it could be.
        candidates: Vec<String>,
    },
    /// A function that does not exist or that filters may not call.
    #[error("no function `{function}`{}", did_you_mean(.suggestion))]
    UnknownFunction {
        /// As written.
        function: String,
        /// The nearest known name.
        suggestion: Option<String>,
    },
    /// A function called with the wrong arguments.
    #[error("`{function}`: {problem} (usage: `{usage}`)")]
    WrongArguments {
        /// The function.
        function: String,
        /// What is wrong.
        problem: String,
        /// The signature.
        usage: String,
    },
    /// A catalog that is not there.
    #[error("no catalog `{catalog}`{} (import it with `pitt catalog import`)", did_you_mean(.suggestion))]
    UnknownCatalog {
        /// As written.
        catalog: String,
        /// The nearest known name.
        suggestion: Option<String>,
    },
    /// A value of the wrong type.
    #[error("{problem} ({advice})")]
    WrongType {
        /// Which value has which type.
        problem: String,
        /// What to do.
        advice: String,
    },
    /// A division whose divisor is zero for every alert.
    #[error("division by zero: the divisor is the constant 0 (compare without dividing)")]
    DivisionByZero,
    /// A text or expression beyond the stated bounds.
    #[error("{what}: {found}, at most {limit} are allowed ({advice})")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many there are (or the first count beyond the limit).
        found: usize,
        /// The limit.
        limit: usize,
        /// What to do.
        advice: &'static str,
    },
    /// DataFusion could not plan an expression that passed our own checks.
    #[error("cannot be evaluated: {message}")]
    Planning {
        /// DataFusion's message.
        message: String,
    },
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    match suggestion {
        Some(name) if name.contains(' ') => format!(" ({name})"),
        Some(name) => format!(" (did you mean `{name}`?)"),
        None => String::new(),
    }
}

/// A refused filter: which, where, why and what to do.
///
/// `Display` is one line; [`FilterError::report`] adds the line of the filter with the place marked.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterError {
    /// Name of the filter.
    pub filter: String,
    /// Where in its text.
    pub place: Place,
    /// Why.
    pub problem: Box<FilterProblem>,
    /// The line of the text at `place`, for the report.
    pub source_line: String,
    /// How many characters from `place.column` on are meant (at least 1).
    pub width: usize,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter `{}`", self.filter)?;
        if self.place.line > 0 {
            write!(f, ", line {}", self.place.line)?;
        }
        if self.place.column > 0 {
            write!(f, ", column {}", self.place.column)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for FilterError {}

impl FilterProblem {
    /// What to do or to write instead, where there is such advice: the nearest known name, a signature, a way round.
    pub fn suggestion(&self) -> Option<String> {
        match self {
            Self::UnknownColumn { suggestion, .. }
            | Self::UnknownFunction { suggestion, .. }
            | Self::UnknownCatalog { suggestion, .. } => suggestion.clone(),
            Self::AmbiguousColumn { candidates, .. } => Some(candidates.join(" or ")),
            Self::NotAllowed { instead, .. } => Some(instead.clone()),
            Self::WrongArguments { usage, .. } => Some(usage.clone()),
            Self::WrongType { advice, .. } => Some(advice.clone()),
            Self::TooLarge { advice, .. } => Some((*advice).to_owned()),
            Self::DivisionByZero => Some("compare without dividing".to_owned()),
            Self::Syntax { .. } | Self::Header { .. } | Self::Planning { .. } => None,
        }
    }
}

impl FilterError {
    /// The error with the line it is about and a mark under the place, for terminals and editors.
    pub fn report(&self) -> String {
        if self.place.line == 0 || self.source_line.trim().is_empty() {
            return self.to_string();
        }
        let number = self.place.line.to_string();
        let margin = " ".repeat(number.len());
        let column = usize::try_from(self.place.column.max(1)).unwrap_or(1) - 1;
        // A line too long to show whole is shown around the place.
        let long = self.source_line.chars().count() > 100;
        let start = if long { column.saturating_sub(60) } else { 0 };
        let cut = if start > 0 { "…" } else { "" };
        let shown: String = self.source_line.chars().skip(start).take(100).collect();
        let left = column - start + cut.chars().count();
        let width = self.width.clamp(1, 100_usize.saturating_sub(left).max(1));
        format!(
            "{self}\n {margin} |\n {number} | {cut}{shown}\n {margin} | {}{}",
            " ".repeat(left),
            "^".repeat(width)
        )
    }
}

/// What can go wrong with a query, a catalog or an output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The statement cannot be planned or run.
    #[error("query: {0}")]
    Sql(String),
    /// The statement would change something.
    #[error("query: {what} is refused, queries only read (use `SELECT`, `DESCRIBE` or `EXPLAIN`)")]
    ReadOnly {
        /// The kind of statement.
        what: String,
    },
    /// The query ran longer than allowed.
    #[error(
        "query: stopped after {seconds} s (narrow it, for example by `night` or `object_id`, or raise the limit)"
    )]
    Timeout {
        /// The limit.
        seconds: f64,
    },
    /// A catalog file that cannot be used.
    #[error("catalog `{catalog}`: {problem}")]
    Catalog {
        /// Name of the catalog.
        catalog: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A batch without what was asked of it.
    #[error("{0}")]
    Batch(String),
    /// Arrow or Parquet failed.
    #[error(transparent)]
    Arrow(#[from] datafusion::arrow::error::ArrowError),
    /// Parquet failed.
    #[error(transparent)]
    Parquet(#[from] datafusion::parquet::errors::ParquetError),
}

impl From<datafusion::error::DataFusionError> for QueryError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        QueryError::Sql(plain_message(&error))
    }
}

/// DataFusion's message in one line, without class prefixes, backtraces and advice about its own settings.
pub(crate) fn plain_message(error: &datafusion::error::DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.rsplit("caused by\n").next().unwrap_or(&text);
    let mut text = text.trim();
    for prefix in [
        "Error during planning: ",
        "Schema error: ",
        "Execution error: ",
        "External error: ",
        "Arrow error: ",
        "SQL error: ",
    ] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    if let Some(inner) = text
        .strip_prefix("ParserError(\"")
        .and_then(|t| t.strip_suffix("\")"))
    {
        text = inner;
    }
    let text = text
        .split("Column names are case sensitive.")
        .next()
        .unwrap_or(text);
    text.trim().lines().collect::<Vec<_>>().join(" ")
}
