//! Injected crashes, a test aid.
//!
//! With `PITT_CRASH_AT=<point>[:n]` in the environment the process aborts, as `kill -9` would end it, when
//! it passes the named point for the `n`th time (the first without `n`). The points stand in the code as
//! `crash::point("...")`; without the variable a point costs one comparison.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

struct Plan {
    point: String,
    left: AtomicU64,
}

fn plan() -> Option<&'static Plan> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    PLAN.get_or_init(|| parse(&std::env::var("PITT_CRASH_AT").ok()?))
        .as_ref()
}

fn parse(text: &str) -> Option<Plan> {
    let (point, n) = match text.rsplit_once(':') {
        Some((point, n)) => (point, n.parse().ok()?),
        None => (text, 1),
    };
    Some(Plan {
        point: point.to_owned(),
        left: AtomicU64::new(n),
    })
}

/// Aborts the process here if `PITT_CRASH_AT` asks for it.
pub(crate) fn point(name: &str) {
    if let Some(plan) = plan()
        && plan.point == name
        && plan.left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}
