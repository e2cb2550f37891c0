//! The words of `pitt token`.

use clap::{Args, Subcommand};

use crate::http::auth::Scope;

/// `pitt token`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and show it this once
    Create(TokenCreate),
    /// List the tokens of the archive
    List(TokenList),
    /// Make a token worthless, at once
    Revoke(TokenRevoke),
}

/// `pitt token create`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt token create anna                                 may read, where reading takes a token\n  \
    pitt token create anna --scope write --expires 90      may make filters too, for 90 days\n  \
    curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8080/api/v1/me\n\n\
    A running broker knows it within a second. What is kept of it is a hash: a token that is lost is made anew.")]
pub struct TokenCreate {
    /// Whose it is, for people
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What it allows; each scope includes those before it (may be given more than once)
    #[arg(long, value_enum, value_name = "SCOPE", default_value = "read")]
    pub scope: Vec<Scope>,
    /// Days after which it is not good any more [default: never]
    #[arg(long, value_name = "DAYS")]
    pub expires: Option<f64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt token list`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  pitt token list\n  pitt token list --json")]
pub struct TokenList {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt token revoke`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt token revoke 9f86d081aa")]
pub struct TokenRevoke {
    /// The id of the token, between its underscores
    #[arg(value_name = "ID")]
    pub id: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
