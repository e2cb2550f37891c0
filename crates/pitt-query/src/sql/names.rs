//! Names in a query: another case is understood when only one name can be meant, as in filters.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::{DataType, Fields, SchemaRef};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    Statement as SqlStatement, TableAlias, TableFactor, Value, Visit, Visitor,
    visit_expressions_mut, visit_relations_mut,
};

use crate::error::QueryError;
use crate::suggest::nearest;

/// Names of the tables and of their columns, nested ones too.
#[derive(Debug, Default)]
pub(super) struct Names {
    tables: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    pub(super) fn of(tables: Vec<(String, SchemaRef)>) -> Names {
        let named = |(name, schema): (String, SchemaRef)| {
            let mut columns = BTreeSet::new();
            gather(schema.fields(), &mut columns);
            (name, columns)
        };
        Names {
            tables: tables.into_iter().map(named).collect(),
        }
    }

    /// Puts unquoted names as the tables have them, where one name alone can be meant.
    ///
    /// A name that the query gives itself (`AS`) stays as it is; so does one that stands exactly so in a table of the query.
    pub(super) fn settle(&self, statement: &mut Statement) -> Result<(), QueryError> {
        match statement {
            Statement::Statement(statement) => self.settle_sql(statement),
            Statement::Explain(explain) => self.settle(&mut explain.statement),
            _ => Ok(()),
        }
    }

    fn settle_sql(&self, statement: &mut SqlStatement) -> Result<(), QueryError> {
        let mut given = Given::default();
        let _ = statement.visit(&mut given);
        let mut read = BTreeSet::new();
        let settled = visit_relations_mut(statement, |relation: &mut ObjectName| {
            if let [ObjectNamePart::Identifier(table)] = relation.0.as_mut_slice() {
                let tables = self.tables.keys().map(String::as_str);
                if let Err(error) = given.settle(table, tables) {
                    return ControlFlow::Break(error);
                }
                read.insert(table.value.clone());
            }
            ControlFlow::Continue(())
        });
        done(settled)?;
        let mut names: BTreeSet<&str> = read.iter().map(String::as_str).collect();
        let columns = read.iter().filter_map(|table| self.tables.get(table));
        names.extend(columns.flatten().map(String::as_str));
        done(visit_expressions_mut(statement, |expr: &mut Expr| {
            let settle = |ident: &mut Ident| given.settle(ident, names.iter().copied());
            let settled = match expr {
                Expr::Identifier(ident) => settle(ident),
                Expr::CompoundIdentifier(idents) => idents.iter_mut().try_for_each(settle),
                Expr::CompoundFieldAccess { access_chain, .. } => fields(access_chain, settle),
                _ => Ok(()),
            };
            settled.map_or_else(ControlFlow::Break, ControlFlow::Continue)
        }))
    }

    /// Says of a table that is not there which could be meant.
    pub(super) fn explain(&self, error: QueryError) -> QueryError {
        let QueryError::Sql(message) = &error else {
            return error;
        };
        let missing = message
            .strip_prefix("table '")
            .and_then(|rest| rest.strip_suffix("' not found"))
            .and_then(|path| path.rsplit('.').next());
        let Some(missing) = missing else {
            return error;
        };
        let known = || self.tables.keys().map(String::as_str);
        let advice = match nearest(missing, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
        };
        QueryError::Sql(format!("no table `{missing}` ({advice})"))
    }
}

/// Fields inside elements of lists, `detections[1].psf_flux`: the planner takes their names as text.
fn fields(
    chain: &mut [AccessExpr],
    settle: impl Fn(&mut Ident) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    for access in chain {
        if let AccessExpr::Dot(field) = access
            && let Expr::Identifier(ident) = field
        {
            settle(ident)?;
            let name = Value::SingleQuotedString(ident.value.clone());
            *field = Expr::Value(name.with_span(ident.span));
        }
    }
    Ok(())
}

fn done(flow: ControlFlow<QueryError>) -> Result<(), QueryError> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

fn gather(fields: &Fields, names: &mut BTreeSet<String>) {
    for field in fields {
        names.insert(field.name().clone());
        match field.data_type() {
            DataType::Struct(inner) => gather(inner, names),
            DataType::List(item) => {
                if let DataType::Struct(inner) = item.data_type() {
                    gather(inner, names);
                }
            }
            _ => {}
        }
    }
}

/// Names that a query gives: to columns, tables and parts of itself.
#[derive(Default)]
struct Given(BTreeSet<String>);

impl Given {
    fn settle<'a>(
        &self,
        ident: &mut Ident,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), QueryError> {
        let written = ident.value.as_str();
        let exact = || known.clone().any(|name| name == written);
        if ident.quote_style.is_some() || self.0.contains(written) || exact() {
            return Ok(());
        }
        let near: Vec<&str> = known
            .clone()
            .filter(|name| name.eq_ignore_ascii_case(written))
            .collect();
        match near.as_slice() {
            [] => {}
            [name] => ident.value = (*name).to_owned(),
            several => {
                let several: Vec<String> = several.iter().map(|n| format!("`{n}`")).collect();
                return Err(QueryError::Sql(format!(
                    "`{written}` could be {} (write it exactly)",
                    several.join(" or ")
                )));
            }
        }
        Ok(())
    }

    fn alias(&mut self, alias: &TableAlias) {
        self.0.insert(alias.name.value.clone());
        let columns = alias.columns.iter().map(|column| column.name.value.clone());
        self.0.extend(columns);
    }
}

impl Visitor for Given {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let parts = query.with.iter().flat_map(|with| &with.cte_tables);
        parts.for_each(|part| self.alias(&part.alias));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.0.insert(alias.value.clone());
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } = factor
            && let Some(alias) = alias
        {
            self.alias(alias);
        }
        ControlFlow::Continue(())
    }
}
