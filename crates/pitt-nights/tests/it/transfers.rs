//! Whole and broken transfers.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pitt_nights::{Choice, Client, Listing, Md5, NightsError, Patience, Release, Shelf, Transfer};

use crate::server::{Manners, Server};

const NIGHT: &str = "ztf_public_20181129.tar.gz";

/// Bytes that do not repeat.
fn night(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..bytes).map(next).collect()
}

fn files(bytes: &[u8], md5: Md5) -> Vec<(String, Vec<u8>)> {
    let sums = format!(
        "# public nights\n{}  /epyc/data/{NIGHT}\n{md5}  /epyc/data/{NIGHT}\n",
        Md5::of(b"an earlier run")
    );
    vec![
        ("MD5SUMS".into(), sums.into_bytes()),
        ("ztf_public_20180101.tar.gz".into(), vec![0; 29]),
        (NIGHT.into(), bytes.to_vec()),
    ]
}

fn patience() -> Patience {
    Patience {
        answer: Duration::from_secs(5),
        silence: Duration::from_millis(400),
        tries: 4,
        delay: Duration::from_millis(5),
    }
}

struct Case {
    server: Server,
    client: Client,
    release: Release,
    shelf: Shelf,
    bytes: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Case {
    fn new(manners: Manners) -> Self {
        let bytes = night(300_000);
        Self::serving(files(&bytes, Md5::of(&bytes)), bytes, manners)
    }

    fn serving(files: Vec<(String, Vec<u8>)>, bytes: Vec<u8>, manners: Manners) -> Self {
        let server = Server::start(files, manners);
        let client = Client::new(patience());
        let listing = Listing::fetch(&client, &server.url).unwrap();
        let chosen = Choice::Newest(5).among(&listing).unwrap();
        assert_eq!(chosen.len(), 1, "the empty night is passed over");
        let release = chosen[0].clone().measured(&client);
        assert_eq!(release.size, Some(bytes.len() as u64));
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().join("nights"));
        shelf.create().unwrap();
        Self {
            server,
            client,
            release,
            shelf,
            bytes,
            _folder: folder,
        }
    }

    fn start(&self) -> Transfer {
        let part = self.shelf.part(&self.release);
        Transfer::start(self.client.clone(), self.release.clone(), part).unwrap()
    }

    /// Reads along while it is fetched.
    fn fetch(&self) -> Result<Vec<u8>, NightsError> {
        let transfer = self.start();
        let mut read = vec![];
        let along = transfer.reader().unwrap().read_to_end(&mut read);
        let md5 = transfer.finish()?;
        along.unwrap();
        assert_eq!(md5, Md5::of(&read));
        Ok(read)
    }
}

#[test]
fn a_night_comes_whole() {
    let case = Case::new(Manners::default());
    assert!(case.fetch().unwrap() == case.bytes);
    // Once more: all of it is here, and the server has nothing to add.
    assert!(case.fetch().unwrap() == case.bytes);
}

#[test]
fn cut_connections_are_resumed() {
    for ranges in [true, false] {
        // Without ranges each try begins anew, and must get further than the last.
        let cut_after = if ranges { Some(50_000) } else { None };
        let case = Case::new(Manners {
            ranges,
            cut_after,
            ..Manners::default()
        });
        if !ranges {
            let half = case.bytes[..150_000].to_vec();
            let begun = case.start();
            begun.finish().unwrap();
            std::fs::write(case.shelf.part(&case.release), half).unwrap();
        }
        let before = case.server.requests.load(Ordering::SeqCst);
        assert!(case.fetch().unwrap() == case.bytes);
        let asked = case.server.requests.load(Ordering::SeqCst) - before;
        assert!(if ranges { asked >= 5 } else { asked == 1 }, "{asked}");
    }
}

#[test]
fn a_silent_server_is_left_and_asked_again() {
    let case = Case::new(Manners {
        silent_after: Some(100_000),
        ..Manners::default()
    });
    assert!(case.fetch().unwrap() == case.bytes);
}

#[test]
fn a_busy_server_is_asked_again() {
    let case = Case::new(Manners {
        busy: 2,
        ..Manners::default()
    });
    assert!(case.fetch().unwrap() == case.bytes);
}

#[test]
fn a_stopped_transfer_goes_on_in_the_next_run() {
    let case = Case::new(Manners {
        slow_ms: 3,
        ..Manners::default()
    });
    let transfer = case.start();
    let mut some = vec![0; 40_000];
    transfer.reader().unwrap().read_exact(&mut some).unwrap();
    transfer.stop();
    assert!(matches!(transfer.finish(), Err(NightsError::Stopped)));
    let begun = case.shelf.begun(&case.release);
    assert!((40_000..300_000).contains(&begun), "{begun}");
    case.server.manners.lock().unwrap().slow_ms = 0;
    let transfer = case.start();
    let mut all = vec![];
    transfer.reader().unwrap().read_to_end(&mut all).unwrap();
    let fetched = transfer.progress().fetched;
    transfer.finish().unwrap();
    assert!(all == case.bytes);
    assert_eq!(fetched, 300_000 - begun);
}

#[test]
fn a_wrong_checksum_sets_the_file_aside() {
    let bytes = night(300_000);
    let case = Case::serving(
        files(&bytes, Md5::of(b"something else")),
        bytes,
        Manners::default(),
    );
    let transfer = case.start();
    let mut read = vec![];
    let along = transfer.reader().unwrap().read_to_end(&mut read);
    assert!(along.unwrap_err().to_string().contains("checksum"));
    match transfer.finish() {
        Err(NightsError::WrongChecksum { aside, .. }) => {
            assert!(std::fs::read(aside).unwrap() == case.bytes);
        }
        other => panic!("{other:?}"),
    }
    assert!(!case.shelf.part(&case.release).exists());
}

#[test]
fn a_file_that_changed_on_the_server_is_no_half_and_half() {
    let case = Case::new(Manners::default());
    let transfer = case.start();
    transfer.finish().unwrap();
    let part = case.shelf.part(&case.release);
    std::fs::write(&part, &case.bytes[..1000]).unwrap();
    case.server.files.lock().unwrap()[2].1.truncate(250_000);
    assert!(matches!(case.fetch(), Err(NightsError::Changed { .. })));
    assert_eq!(case.shelf.begun(&case.release), 0);
}

#[test]
fn nobody_there_and_nothing_there() {
    let gone = Client::new(patience());
    let error = Listing::fetch(&gone, "http://127.0.0.1:9/alerts").unwrap_err();
    assert!(matches!(error, NightsError::Unreachable { .. }), "{error}");
    let server = Server::start(vec![("README".into(), vec![1])], Manners::default());
    let error = Listing::fetch(&gone, &server.url).unwrap_err();
    assert!(matches!(error, NightsError::NoListing { .. }), "{error}");
    let other = server.url.replace("public", "private");
    let error = Listing::fetch(&gone, &other).unwrap_err();
    assert!(
        matches!(error, NightsError::Refused { status: 404, .. }),
        "{error}"
    );
}

#[test]
fn a_night_that_keeps_breaking_off_is_given_up_and_said() {
    let case = Case::new(Manners {
        cut_after: Some(0),
        ..Manners::default()
    });
    let transfer = case.start();
    assert!(matches!(
        transfer.finish(),
        Err(NightsError::Unreachable { .. })
    ));
    case.server.manners.lock().unwrap().cut_after = None;
    assert!(case.fetch().unwrap() == case.bytes);
}
