//! HTTP, with retries.

use std::io::Read;
use std::time::Duration;

use crate::error::NightsError;

/// Largest page or list of checksums, bytes.
const MAX_PAGE: u64 = 32 << 20;

/// How long a server is waited for, and how often it is asked again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Longest wait for a connection, or for an answer's first byte.
    pub answer: Duration,
    /// Longest silence within an answer.
    pub silence: Duration,
    /// Tries without progress before it is given up.
    pub tries: u32,
    /// Wait after the first failure; doubles with each further one, to at most a minute.
    pub delay: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(30),
            silence: Duration::from_secs(60),
            tries: 8,
            delay: Duration::from_secs(1),
        }
    }
}

impl Patience {
    /// The wait before try number `failed` + 1.
    pub(crate) fn wait(&self, failed: u32) -> Duration {
        let doubled = self
            .delay
            .saturating_mul(1 << failed.saturating_sub(1).min(16));
        doubled.min(Duration::from_secs(60))
    }
}

/// Asks a web server.
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
    pub(crate) patience: Patience,
}

/// An answer's headers, as far as they matter here, and its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Bytes of the body.
    pub(crate) length: Option<u64>,
    /// Where a part begins, and how long the whole is, by `Content-Range`.
    pub(crate) range: Option<(u64, Option<u64>)>,
    /// `ETag`, or else `Last-Modified`: what tells one version of a file from the next.
    pub(crate) version: Option<String>,
    pub(crate) body: Box<dyn Read + Send>,
}

impl Client {
    /// Opens no connection.
    pub fn new(patience: Patience) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(patience.answer))
            .timeout_recv_response(Some(patience.answer))
            .user_agent(concat!("pitt/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false);
        Self {
            agent: config.build().into(),
            patience,
        }
    }

    /// Asks once for a file from byte `from` on.
    pub(crate) fn get(&self, url: &str, from: u64) -> Result<Answer, String> {
        let mut request = self.agent.get(url).header("Accept-Encoding", "identity");
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        Self::answer(request.call())
    }

    /// A page as text; `None` when there is none (404).
    ///
    /// # Errors
    /// The server cannot be reached or refuses, after all tries.
    pub(crate) fn page(&self, url: &str) -> Result<Option<String>, NightsError> {
        let mut failed = 0;
        loop {
            let reason = match self.get(url, 0) {
                Ok(answer) if answer.status == 200 => match text(answer.body) {
                    Ok(text) => return Ok(Some(text)),
                    Err(error) => error.to_string(),
                },
                Ok(answer) if answer.status == 404 => return Ok(None),
                Ok(answer) if answer.status < 500 => return Err(refused(url, answer.status)),
                Ok(answer) => format!("the server answers {}", answer.status),
                Err(reason) => reason,
            };
            failed += 1;
            if failed >= self.patience.tries {
                return Err(NightsError::Unreachable {
                    url: url.to_owned(),
                    reason,
                });
            }
            tracing::warn!("{url}: {reason}; asking again");
            std::thread::sleep(self.patience.wait(failed));
        }
    }

    /// Size of a file in bytes, if the server says.
    pub(crate) fn size(&self, url: &str) -> Option<u64> {
        let answer = Self::answer(self.agent.head(url).call()).ok()?;
        (answer.status == 200).then_some(answer.length)?
    }

    fn answer(
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer, String> {
        let response = response.map_err(|error| error.to_string())?;
        let header = |name: &str| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.trim().to_owned())
        };
        Ok(Answer {
            status: response.status().as_u16(),
            length: header("content-length").and_then(|text| text.parse().ok()),
            range: header("content-range").and_then(|text| range(&text)),
            version: header("etag").or_else(|| header("last-modified")),
            body: Box::new(response.into_body().into_reader()),
        })
    }
}

fn text(body: impl Read) -> std::io::Result<String> {
    let mut bytes = vec![];
    body.take(MAX_PAGE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) fn refused(url: &str, status: u16) -> NightsError {
    let hint = match status {
        404 => " (not found: check the address)",
        401 | 403 => " (it does not give this to everybody)",
        429 => " (too many requests: try again later)",
        500.. => " (trouble on its side: try again later)",
        _ => "",
    };
    NightsError::Refused {
        url: url.to_owned(),
        status,
        hint,
    }
}

/// `bytes 100-199/1000` is (100, 1000).
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (part, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (begin, _) = part.split_once('-')?;
    Some((begin.parse().ok()?, whole.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(range("bytes 100-199/1000"), Some((100, Some(1000))));
        assert_eq!(range("bytes 0-9/*"), Some((0, None)));
        assert_eq!(range("lines 1-2/3"), None);
    }

    #[test]
    fn waits_grow_to_a_minute() {
        let patience = Patience::default();
        let waits: Vec<u64> = (1..9).map(|n| patience.wait(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
