//! Values that settings can have.

use super::{CommitSettings, PipelineSettings, QuerySettings, Settings, SourceSettings};

/// A setting's key, whether its value can be, and what is expected.
pub(super) type Check = (&'static str, bool, &'static str);

/// The first setting out of range: key and what is expected.
pub(super) fn first_wrong(
    checks: impl IntoIterator<Item = Check>,
) -> Option<(&'static str, &'static str)> {
    let wrong = checks.into_iter().find(|(_, good, _)| !good);
    wrong.map(|(key, _, expected)| (key, expected))
}

impl Settings {
    /// The first setting out of range: key and what is expected.
    pub(super) fn out_of_range(&self) -> Option<(&'static str, &'static str)> {
        let url = ["http://", "https://"];
        let registry = &self.registry;
        let registry = registry.is_empty() || url.iter().any(|start| registry.starts_with(start));
        let own = [
            ("archive", !self.archive.is_empty(), "a folder"),
            ("registry", registry, "http://HOST:PORT or https://HOST"),
        ];
        let checks = self.pipeline.checks().into_iter();
        let checks = checks
            .chain(self.commit.checks())
            .chain(self.source.checks());
        let checks = checks.chain(self.query.checks()).chain(own);
        first_wrong(checks)
            .or_else(|| self.http.out_of_range())
            .or_else(|| self.output.out_of_range())
    }
}

impl PipelineSettings {
    fn checks(&self) -> [Check; 5] {
        let alerts = (1..=100_000).contains(&self.batch_alerts);
        let ms = (1..=60_000).contains(&self.batch_ms);
        let queue = (1..=64).contains(&self.queue_batches);
        [
            ("pipeline.batch_alerts", alerts, "1 to 100000"),
            (
                "pipeline.batch_mb",
                (1..=1024).contains(&self.batch_mb),
                "1 to 1024",
            ),
            ("pipeline.batch_ms", ms, "1 to 60000"),
            ("pipeline.queue_batches", queue, "1 to 64"),
            ("pipeline.workers", self.workers <= 256, "0 to 256"),
        ]
    }
}

impl CommitSettings {
    fn checks(&self) -> [Check; 2] {
        let seconds = (0.1..=3600.0).contains(&self.every_s);
        let mb = (1..=16_384).contains(&self.every_mb);
        [
            ("commit.every_s", seconds, "0.1 to 3600"),
            ("commit.every_mb", mb, "1 to 16384"),
        ]
    }
}

impl SourceSettings {
    fn checks(&self) -> [Check; 2] {
        let rescan = (0.05..=3600.0).contains(&self.rescan_s);
        let mb = (1..=2047).contains(&self.max_file_mb);
        [
            ("source.rescan_s", rescan, "0.05 to 3600"),
            ("source.max_file_mb", mb, "1 to 2047"),
        ]
    }
}

impl QuerySettings {
    fn checks(&self) -> [Check; 3] {
        let seconds = (0.1..=86_400.0).contains(&self.timeout_s);
        [
            ("query.max_rows", self.max_rows >= 1, "at least 1"),
            ("query.memory_mb", self.memory_mb >= 16, "at least 16"),
            ("query.timeout_s", seconds, "0.1 to 86400"),
        ]
    }
}
