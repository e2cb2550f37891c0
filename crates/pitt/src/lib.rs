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

pub mod cli;
pub mod config;
pub mod pipeline;
pub mod plot;
pub mod screen;
pub mod source;
pub mod suggest;
