//! Who may ask what, and how much of it.
//!
//! Every request passes `Auth::guard` after the router knows its path and before its handler runs:
//!
//! | step | refused with |
//! |---|---|
//! | a web page elsewhere that wants to write, or to have much work done (`origins`) | 403 |
//! | its token, if it has one: verified once, then remembered (`keeper`) | 401, and 429 for who guesses |
//! | what its method and path need (`rules`; writing is closed unless said otherwise there) | 401, 403 |
//! | how often this caller has asked (`buckets`) | 429 |
//! | how many streams and costly questions this caller has open (`places`) | 429, 503 |
//! | its body, whole and in time (`body`) | 413, 408 |
//!
//! There are no cookies and no sessions: a token is sent with each request, or it does not count.

mod body;
mod buckets;
mod caller;
mod guesses;
mod headers;
mod keeper;
mod origins;
mod places;
mod refusal;
mod rules;
mod store;
mod token;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::{sleep, timeout};

pub(super) use body::{LARGEST as LARGEST_BODY, claimed, too_large};
pub use caller::Caller;
pub(super) use headers::{Dress, Framed};
pub use store::{TokenError, TokenFile};
pub use token::{Scope, Standing, Token};

use self::body::Bodies;
use self::buckets::{Buckets, Left, Rate};
use self::caller::Key;
use self::keeper::{Finding, Keeper, SESSION};
use self::origins::{From, Origins};
use self::places::{Full, Place, Places, Room};
use self::rules::{Kind, Rule};
use super::api::problem::Problem;
use super::held::holding;
use super::server::Seat;
use crate::config::{HttpSettings, ReadAccess};

/// Longest time until an answer begins, by its kind; a stream begins at once.
const QUICK: Duration = Duration::from_secs(30);
const COSTLY: Duration = Duration::from_secs(600);

/// What all requests pass.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    keeper: Arc<Keeper>,
    session: Option<String>,
    origins: Origins,
    buckets: Buckets,
    places: Arc<Places>,
    bodies: Bodies,
    read: ReadAccess,
    behind_proxy: bool,
    of_address: Rate,
    of_token: Rate,
}

/// Who asks: the other end of a connection, which the server puts into each request, or whom a proxy there speaks for. Of IPv6 the
/// first 64 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Whether a name is that of the runs' own tokens, which no other token can have.
pub fn is_taken(name: &str) -> bool {
    name == SESSION
}

impl Auth {
    /// For the tokens of an archive. With `session` there is a token for this run too.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn open(
        settings: &HttpSettings,
        archive: &Path,
        session: bool,
    ) -> Result<Self, TokenError> {
        let (keeper, session) = Keeper::open(TokenFile::of(archive), session)?;
        Ok(Self(Arc::new(Inner {
            keeper: Arc::new(keeper),
            session,
            origins: Origins::new(&settings.cors_origins),
            buckets: Buckets::default(),
            places: Arc::new(Places::new(Room {
                streams_each: settings.streams_per_caller,
                streams: (settings.connections * 3 / 4).max(1),
                costly_each: settings.costly_per_caller,
            })),
            bodies: Bodies::default(),
            read: settings.read,
            behind_proxy: settings.behind_proxy,
            of_address: Rate {
                per_s: settings.requests_per_s,
                burst: settings.burst,
            },
            of_token: Rate {
                per_s: settings.token_requests_per_s,
                burst: settings.token_burst,
            },
        })))
    }

    /// The token of this run, if it has one.
    pub fn session(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    /// Watches the file of tokens, for ever.
    pub(super) async fn watch(&self) {
        loop {
            sleep(keeper::LOOK).await;
            let keeper = self.0.keeper.clone();
            let _ = tokio::task::spawn_blocking(move || keeper.look()).await;
        }
    }

    /// Notes when tokens were last used. Blocks.
    pub(super) fn note(&self) {
        self.0.keeper.note();
    }

    /// Lets a request pass to its handler, or answers it: the layer around all routes.
    pub(super) async fn guard(State(auth): State<Self>, request: Request, next: Next) -> Response {
        let from = auth.0.origins.from(request.headers());
        let preflight = Origins::preflight(request.method(), request.headers(), &from);
        let mut response = match preflight {
            Some(response) => response,
            None => auth
                .0
                .answer(request, &from, next)
                .await
                .unwrap_or_else(|no| no),
        };
        if response.status() == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"pitt\"");
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        auth.0.origins.tell(&from, response.headers_mut());
        response
    }
}

impl Inner {
    /// The handler's answer, or the refusal.
    async fn answer(
        &self,
        mut request: Request,
        from: &From,
        next: Next,
    ) -> Result<Response, Response> {
        let matched = request.extensions().get::<MatchedPath>();
        let path = request.uri().path();
        let rule = rules::of(request.method(), matched.map(MatchedPath::as_str), path);
        let elsewhere = *from == From::Elsewhere;
        if elsewhere && (rule.unsafe_method || rule.kind == Kind::Costly) {
            return Err(refusal::last(origins::elsewhere()));
        }
        let (address, token) = (self.address(&request), bearer(request.headers()));
        // From here on who asks, not the proxy that speaks for them.
        request.extensions_mut().insert(Peer(address));
        let caller = self.caller(address, token.as_deref()).await;
        let caller = caller.map_err(refusal::last)?;
        let left = self.count(&caller, rule)?;
        if let Some(scope) = rule.scope {
            caller.require(scope).map_err(refusal::last)?;
        }
        if rule.named && caller.name().is_none() {
            return Err(refusal::last(refusal::needs_token(Scope::Read)));
        }
        let place = self.place(&caller, rule.kind).map_err(refusal::last)?;
        request.extensions_mut().insert(caller);
        let request = self.with_body(request, rule).await?;
        let longest = if rule.kind == Kind::Costly {
            COSTLY
        } else {
            QUICK
        };
        let answer = timeout(longest, next.run(request)).await;
        let mut response = answer.map_err(|_| too_slow(longest))?;
        if let Some(left) = left {
            tell_left(response.headers_mut(), left);
        }
        Ok(match place {
            Some(place) => holding(response, place),
            None => response,
        })
    }

    fn address(&self, request: &Request) -> IpAddr {
        let peer = request.extensions().get::<Peer>();
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
        caller::address(peer, request.headers(), self.behind_proxy)
    }

    /// Who asks.
    async fn caller(&self, address: IpAddr, token: Option<&str>) -> Result<Caller, Problem> {
        let nobody = Caller::nobody(address, self.read);
        let Some(text) = token else {
            return Ok(nobody);
        };
        let found = self.keeper.find(text, address).await;
        match found {
            Finding::Good(token) => Ok(Caller {
                name: Some(token.name.clone()),
                scope: token.scopes.iter().copied().max().max(nobody.scope),
                key: Key::Token(token.id.clone()),
                ..nobody
            }),
            Finding::Session => Ok(Caller {
                name: Some(SESSION.into()),
                scope: Some(Scope::Admin),
                key: Key::Token(SESSION.into()),
                ..nobody
            }),
            // It opens nothing, and need not be in the way of what is open anyway.
            Finding::Foreign => Ok(nobody),
            Finding::Over(standing) => Err(refusal::bad_token(Some(standing))),
            Finding::Wrong => Err(refusal::bad_token(None)),
            Finding::Busy => Err(refusal::busy("too many tokens wait to be verified")),
            Finding::Wait(wait) => {
                let what = "too many requests with unknown tokens came from this address";
                Err(refusal::wait(wait, what))
            }
        }
    }

    #[expect(clippy::result_large_err, reason = "it is the answer itself")]
    fn count(&self, caller: &Caller, rule: Rule) -> Result<Option<Left>, Response> {
        if !rule.counted {
            return Ok(None);
        }
        let (rate, whose) = match caller.key {
            Key::Token(_) => (self.of_token, "with this token"),
            Key::Address(_) => (self.of_address, "from this address without a token"),
        };
        let taken = self.buckets.take(&caller.key, rate, Instant::now());
        taken.map_err(|wait| {
            let most = format!("more than {} requests a second came {whose}", rate.per_s);
            let mut refusal = refusal::last(refusal::wait(wait, most));
            let none = Left {
                limit: rate.burst as u64,
                remaining: 0,
                full_in: Duration::from_secs_f64(rate.burst / rate.per_s),
            };
            tell_left(refusal.headers_mut(), none);
            refusal
        })
    }

    fn place(&self, caller: &Caller, kind: Kind) -> Result<Option<Place>, Problem> {
        self.places.take(kind, &caller.key).map_err(|full| {
            let what = match kind {
                Kind::Stream => "streams of events",
                _ => "costly questions",
            };
            match full {
                Full::Yours(most) => {
                    let told = format!("{most} {what} at once is the most for one caller");
                    refusal::wait(Duration::from_secs(1), told)
                }
                Full::All(most) => refusal::busy(format!("all {most} places for {what} are taken")),
            }
        })
    }

    /// Reads the body of a method that has one. The client is waited for, so it is the first to go if others need its seat.
    async fn with_body(&self, request: Request, rule: Rule) -> Result<Request, Response> {
        if !rule.unsafe_method {
            return Ok(request);
        }
        let seat = request.extensions().get::<Seat>().cloned();
        let _waiting = seat.as_ref().map(Seat::wait);
        self.bodies.whole(request).await
    }
}

/// The token of a request: `Bearer TOKEN`, or `Token TOKEN` as lasair's clients say.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, text) = value.split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    known.then(|| text.trim().to_owned())
}

fn too_slow(longest: Duration) -> Response {
    let detail = format!("the answer took longer than {} s", longest.as_secs());
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "time_limit", detail).into_response()
}

fn tell_left(headers: &mut HeaderMap, left: Left) {
    let full_in = left.full_in.as_secs_f64().ceil() as u64;
    let told = [
        ("ratelimit-limit", left.limit),
        ("ratelimit-remaining", left.remaining),
        ("ratelimit-reset", full_in),
    ];
    for (name, number) in told {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(number));
    }
}
