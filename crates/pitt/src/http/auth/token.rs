//! Tokens: their text, what they allow, and what is kept of them.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::TokenError;

/// What every token begins with, so that one that has gone astray is recognised.
const PREFIX: &str = "pitt";
/// Random bytes of an id, which is no secret.
const ID_BYTES: usize = 5;
/// Random bytes of a secret: 256 bits cannot be guessed.
const SECRET_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
/// Longest text that is looked at.
const LONGEST: usize = 128;

/// What a token allows. Each includes those before it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Reading, where that takes a token
    Read,
    /// Making filters, and changing one's own
    Write,
    /// Changing what others have made
    Admin,
}

impl Scope {
    /// All that this one includes, itself last.
    pub fn included(self) -> impl Iterator<Item = Self> {
        let all = [Self::Read, Self::Write, Self::Admin];
        all.into_iter().filter(move |scope| *scope <= self)
    }

    /// The word of the command line and of JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.as_str())
    }
}

/// What is kept of a token. Times are `[us since 1970, UTC]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The part between the underscores; no secret.
    pub id: String,
    /// Whose it is, for people.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_us: i64,
    /// From when on it is not good any more; `null` for never.
    pub expires_us: Option<i64>,
    /// When it was revoked.
    pub revoked_us: Option<i64>,
    /// When it was last used, to about a minute.
    pub last_used_us: Option<i64>,
    /// argon2id of the whole text, with salt and costs (PHC string).
    pub hash: String,
}

/// How a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can be used.
    Good,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl Standing {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Token {
    /// A new token and its text, which is nowhere else.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(
        name: &str,
        scopes: Vec<Scope>,
        now_us: i64,
        expires_us: Option<i64>,
    ) -> Result<(Self, String), TokenError> {
        let id: String = random::<ID_BYTES>()?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let text = text(&id)?;
        let salt =
            SaltString::encode_b64(&random::<SALT_BYTES>()?).map_err(|_| TokenError::Random)?;
        let hash = Argon2::default().hash_password(text.as_bytes(), &salt);
        let token = Self {
            id,
            name: name.to_owned(),
            scopes,
            created_us: now_us,
            expires_us,
            revoked_us: None,
            last_used_us: None,
            hash: hash.map_err(|_| TokenError::Random)?.to_string(),
        };
        Ok((token, text))
    }

    /// Whether this is its text. Takes some 20 ms of a core, whatever the answer.
    pub fn is(&self, text: &str) -> bool {
        PasswordHash::new(&self.hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(text.as_bytes(), &hash)
                .is_ok()
        })
    }

    /// How it stands at a time.
    pub fn standing(&self, now_us: i64) -> Standing {
        if self.revoked_us.is_some() {
            Standing::Revoked
        } else if self.expires_us.is_some_and(|expires| expires <= now_us) {
            Standing::Expired
        } else {
            Standing::Good
        }
    }
}

/// A new text with this id.
pub(super) fn text(id: &str) -> Result<String, TokenError> {
    let secret = URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?);
    Ok(format!("{PREFIX}_{id}_{secret}"))
}

/// The id in a text; `None` when it is no token's text.
pub(super) fn id_of(text: &str) -> Option<&str> {
    let (id, secret) = text
        .strip_prefix(PREFIX)?
        .strip_prefix('_')?
        .split_once('_')?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let whole = !id.is_empty() && !secret.is_empty() && text.len() <= LONGEST;
    (whole && text.chars().all(good)).then_some(id)
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], TokenError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map(|()| bytes).map_err(|_| TokenError::Random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_text_is_its_text() {
        let (token, text) = Token::new("me", vec![Scope::Write], 0, None).unwrap();
        assert_eq!(id_of(&text), Some(token.id.as_str()));
        assert!(token.is(&text) && !token.is(&format!("{text}x")) && !token.is(""));
        assert!(token.hash.starts_with("$argon2id$v=19$"));
        assert!(!token.hash.contains(&text[16..]));
        let damaged = Token {
            hash: "nothing".into(),
            ..token
        };
        assert!(!damaged.is(&text));
    }

    #[test]
    fn what_is_no_token_has_no_id() {
        let long = format!("pitt_a_{}", "b".repeat(LONGEST));
        for text in [
            "",
            "pitt",
            "pitt_",
            "pitt__b",
            "pitt_a_",
            "other_a_b",
            "pitt_a_b c",
            &long,
        ] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_scope_includes_those_before_it() {
        let all: Vec<_> = Scope::Admin.included().map(Scope::as_str).collect();
        assert_eq!(all, ["read", "write", "admin"]);
        assert_eq!(Scope::Read.included().count(), 1);
    }

    #[test]
    fn a_token_ends_by_time_and_by_hand() {
        let (mut token, _) = Token::new("me", vec![Scope::Read], 0, Some(100)).unwrap();
        assert_eq!(token.standing(99), Standing::Good);
        assert_eq!(token.standing(100), Standing::Expired);
        token.revoked_us = Some(50);
        assert_eq!(token.standing(60), Standing::Revoked);
    }
}
