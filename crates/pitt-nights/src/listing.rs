//! What the archive has: its index page and its list of checksums.

use std::collections::BTreeMap;

use crate::checksums::{Md5, parse_md5sums};
use crate::client::Client;
use crate::error::NightsError;

/// A tarball with at least one packet is larger than this, bytes. An empty night has some tens.
const EMPTY: u64 = 512;

/// One night in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// YYYYMMDD, as in the file's name.
    pub night: i32,
    /// The file's name.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Bytes: exact once the server was asked for this file, before that as rounded as the page has it.
    pub size: Option<u64>,
    /// Checksum, where `MD5SUMS` has the file.
    pub md5: Option<Md5>,
}

impl Release {
    /// Whether this is a night without alerts.
    pub fn is_empty(&self) -> bool {
        self.size.is_some_and(|size| size < EMPTY)
    }

    /// Asks the server for the exact size.
    pub fn measured(mut self, client: &Client) -> Self {
        self.size = client.size(&self.url).or(self.size);
        self
    }
}

/// All nights in the archive.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Address of the archive's folder, with a slash at the end.
    pub url: String,
    /// Nights, the oldest first.
    pub releases: Vec<Release>,
}

impl Listing {
    /// Reads index page and checksums.
    ///
    /// # Errors
    /// The archive cannot be reached, refuses, or lists no nights.
    pub fn fetch(client: &Client, url: &str) -> Result<Self, NightsError> {
        let url = format!("{}/", url.trim_end_matches('/'));
        let page = client
            .page(&url)?
            .ok_or_else(|| crate::client::refused(&url, 404))?;
        let sums = client.page(&format!("{url}MD5SUMS"))?;
        if sums.is_none() {
            tracing::warn!("{url} has no MD5SUMS: only sizes can be checked");
        }
        let sums = parse_md5sums(&sums.unwrap_or_default());
        let releases: Vec<Release> = files(&page)
            .into_iter()
            .map(|(night, (name, size))| Release {
                night,
                url: format!("{url}{name}"),
                md5: sums.get(&name).copied(),
                name,
                size,
            })
            .collect();
        if releases.is_empty() {
            return Err(NightsError::NoListing { url });
        }
        Ok(Self { url, releases })
    }
}

/// Night to file name and rounded size, from any of the shapes in which web servers list a folder.
fn files(page: &str) -> BTreeMap<i32, (String, Option<u64>)> {
    let mut files = BTreeMap::new();
    for link in page.split("href=").skip(1) {
        let target = link.trim_start_matches(['"', '\'']);
        let target = target.split(['"', '\'', '>', ' ']).next().unwrap_or("");
        let name = target.rsplit('/').next().unwrap_or("");
        if let Some(night) = night_of(name) {
            files.insert(night, (name.to_owned(), rounded_size(link)));
        }
    }
    files
}

/// YYYYMMDD of `ztf_public_YYYYMMDD.tar.gz`.
fn night_of(name: &str) -> Option<i32> {
    let digits = name.strip_prefix("ztf_public_")?.strip_suffix(".tar.gz")?;
    (digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

/// The size that stands after a link, on its line or in its row: `29`, `302K`, `1.4M`, `28G`.
fn rounded_size(link: &str) -> Option<u64> {
    let line = link.split(['\n', '\r']).next()?;
    let mut text = String::new();
    let mut inside = false;
    for letter in line.split_once('>')?.1.chars() {
        match letter {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            _ if !inside => text.push(letter),
            _ => {}
        }
    }
    text.replace("&nbsp;", " ")
        .split_whitespace()
        .rev()
        .find_map(size)
}

fn size(text: &str) -> Option<u64> {
    let scales = [
        ("K", 1u64 << 10),
        ("M", 1 << 20),
        ("G", 1 << 30),
        ("T", 1 << 40),
    ];
    let (digits, scale) = scales
        .iter()
        .find_map(|(letter, scale)| Some((text.strip_suffix(letter)?, *scale)))
        .unwrap_or((text, 1));
    let number: f64 = digits.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some((number * scale as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_apache() {
        let page = r#"<tr><th><a href="?C=S;O=A">Size</a></th></tr>
<tr><td><a href="/alerts/">Parent Directory</a></td><td>&nbsp;</td><td align="right">  - </td></tr>
<tr><td valign="top"><img src="/icons/compressed.gif" alt="[   ]"></td><td><a href="ztf_public_20180101.tar.gz">ztf_public_20180101.tar.gz</a></td><td align="right">2018-06-26 10:46  </td><td align="right"> 44 </td><td>&nbsp;</td></tr>
<tr><td valign="top"></td><td><a href="ztf_public_20181129.tar.gz">ztf_public_20181129.tar.gz</a></td><td align="right">2018-11-30 14:02  </td><td align="right">8.5G</td><td>&nbsp;</td></tr>
<tr><td><a href="MD5SUMS">MD5SUMS</a></td><td align="right">2018-11-30 14:02  </td><td align="right">164K</td></tr>"#;
        let files = files(page);
        let empty = (String::from("ztf_public_20180101.tar.gz"), Some(44));
        assert_eq!(files[&20180101], empty);
        assert_eq!(files[&20181129].1, Some(9_126_805_504));
        assert_eq!(files.len(), 2);
    }

    #[test]
    fn a_plain_list_with_shortened_names() {
        let page = "<a href='ztf_public_20181129.tar.gz'>ztf_public_2018112..&gt;</a> 2018-11-30 14:02   22M\n\
            <a href=\"ztf_public_20181130.tar.gz\">x</a>\n<a href=\"ztf_public_2018113.tar.gz\">x</a>";
        let files = files(page);
        assert_eq!(files[&20181129].1, Some(22 << 20));
        assert_eq!(files[&20181130].1, None);
        assert_eq!(files.len(), 2);
    }
}
