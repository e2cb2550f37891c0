//! Signing in: SASL PLAIN (RFC 4616) and SCRAM-SHA-256 and -512 (RFC 5802, RFC 7677), server side.

use std::collections::HashMap;
use std::num::NonZeroU32;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use crate::config::User;

/// Rounds of the password hash; Kafka's and the RFC's least.
const ROUNDS: NonZeroU32 = NonZeroU32::new(4_096).expect("4096 is not zero");

/// A way to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mechanism {
    Plain,
    Scram256,
    Scram512,
}

impl Mechanism {
    pub(crate) const ALL: [Self; 3] = [Self::Scram512, Self::Scram256, Self::Plain];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram256 => "SCRAM-SHA-256",
            Self::Scram512 => "SCRAM-SHA-512",
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        if self == Self::Scram512 {
            hmac::HMAC_SHA512
        } else {
            hmac::HMAC_SHA256
        }
    }

    fn salted(self, password: &str, salt: &[u8]) -> Vec<u8> {
        let algorithm = if self == Self::Scram512 {
            pbkdf2::PBKDF2_HMAC_SHA512
        } else {
            pbkdf2::PBKDF2_HMAC_SHA256
        };
        let mut out = vec![0; self.hmac().digest_algorithm().output_len()];
        pbkdf2::derive(algorithm, ROUNDS, salt, password.as_bytes(), &mut out);
        out
    }
}

/// What is known of the users. Passwords are kept only as keys made from them.
pub(crate) struct Credentials {
    secret: hmac::Key,
    plain: HashMap<String, hmac::Tag>,
    scram: HashMap<(String, Mechanism), ScramKeys>,
}

#[derive(Clone)]
struct ScramKeys {
    salt: Vec<u8>,
    stored: Vec<u8>,
    server: Vec<u8>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("users", &self.plain.len())
            .finish_non_exhaustive()
    }
}

/// A SCRAM exchange between its two steps.
#[derive(Debug)]
pub(crate) struct Challenge {
    mechanism: Mechanism,
    user: String,
    /// What both sides have said so far, as both sign it.
    said: String,
    nonce: String,
}

impl Credentials {
    pub(crate) fn new(users: &[User]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &random());
        let plain = users
            .iter()
            .map(|u| (u.name.clone(), hmac::sign(&secret, u.password.as_bytes())))
            .collect();
        let mut scram = HashMap::new();
        for user in users {
            for mechanism in [Mechanism::Scram256, Mechanism::Scram512] {
                scram.insert(
                    (user.name.clone(), mechanism),
                    ScramKeys::new(mechanism, &user.password, &random()),
                );
            }
        }
        Self {
            secret,
            plain,
            scram,
        }
    }

    pub(crate) fn required(&self) -> bool {
        !self.plain.is_empty()
    }

    /// `[whom] NUL name NUL password`: the name, if the password is right.
    pub(crate) fn plain(&self, message: &[u8]) -> Option<String> {
        let mut parts = std::str::from_utf8(message).ok()?.split('\0');
        let (_whom, name, password) = (parts.next()?, parts.next()?, parts.next()?);
        let expected = self.plain.get(name)?;
        hmac::verify(&self.secret, password.as_bytes(), expected.as_ref()).ok()?;
        Some(name.to_owned())
    }

    /// The first step of SCRAM: the client's name and nonce in, salt and nonce out.
    ///
    /// Unknown names get a salt too, always the same, so that nobody learns which names exist.
    pub(crate) fn challenge(
        &self,
        mechanism: Mechanism,
        message: &[u8],
    ) -> Option<(Challenge, String)> {
        let message = std::str::from_utf8(message).ok()?;
        let bare = message
            .strip_prefix("n,")
            .and_then(|m| m.split_once(','))?
            .1;
        let mut parts = bare.split(',');
        let user = parts
            .next()?
            .strip_prefix("n=")?
            .replace("=2C", ",")
            .replace("=3D", "=");
        let theirs = parts.next()?.strip_prefix("r=")?;
        let nonce = format!("{theirs}{}", BASE64_STANDARD.encode(random()));
        let known = self
            .scram
            .get(&(user.clone(), mechanism))
            .map(|k| k.salt.clone());
        let salt = known
            .unwrap_or_else(|| hmac::sign(&self.secret, user.as_bytes()).as_ref()[..16].to_vec());
        let answer = format!("r={nonce},s={},i={ROUNDS}", BASE64_STANDARD.encode(salt));
        let said = format!("{bare},{answer}");
        Some((
            Challenge {
                mechanism,
                user,
                said,
                nonce,
            },
            answer,
        ))
    }

    /// The second step: the client's proof in, the name and the server's proof out.
    pub(crate) fn prove(&self, challenge: Challenge, message: &[u8]) -> Option<(String, String)> {
        let message = std::str::from_utf8(message).ok()?;
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        let mut parts = without_proof.split(',');
        let binding = BASE64_STANDARD
            .decode(parts.next()?.strip_prefix("c=")?)
            .ok()?;
        if !binding.starts_with(b"n,") || parts.next()?.strip_prefix("r=")? != challenge.nonce {
            return None;
        }
        let Challenge {
            mechanism,
            user,
            said,
            ..
        } = challenge;
        let keys = self.scram.get(&(user.clone(), mechanism))?;
        let said = format!("{said},{without_proof}");
        let signature = sign(mechanism, &keys.stored, said.as_bytes());
        let proof = BASE64_STANDARD
            .decode(proof)
            .ok()
            .filter(|p| p.len() == signature.len())?;
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let hashed = digest::digest(mechanism.hmac().digest_algorithm(), &client_key);
        // Compared as signatures: that takes the same time however much is right.
        let expected = hmac::sign(&self.secret, &keys.stored);
        hmac::verify(&self.secret, hashed.as_ref(), expected.as_ref()).ok()?;
        let answer = sign(mechanism, &keys.server, said.as_bytes());
        Some((user, format!("v={}", BASE64_STANDARD.encode(answer))))
    }
}

impl ScramKeys {
    fn new(mechanism: Mechanism, password: &str, salt: &[u8]) -> Self {
        let salted = mechanism.salted(password, salt);
        let client_key = sign(mechanism, &salted, b"Client Key");
        let stored = digest::digest(mechanism.hmac().digest_algorithm(), &client_key)
            .as_ref()
            .to_vec();
        Self {
            salt: salt.to_vec(),
            stored,
            server: sign(mechanism, &salted, b"Server Key"),
        }
    }
}

fn sign(mechanism: Mechanism, key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(mechanism.hmac(), key), message)
        .as_ref()
        .to_vec()
}

fn random() -> [u8; 24] {
    let mut bytes = [0; 24];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system has random numbers");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials::new(&[User {
            name: "ann".into(),
            password: "pencil".into(),
            may_write: false,
        }])
    }

    #[test]
    fn plain_passwords_are_compared_whole() {
        let known = credentials();
        assert_eq!(known.plain(b"\0ann\0pencil").as_deref(), Some("ann"));
        for bad in [
            &b"\0ann\0penci"[..],
            b"\0ann\0pencil2",
            b"\0bob\0pencil",
            b"ann",
            b"",
            b"\xff\0\0",
        ] {
            assert_eq!(known.plain(bad), None);
        }
    }

    #[test]
    fn keys_are_those_of_rfc_7677() {
        // RFC 7677, section 3: user "user", password "pencil".
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = ScramKeys::new(Mechanism::Scram256, "pencil", &salt);
        let said = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof = sign(Mechanism::Scram256, &keys.server, said.as_bytes());
        assert_eq!(
            BASE64_STANDARD.encode(proof),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    #[test]
    fn a_forged_proof_is_refused() {
        let known = credentials();
        let (challenge, answer) = known
            .challenge(Mechanism::Scram512, b"n,,n=ann,r=abc")
            .unwrap();
        let nonce = answer
            .split(',')
            .next()
            .unwrap()
            .strip_prefix("r=")
            .unwrap()
            .to_owned();
        let forged = format!("c=biws,r={nonce},p={}", BASE64_STANDARD.encode([0; 64]));
        assert_eq!(known.prove(challenge, forged.as_bytes()), None);
        assert!(
            known
                .challenge(Mechanism::Scram256, b"n,,n=nobody,r=abc")
                .is_some()
        );
    }
}
