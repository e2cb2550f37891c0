//! Memory that queries share.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool, TrackConsumersPool};

/// Holders of most memory that a refusal names, for the log.
const NAMED: NonZeroUsize = NonZeroUsize::new(5).unwrap();

/// What sorts, joins and groups may hold, all queries together, whatever [`Engine`](super::Engine) they are asked of: an archive that
/// grows has a new engine after each commit, while queries go on in those before.
#[derive(Clone, Debug)]
pub struct Budget(pub(super) Arc<dyn MemoryPool>);

impl Budget {
    /// So much memory `[bytes]`. What is on its way between the steps of a query comes on top of it.
    pub fn of(bytes: usize) -> Self {
        let pool = GreedyMemoryPool::new(bytes);
        Self(Arc::new(TrackConsumersPool::new(pool, NAMED)))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::MemoryConsumer;

    use super::*;
    use crate::{Catalogs, Engine, Limits, QueryError};

    fn count(engine: &Engine) -> Result<usize, QueryError> {
        let ten = "(VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))";
        let digits = ["a", "b", "c", "d", "e"].map(|name| format!("{ten} AS {name}(x)"));
        let sql = format!(
            "SELECT count(*) FROM (SELECT DISTINCT a.x, b.x, c.x, d.x, e.x FROM {})",
            digits.join(", ")
        );
        let rows = engine.query(&sql, &Limits::default())?;
        rows.map(|batch| Ok(batch?.num_rows())).sum()
    }

    #[test]
    fn engines_share_it() {
        let budget = Budget::of(64 << 20);
        let open = || Engine::open(&[], &Catalogs::new(), &budget).unwrap();
        let engines = [open(), open()];
        for engine in &engines {
            assert_eq!(count(engine).unwrap(), 1);
        }
        let held = MemoryConsumer::new("a query of the first engine").register(&budget.0);
        held.try_grow(63 << 20).unwrap();
        let refused = count(&engines[1]).unwrap_err().to_string();
        assert!(refused.contains("Resources exhausted"), "{refused}");
        drop(held);
        assert_eq!(count(&engines[1]).unwrap(), 1);
    }
}
