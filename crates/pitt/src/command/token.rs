//! `pitt token create|list|revoke`

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Misused, settings};
use crate::cli::{Global, TokenCreate, TokenList, TokenRevoke};
use crate::http::auth::{Token, TokenFile, is_taken};
use crate::screen::{self, Align, Table, utc};
use crate::source::now_us;

const DAY_US: f64 = 86_400e6;
/// Longest life of a token `[d]`.
const LONGEST: f64 = 36_500.0;
/// Longest name.
const NAME: usize = 100;

pub(super) fn create(global: &Global, args: &TokenCreate) -> Result<ExitCode> {
    let good = |c: char| !c.is_control();
    if args.name.trim().is_empty() || args.name.len() > NAME || !args.name.chars().all(good) {
        bail!(Misused(format!(
            "NAME is {:?}, expected 1 to {NAME} letters, digits or signs",
            args.name
        )));
    }
    if is_taken(args.name.trim()) {
        bail!(Misused(format!(
            "NAME is {:?}, which is what the token of a run is called (choose another)",
            args.name
        )));
    }
    let now = now_us();
    let expires = match args.expires {
        None => None,
        Some(days) if days > 0.0 && days <= LONGEST => Some(now + (days * DAY_US) as i64),
        Some(days) => bail!(Misused(format!(
            "--expires is {days}, expected days, above 0 and up to {LONGEST:.0}"
        ))),
    };
    let mut scopes = args.scope.clone();
    scopes.sort_unstable();
    scopes.dedup();
    let (token, text) = Token::new(args.name.trim(), scopes, now, expires)?;
    let file = file(global, true)?;
    file.change(|tokens| {
        tokens.push(token.clone());
        Ok(())
    })?;
    if args.json {
        let mut shown = shown(&token, now);
        shown["token"] = text.into();
        screen::print_json(&shown)?;
    } else {
        screen::print(&format!("{text}\n"))?;
        eprintln!("{}", told(&token, file.path()));
    }
    Ok(ExitCode::SUCCESS)
}

fn told(token: &Token, file: &Path) -> String {
    let until = token.expires_us.map_or_else(
        || "until it is revoked".to_owned(),
        |expires| format!("until {} UTC", utc(expires)),
    );
    format!(
        "Token {} of {} ({}), good {until}. It is shown this once; its hash is in {}.",
        token.id,
        token.name,
        words(token),
        file.display()
    )
}

pub(super) fn list(global: &Global, args: &TokenList) -> Result<ExitCode> {
    let (tokens, now) = (file(global, false)?.read()?, now_us());
    if args.json {
        let shown: Vec<Value> = tokens.iter().map(|token| shown(token, now)).collect();
        screen::print_json(&shown.into())?;
    } else if tokens.is_empty() {
        screen::print("No tokens (`pitt token create NAME --scope write` makes one).\n")?;
    } else {
        screen::print(&table(&tokens, now).render())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(tokens: &[Token], now: i64) -> Table {
    let left = |title| (title, Align::Left);
    let titles = [
        "id",
        "name",
        "scopes",
        "standing",
        "created",
        "expires",
        "last used",
    ];
    let mut table = Table::new(titles.map(left));
    let time = |time: Option<i64>, none: &str| time.map_or_else(|| none.to_owned(), utc);
    for token in tokens {
        table.row([
            token.id.clone(),
            token.name.clone(),
            words(token),
            token.standing(now).as_str().to_owned(),
            utc(token.created_us),
            time(token.expires_us, "never"),
            time(token.last_used_us, "never"),
        ]);
    }
    table
}

pub(super) fn revoke(global: &Global, args: &TokenRevoke) -> Result<ExitCode> {
    let now = now_us();
    let token = file(global, false)?.revoke(&args.id, now)?;
    if args.json {
        screen::print_json(&shown(&token, now))?;
    } else {
        screen::print(&format!(
            "Token {} of {} is worthless now; a running broker knows within a second.\n",
            token.id, token.name
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn words(token: &Token) -> String {
    let words: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    words.join(", ")
}

/// What may be shown of a token: all but its hash.
fn shown(token: &Token, now: i64) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes,
        "standing": token.standing(now).as_str(),
        "created_us": token.created_us,
        "expires_us": token.expires_us,
        "revoked_us": token.revoked_us,
        "last_used_us": token.last_used_us,
    })
}

/// The tokens of the archive that the settings name. The first one can be made before the first run.
fn file(global: &Global, make: bool) -> Result<TokenFile> {
    let archive = settings(global, vec![])?.settings.archive;
    let folder = Path::new(&archive);
    if make {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{archive}`"))?;
    } else if !folder.is_dir() {
        bail!("there is no archive in `{archive}` (name one with --archive)");
    }
    Ok(TokenFile::of(folder))
}
