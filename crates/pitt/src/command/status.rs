//! `pitt status`

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pitt_archive::{ClaimBook, ClaimedPartition};
use serde_json::json;

use super::settings;
use crate::cli::{self, Global};
use crate::screen::{self, Align, Table, bytes, count, milliseconds, span, utc};
use crate::source::now_us;
use crate::telemetry::{FilterStatus, InputStatus, OutputStatus, RunState, Status, WebhooksStatus};

/// How often `--watch` looks.
const LOOK: Duration = Duration::from_secs(1);
/// Columns of a terminal that the view keeps to.
const WIDTH: usize = 80;
/// Most filters shown, those with the most matches; `--json` has all.
const MOST_FILTERS: usize = 20;

pub(super) fn run(global: &Global, args: &cli::Status) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let archive = config.settings.archive.as_str();
    if !Path::new(archive).is_dir() {
        bail!(
            "there is no archive at `{archive}` (fill one with `pitt demo` or `pitt run --from FOLDER`, or name another with --archive)"
        );
    }
    loop {
        let view = View::read(archive)?;
        let text = if args.json {
            format!("{:#}\n", view.json())
        } else {
            view.text()
        };
        if !args.watch {
            screen::print(&text)?;
            return Ok(if view.troubles.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        let clear = if args.json { "" } else { "\x1b[H\x1b[2J" };
        screen::print(&format!("{clear}{text}"))?;
        std::thread::sleep(LOOK);
    }
}

/// What there is to see of an archive at one moment.
struct View {
    archive: String,
    now_us: i64,
    /// Processes that run, then those that are to be known of: the last that ended, and those that died since the
    /// oldest running one began.
    runs: Vec<Status>,
    troubles: Vec<String>,
}

impl View {
    fn read(archive: &str) -> Result<Self> {
        let all = Status::read_all(Path::new(archive))
            .with_context(|| format!("cannot read the status of `{archive}`"))?;
        let mut view = Self::of(archive, all, now_us());
        let claimed = ClaimBook::open(archive).and_then(|book| book.partitions());
        match claimed {
            Ok(claimed) => {
                // A document says that a process runs until it is stale; the lock of its lane knows at once.
                let mut runs = view.runs.clone();
                runs.retain(|run| has_process(Path::new(archive), run.lane));
                view.troubles.extend(left_open(&claimed, &runs));
            }
            // One that is being made has no log yet.
            Err(error) => tracing::debug!("the claims are not known: {error}"),
        }
        Ok(view)
    }

    fn of(archive: &str, all: Vec<Status>, now_us: i64) -> Self {
        let running = |run: &Status| run.state == RunState::Running && !run.is_stale(now_us);
        let newest_start = all
            .iter()
            .filter(|run| running(run))
            .map(|run| run.started_us)
            .max();
        let last_written = all.iter().map(|run| run.written_us).max();
        let mut runs: Vec<Status> = all
            .into_iter()
            .filter(|run| match newest_start {
                // A process begun after another one died has taken its place.
                Some(begun) => running(run) || (run.is_stale(now_us) && run.written_us > begun),
                None => Some(run.written_us) == last_written || run.is_stale(now_us),
            })
            .collect();
        runs.sort_by_key(|run| (!running(run), run.lane));
        let troubles = troubles(&runs, now_us);
        Self {
            archive: archive.to_owned(),
            now_us,
            runs,
            troubles,
        }
    }

    fn json(&self) -> serde_json::Value {
        let run = |run: &Status| {
            let mut value = json!(run);
            value["stale"] = run.is_stale(self.now_us).into();
            value
        };
        json!({
            "archive": self.archive,
            "ok": self.troubles.is_empty(),
            "troubles": self.troubles,
            "runs": self.runs.iter().map(run).collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let mut text = format!("Pitt Broker, archive {}\n", self.archive);
        for run in &self.runs {
            text.push('\n');
            text.push_str(&self.run(run));
        }
        text.push('\n');
        let counted = self.runs.iter().filter_map(|run| run.archive.as_ref());
        if let Some(archive) = counted.max_by_key(|archive| archive.counted_us) {
            text.push_str(&format!(
                "Archive: {} alerts, {} matches, {} quarantined, {}\n",
                count(archive.alerts),
                count(archive.matches),
                count(archive.quarantined),
                bytes(archive.bytes)
            ));
        }
        if let Some((free, all)) = self.runs.iter().find_map(|run| run.disk) {
            text.push_str(&format!(
                "Disk:    {} free of {}\n",
                bytes(free),
                bytes(all)
            ));
        }
        text.push('\n');
        if self.troubles.is_empty() {
            text.push_str("Nothing is wrong.\n");
        }
        for trouble in &self.troubles {
            text.push_str(&wrapped("! ", trouble));
        }
        text
    }

    fn run(&self, run: &Status) -> String {
        let counts = &run.counts;
        let mut text = self.head(run);
        text.push_str(&format!(
            "  {:>13} received     {:>13} stored\n  {:>13} duplicates   {:>13} quarantined\n",
            count(counts.received),
            count(counts.stored),
            count(counts.duplicates),
            count(counts.quarantined)
        ));
        let reasons: Vec<String> = counts
            .reasons
            .iter()
            .map(|(reason, number)| format!("{} {reason}", count(*number)))
            .collect();
        if !reasons.is_empty() {
            text.push_str(&wrapped("                ", &reasons.join(", ")));
        }
        if run.state == RunState::Running {
            text.push_str(&format!(
                "  {:>13} alerts/s     {:>13} over a minute, {}/s\n",
                count(run.rate.alerts_per_s.round() as u64),
                count(run.rate.alerts_per_s_1m.round() as u64),
                bytes(run.rate.bytes_per_s as u64)
            ));
        }
        if let Some(memory) = run.memory {
            text.push_str(&format!(
                "  {:>13} memory       {:>13} at most\n",
                bytes(memory.now_bytes),
                bytes(memory.most_bytes)
            ));
        }
        text.push_str(&stages(run));
        text.push_str(&self.inputs(&run.inputs));
        text.push_str(&filters(&run.filters, run.output.is_some()));
        if let Some(output) = &run.output {
            text.push_str(&self.output(output));
        }
        if let Some(webhooks) = run.webhooks.as_ref().filter(|hooks| hooks.delivering) {
            text.push_str(&self::webhooks(webhooks));
        }
        text
    }

    /// Who, since when, where.
    fn head(&self, run: &Status) -> String {
        let who = format!("Process {} on {}, lane {}", run.pid, run.host, run.lane);
        let ago = |time_us: i64| span((self.now_us - time_us) / 1_000_000);
        let since = match run.state {
            RunState::Running if run.is_stale(self.now_us) => format!(
                "not running since {} ({}): it died, hangs or was paused",
                utc(run.written_us),
                ago(run.written_us)
            ),
            RunState::Running => format!("running for {}", ago(run.started_us)),
            RunState::Ended => format!(
                "not running since {} ({}): it ended in order",
                utc(run.written_us),
                ago(run.written_us)
            ),
            RunState::Failed => format!(
                "not running since {} ({}): it failed",
                utc(run.written_us),
                ago(run.written_us)
            ),
        };
        let mut text = format!("{who}\n  {since}\n");
        if let (RunState::Running, Some(url)) = (run.state, &run.url) {
            text.push_str(&format!("  {url}\n"));
        }
        text
    }

    fn inputs(&self, inputs: &[InputStatus]) -> String {
        let mut table = Table::new([
            ("  input", Align::Left),
            ("state", Align::Left),
            ("since", Align::Right),
            ("packets", Align::Right),
            ("waiting", Align::Right),
        ]);
        for input in inputs {
            table.row([
                format!("  {}", shortened(&input.name, 24)),
                input.state.clone(),
                self.since(input.since_us),
                input.messages.map_or("–".into(), count),
                input
                    .lag()
                    .map_or("–".into(), |lag| count(lag.unsigned_abs())),
            ]);
        }
        let mut text = String::from("\n");
        text.push_str(&table.render());
        for input in inputs {
            // What is wrong now stands below all else.
            if let (true, Some(last)) = (input.is_up(), &input.last_error) {
                let said = format!(
                    "{}: last error {}: {}",
                    input.name,
                    utc(last.since_us),
                    last.text
                );
                text.push_str(&wrapped("    ", &said));
            }
            if input.expired > 0 {
                let expired = count(input.expired);
                let said = format!("{}: {expired} messages expired unread", input.name);
                text.push_str(&wrapped("    ", &said));
            }
        }
        text
    }

    fn output(&self, output: &OutputStatus) -> String {
        let mut table = Table::new([
            ("  output", Align::Left),
            ("state", Align::Left),
            ("since", Align::Right),
            ("to publish", Align::Right),
        ]);
        table.row([
            format!("  {}", shortened(&output.servers, 32)),
            output.state.clone(),
            self.since(output.since_us),
            output.behind.map_or("–".into(), count),
        ]);
        let mut text = String::from("\n");
        text.push_str(&table.render());
        if let (true, Some(last)) = (output.troubles.is_empty(), &output.last_error) {
            let said = format!("last error {}: {}", utc(last.since_us), last.text);
            text.push_str(&wrapped("    ", &said));
        }
        text
    }

    fn since(&self, time_us: i64) -> String {
        match time_us {
            0 => "–".into(),
            time_us => span((self.now_us - time_us) / 1_000_000),
        }
    }
}

/// Whether a process has the lock of a lane.
fn has_process(archive: &Path, lane: u32) -> bool {
    let lock = File::open(archive.join("lanes").join(format!("{lane}.lock")));
    lock.is_ok_and(|lock| lock.try_lock_shared().is_err())
}

/// Claims of processes that died, of partitions that no running one reads.
fn left_open(claimed: &[ClaimedPartition], runs: &[Status]) -> Vec<String> {
    let running = runs.iter().filter(|run| run.state == RunState::Running);
    let inputs = running.flat_map(|run| &run.inputs);
    let read: BTreeSet<String> = inputs
        .flat_map(|input| {
            let partitions = input.partitions.iter();
            partitions.map(|one| format!("kafka:{}/{}/{}", input.name, one.topic, one.partition))
        })
        .collect();
    let open = claimed.iter().filter(|one| {
        one.held.is_empty() && one.alerts + one.matches > 0 && !read.contains(&one.partition)
    });
    let told = open.map(|one| {
        format!(
            "{}: a process died before it had stored {} and {} numbers of matches that it had claimed; matches behind them wait \
             (run with that input again or, if it is gone for good, `pitt claims release {}`)",
            one.partition,
            screen::counted(one.alerts, "alert"),
            count(one.matches),
            one.partition
        )
    });
    told.collect()
}

/// What is wrong with processes, and that there is none.
fn troubles(runs: &[Status], now_us: i64) -> Vec<String> {
    if runs.is_empty() {
        return vec!["no broker has run into this archive yet".to_owned()];
    }
    let mut troubles = vec![];
    for run in runs {
        if run.is_stale(now_us) {
            troubles.push(format!(
                "process {} of lane {} died, hangs or was paused at {}",
                run.pid,
                run.lane,
                utc(run.written_us)
            ));
        } else if run.state == RunState::Failed || run.state == RunState::Running {
            troubles.extend(run.troubles());
        }
    }
    troubles
}

fn stages(run: &Status) -> String {
    let named = [
        ("arrival", "message to receipt"),
        ("match", "receipt to match"),
        ("publish", "receipt to published"),
    ];
    let mut text = String::new();
    for (stage, words) in named {
        if let Some(times) = run.stages.get(stage) {
            let [p50, p99, p999] =
                [times.p50_ms, times.p99_ms, times.p999_ms].map(|time| milliseconds(Some(time)));
            text.push_str(&format!(
                "  {p50:>13} {words}, p50; p99 {p99}, p99.9 {p999}\n"
            ));
        }
    }
    text
}

fn filters(filters: &[FilterStatus], published: bool) -> String {
    if filters.is_empty() {
        return String::new();
    }
    let mut sorted: Vec<&FilterStatus> = filters.iter().collect();
    sorted.sort_by(|a, b| b.matches.cmp(&a.matches).then(a.name.cmp(&b.name)));
    let mut columns = vec![("  filter", Align::Left), ("matches", Align::Right)];
    if published {
        columns.push(("delivered", Align::Right));
    }
    let mut table = Table::new(columns);
    for filter in sorted.iter().take(MOST_FILTERS) {
        let mut row = vec![
            format!("  {}", shortened(&filter.name, 44)),
            count(filter.matches),
        ];
        if published {
            row.push(count(filter.delivered));
        }
        table.row(row);
    }
    let mut text = format!("\n{}", table.render());
    if filters.len() > MOST_FILTERS {
        let more = filters.len() - MOST_FILTERS;
        text.push_str(&format!("  {more} more (--json has all)\n"));
    }
    text
}

/// A text that fits a column.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

/// A text in lines that fit the width, the first after `lead`, the others as far in.
fn wrapped(lead: &str, text: &str) -> String {
    let indent = lead.chars().count();
    let (mut out, mut column) = (String::from(lead), indent);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

/// What was sent, and what was not taken.
fn webhooks(of: &WebhooksStatus) -> String {
    let said = format!(
        "{} webhooks, {} failing, {} paused: {} matches delivered, {} waiting, {} batches given up",
        of.hooks,
        of.failing,
        of.paused,
        count(of.delivered),
        count(of.waiting),
        count(of.dead)
    );
    format!("\n{}", wrapped("  ", &said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_fit_eighty_columns_too() {
        let of = WebhooksStatus {
            delivering: true,
            hooks: 3,
            paused: 1,
            delivered: 123_456,
            waiting: 12,
            ..WebhooksStatus::default()
        };
        let text = webhooks(&of);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        insta::assert_snapshot!(text.trim(), @r"
        3 webhooks, 0 failing, 1 paused: 123,456 matches delivered, 12 waiting, 0
          batches given up
        ");
    }

    /// A document as another process has written it, with changes.
    fn run(changes: serde_json::Value) -> Status {
        let mut document = json!({
            "format": 1, "version": "0.1.0", "pid": 4711, "host": "summit", "lane": 0, "state": "running", "error": null,
            "started_us": 1_000_000_000_000_000i64, "written_us": 1_000_000_300_000_000i64, "url": "http://127.0.0.1:8080",
            "counts": {"received": 1_234_567, "bytes": 0, "stored": 1_230_000, "duplicates": 4_000, "quarantined": 567,
                "reasons": {"bad_data": 500, "unknown_schema": 67}},
            "rate": {"alerts_per_s": 412.3, "bytes_per_s": 24.5e6, "alerts_per_s_1m": 398.0},
            "stages": {"match": {"count": 1, "p50_ms": 38.0, "p99_ms": 210.0, "p999_ms": 1234.0}},
            "filters": [
                {"name": "young_supernova_candidates", "version": "1", "matches": 12, "delivered": 11, "switched_off": null},
                {"name": "bright", "version": "1", "matches": 3456, "delivered": 3456, "switched_off": null},
            ],
            "inputs": [
                {"name": "ztf", "kind": "kafka", "state": "reading", "since_us": 1_000_000_000_000_000i64, "troubles": [],
                    "last_error": {"text": "no broker answers", "since_us": 1_000_000_100_000_000i64},
                    "messages": 1_234_567, "expired": 3,
                    "partitions": [{"topic": "ztf_20260101_programid1", "partition": 0, "next": 9, "lag": 1500},
                        {"topic": "ztf_20260101_programid1", "partition": 1, "next": 9, "lag": null}]},
            ],
            "output": {"servers": "kafka.example.org:9092", "state": "publishing", "since_us": 1_000_000_000_000_000i64,
                "troubles": [], "last_error": null, "behind": 7},
            "archive": {"records": 0, "alerts": 5_000_000, "matches": 12_345, "quarantined": 678, "bytes": 120_300_000_000u64, "counted_us": 0},
            "disk": [45_200_000_000u64, 100_000_000_000u64],
            "memory": {"now_bytes": 512_000_000, "most_bytes": 640_000_000},
        });
        for (key, value) in changes.as_object().unwrap() {
            document[key] = value.clone();
        }
        serde_json::from_value(document).unwrap()
    }

    const NOW: i64 = 1_000_000_301_000_000;

    #[test]
    fn everything_fits_eighty_columns() {
        let text = View::of("pitt-data", vec![run(json!({}))], NOW).text();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        insta::assert_snapshot!(text, @r"
        Pitt Broker, archive pitt-data

        Process 4711 on summit, lane 0
          running for 5 min
          http://127.0.0.1:8080
              1,234,567 received         1,230,000 stored
                  4,000 duplicates             567 quarantined
                        500 bad_data, 67 unknown_schema
                    412 alerts/s               398 over a minute, 24.5 MB/s
               512.0 MB memory            640.0 MB at most
                  38 ms receipt to match, p50; p99 210 ms, p99.9 1.2 s

          input  state    since    packets  waiting
          ztf    reading  5 min  1,234,567    1,500
            ztf: last error 2001-09-09 01:48:20: no broker answers
            ztf: 3 messages expired unread

          filter                      matches  delivered
          bright                        3,456      3,456
          young_supernova_candidates       12         11

          output                  state       since  to publish
          kafka.example.org:9092  publishing  5 min           7

        Archive: 5,000,000 alerts, 12,345 matches, 678 quarantined, 120.3 GB
        Disk:    45.2 GB free of 100.0 GB

        Nothing is wrong.
        ");
    }

    #[test]
    fn what_is_wrong_stands_last_and_is_wrapped() {
        let trouble = "no broker answers at kafka.example.org:9092: connection refused (check `servers`, and that the cluster runs)";
        let down = json!({"inputs": [{"name": "lsst", "kind": "kafka", "state": "waiting", "since_us": 1_000_000_181_000_000i64,
            "troubles": [{"text": trouble, "since_us": 1_000_000_181_000_000i64}], "last_error": null, "messages": 0,
            "expired": 0, "partitions": []}],
            "output": null, "filters": [], "disk": [900_000_000u64, 100_000_000_000u64]});
        let view = View::of("pitt-data", vec![run(down)], NOW);
        assert_eq!(view.troubles.len(), 2);
        let text = view.text();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        insta::assert_snapshot!(text, @r"
        Pitt Broker, archive pitt-data

        Process 4711 on summit, lane 0
          running for 5 min
          http://127.0.0.1:8080
              1,234,567 received         1,230,000 stored
                  4,000 duplicates             567 quarantined
                        500 bad_data, 67 unknown_schema
                    412 alerts/s               398 over a minute, 24.5 MB/s
               512.0 MB memory            640.0 MB at most
                  38 ms receipt to match, p50; p99 210 ms, p99.9 1.2 s

          input  state    since  packets  waiting
          lsst   waiting  2 min        0        –

        Archive: 5,000,000 alerts, 12,345 matches, 678 quarantined, 120.3 GB
        Disk:    900.0 MB free of 100.0 GB

        ! input lsst: no broker answers at kafka.example.org:9092: connection refused
          (check `servers`, and that the cluster runs)
        ! the archive's disk has 900.0 MB left
        ");
    }

    #[test]
    fn claims_of_the_dead_are_a_trouble_unless_somebody_reads_their_partition() {
        let mut claimed = ClaimedPartition {
            partition: "kafka:ztf/gone/0".into(),
            from: 10,
            to: 20,
            alerts: 9,
            matches: 4,
            lanes: [0].into(),
            held: [].into(),
        };
        let told = left_open(std::slice::from_ref(&claimed), &[run(json!({}))]);
        assert!(told[0].contains("`pitt claims release kafka:ztf/gone/0`"));
        let mut read = claimed.clone();
        read.partition = "kafka:ztf/ztf_20260101_programid1/1".into();
        assert!(left_open(&[read], &[run(json!({}))]).is_empty());
        claimed.held.insert(1);
        assert!(left_open(&[claimed], &[]).is_empty());
    }

    #[test]
    fn the_dead_are_told_of_until_a_later_process_runs() {
        let dead = || run(json!({"lane": 1, "pid": 1, "written_us": 1_000_000_100_000_000i64}));
        let elder = run(json!({}));
        let view = View::of("a", vec![elder, dead()], NOW);
        assert_eq!(
            view.troubles,
            ["process 1 of lane 1 died, hangs or was paused at 2001-09-09 01:48:20"]
        );
        let younger = run(json!({"started_us": 1_000_000_200_000_000i64}));
        let view = View::of("a", vec![younger, dead()], NOW);
        assert_eq!((view.troubles.len(), view.runs.len()), (0, 1));
        let ended = run(json!({"state": "ended"}));
        assert!(View::of("a", vec![ended], NOW).troubles.is_empty());
        let failed = run(json!({"state": "failed", "error": "disk full"}));
        assert_eq!(View::of("a", vec![failed], NOW).troubles, ["disk full"]);
        assert_eq!(
            View::of("a", vec![], NOW).troubles,
            ["no broker has run into this archive yet"]
        );
    }
}
