//! From what was typed to the stream's settings.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use pitt_stream::{Retention, StreamConfig, Sync, Tls, User, Writers};

use super::super::Misused;
use crate::cli::Stream;

/// The stream's settings.
pub(super) fn config(args: &Stream) -> Result<StreamConfig> {
    let mut config = StreamConfig::new(&args.folder);
    config.address = address(&args.listen)?;
    // Whoever types another address means it.
    config.allow_remote = true;
    if let Some(told) = &args.advertise {
        let (host, port) = advertised(told)?;
        (config.advertised_host, config.advertised_port) = (Some(host), port);
    }
    config.retention = retention(&args.retention)?;
    config.auto_create_partitions = Some(args.partitions.unwrap_or(1));
    config.writers = match (args.read_only, args.allow_writes) {
        (true, _) => Writers::Nobody,
        (_, true) => Writers::Anyone,
        _ => Writers::Loopback,
    };
    if args.sync {
        config.sync = Sync::EachRequest;
    }
    if let Some(file) = &args.users {
        config.users = users(file)?;
    }
    if let (Some(certificates), Some(key)) = (args.tls_cert.clone(), args.tls_key.clone()) {
        config.tls = Some(Tls { certificates, key });
    }
    Ok(config)
}

fn misused(text: String) -> anyhow::Error {
    anyhow!(Misused(text))
}

fn address(text: &str) -> Result<SocketAddr> {
    let found = text.to_socket_addrs().ok();
    // `localhost` may be both ::1 and 127.0.0.1; the stream looks after the first by itself.
    let best = found.and_then(|all| all.min_by_key(|a| !a.is_ipv4()));
    best.ok_or_else(|| {
        misused(format!(
            "--listen is `{text}`, expected ADDRESS:PORT as 127.0.0.1:9092"
        ))
    })
}

fn advertised(text: &str) -> Result<(String, Option<u16>)> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Ok((text.to_owned(), None));
    };
    let port = port.parse();
    let port = port.map_err(|_| {
        misused(format!(
            "--advertise is `{text}`, expected HOST or HOST:PORT"
        ))
    })?;
    Ok((host.to_owned(), Some(port)))
}

/// `36h`, `7d`, `50GB`.
fn retention(texts: &[String]) -> Result<Retention> {
    let mut retention = Retention::default();
    for text in texts {
        let at = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
        let sizes = [("MB", 1e6), ("GB", 1e9), ("TB", 1e12)];
        let wrong = || {
            misused(format!(
                "--retention is `{text}`, expected a time as 36h or 7d, or a size as 50GB"
            ))
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let factor = |table: &[(&str, f64)]| table.iter().find(|(u, _)| *u == unit).map(|u| u.1);
        if let Some(seconds) = factor(&units) {
            let time = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
            retention.time = Some(time);
        } else {
            let size = factor(&sizes).ok_or_else(wrong)?;
            retention.bytes = Some((number * size) as u64);
        }
    }
    Ok(retention)
}

/// Lines `NAME:PASSWORD` or `NAME:PASSWORD:read`; `#` begins a comment line.
fn users(file: &Path) -> Result<Vec<User>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the users of `{}`", file.display()))?;
    let mut users = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (line, may_write) = match line.strip_suffix(":read") {
            Some(line) => (line, false),
            None => (line, true),
        };
        // The line is not shown: it holds a password.
        let place = format!("`{}`, line {number}", file.display());
        let (name, password) = line
            .split_once(':')
            .filter(|(name, password)| !name.is_empty() && !password.is_empty())
            .ok_or_else(|| {
                misused(format!(
                    "{place}: expected NAME:PASSWORD or NAME:PASSWORD:read"
                ))
            })?;
        users.push(User {
            name: name.to_owned(),
            password: password.to_owned(),
            may_write,
        });
    }
    if users.is_empty() {
        return Err(misused(format!(
            "`{}` names nobody (lines NAME:PASSWORD)",
            file.display()
        )));
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_a_time_or_a_size() {
        let both = retention(&["36h".into(), "1.5GB".into()]).unwrap();
        assert_eq!(both.time, Some(Duration::from_hours(36)));
        assert_eq!(both.bytes, Some(1_500_000_000));
        for wrong in ["7", "d", "7 d", "5kB", "-3d", "1e400d"] {
            assert!(retention(&[wrong.into()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn users_are_lines_and_a_wrong_one_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# who\nann:se:cret\n\nbob:x:read\n").unwrap();
        let found: Vec<_> = users(file.path())
            .unwrap()
            .into_iter()
            .map(|u| (u.name, u.password, u.may_write))
            .collect();
        let of = |n: &str, p: &str, w| (n.to_owned(), p.to_owned(), w);
        assert_eq!(found, [of("ann", "se:cret", true), of("bob", "x", false)]);
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let error = users(file.path()).unwrap_err().to_string();
        assert!(
            error.contains("line 1") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
