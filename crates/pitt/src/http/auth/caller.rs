//! Who asks.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::refusal;
use super::token::Scope;
use crate::config::ReadAccess;
use crate::http::api::problem::Problem;

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Those with this token.
    Token(String),
    /// Those without one from this address, or this network of IPv6.
    Address(IpAddr),
}

/// Who asks, and what for they may. Handlers take it as an argument; it is there once the gate has let
/// a request in, and is nobody elsewhere.
///
/// ```
/// use pitt::http::api::problem::Problem;
/// use pitt::http::auth::{Caller, Scope};
///
/// async fn remove_filter(caller: Caller) -> Result<&'static str, Problem> {
///     caller.require(Scope::Admin)?;
///     Ok("removed")
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Caller {
    pub(super) name: Option<String>,
    pub(super) scope: Option<Scope>,
    pub(super) read: ReadAccess,
    pub(super) key: Key,
}

impl Caller {
    /// Somebody without a token.
    pub(super) fn nobody(address: IpAddr, read: ReadAccess) -> Self {
        Self {
            name: None,
            scope: (read == ReadAccess::Open).then_some(Scope::Read),
            read,
            key: Key::Address(address),
        }
    }

    /// The name of the token; `None` without one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether this scope is among those of the token.
    pub fn may(&self, scope: Scope) -> bool {
        self.scope.is_some_and(|own| own >= scope)
    }

    /// Whether one may change what has this owner: one's own, or everything with scope `admin`.
    pub fn may_change(&self, owner: &str) -> bool {
        self.may(Scope::Admin) || (self.may(Scope::Write) && self.name() == Some(owner))
    }

    /// Goes on only with this scope.
    ///
    /// # Errors
    /// The answer to give: 401 without a token, 403 with one that does not allow it.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.may(scope) {
            Ok(())
        } else if self.name.is_none() {
            Err(refusal::needs_token(scope))
        } else {
            Err(refusal::needs_scope(scope))
        }
    }

    /// Who may read here.
    pub fn read(&self) -> ReadAccess {
        self.read
    }

    /// All scopes.
    pub fn scopes(&self) -> Vec<Scope> {
        self.scope
            .map_or_else(Vec::new, |scope| scope.included().collect())
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self {
            scope: None,
            ..Self::nobody(Ipv4Addr::UNSPECIFIED.into(), ReadAccess::Token)
        }))
    }
}

/// The address of a client: that of the connection, or what the proxy says of it; of IPv6 the first 64 bits, which is what
/// one customer has.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, behind_proxy: bool) -> IpAddr {
    let told = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?;
        let last = last.to_str().ok()?.rsplit(',').next()?.trim();
        last.parse().ok()
    };
    let address = behind_proxy.then(told).flatten().unwrap_or(peer);
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(scope: Option<Scope>, name: Option<&str>) -> Caller {
        Caller {
            name: name.map(str::to_owned),
            scope,
            ..Caller::nobody(Ipv4Addr::LOCALHOST.into(), ReadAccess::Open)
        }
    }

    #[test]
    fn one_may_change_ones_own_and_an_admin_everything() {
        let writer = with(Some(Scope::Write), Some("anna"));
        assert!(writer.may_change("anna") && !writer.may_change("ben"));
        assert!(with(Some(Scope::Admin), Some("eve")).may_change("ben"));
        assert!(!with(Some(Scope::Read), Some("anna")).may_change("anna"));
    }

    #[test]
    fn what_is_missing_is_a_token_or_a_scope() {
        let status = |caller: Caller| caller.require(Scope::Write).map_err(|no| no.status);
        assert_eq!(status(with(Some(Scope::Read), None)).unwrap_err(), 401);
        assert_eq!(
            status(with(Some(Scope::Read), Some("anna"))).unwrap_err(),
            403
        );
        assert_eq!(status(with(Some(Scope::Admin), Some("anna"))), Ok(()));
    }

    #[test]
    fn a_proxy_is_believed_only_where_there_is_one() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "1.2.3.4".parse().unwrap());
        headers.append("x-forwarded-for", "5.6.7.8, 9.9.9.9".parse().unwrap());
        let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert_eq!(address(peer, &headers, false), peer);
        assert_eq!(address(peer, &headers, true).to_string(), "9.9.9.9");
        headers.append("x-forwarded-for", "<script>".parse().unwrap());
        assert_eq!(address(peer, &headers, true), peer);
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller() {
        let of = |text: &str| address(text.parse().unwrap(), &HeaderMap::new(), false).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:10.1.2.3"), "10.1.2.3");
    }
}
