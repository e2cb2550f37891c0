//! One request to a receiver: signed, bounded, and what its answer means.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use ring::hmac;
use ureq::Agent;
use ureq::http::{HeaderMap, header};
use ureq::unversioned::transport::DefaultConnector;

use super::address::Reach;
use super::hook::{Hook, random};

/// Bytes of an answer that are read, so that the connection can be used again. Nobody looks at them.
const ANSWER_BYTES: u64 = 64 << 10;
/// Longest wait that a receiver can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// How long a receiver is waited for, and how often it is asked again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Longest time until there is a connection.
    pub connect: Duration,
    /// Longest time of a request, from its name to the end of its answer.
    pub answer: Duration,
    /// Wait after the first failure; doubles with each further one.
    pub delay: Duration,
    /// Longest such wait.
    pub longest: Duration,
    /// Tries after which a batch is given up.
    pub tries: u32,
    /// After so long without success the webhook rests.
    pub give_up: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(20),
            delay: Duration::from_secs(1),
            longest: Duration::from_secs(600),
            tries: 12,
            give_up: Duration::from_secs(86_400),
        }
    }
}

impl Patience {
    /// That of somebody who waits for the outcome of one request.
    pub fn for_a_test() -> Self {
        Self {
            answer: Duration::from_secs(10),
            ..Self::default()
        }
    }

    /// The wait after so many failures: up to a quarter shorter or longer, so that many webhooks do not come back at once; at least
    /// what the receiver asked for.
    pub(super) fn wait(&self, failed: u32, asked: Option<Duration>) -> Duration {
        let doubled = self
            .delay
            .saturating_mul(1 << failed.saturating_sub(1).min(20));
        let [by_chance] = random::<1>().unwrap_or([128]);
        let part = 0.75 + 0.5 * f64::from(by_chance) / 255.0;
        let own = doubled.min(self.longest).mul_f64(part);
        own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx: the receiver has it.
    Taken,
    /// It may be taken later.
    Later {
        /// What went wrong.
        reason: String,
        /// How long the receiver wants to be left alone.
        asked: Option<Duration>,
    },
    /// It will never be taken.
    Never(String),
    /// 410: the receiver is gone for good.
    Gone,
}

/// Sends requests.
#[derive(Clone, Debug)]
pub struct Courier(Agent);

impl Courier {
    /// Opens no connection.
    pub fn new(reach: Reach, patience: &Patience) -> Self {
        let config = Agent::config_builder()
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_global(Some(patience.answer))
            .user_agent(concat!("pitt/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // A receiver that was checked cannot send us to one that was not; neither can a proxy.
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(1)
            .max_response_header_size(16 << 10);
        Self(Agent::with_parts(
            config.build(),
            DefaultConnector::default(),
            reach,
        ))
    }

    /// Sends a body under an id, and waits for the answer.
    pub fn post(&self, hook: &Hook, id: &str, body: &str) -> Outcome {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let timestamp = since_1970.unwrap_or_default().as_secs();
        let signature = signature(&hook.secret, timestamp, body);
        let request = self
            .0
            .post(&hook.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("X-Pitt-Id", id)
            .header("X-Pitt-Timestamp", timestamp.to_string())
            .header("X-Pitt-Signature", signature);
        match request.send(body) {
            Ok(mut response) => {
                // What is wrong with the rest of an answer does not matter: its status was read.
                let rest = response.body_mut().with_config().limit(ANSWER_BYTES);
                let _ = rest.read_to_vec();
                meaning(response.status().as_u16(), response.headers())
            }
            Err(error) => Outcome::Later {
                reason: told(&error),
                asked: None,
            },
        }
    }
}

/// `v1=` and the HMAC-SHA256 of `timestamp.body` under the secret's text, in hex.
///
/// Source: RFC 2104 with SHA-256 (FIPS 180-4).
pub fn signature(secret: &str, timestamp: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut signed = hmac::Context::with_key(&key);
    signed.update(timestamp.to_string().as_bytes());
    signed.update(b".");
    signed.update(body.as_bytes());
    let mut text = "v1=".to_owned();
    for byte in signed.sign().as_ref() {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn meaning(status: u16, headers: &HeaderMap) -> Outcome {
    let reason = format!("the receiver answers {status}");
    match status {
        200..300 => Outcome::Taken,
        300..400 => Outcome::Never(format!(
            "{reason}: redirects are not followed (make a webhook to where it leads)"
        )),
        410 => Outcome::Gone,
        // Too early, too slow, too many: these are not about the batch.
        408 | 425 | 429 | 500.. => Outcome::Later {
            reason,
            asked: asked(headers).filter(|_| matches!(status, 429 | 503)),
        },
        _ => Outcome::Never(reason),
    }
}

/// Seconds of `Retry-After`; its other form, a date, is not read.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// What went wrong, without the address, which may hold a secret.
fn told(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "its name cannot be found".to_owned(),
        ureq::Error::Timeout(part) => format!("it takes too long ({part})"),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::BadUri(_) => "its address cannot be used".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// python3 -c 'import hmac; print(hmac.new(b"whsec_test", b"1700000000.{\"matches\":[]}", "sha256").hexdigest())'
    #[test]
    fn the_signature_is_the_one_that_python_makes() {
        assert_eq!(
            signature("whsec_test", 1_700_000_000, "{\"matches\":[]}"),
            "v1=d1e34e0f65a7b7704e28f159587430253640bc7cc638bf4d47cd37156d162855"
        );
    }

    #[test]
    fn waits_grow_and_are_not_shorter_than_asked_for() {
        let patience = Patience::default();
        for (failed, usual) in [(1, 1.0), (2, 2.0), (5, 16.0), (12, 600.0), (60, 600.0)] {
            let wait = patience.wait(failed, None).as_secs_f64();
            assert!((0.74..=1.26).contains(&(wait / usual)), "{failed}: {wait}");
        }
        let asked = |seconds| {
            patience
                .wait(1, Some(Duration::from_secs(seconds)))
                .as_secs()
        };
        assert_eq!((asked(30), asked(1 << 40)), (30, 3600));
    }

    #[test]
    fn an_answer_means_what_its_status_says() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "7".parse().unwrap());
        let never = |status| matches!(meaning(status, &headers), Outcome::Never(_));
        let later = |status| match meaning(status, &headers) {
            Outcome::Later { asked, .. } => asked.map_or(0, |asked| asked.as_secs()) + 1,
            _ => 0,
        };
        assert_eq!(meaning(200, &headers), Outcome::Taken);
        assert_eq!(meaning(204, &headers), Outcome::Taken);
        assert_eq!(meaning(410, &headers), Outcome::Gone);
        assert!([301, 307, 400, 401, 404, 413].into_iter().all(never));
        assert_eq!([408, 425, 500, 502].map(later), [1; 4]);
        assert_eq!([429, 503].map(later), [8; 2]);
    }
}
