//! `pitt simulate`

use std::process::ExitCode;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use pitt_simulate::{SimSurvey, SimulationConfig, write_folder};
use serde_json::json;

use crate::cli::{Simulate, SurveyName};
use crate::screen::{self, bytes, counted};

pub(super) fn run(args: &Simulate) -> Result<ExitCode> {
    let surveys = match args.survey {
        None => vec![SimSurvey::Ztf, SimSurvey::Lsst],
        Some(SurveyName::Ztf) => vec![SimSurvey::Ztf],
        Some(SurveyName::Lsst) => vec![SimSurvey::Lsst],
    };
    let config = SimulationConfig {
        seed: args.seed,
        nights: args.nights,
        visits_per_night: args.visits,
        alerts_per_visit: args.alerts_per_visit,
        surveys,
        bad_packets_per_million: args.bad_per_million,
        duplicates_per_million: args.duplicates_per_million,
        ..SimulationConfig::default()
    };
    let bar = progress_bar("visits");
    let written = write_folder(&args.into, config, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if args.json {
        screen::print_json(&json!({
            "packets": written.packets,
            "bytes": written.bytes,
            "nights": written.nights,
            "truth": written.truth,
        }))?;
    } else {
        let into = args.into.display();
        screen::print(&format!(
            "{} ({}) in {into}, the truth behind them in {}.\nTry next: pitt run --from {into}\n",
            counted(written.packets, "packet"),
            bytes(written.bytes),
            written.truth.display(),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A bar on stderr, hidden when that is no terminal.
pub(super) fn progress_bar(unit: &str) -> ProgressBar {
    let template = format!("{{bar:40.green}} {{human_pos}} of {{human_len}} {unit}, {{eta}} left");
    let style = ProgressStyle::with_template(&template);
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
