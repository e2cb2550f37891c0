//! The requests of signing in.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};

use super::{Session, text};
use crate::sasl::{Challenge, Credentials, Mechanism};

/// Who guesses passwords waits this long after each.
const PENALTY: Duration = Duration::from_millis(300);

/// How far a connection has come in signing in.
pub(crate) struct SignIn {
    credentials: Arc<Credentials>,
    step: Step,
}

enum Step {
    NotNeeded,
    Begin,
    Chosen(Mechanism),
    Challenged(Challenge),
    Done(String),
    Failed,
}

impl SignIn {
    pub(crate) fn new(credentials: Arc<Credentials>) -> Self {
        let step = if credentials.required() {
            Step::Begin
        } else {
            Step::NotNeeded
        };
        Self { credentials, step }
    }

    /// Whether requests may be answered.
    pub(crate) fn done(&self) -> bool {
        matches!(self.step, Step::NotNeeded | Step::Done(_))
    }

    /// Who signed in.
    pub(crate) fn user(&self) -> Option<&str> {
        match &self.step {
            Step::Done(name) => Some(name),
            _ => None,
        }
    }

    fn advance(&mut self, message: &[u8]) -> Option<Bytes> {
        match std::mem::replace(&mut self.step, Step::Failed) {
            Step::Chosen(Mechanism::Plain) => {
                self.step = Step::Done(self.credentials.plain(message)?);
                Some(Bytes::new())
            }
            Step::Chosen(mechanism) => {
                let (challenge, answer) = self.credentials.challenge(mechanism, message)?;
                self.step = Step::Challenged(challenge);
                Some(Bytes::from(answer))
            }
            Step::Challenged(challenge) => {
                let (user, answer) = self.credentials.prove(challenge, message)?;
                self.step = Step::Done(user);
                Some(Bytes::from(answer))
            }
            Step::NotNeeded | Step::Begin | Step::Done(_) | Step::Failed => None,
        }
    }
}

impl Session {
    pub(super) fn sasl_handshake(
        &mut self,
        request: &SaslHandshakeRequest,
    ) -> SaslHandshakeResponse {
        let offered = if self.sign_in.credentials.required() {
            &Mechanism::ALL[..]
        } else {
            &[]
        };
        let names = offered.iter().map(|m| text(m.name())).collect();
        let response = SaslHandshakeResponse::default().with_mechanisms(names);
        let chosen = offered
            .iter()
            .find(|m| m.name() == request.mechanism.as_str());
        match (&self.sign_in.step, chosen) {
            (Step::Begin | Step::Chosen(_), Some(mechanism)) => {
                self.sign_in.step = Step::Chosen(*mechanism);
                response
            }
            (Step::Done(_) | Step::Challenged(_) | Step::Failed, _) => {
                response.with_error_code(ResponseError::IllegalSaslState.code())
            }
            _ => response.with_error_code(ResponseError::UnsupportedSaslMechanism.code()),
        }
    }

    pub(super) async fn sasl_authenticate(
        &mut self,
        request: &SaslAuthenticateRequest,
    ) -> SaslAuthenticateResponse {
        if let Some(answer) = self.sign_in.advance(&request.auth_bytes) {
            self.signed_in.store(self.sign_in.done(), Ordering::Relaxed);
            return SaslAuthenticateResponse::default().with_auth_bytes(answer);
        }
        tracing::warn!("{}: signing in failed", self.peer);
        tokio::time::sleep(PENALTY).await;
        SaslAuthenticateResponse::default()
            .with_error_code(ResponseError::SaslAuthenticationFailed.code())
            .with_error_message(Some(text(
                "signing in failed: wrong user, password or step",
            )))
    }
}
