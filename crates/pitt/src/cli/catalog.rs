//! The words of `pitt catalog`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `pitt catalog`
#[derive(Debug, Subcommand)]
pub enum Catalog {
    /// Take a catalog in, so that filters can say match('name', arcsec)
    Import(CatalogImport),
    /// List the catalogs at hand
    List(CatalogList),
}

/// `pitt catalog import`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt catalog import gcvs gcvs.csv --ra RAJ2000 --dec DEJ2000")]
pub struct CatalogImport {
    /// The name filters use
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A .csv or .parquet file with a row a source
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Column of right ascension, deg [default: found by its usual names]
    #[arg(long, value_name = "COLUMN")]
    pub ra: Option<String>,
    /// Column of declination, deg [default: found by its usual names]
    #[arg(long, value_name = "COLUMN")]
    pub dec: Option<String>,
}

/// `pitt catalog list`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt catalog list --json")]
pub struct CatalogList {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
