//! Processor time, as Linux counts it.

use std::time::Duration;

/// Processor time of the calling thread, user and system; `None` where the system does not tell.
pub fn of_thread() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Processor time of the whole process, user and system apart, in steps of 10 ms.
pub fn of_process() -> Option<(Duration, Duration)> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_millis(ticks * 10))
    };
    Some((next()?, next()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_for_the_thread_and_the_process() {
        let (thread, process) = (of_thread().unwrap(), of_process().unwrap());
        let mut sum = 0u64;
        while of_thread().unwrap() < thread + Duration::from_millis(50) {
            sum = (0..100_000).fold(sum, |sum, i| std::hint::black_box(sum ^ i));
        }
        let (user, system) = of_process().unwrap();
        assert!(user + system >= process.0 + process.1 + Duration::from_millis(20));
    }
}
