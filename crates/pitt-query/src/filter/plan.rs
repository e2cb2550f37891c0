//! Compiling a set of filters for one schema of batches.
//!
//! All filters share one table of slots. A column slot is a column of the batch or a field inside it, laid flat; a call
//! slot is one distinct call of a function of ours (`rise_rate('g')`). Predicates are split at their `AND`s and equal
//! parts are kept once, so a hundred filters that ask the same thing ask it once.

mod physical;
mod weight;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::session_state::SessionState;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};

use super::Filter;
use super::check::Used;
use super::text::Parsed;
use crate::catalog::Catalogs;
use crate::error::plain_message;
use crate::functions::call::Call;
use physical::as_call;
pub(crate) use physical::{compact, physical};
use weight::{cost, is_fallible};

/// A column of the batch, or a field inside one.
#[derive(Debug)]
pub(crate) struct ColumnSlot {
    /// Indices from the batch's columns down; `None` when this schema version lacks it, and it is null.
    pub(crate) place: Option<Vec<usize>>,
    /// Its type, also where it is null throughout.
    pub(crate) data_type: DataType,
}

/// Where an argument of a call comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    Slot(usize),
    Constant(Option<f64>),
}

/// One distinct call of a function of ours.
#[derive(Debug)]
pub(crate) struct CallSlot {
    /// The function with its constant words, such as the band.
    pub(crate) call: Call,
    /// Its arguments, in order.
    pub(crate) sources: Vec<Source>,
}

/// One distinct part of the predicates.
#[derive(Debug)]
pub(crate) struct Part {
    /// Over a batch of the slots in `inputs`, in that order.
    pub(crate) expr: Arc<dyn PhysicalExpr>,
    /// Slots that it reads, in the order in which it first names them.
    pub(crate) inputs: Vec<usize>,
    /// Schema of that batch.
    pub(crate) schema: SchemaRef,
    /// Call slots among the inputs.
    pub(crate) calls: Vec<usize>,
    /// Whether an alert can make it fail (arithmetic of whole numbers, conversion of text): evaluated last, row by row
    /// at worst.
    pub(crate) fallible: bool,
    cost: u32,
}

/// A filter as the parts that all must hold.
#[derive(Debug)]
pub(crate) struct PlannedFilter {
    /// Which filter of the set.
    pub(crate) filter: usize,
    /// Parts in the order of evaluation: cheap ones first, fallible ones last in the order written.
    pub(crate) parts: Vec<usize>,
    /// The filter as checked against this schema, for its output columns.
    pub(crate) checked: Parsed,
}

/// All filters of a set compiled for one schema.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Column slots, from 0.
    pub(crate) columns: Vec<ColumnSlot>,
    /// Call slots, which follow on those.
    pub(crate) calls: Vec<CallSlot>,
    /// Distinct parts of all predicates.
    pub(crate) parts: Vec<Part>,
    /// Filters that this schema can serve.
    pub(crate) filters: Vec<PlannedFilter>,
    /// Filters that this schema cannot serve, and why.
    pub(crate) refused: Vec<(usize, String)>,
    /// Flat table of the column slots.
    pub(crate) flat: SchemaRef,
}

/// Compiles.
pub(crate) fn compile(
    filters: &[(usize, &Filter)],
    batch: &SchemaRef,
    known: &SchemaRef,
    catalogs: &Catalogs,
    state: &SessionState,
) -> Plan {
    let mut refused = Vec::new();
    let mut checked = Vec::new();
    let mut used = Used::new();
    for (filter, text) in filters {
        match text.resolve(Some(known.fields()), Some(catalogs)) {
            Ok((parsed, columns)) => {
                used.extend(columns);
                checked.push((*filter, parsed));
            }
            Err(error) => refused.push((*filter, error.to_string())),
        }
    }
    let mut builder = Builder::new(&used, batch, catalogs, state);
    for (filter, parsed) in checked {
        if let Err(error) = builder.add(filter, parsed) {
            refused.push((filter, plain_message(&error)));
        }
    }
    builder.plan.refused = refused;
    builder.plan
}

struct Builder<'a> {
    plan: Plan,
    flat: DFSchema,
    /// Slots as one table: columns, then calls. Grows as calls are found.
    slots: Vec<Arc<Field>>,
    call_of: HashMap<Arc<dyn PhysicalExpr>, usize>,
    part_of: HashMap<Arc<dyn PhysicalExpr>, usize>,
    catalogs: &'a Catalogs,
    state: &'a SessionState,
}

impl<'a> Builder<'a> {
    fn new(
        used: &Used,
        batch: &SchemaRef,
        catalogs: &'a Catalogs,
        state: &'a SessionState,
    ) -> Builder<'a> {
        let mut columns = Vec::new();
        let mut slots = Vec::new();
        for (name, found) in used {
            let (place, data_type) = match place(batch, &found.path) {
                Some((place, own)) => (Some(place), own),
                None => (None, found.data_type.clone()),
            };
            slots.push(Arc::new(Field::new(name, data_type.clone(), true)));
            columns.push(ColumnSlot { place, data_type });
        }
        let schema = Arc::new(Schema::new(slots.clone()));
        let plan = Plan {
            columns,
            calls: Vec::new(),
            parts: Vec::new(),
            filters: Vec::new(),
            refused: Vec::new(),
            flat: Arc::clone(&schema),
        };
        let flat = DFSchema::try_from(schema).unwrap_or_else(|_| DFSchema::empty());
        Builder {
            plan,
            flat,
            slots,
            call_of: HashMap::new(),
            part_of: HashMap::new(),
            catalogs,
            state,
        }
    }

    fn add(&mut self, filter: usize, checked: Parsed) -> Result<(), DataFusionError> {
        let expr = physical(&checked.predicate, &self.flat, self.catalogs, self.state)?;
        let mut sure = Vec::new();
        let mut fallible = Vec::new();
        for part in split_conjunction(&expr) {
            let index = self.part(part)?;
            let parts = if self.plan.parts[index].fallible {
                &mut fallible
            } else {
                &mut sure
            };
            if !parts.contains(&index) {
                parts.push(index);
            }
        }
        sure.sort_by_key(|index| self.plan.parts[*index].cost);
        sure.extend(fallible);
        self.plan.filters.push(PlannedFilter {
            filter,
            parts: sure,
            checked,
        });
        Ok(())
    }

    /// The part for an expression over the flat table: a known one, or a new one.
    fn part(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Result<usize, DataFusionError> {
        if let Some(index) = self.part_of.get(expr) {
            return Ok(*index);
        }
        let over_slots = self.extract_calls(Arc::clone(expr))?;
        let (over_inputs, inputs) = compact(over_slots)?;
        let schema = Arc::new(Schema::new(
            inputs
                .iter()
                .map(|slot| Arc::clone(&self.slots[*slot]))
                .collect::<Vec<_>>(),
        ));
        let columns = self.plan.columns.len();
        let calls: Vec<usize> = inputs
            .iter()
            .filter(|slot| **slot >= columns)
            .copied()
            .collect();
        let call_cost: u32 = calls
            .iter()
            .map(|slot| self.plan.calls[slot - columns].call.cost())
            .sum();
        let part = Part {
            fallible: is_fallible(&over_inputs, &schema),
            cost: cost(&over_inputs) + call_cost,
            expr: over_inputs,
            inputs,
            schema,
            calls,
        };
        self.plan.parts.push(part);
        let index = self.plan.parts.len() - 1;
        self.part_of.insert(Arc::clone(expr), index);
        Ok(index)
    }

    /// Replaces calls of our functions over columns and constants by columns of their slots, from the inside out.
    fn extract_calls(
        &mut self,
        expr: Arc<dyn PhysicalExpr>,
    ) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
        let replaced = expr.transform_up(|node| {
            let Some((call, sources)) = as_call(&node) else {
                return Ok(Transformed::no(node));
            };
            let slot = match self.call_of.get(&node) {
                Some(slot) => *slot,
                None => self.add_call(&node, call, sources),
            };
            let column: Arc<dyn PhysicalExpr> =
                Arc::new(Column::new(self.slots[slot].name(), slot));
            Ok(Transformed::yes(column))
        })?;
        Ok(replaced.data)
    }

    fn add_call(
        &mut self,
        node: &Arc<dyn PhysicalExpr>,
        call: Call,
        sources: Vec<Source>,
    ) -> usize {
        let slot = self.slots.len();
        self.slots.push(Arc::new(Field::new(
            format!("#{slot}"),
            call.data_type(),
            true,
        )));
        self.plan.calls.push(CallSlot { call, sources });
        self.call_of.insert(Arc::clone(node), slot);
        slot
    }
}

/// Where a column is in the batch, and its type there; `None` when this schema version lacks it.
fn place(batch: &SchemaRef, path: &[String]) -> Option<(Vec<usize>, DataType)> {
    let (last, parents) = path.split_last()?;
    let mut fields = batch.fields();
    let mut place = Vec::with_capacity(path.len());
    for name in parents {
        let index = fields.iter().position(|f| f.name() == name)?;
        place.push(index);
        let DataType::Struct(inner) = fields[index].data_type() else {
            return None;
        };
        fields = inner;
    }
    let index = fields.iter().position(|f| f.name() == last)?;
    place.push(index);
    Some((place, fields[index].data_type().clone()))
}
