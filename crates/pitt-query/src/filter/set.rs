//! A set of filters, compiled once per schema and evaluated over batches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::ast::Expr;

use super::Filter;
use super::columns::Surveys;
use super::evaluate::{Evaluation, Outcome};
use super::plan::{Plan, compact, compile, physical};
use super::text::{OutputColumn, Projection};
use crate::catalog::Catalogs;
use crate::error::{FilterError, QueryError};
use crate::functions::udf::named_functions;

/// Rows of a batch that a filter takes, in order. Filters that take none have no verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which filter, by its place in the set.
    pub filter: usize,
    /// The rows, ascending.
    pub rows: Vec<u32>,
}

/// What a set makes of one batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Rows taken.
    pub verdicts: Vec<Verdict>,
    /// Filters that failed; their verdicts hold rows before the failing one alone.
    pub failures: Vec<Failure>,
}

/// A filter that failed on a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which filter, by its place in the set.
    pub filter: usize,
    /// The first row that failed; 0 when the filter fits no alert of this batch's schema.
    pub row: u32,
    /// What went wrong, and at which alert.
    pub why: Disabled,
}

/// Why a filter was switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    /// What went wrong.
    pub reason: String,
    /// In which survey's alerts.
    pub survey: String,
    /// The alert that brought it down, when one did.
    pub alert_id: Option<i64>,
}

/// What a set of filters reads, so that decoding can leave out the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Everything: some filter gives `SELECT *`.
    pub all: bool,
    /// The survey's own top-level columns, by name.
    pub columns: BTreeSet<String>,
    /// Whether the history of detections is read.
    pub detections: bool,
    /// Whether forced photometry is read.
    pub forced: bool,
    /// Whether non-detections are read.
    pub nondetections: bool,
}

/// Columns every decoded alert of a mapped survey has, without the lists.
pub const COMMON: [&str; 11] = [
    "survey",
    "alert_id",
    "object_id",
    "mjd_tai",
    "night",
    "ra",
    "dec",
    "band",
    "psf_flux",
    "psf_flux_err",
    "reliability",
];

/// Most schemas kept compiled; beyond, the oldest knowledge is dropped and compiled again when met.
const MAX_PLANS: usize = 64;

/// A schema of batches and the plan for it.
type KnownPlan = (SchemaRef, Arc<Plan>);

/// Many filters, ready to be evaluated. Threads share one set by reference.
pub struct FilterSet {
    filters: Vec<Filter>,
    surveys: Surveys,
    catalogs: Catalogs,
    needs: Needs,
    state: SessionState,
    /// Plans by survey.
    plans: RwLock<HashMap<String, Vec<KnownPlan>>>,
    compiling: Mutex<()>,
    disabled: Vec<OnceLock<Disabled>>,
    /// Filters for any survey that cannot read one: place in the set and survey, and why.
    skipped: Mutex<BTreeMap<(usize, String), String>>,
}

impl FilterSet {
    /// Checks filters against the known schemas and makes them ready.
    ///
    /// With no known schemas, columns are checked when the first batch of a survey arrives; a filter that does not fit
    /// is then switched off.
    pub fn compile(
        filters: Vec<Filter>,
        surveys: &Surveys,
        catalogs: &Catalogs,
    ) -> Result<FilterSet, FilterError> {
        for filter in &filters {
            filter.check(surveys, catalogs)?;
        }
        let disabled = filters.iter().map(|_| OnceLock::new()).collect();
        let needs = needs(&filters, surveys);
        Ok(FilterSet {
            filters,
            surveys: surveys.clone(),
            catalogs: catalogs.clone(),
            needs,
            state: session(),
            plans: RwLock::default(),
            compiling: Mutex::new(()),
            disabled,
            skipped: Mutex::default(),
        })
    }

    /// The filters, in the order given.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// What the filters and their outputs read.
    pub fn selection(&self) -> &Needs {
        &self.needs
    }

    /// Filters switched off so far, by their place in the set.
    pub fn disabled(&self) -> Vec<(usize, &Disabled)> {
        self.disabled
            .iter()
            .enumerate()
            .filter_map(|(i, off)| Some((i, off.get()?)))
            .collect()
    }

    /// Evaluates every filter for a survey's batch, and gives the rows each takes.
    ///
    /// A filter that fails on an alert takes the rows before it, is switched off ([`FilterSet::disabled`]) and is
    /// skipped from then on; the others are not affected. For batches that come in order; see [`FilterSet::judge`].
    pub fn evaluate(&self, survey: &str, records: &RecordBatch) -> Vec<Verdict> {
        let judgement = self.judge(survey, records);
        for failure in judgement.failures {
            self.switch_off(failure.filter, failure.why);
        }
        judgement.verdicts
    }

    /// Evaluates like [`FilterSet::evaluate`], but leaves it to the caller to switch off what failed.
    ///
    /// For batches that several threads evaluate in no order: what a filter takes must end at the first alert that it fails
    /// on, and which that is shows only when the batches are put in order again.
    pub fn judge(&self, survey: &str, records: &RecordBatch) -> Judgement {
        self.judge_each(survey, records, |_, evaluate| evaluate())
    }

    /// The same, and how long each filter took, by its place.
    ///
    /// What several filters ask is computed once: it counts for the first of them in the set.
    pub fn judge_timed(
        &self,
        survey: &str,
        records: &RecordBatch,
        mut took: impl FnMut(usize, Duration),
    ) -> Judgement {
        self.judge_each(survey, records, |filter, evaluate| {
            let begin = Instant::now();
            let outcome = evaluate();
            took(filter, begin.elapsed());
            outcome
        })
    }

    fn judge_each(
        &self,
        survey: &str,
        records: &RecordBatch,
        mut each: impl FnMut(usize, &mut dyn FnMut() -> Outcome) -> Outcome,
    ) -> Judgement {
        let plan = self.plan(survey, records.schema_ref());
        let mut evaluation = Evaluation::new(&plan, records);
        let mut judgement = Judgement::default();
        let why = |reason: &str, row: usize| Disabled {
            reason: reason.to_owned(),
            survey: survey.to_owned(),
            alert_id: alert_id(records, row),
        };
        for (filter, reason) in &plan.refused {
            let alert_id = None;
            judgement.failures.push(Failure {
                filter: *filter,
                row: 0,
                why: Disabled {
                    alert_id,
                    ..why(reason, 0)
                },
            });
        }
        for planned in &plan.filters {
            let filter = planned.filter;
            if self.is_off(filter) {
                continue;
            }
            let Outcome { rows, failure } = each(filter, &mut || evaluation.run(planned));
            if let Some((reason, row)) = failure {
                let why = why(&reason, row.unwrap_or(0));
                // A batch has far fewer than 2^32 rows.
                let row = row.unwrap_or(0) as u32;
                judgement.failures.push(Failure { filter, row, why });
            }
            if !rows.is_empty() {
                judgement.verdicts.push(Verdict { filter, rows });
            }
        }
        judgement
            .failures
            .retain(|failure| !self.is_off(failure.filter));
        judgement
    }

    fn is_off(&self, filter: usize) -> bool {
        self.disabled[filter].get().is_some()
    }

    /// The output of a filter for rows it took: its `SELECT` columns, or the common ones for a bare predicate.
    pub fn output(
        &self,
        verdict: &Verdict,
        survey: &str,
        records: &RecordBatch,
    ) -> Result<RecordBatch, QueryError> {
        let taken = take_record_batch(records, &UInt32Array::from(verdict.rows.clone()))?;
        let plan = self.plan(survey, records.schema_ref());
        let planned = plan.filters.iter().find(|p| p.filter == verdict.filter);
        match planned.map(|p| &p.checked.projection) {
            Some(Projection::Columns(columns)) => self.project(columns, &plan, &taken),
            Some(Projection::All) => Ok(taken),
            _ => {
                let schema = taken.schema();
                let places: Vec<usize> = COMMON
                    .iter()
                    .filter_map(|name| schema.index_of(name).ok())
                    .collect();
                Ok(taken.project(&places)?)
            }
        }
    }

    fn project(
        &self,
        columns: &[OutputColumn],
        plan: &Plan,
        taken: &RecordBatch,
    ) -> Result<RecordBatch, QueryError> {
        let flat = DFSchema::try_from(Arc::clone(&plan.flat))?;
        let evaluation = Evaluation::new(plan, taken);
        let mut fields = Vec::with_capacity(columns.len());
        let mut arrays = Vec::with_capacity(columns.len());
        for column in columns {
            let expr = physical(&column.expr, &flat, &self.catalogs, &self.state)?;
            let (expr, inputs) = compact(expr)?;
            let batch = evaluation.flat_batch(&plan.flat, &inputs)?;
            let array = expr.evaluate(&batch)?.into_array(taken.num_rows())?;
            fields.push(output_field(
                column,
                array.data_type(),
                plan,
                &taken.schema(),
            ));
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(taken.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            Arc::new(Schema::new(fields)),
            arrays,
            &options,
        )?)
    }

    /// Filters for any survey that skip one whose alerts lack a column they read, with the survey and the reason.
    ///
    /// That concerns surveys without a known schema alone, such as generic packets without the common columns.
    pub fn skipped(&self) -> Vec<(usize, String, String)> {
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped
            .iter()
            .map(|((filter, survey), reason)| (*filter, survey.clone(), reason.clone()))
            .collect()
    }

    /// Whether a filter that a schema cannot serve has failed: one for any survey passes over a survey nobody announced.
    fn fails(&self, filter: usize, survey: &str, reason: &str) -> bool {
        let for_any = self.filters[filter].header().survey.is_none();
        if !for_any || self.surveys.get(survey).is_some() {
            return true;
        }
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.insert((filter, survey.to_string()), reason.to_owned());
        false
    }

    /// Switches a filter off; the first reason stands.
    pub fn switch_off(&self, filter: usize, why: Disabled) {
        let name = self.filters[filter].name();
        let told = format!("filter `{name}` is switched off: {}", why.reason);
        if self.disabled[filter].set(why).is_ok() {
            tracing::error!("{told}");
        }
    }

    /// Leaves a filter off that was switched off before this set was made; nothing is said.
    pub fn keep_off(&self, filter: usize, why: Disabled) {
        let _ = self.disabled[filter].set(why);
    }

    /// The plan for a schema: compiled on first sight, then looked up.
    fn plan(&self, survey: &str, schema: &SchemaRef) -> Arc<Plan> {
        if let Some(plan) = self.known_plan(survey, schema) {
            return plan;
        }
        let _one_at_a_time = self
            .compiling
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = self.known_plan(survey, schema) {
            return plan;
        }
        let wanted: Vec<(usize, &Filter)> = self
            .filters
            .iter()
            .enumerate()
            .filter(|(_, f)| f.reads(survey))
            .collect();
        let mut known = Surveys::new();
        known.insert(survey, schema);
        if let Some(reference) = self.surveys.get(survey) {
            known.insert(survey, reference);
        }
        let known = known
            .get(survey)
            .map_or_else(|| Arc::clone(schema), Arc::clone);
        let mut plan = compile(&wanted, schema, &known, &self.catalogs, &self.state);
        plan.refused
            .retain(|(filter, reason)| self.fails(*filter, survey, reason));
        let plan = Arc::new(plan);
        let mut plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        let of_survey = plans.entry(survey.to_string()).or_default();
        if of_survey.len() >= MAX_PLANS {
            of_survey.remove(0);
        }
        of_survey.push((Arc::clone(schema), Arc::clone(&plan)));
        plan
    }

    fn known_plan(&self, survey: &str, schema: &SchemaRef) -> Option<Arc<Plan>> {
        let plans = self.plans.read().unwrap_or_else(PoisonError::into_inner);
        let of_survey = plans.get(survey)?;
        let same = of_survey
            .iter()
            .find(|(known, _)| Arc::ptr_eq(known, schema));
        let equal = same.or_else(|| of_survey.iter().find(|(known, _)| known == schema));
        equal.map(|(_, plan)| Arc::clone(plan))
    }
}

/// An output column; one that is a column of the alerts keeps its unit and description.
fn output_field(
    column: &OutputColumn,
    data_type: &DataType,
    plan: &Plan,
    schema: &Schema,
) -> Field {
    let field = Field::new(&column.name, data_type.clone(), true);
    let Expr::Identifier(name) = &column.expr else {
        return field;
    };
    let slot = plan.flat.index_of(&name.value).ok();
    let place = slot.and_then(|slot| plan.columns.get(slot)?.place.as_ref());
    let (mut fields, mut metadata) = (schema.fields(), None);
    for at in place.into_iter().flatten() {
        let Some(found) = fields.get(*at) else { break };
        metadata = Some(found.metadata().clone());
        if let DataType::Struct(inner) = found.data_type() {
            fields = inner;
        }
    }
    field.with_metadata(metadata.unwrap_or_default())
}

/// A session that plans single expressions: names keep their case.
fn session() -> SessionState {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.enable_ident_normalization = false;
    let context = SessionContext::new_with_config(config);
    for function in named_functions() {
        context.register_udf(function);
    }
    context.state()
}

fn alert_id(records: &RecordBatch, row: usize) -> Option<i64> {
    let ids = records
        .column_by_name("alert_id")?
        .as_primitive_opt::<Int64Type>()?;
    ids.is_valid(row).then(|| ids.value(row))
}

/// What the filters read, over all known surveys; by the names as written where no schema is known.
fn needs(filters: &[Filter], surveys: &Surveys) -> Needs {
    let mut needs = Needs::default();
    for filter in filters {
        needs.all |= filter.reads_all();
        let known: Vec<&str> = surveys.names().filter(|name| filter.reads(name)).collect();
        if known.is_empty() {
            needs.all = true;
        }
        for survey in known {
            let fields = surveys.get(survey).map(|schema| schema.fields());
            let Ok((_, used)) = filter.resolve(fields, None) else {
                continue;
            };
            for name in filter.top_columns(&used) {
                match name.as_str() {
                    "detections" => needs.detections = true,
                    "forced" => needs.forced = true,
                    "nondetections" => needs.nondetections = true,
                    common if COMMON.contains(&common) => {}
                    _ => {
                        needs.columns.insert(name);
                    }
                }
            }
        }
    }
    if needs.all {
        (needs.detections, needs.forced, needs.nondetections) = (true, true, true);
    }
    needs
}
