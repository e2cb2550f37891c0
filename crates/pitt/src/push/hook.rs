//! One webhook, as it is kept.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::address::hidden;

/// Random bytes of an id.
const ID_BYTES: usize = 5;
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// A webhook. Times are `[us since 1970, UTC]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// What it is called.
    pub id: String,
    /// The filter whose matches it sends.
    pub filter: String,
    /// Where to.
    pub url: String,
    /// What its requests are signed with. In no answer but that to its making, in no log.
    pub secret: String,
    /// What for, in its maker's words.
    pub note: Option<String>,
    /// Name of its maker's token.
    pub owner: String,
    /// When it was made.
    pub created_us: i64,
    /// The place in the feed of matches after which it begins.
    pub after: String,
    /// Since when it rests, if it does,
    pub paused_us: Option<i64>,
    /// and why, when it was not somebody's wish.
    pub reason: Option<String>,
    /// How often it was told to go on, or to send its dead letters again: a change wakes whoever delivers.
    pub turn: u64,
}

impl Hook {
    /// A new webhook with an id and a secret of its own.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(filter: &str, url: &str, owner: &str) -> Result<Self, Unspecified> {
        let id: String = random::<ID_BYTES>()?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            id: format!("wh_{id}"),
            filter: filter.to_owned(),
            url: url.to_owned(),
            secret: format!(
                "whsec_{}",
                URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?)
            ),
            note: None,
            owner: owner.to_owned(),
            created_us: 0,
            after: "0".to_owned(),
            paused_us: None,
            reason: None,
            turn: 0,
        })
    }

    /// Whether it rests.
    pub fn is_paused(&self) -> bool {
        self.paused_us.is_some()
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("id", &self.id)
            .field("filter", &self.filter)
            .field("url", &hidden(&self.url))
            .field("paused_us", &self.paused_us)
            .finish_non_exhaustive()
    }
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], Unspecified> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_secret_is_its_own_and_is_not_shown() {
        let make = || Hook::new("all", "https://a.org/key", "ann").unwrap();
        let (one, other) = (make(), make());
        assert!(one.id != other.id && one.secret != other.secret);
        assert_eq!(one.secret.len(), "whsec_".len() + 43);
        let shown = format!("{one:?}");
        assert!(!shown.contains(&one.secret) && !shown.contains("key"));
    }
}
