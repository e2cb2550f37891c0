//! Runs the stream by hand: `cargo run -p pitt-stream --example serve -- --folder X --port 9092`.
//!
//! Options: `--folder DIR` (needed), `--port N`, `--segment-mib N`, `--retain-bytes N`, `--retain-seconds N`,
//! `--sync never|each`, `--user NAME:PASSWORD` (may write; again for more), `--read-only`, `--cert FILE --key FILE`.
//! It prints the address it listens on and ends with its standard input.

use std::io::Read;
use std::time::Duration;

use pitt_stream::{Server, StreamConfig, Sync, Tls, User, Writers};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::bind(config(std::env::args().skip(1))?)?;
    #[expect(clippy::print_stdout, reason = "an example's output")]
    {
        println!("listening on {}", server.address());
    }
    std::io::copy(&mut std::io::stdin().lock().by_ref(), &mut std::io::sink())?;
    server.shutdown();
    Ok(())
}

fn config(
    mut args: impl Iterator<Item = String>,
) -> Result<StreamConfig, Box<dyn std::error::Error>> {
    let mut config = StreamConfig::new("");
    let mut files = (None, None);
    while let Some(option) = args.next() {
        if option == "--read-only" {
            config.writers = Writers::Nobody;
            continue;
        }
        let value = args
            .next()
            .ok_or_else(|| format!("`{option}` needs a value"))?;
        match option.as_str() {
            "--folder" => config.folder = value.into(),
            "--port" => config.address.set_port(value.parse()?),
            "--segment-mib" => config.segment_bytes = value.parse::<u64>()? << 20,
            "--retain-bytes" => config.retention.bytes = Some(value.parse()?),
            "--retain-seconds" => config.retention.time = Some(Duration::from_secs(value.parse()?)),
            "--sync" => {
                config.sync = if value == "each" {
                    Sync::EachRequest
                } else {
                    Sync::Never
                }
            }
            "--cert" => files.0 = Some(value.into()),
            "--key" => files.1 = Some(value.into()),
            "--user" => {
                let (name, password) = value
                    .split_once(':')
                    .ok_or("`--user` needs NAME:PASSWORD")?;
                let (name, password) = (name.to_owned(), password.to_owned());
                config.users.push(User {
                    name,
                    password,
                    may_write: true,
                });
            }
            _ => return Err(format!("unknown option `{option}`").into()),
        }
    }
    if config.folder.as_os_str().is_empty() {
        return Err("`--folder` is needed".into());
    }
    if let (Some(certificates), Some(key)) = files {
        config.tls = Some(Tls { certificates, key });
    }
    Ok(config)
}
