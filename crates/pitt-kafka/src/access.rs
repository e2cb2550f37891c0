//! Getting to a cluster: addresses, TLS, signing in. Consumers and publishers share it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use rdkafka::ClientConfig;

use crate::error::KafkaError;

/// How to reach a cluster and who we are there. Parsing or making one opens nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Addresses to begin with, `HOST:PORT,HOST:PORT`.
    pub servers: String,
    /// Whether to speak TLS.
    pub tls: bool,
    /// File of certificates (PEM) that TLS trusts; `None` for the system's.
    pub ca: Option<PathBuf>,
    /// How to sign in.
    pub sign_in: SignIn,
    /// Who we are.
    pub user: String,
    /// The password of that user.
    pub password: String,
    /// Further settings of librdkafka, as they are in its `CONFIGURATION.md`.
    pub settings: BTreeMap<String, String>,
}

/// How to sign in: SASL's mechanism.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignIn {
    /// Not at all.
    #[default]
    None,
    /// The password as it is; over TLS, please.
    Plain,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// SCRAM-SHA-512, as Rubin's brokers want it.
    ScramSha512,
}

impl FromStr for SignIn {
    type Err = KafkaError;

    /// Kafka's own words for mechanisms: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`.
    fn from_str(text: &str) -> Result<Self, KafkaError> {
        match text.to_ascii_uppercase().as_str() {
            "PLAIN" => Ok(Self::Plain),
            "SCRAM-SHA-256" => Ok(Self::ScramSha256),
            "SCRAM-SHA-512" => Ok(Self::ScramSha512),
            _ => Err(KafkaError::Setting {
                setting: "mechanism".into(),
                found: format!("`{text}`"),
                expected: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512".into(),
            }),
        }
    }
}

/// Settings of librdkafka that have a name of their own here.
const OWN: [(&str, &str); 10] = [
    ("bootstrap.servers", "servers"),
    ("metadata.broker.list", "servers"),
    ("group.id", "group"),
    ("security.protocol", "security"),
    ("sasl.mechanisms", "mechanism"),
    ("sasl.mechanism", "mechanism"),
    ("sasl.username", "user"),
    ("sasl.password", "password_file"),
    ("ssl.ca.location", "ca"),
    ("auto.offset.reset", "start"),
];

impl Access {
    /// Sets TLS and signing in by Kafka's own words: `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`, and for the last two a
    /// mechanism.
    ///
    /// # Errors
    /// Other words.
    pub fn secure(&mut self, security: &str, mechanism: &str) -> Result<(), KafkaError> {
        let (tls, sasl) = match security.to_ascii_lowercase().as_str() {
            "plaintext" | "" => (false, false),
            "ssl" => (true, false),
            "sasl_plaintext" => (false, true),
            "sasl_ssl" => (true, true),
            _ => {
                return Err(KafkaError::Setting {
                    setting: "security".into(),
                    found: format!("`{security}`"),
                    expected: "plaintext, ssl, sasl_plaintext or sasl_ssl".into(),
                });
            }
        };
        self.tls = tls;
        self.sign_in = if sasl {
            mechanism.parse()?
        } else {
            SignIn::None
        };
        Ok(())
    }

    /// A client's settings: the address, TLS, signing in, and nothing of [`Access::settings`] yet, which come last
    /// ([`Access::apply_settings`]) so that they win over what is usual.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let protocol = match (self.tls, self.sign_in) {
            (false, SignIn::None) => "plaintext",
            (true, SignIn::None) => "ssl",
            (false, _) => "sasl_plaintext",
            (true, _) => "sasl_ssl",
        };
        config
            .set("bootstrap.servers", &self.servers)
            .set("security.protocol", protocol)
            // Messages go to `tracing`, by our context.
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Info);
        if let Some(ca) = &self.ca {
            config.set("ssl.ca.location", ca.to_string_lossy());
        }
        let mechanism = match self.sign_in {
            SignIn::None => return config,
            SignIn::Plain => "PLAIN",
            SignIn::ScramSha256 => "SCRAM-SHA-256",
            SignIn::ScramSha512 => "SCRAM-SHA-512",
        };
        config
            .set("sasl.mechanisms", mechanism)
            .set("sasl.username", &self.user)
            .set("sasl.password", &self.password);
        config
    }

    /// Puts the user's own settings on top. `refused` are pairs of setting and reason.
    ///
    /// # Errors
    /// One that has a name of its own here, or is refused.
    pub(crate) fn apply_settings(
        &self,
        config: &mut ClientConfig,
        refused: &[(&str, &str)],
    ) -> Result<(), KafkaError> {
        for (key, value) in &self.settings {
            let reason = |own: &str| format!("use `{own}` instead");
            let own = OWN.iter().find(|(name, _)| name == key);
            let refused = refused.iter().find(|(name, _)| name == key);
            let why = own
                .map(|(_, own)| reason(own))
                .or(refused.map(|(_, why)| (*why).to_owned()));
            if let Some(why) = why {
                let setting = key.clone();
                return Err(KafkaError::Refused { setting, why });
            }
            config.set(key, value);
        }
        Ok(())
    }

    /// Checks what can be checked without opening anything.
    ///
    /// # Errors
    /// What is missing, or does not go together.
    pub fn check(&self) -> Result<(), KafkaError> {
        let wrong = |setting: &str, found: &str, expected: &str| {
            Err(KafkaError::Setting {
                setting: setting.into(),
                found: found.into(),
                expected: expected.into(),
            })
        };
        if self.servers.trim().is_empty() {
            return wrong("servers", "empty", "HOST:PORT, several separated by commas");
        }
        if self.sign_in != SignIn::None && self.user.is_empty() {
            return wrong("user", "empty", "a name to sign in with");
        }
        if self.sign_in == SignIn::None && !self.user.is_empty() {
            return wrong(
                "security",
                "without signing in",
                "`sasl_ssl` or `sasl_plaintext`, as there is a user",
            );
        }
        Ok(())
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("servers", &self.servers)
            .field("tls", &self.tls)
            .field("sign_in", &self.sign_in)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
