//! Steps of a query that let others have their turn, and let go when nobody wants the rows any more.
//!
//! A step that reads files makes way by itself. A join makes any number of batches of what it has in memory, and an aggregate
//! above it takes them all in one go: such a query could be stopped neither by its limit of time nor by a client that leaves.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as PlanResult;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

/// The same plan, in which whatever combines several inputs makes way now and then.
///
/// # Errors
/// A step cannot be given other inputs, which is a fault of ours.
pub(super) fn making_way(plan: Arc<dyn ExecutionPlan>) -> PlanResult<Arc<dyn ExecutionPlan>> {
    let patient = plan.transform_up(|step| {
        Ok(match step.children().len() {
            0 | 1 => Transformed::no(step),
            _ => Transformed::yes(Arc::new(CooperativeExec::new(step)) as Arc<dyn ExecutionPlan>),
        })
    });
    patient.map(|patient| patient.data)
}
