//! `pitt catalog import|list`

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use pitt_query::Catalog;
use serde_json::json;

use super::{Misused, settings};
use crate::catalogs;
use crate::cli::{CatalogImport, CatalogList, Global};
use crate::screen::{self, Align, Table, count, counted};

pub(super) fn import(global: &Global, args: &CatalogImport) -> Result<ExitCode> {
    let position = match (&args.ra, &args.dec) {
        (Some(ra), Some(dec)) => Some((ra.as_str(), dec.as_str())),
        (None, None) => None,
        _ => bail!(Misused("--ra and --dec go together".into())),
    };
    let config = settings(global, vec![])?;
    let catalog = Catalog::import(&args.name, &args.file, position)?;
    let file = catalog.save(&catalogs::folder(Path::new(&config.settings.archive)))?;
    let (ra, dec) = catalog.position_columns();
    screen::print(&format!(
        "{} with positions ({ra}, {dec}) in {}.\nIn a filter: match('{}', 1.5), within 1.5 arcsec.\n",
        counted(catalog.len() as u64, "source"),
        file.display(),
        args.name
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn list(global: &Global, args: &CatalogList) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let catalogs = catalogs::load(Path::new(&config.settings.archive))?;
    if args.json {
        let entry = |catalog: &std::sync::Arc<Catalog>| {
            let (ra, dec) = catalog.position_columns();
            json!({"name": catalog.name(), "sources": catalog.len(), "ra": ra, "dec": dec})
        };
        screen::print_json(&catalogs.iter().map(entry).collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new([
        ("catalog", Align::Left),
        ("sources", Align::Right),
        ("columns", Align::Left),
    ]);
    for catalog in catalogs.iter() {
        let schema = catalog.columns().schema();
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        table.row([
            catalog.name().to_owned(),
            count(catalog.len() as u64),
            names.join(" "),
        ]);
    }
    let none = "no catalogs yet (`pitt catalog import NAME FILE` takes one in)\n".to_owned();
    screen::print(&if table.is_empty() {
        none
    } else {
        table.render()
    })?;
    Ok(ExitCode::SUCCESS)
}
