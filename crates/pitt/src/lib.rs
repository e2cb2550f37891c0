//! The `pitt` program: command line, settings, sources, pipeline, tables and pictures.
//!
//! The floors below hold what is known about the sky (`pitt-sky`), packets (`pitt-alert`), made-up packets
//! (`pitt-simulate`), the archive (`pitt-archive`) and SQL (`pitt-query`). This one brings packets to them, in order and
//! exactly once, and shows people what came of it. It is a library only so that its parts can be tested.
//!
//! ```
//! use pitt::config::Config;
//!
//! let config = Config::load(None, |_| None, vec![])?;
//! assert_eq!(config.settings.archive, "pitt-data");
//! # Ok::<(), pitt::config::ConfigError>(())
//! ```

pub mod broker;
pub mod catalogs;
pub mod cli;
pub mod command;
pub mod config;
pub mod download;
pub mod feed;
pub mod filters;
pub mod http;
pub mod kept;
pub mod pipeline;
pub mod plot;
pub mod publish;
pub mod push;
pub mod queried;
pub mod replays;
pub mod retry;
pub mod screen;
pub mod source;
pub mod stored;
pub mod suggest;
pub mod telemetry;
pub mod trial;

/// Sends log lines to stderr: warnings and errors, more with `-v`; `PITT_LOG` chooses otherwise (`PITT_LOG=pitt=debug`).
pub fn log_to_stderr(verbose: u8) {
    let usual = match verbose {
        0 => "warn,deltalake_core=error",
        1 => {
            "warn,deltalake_core=error,pitt=info,pitt_archive=info,pitt_kafka=info,pitt_stream=info"
        }
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("PITT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(|| screen::live::BesideTheView)
        .with_target(false)
        .init();
}
