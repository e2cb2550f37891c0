//! Shows the pages to whoever sits at this machine.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file that leads a browser to an address; gone when this is dropped.
///
/// The address holds the token of this run. Everybody on a machine can read the arguments of its processes, so the browser
/// is given this file, which its owner alone can read.
pub(super) struct Signpost(PathBuf);

impl Signpost {
    /// Writes it into a folder.
    fn write(folder: &Path, url: &str) -> io::Result<Self> {
        let path = folder.join("pages.html");
        let _ = fs::remove_file(&path);
        fs::create_dir_all(folder)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let sign = Self(path);
        writeln!(
            file,
            "<!doctype html><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">\
             <meta http-equiv=\"refresh\" content=\"0; url={url}\"><title>Pitt Broker</title><a href=\"{url}\">Pitt Broker</a>"
        )?;
        Ok(sign)
    }
}

impl Drop for Signpost {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Opens the address in the person's browser, if there is a display. Whether that works is not known; the address has
/// been printed too.
pub(super) fn open(folder: &Path, url: &str) -> Option<Signpost> {
    let program = opener()?;
    let sign = Signpost::write(folder, url).ok()?;
    let path = fs::canonicalize(&sign.0).ok()?;
    let quiet = || Stdio::null();
    let mut command = Command::new(program);
    command
        .arg(path)
        .stdin(quiet())
        .stdout(quiet())
        .stderr(quiet());
    let mut child = command.spawn().ok()?;
    // Taken note of, so that it does not stay in the list of processes.
    std::thread::spawn(move || child.wait());
    Some(sign)
}

/// The program that opens files as the person has chosen; `None` where nobody could see it.
fn opener() -> Option<&'static str> {
    if cfg!(target_os = "macos") {
        return Some("open");
    }
    let display = ["DISPLAY", "WAYLAND_DISPLAY"].map(std::env::var_os);
    let seen = display.iter().flatten().any(|value| !value.is_empty());
    seen.then_some("xdg-open")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_signpost_is_for_its_owner_alone_and_goes_with_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let url = "http://127.0.0.1:8080/#token=pitt_session_x";
        let sign = Signpost::write(folder.path(), url).unwrap();
        let path = sign.0.clone();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(fs::read_to_string(&path).unwrap().contains(url));
        drop(sign);
        assert!(!path.exists());
    }
}
