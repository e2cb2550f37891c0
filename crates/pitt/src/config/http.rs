//! `[http]`: who may reach the port, and what one of them can take.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// `[http]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Address and port to listen on; empty for none.
    pub listen: String,
    /// Whether other machines may reach it.
    pub allow_remote: bool,
    /// Names that a request may ask for, beside addresses and `localhost`; empty for any if `allow_remote` or `behind_proxy`.
    pub names: Vec<String>,
    /// Whether a reverse proxy stands before it, whose `X-Forwarded-For` is believed.
    pub behind_proxy: bool,
    /// Who may read.
    pub read: ReadAccess,
    /// Certificate chain, PEM; empty for no TLS.
    pub tls_cert: PathBuf,
    /// Its private key, PEM.
    pub tls_key: PathBuf,
    /// Web pages elsewhere that may ask; `*` for all.
    pub cors_origins: Vec<String>,
    /// Whether pages offer survey images of the sky, fetched from CDS by the reader's browser when the reader asks.
    pub sky_images: bool,
    /// Most connections at once.
    pub connections: usize,
    /// Memory for what is not committed yet `[MB]`.
    pub recent_mb: usize,
    /// Most streams of events at once to one caller.
    pub streams_per_caller: usize,
    /// Most costly questions at once of one caller.
    pub costly_per_caller: usize,
    /// Requests of an address without a token `[1/s]`; 0 for no limit.
    pub requests_per_s: f64,
    /// Requests that such an address may make at once.
    pub burst: f64,
    /// Requests with one token `[1/s]`; 0 for no limit.
    pub token_requests_per_s: f64,
    /// Requests with one token at once.
    pub token_burst: f64,
}

/// Who may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum ReadAccess {
    /// Everybody who reaches the port.
    Open,
    /// Who has a token.
    Token,
    /// The setting is neither of the two words.
    Unknown,
}

impl From<String> for ReadAccess {
    fn from(word: String) -> Self {
        match word.as_str() {
            "open" => Self::Open,
            "token" => Self::Token,
            _ => Self::Unknown,
        }
    }
}

impl ReadAccess {
    /// The word of the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Token | Self::Unknown => "token",
        }
    }
}

impl Default for HttpSettings {
    /// What the default file says.
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            allow_remote: false,
            names: vec![],
            behind_proxy: false,
            read: ReadAccess::Open,
            tls_cert: PathBuf::new(),
            tls_key: PathBuf::new(),
            cors_origins: vec![],
            sky_images: true,
            connections: 1024,
            recent_mb: 128,
            streams_per_caller: 100,
            costly_per_caller: 2,
            requests_per_s: 100.0,
            burst: 500.0,
            token_requests_per_s: 200.0,
            token_burst: 1000.0,
        }
    }
}

impl HttpSettings {
    /// The address to listen on; `None` for none, or when it is no address.
    pub fn address(&self) -> Option<SocketAddr> {
        let listen = self.listen.as_str();
        let numeric = match listen.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => listen.to_owned(),
        };
        numeric.parse().ok()
    }

    /// Memory for rows that are not committed yet `[bytes]`: a quarter of `recent_mb`.
    pub fn recent_rows_bytes(&self) -> usize {
        (self.recent_mb << 20) / 4
    }

    /// Memory for packets that are not committed yet `[bytes]`: the rest.
    pub fn recent_packets_bytes(&self) -> usize {
        (self.recent_mb << 20) - self.recent_rows_bytes()
    }

    /// Whether TLS is served.
    pub fn has_tls(&self) -> bool {
        !self.tls_cert.as_os_str().is_empty()
    }

    fn is_address(&self) -> bool {
        self.listen.is_empty() || self.address().is_some()
    }

    fn is_allowed(&self) -> bool {
        self.allow_remote
            || self
                .address()
                .is_none_or(|address| address.ip().is_loopback())
    }

    /// The first setting out of range: key and what is expected.
    pub(super) fn out_of_range(&self) -> Option<(&'static str, &'static str)> {
        let rate = |rate: f64| (0.0..=1e6).contains(&rate);
        let burst = |burst: f64| (1.0..=1e6).contains(&burst);
        let within = [
            (
                "http.listen",
                self.is_address(),
                "ADDRESS:PORT, such as 127.0.0.1:8080, or \"\" for none",
            ),
            (
                "http.listen",
                self.is_allowed(),
                "an address of this machine alone, such as 127.0.0.1:8080, or `http.allow_remote = true` beside it",
            ),
            (
                "http.read",
                self.read != ReadAccess::Unknown,
                "\"open\" or \"token\"",
            ),
            (
                "http.tls_key",
                self.has_tls() != self.tls_key.as_os_str().is_empty(),
                "the private key of `http.tls_cert`; both or neither",
            ),
            (
                "http.cors_origins",
                self.cors_origins.iter().all(|origin| is_origin(origin)),
                "origins such as https://example.org, without a path, or \"*\"",
            ),
            ("http.recent_mb", self.recent_mb <= 65_536, "0 to 65536"),
            (
                "http.connections",
                (1..=65_536).contains(&self.connections),
                "1 to 65536",
            ),
            (
                "http.streams_per_caller",
                (1..=65_536).contains(&self.streams_per_caller),
                "1 to 65536",
            ),
            (
                "http.costly_per_caller",
                (1..=1000).contains(&self.costly_per_caller),
                "1 to 1000",
            ),
            (
                "http.requests_per_s",
                rate(self.requests_per_s),
                "0 to 1000000",
            ),
            ("http.burst", burst(self.burst), "1 to 1000000"),
            (
                "http.token_requests_per_s",
                rate(self.token_requests_per_s),
                "0 to 1000000",
            ),
            ("http.token_burst", burst(self.token_burst), "1 to 1000000"),
        ];
        let wrong = within.into_iter().find(|(_, good, _)| !good);
        wrong.map(|(key, _, expected)| (key, expected))
    }
}

/// Whether a text is `*` or scheme, host and perhaps port.
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let good = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    text == "*" || host.is_some_and(|host| !host.is_empty() && host.chars().all(good))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_default_file() {
        let config = crate::config::Config::load(None, |_| None, vec![]).unwrap();
        let told = |settings: &HttpSettings| format!("{settings:?}");
        assert_eq!(told(&config.settings.http), told(&HttpSettings::default()));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let good = ["*", "https://example.org", "http://localhost:5173"];
        let bad = ["", "example.org", "https://", "https://a/b", "https://a b"];
        assert!(good.iter().all(|origin| is_origin(origin)));
        assert!(!bad.iter().any(|origin| is_origin(origin)));
    }
}
