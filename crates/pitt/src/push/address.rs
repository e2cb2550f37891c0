//! Where webhooks may go: to addresses that anybody could reach, unless the settings say otherwise.
//!
//! Whoever makes a webhook chooses where this machine sends requests. Without care that reaches what only this machine can reach:
//! databases of its network, the metadata of a cloud. So the address is checked that a name resolves to, at the moment of each
//! connection, and that very address is connected to: a name that changes its mind in between gains nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use axum::http::Uri;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Longest address `[bytes]`.
const LONGEST: usize = 2000;

/// Why a webhook cannot go to an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no address of that kind.
    #[error(
        "`{0}` is no address for a webhook (https://HOST/PATH or http://HOST/PATH, without user and fragment, at most 2000 characters)"
    )]
    Form(String),
    /// It is this machine, or in its network.
    #[error(
        "`{0}` is this machine or in a private network (webhooks go there only with `push.allow_private = true` in the settings)"
    )]
    Private(String),
}

/// How far webhooks reach.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// Also this machine and private networks.
    pub private: bool,
}

impl Reach {
    /// Checks an address that somebody wants webhooks sent to. Looks its name up; one that cannot be found now may be found later.
    ///
    /// # Errors
    /// It has another form, or all it resolves to is out of reach.
    pub fn check(self, url: &str) -> Result<(), AddressError> {
        let uri = parsed(url)?;
        let host = uri.host().unwrap_or_default();
        let usual = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let place = format!("{host}:{}", uri.port_u16().unwrap_or(usual));
        let Ok(found) = place.to_socket_addrs() else {
            return Ok(());
        };
        let found: Vec<SocketAddr> = found.collect();
        if found.is_empty() || found.iter().any(|address| self.allows(address.ip())) {
            return Ok(());
        }
        Err(AddressError::Private(shown(host)))
    }

    fn allows(self, ip: IpAddr) -> bool {
        self.private || is_public(ip)
    }
}

/// Resolves names for connections, and leaves out what is out of reach.
impl Resolver for Reach {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in found.iter().filter(|address| self.allows(address.ip())) {
            allowed.push(*address);
        }
        if allowed.is_empty() {
            let host = shown(uri.host().unwrap_or_default());
            return Err(io::Error::other(AddressError::Private(host)).into());
        }
        Ok(allowed)
    }
}

fn parsed(url: &str) -> Result<Uri, AddressError> {
    let no = || AddressError::Form(hidden(url));
    if url.len() > LONGEST || url.contains('#') {
        return Err(no());
    }
    let uri: Uri = url.parse().map_err(|_| no())?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority().map(axum::http::uri::Authority::as_str);
    let plain = authority.is_some_and(|authority| !authority.contains('@'));
    let host = uri.host().is_some_and(|host| !host.is_empty());
    if scheme && plain && host {
        Ok(uri)
    } else {
        Err(no())
    }
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

/// An address without what may be a secret in it: scheme and host alone, where there are such.
pub fn hidden(url: &str) -> String {
    let uri = url.parse::<Uri>().ok();
    let parts = uri.as_ref().and_then(|uri| {
        let authority = uri.authority()?.as_str();
        let host = authority.rsplit('@').next()?;
        Some((uri.scheme_str()?, host, uri.path_and_query()?.as_str()))
    });
    match parts {
        Some((scheme, host, "/")) => format!("{scheme}://{}/", shown(host)),
        Some((scheme, host, _)) => format!("{scheme}://{}/…", shown(host)),
        None => "…".to_owned(),
    }
}

/// Whether an address is one of the public Internet: not this machine's, a private network's, or one kept for something else.
///
/// Sources: IANA's registries of special-purpose addresses, for IPv4 (RFC 6890 and later) and IPv6. Of IPv6 only 2000::/3 is given out;
/// addresses there that hold one of IPv4 (6to4, Teredo) or are for documentation are left out, and so is everything else.
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let kept = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        // "This network", and those reserved, with the broadcast.
        || a == 0
        || a >= 240
        // Shared by a provider's customers.
        || (a == 100 && (64..128).contains(&b))
        // Protocols, old relays of 6to4, benchmarks.
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !kept
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let global = first & 0xe000 == 0x2000;
    // 2001::/23 is kept for protocols, Teredo among them.
    let kept = (first == 0x2001 && (second < 0x200 || second == 0xdb8))
        || first == 0x2002
        || (first == 0x3fff && second < 0x1000);
    global && !kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        let public = [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "172.32.0.1",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:8.8.8.8",
        ];
        let private = [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.255",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2002:7f00:1::",
            "2001:0:7f00:1::",
            "2001:db8::1",
            "3fff::1",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in private {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn this_machine_is_refused_however_it_is_written() {
        let open = Reach { private: false };
        for url in [
            "http://127.0.0.1:8080/x",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://017700000001/",
            "http://[::1]:80/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://localhost/",
            "http://LOCALHOST:9/",
            "http://0/",
            "https://169.254.169.254/latest/meta-data",
            "http://192.168.0.1/",
        ] {
            let refused = open.check(url);
            assert!(
                matches!(refused, Err(AddressError::Private(_))),
                "{url}: {refused:?}"
            );
            assert_eq!(Reach { private: true }.check(url), Ok(()), "{url}");
        }
        assert_eq!(open.check("https://8.8.8.8/hook?key=1"), Ok(()));
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_its_secrets() {
        let any = Reach { private: true };
        let long = format!("https://example.org/{}", "a".repeat(LONGEST));
        for url in [
            "",
            "example.org",
            "ftp://example.org/",
            "file:///etc/passwd",
            "https://",
            "https:///path",
            "https://user:secret@example.org/",
            "https://example.org/#secret",
            "https://exa mple.org/secret",
            &long,
        ] {
            let error = any.check(url).unwrap_err();
            assert!(matches!(error, AddressError::Form(_)), "{url}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_address_can_be_shown_without_its_secrets() {
        assert_eq!(hidden("https://a.org:8/x?key=1"), "https://a.org:8/…");
        assert_eq!(hidden("https://a.org/"), "https://a.org/");
        assert_eq!(hidden("https://me:key@a.org/"), "https://a.org/");
        assert_eq!(hidden("nonsense"), "…");
    }
}
