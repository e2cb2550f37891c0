//! Filters: SQL predicates over the alerts of a stream.
//!
//! [`Filter::parse`] takes a filter apart and refuses what it may not contain; [`Filter::check`] holds it against known
//! schemas; a [`FilterSet`] compiles many once per schema and evaluates them over batches.

mod builtin;
mod check;
mod columns;
mod evaluate;
mod header;
mod plan;
mod set;
mod text;

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::tokenizer::Span;

pub use builtin::builtin_names;
pub use check::{MAX_DEPTH, MAX_NODES};
pub use columns::Surveys;
pub use header::Header;
pub use set::{COMMON, Disabled, Failure, FilterSet, Judgement, Needs, Verdict};
pub use text::{MAX_OPERATORS, MAX_PARENTHESES, MAX_TEXT_BYTES, MAX_TOKENS};

use crate::catalog::Catalogs;
use crate::error::{FilterError, FilterProblem, Place};
use crate::suggest::nearest;
use check::{Checker, Used};
use text::{Fault, Parsed, Projection};

/// A filter whose form is right; its columns are checked against schemas by [`Filter::check`].
#[derive(Debug, Clone)]
pub struct Filter {
    name: String,
    text: String,
    header: Header,
    parsed: Parsed,
}

impl Filter {
    /// Parses the text of a filter file: a commented header, then `SELECT .. FROM alerts WHERE ..` or a bare predicate.
    ///
    /// Fails on anything else, on unknown functions and wrong arguments, and on texts beyond the bounds
    /// ([`MAX_TEXT_BYTES`], [`MAX_TOKENS`], [`MAX_OPERATORS`], [`MAX_PARENTHESES`], [`MAX_NODES`], [`MAX_DEPTH`]).
    pub fn parse(name: &str, text: &str) -> Result<Filter, FilterError> {
        let header = Header::read(text).map_err(|fault| {
            let place = Place {
                line: fault.line,
                column: 0,
            };
            error(name, text, place, 1, fault.problem)
        })?;
        let parsed = text::parse(text).map_err(|fault| place(name, text, fault))?;
        let filter = Filter {
            name: name.to_string(),
            text: text.to_string(),
            header,
            parsed,
        };
        filter.resolve(None, None)?;
        Ok(filter)
    }

    /// The name it was parsed under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text as given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What its comments say.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether it reads the alerts of a survey.
    pub fn reads(&self, survey: &str) -> bool {
        self.header
            .survey
            .as_deref()
            .is_none_or(|own| own == survey)
    }

    /// Checks columns, types and catalogs against what is known of the surveys it reads.
    ///
    /// A filter for any survey must hold for each of them. Without known schemas only the form is checked.
    pub fn check(&self, surveys: &Surveys, catalogs: &Catalogs) -> Result<(), FilterError> {
        if let Some(own) = &self.header.survey
            && !surveys.is_empty()
            && surveys.get(own).is_none()
        {
            return Err(self.unknown_survey(own, surveys));
        }
        for survey in surveys.names().filter(|name| self.reads(name)) {
            self.resolve(
                surveys.get(survey).map(|schema| schema.fields()),
                Some(catalogs),
            )
            .map_err(|error| self.explain_survey(error, survey, surveys))?;
        }
        Ok(())
    }

    /// Checks predicate and output columns; gives the checked copies and the columns they read.
    pub(crate) fn resolve(
        &self,
        fields: Option<&datafusion::arrow::datatypes::Fields>,
        catalogs: Option<&Catalogs>,
    ) -> Result<(Parsed, Used), FilterError> {
        let mut checked = self.parsed.clone();
        let mut checker = Checker::new(fields, catalogs);
        checker
            .predicate(&mut checked.predicate)
            .map_err(|fault| self.at(fault))?;
        if let Projection::Columns(columns) = &mut checked.projection {
            for column in columns {
                checker
                    .walk(&mut column.expr, 0)
                    .map_err(|fault| self.at(fault))?;
            }
        }
        Ok((checked, checker.used))
    }

    /// Columns the predicate alone reads, by path, for one survey.
    pub(crate) fn top_columns(&self, used: &Used) -> BTreeSet<String> {
        used.values()
            .filter_map(|found| found.path.first().cloned())
            .collect()
    }

    /// Whether it gives every column for a match.
    pub(crate) fn reads_all(&self) -> bool {
        self.parsed.projection == Projection::All
    }

    fn at(&self, fault: Fault) -> FilterError {
        place(&self.name, &self.text, fault)
    }

    fn unknown_survey(&self, own: &str, surveys: &Surveys) -> FilterError {
        let known: Vec<&str> = surveys.names().collect();
        let advice = match nearest(own, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}, or `any`", known.join(", ")),
        };
        self.refuse_header("survey", format!("no survey `{own}` ({advice})"))
    }

    /// The error for a line of the header that cannot be used, by its key (`topic`), and why not.
    pub fn refuse_header(&self, key: &str, message: String) -> FilterError {
        let place = Place {
            line: header::line_of(&self.text, key).unwrap_or(0),
            column: 0,
        };
        let problem = FilterProblem::Header { message };
        error(&self.name, &self.text, place, 1, problem)
    }

    /// A column that only another survey has gets that said.
    fn explain_survey(
        &self,
        mut error: FilterError,
        survey: &str,
        surveys: &Surveys,
    ) -> FilterError {
        if self.header.survey.is_some() {
            return error;
        }
        let elsewhere = surveys.names().find(|other| {
            self.resolve(surveys.get(other).map(|schema| schema.fields()), None)
                .is_ok()
        });
        if let (FilterProblem::UnknownColumn { suggestion, .. }, Some(other)) =
            (error.problem.as_mut(), elsewhere)
        {
            *suggestion = Some(format!(
                "survey {survey} has none: write `-- survey: {other}` at the top"
            ));
        }
        error
    }
}

/// A fault as an error of a filter, with its place in the text.
fn place(name: &str, text: &str, fault: Fault) -> FilterError {
    let Span { start, end } = fault.span;
    let width = match start.line == end.line && end.column > start.column {
        true => usize::try_from(end.column - start.column).unwrap_or(1),
        false => 1,
    };
    let place = Place {
        line: start.line,
        column: start.column,
    };
    error(name, text, place, width, fault.problem)
}

fn error(
    name: &str,
    text: &str,
    place: Place,
    width: usize,
    problem: FilterProblem,
) -> FilterError {
    let line = usize::try_from(place.line).unwrap_or(0);
    let source_line = match line {
        0 => String::new(),
        line => text
            .lines()
            .nth(line - 1)
            .unwrap_or("")
            .chars()
            .take(2_000)
            .collect(),
    };
    FilterError {
        filter: name.to_string(),
        place,
        problem: Box::new(problem),
        source_line,
        width,
    }
}
