//! `MD5SUMS`, and MD5 itself.

use std::collections::BTreeMap;
use std::fmt;

use md5::Digest;
use serde::{Deserialize, Serialize};

/// An MD5 checksum, 32 hexadecimal digits in text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Md5([u8; 16]);

impl Md5 {
    /// The checksum of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(md5::Md5::digest(bytes).into())
    }

    pub(crate) fn finish(state: md5::Md5) -> Self {
        Self(state.finalize().into())
    }

    /// From 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 16];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Md5 {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(to, "{byte:02x}"))
    }
}

impl fmt::Debug for Md5 {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Md5({self})")
    }
}

impl From<Md5> for String {
    fn from(md5: Md5) -> Self {
        md5.to_string()
    }
}

impl TryFrom<String> for Md5 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is no MD5 checksum"))
    }
}

/// File name to checksum, as `MD5SUMS` lists them.
///
/// A line is a checksum, blanks, perhaps `*`, and a path on the server, of which the last part counts. `#` begins a
/// comment. A night that was run again has two lines: the last wins. Lines that are none of this are passed over.
pub fn parse_md5sums(text: &str) -> BTreeMap<String, Md5> {
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((sum, path)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let name = path.trim().trim_start_matches('*');
        let name = name.rsplit('/').next().unwrap_or(name);
        match Md5::parse(sum) {
            Some(md5) if !name.is_empty() => {
                sums.insert(name.to_owned(), md5);
            }
            _ => tracing::warn!("MD5SUMS: a line that is no checksum: `{line}`"),
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_paths_comments_and_repeated_nights() {
        let text = "# rerun of 2018\n\
            26f6f9d6a798e5ec414182ca3396a7fb  /epyc/data/ztf/alerts/public/ztf_public_20180101.tar.gz\n\
            6d58b6565ec1d96185e32a04370ca90c  /old/ztf_public_20180209.tar.gz # first run\n\
            813d670385fb56d473cc64410858a88b *ztf_public_20180209.tar.gz\n\
            not a line\n\n";
        let sums = parse_md5sums(text);
        assert_eq!(sums.len(), 2);
        let of = |name: &str| sums[name].to_string();
        assert_eq!(
            of("ztf_public_20180101.tar.gz"),
            "26f6f9d6a798e5ec414182ca3396a7fb"
        );
        assert_eq!(
            of("ztf_public_20180209.tar.gz"),
            "813d670385fb56d473cc64410858a88b"
        );
    }

    #[test]
    fn md5_is_md5() {
        // RFC 1321, appendix A.5.
        let sum = Md5::of(b"message digest");
        assert_eq!(sum.to_string(), "f96b697d7cb7938d525a2f31aaf161d0");
        assert_eq!(Md5::parse(&sum.to_string()), Some(sum));
        assert_eq!(Md5::parse("f96b697d"), None);
    }
}
