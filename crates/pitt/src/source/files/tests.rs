use std::fs;
use std::time::SystemTime;

use super::*;

type Step<'a> = Box<dyn FnMut() + 'a>;

/// Keeps the packets, and does something between one look and the next; ends when there is nothing more to do.
#[derive(Default)]
struct Watcher<'a> {
    packets: Vec<Packet>,
    between: Vec<Step<'a>>,
    at_packet: Option<Step<'a>>,
}

impl Outlet for Watcher<'_> {
    fn packet(&mut self, packet: Packet) -> ControlFlow<()> {
        self.packets.push(packet);
        if let Some(act) = &mut self.at_packet {
            act();
        }
        ControlFlow::Continue(())
    }

    fn pause(&mut self, _: Duration) -> ControlFlow<()> {
        if self.between.is_empty() {
            return ControlFlow::Break(());
        }
        self.between.remove(0)();
        ControlFlow::Continue(())
    }

    fn flush(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl Watcher<'_> {
    fn offsets(&self) -> Vec<i64> {
        let offsets = self.packets.iter().map(|packet| packet.position.offset);
        offsets.collect()
    }
}

struct Place {
    folder: tempfile::TempDir,
    follow: bool,
}

impl Place {
    fn new(follow: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        Self { folder, follow }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("in").join(name)
    }

    /// Reads what is there, and what `between` brings, where the archive stands at `next` in every partition.
    fn read<'a>(&self, next: i64, watcher: Watcher<'a>) -> (Watcher<'a>, SourceReport) {
        let options = FilesOptions {
            paths: vec![self.folder.path().join("in")],
            sources: self.folder.path().join("sources"),
            follow: self.follow.then_some(Duration::ZERO),
            max_file_bytes: 1000,
        };
        let files = Files::open(options, move |partition: &str| {
            if partition.starts_with("tar:") {
                next
            } else {
                0
            }
        });
        let mut watcher = watcher;
        let report = files.unwrap().run(&mut watcher).unwrap();
        (watcher, report)
    }
}

fn tarball(members: &[(&str, usize)]) -> Vec<u8> {
    let mut tarball = tar::Builder::new(vec![]);
    for (name, size) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(*size as u64);
        header.set_mode(0o644);
        header.set_cksum();
        let bytes = vec![b'x'; *size];
        tarball.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    tarball.into_inner().unwrap()
}

fn nothing<'a>() -> Step<'a> {
    Box::new(|| {})
}

#[test]
fn a_followed_file_is_taken_when_it_is_whole() {
    let place = Place::new(true);
    let write = |text: &'static str| -> Step<'_> {
        let file = place.file("late.avro");
        Box::new(move || fs::write(&file, text).unwrap())
    };
    let watcher = Watcher {
        between: vec![write("ha"), write("half"), write("whole"), nothing()],
        ..Watcher::default()
    };
    let (watcher, report) = place.read(0, watcher);
    assert_eq!(watcher.offsets(), [0]);
    assert_eq!(watcher.packets[0].bytes, "whole");
    assert_eq!(report.damaged, Vec::<String>::new());
}

#[test]
fn a_file_that_is_never_whole_is_not_taken_while_one_untouched_for_long_is() {
    let place = Place::new(true);
    fs::write(place.file("old.avro"), "old").unwrap();
    let old = File::options().write(true).open(place.file("old.avro"));
    let long_ago = SystemTime::now() - Duration::from_secs(90);
    old.unwrap().set_modified(long_ago).unwrap();
    fs::write(place.file("new.avro"), "").unwrap();
    let mut text = String::new();
    let mut grow = || {
        text.push('x');
        fs::write(place.file("new.avro"), &text).unwrap();
    };
    grow();
    let watcher = Watcher {
        at_packet: Some(Box::new(grow)),
        between: vec![],
        ..Watcher::default()
    };
    let (watcher, _) = place.read(0, watcher);
    assert_eq!(watcher.packets.len(), 1);
    assert_eq!(watcher.packets[0].bytes, "old");
}

#[test]
fn a_tarball_that_comes_back_is_read_on_from_where_the_archive_stands() {
    let place = Place::new(true);
    let path = place.file("night.tar");
    let put = |members: &'static [(&'static str, usize)]| -> Step<'_> {
        let path = path.clone();
        Box::new(move || fs::write(&path, tarball(members)).unwrap())
    };
    let gone = || -> Step<'_> {
        let path = path.clone();
        Box::new(move || fs::remove_file(&path).unwrap())
    };
    const THREE: &[(&str, usize)] = &[("a.avro", 1), ("b.avro", 2), ("c.avro", 3)];
    const FOUR: &[(&str, usize)] = &[("a.avro", 1), ("b.avro", 2), ("c.avro", 3), ("d.avro", 4)];
    let watcher = Watcher {
        between: vec![
            put(THREE),
            nothing(),
            gone(),
            put(THREE),
            nothing(),
            gone(),
            put(FOUR),
            nothing(),
        ],
        ..Watcher::default()
    };
    let (watcher, report) = place.read(2, watcher);
    assert_eq!(watcher.offsets(), [2, 3]);
    assert_eq!(report.damaged, Vec::<String>::new());
}

#[test]
fn a_member_too_large_is_counted_and_the_next_ones_are_read() {
    let place = Place::new(false);
    let members = tarball(&[("a.avro", 5), ("huge.avro", 1001), ("b.avro", 1000)]);
    fs::write(place.file("night.tar"), members).unwrap();
    fs::write(place.file("huge.avro"), vec![b'x'; 1001]).unwrap();
    let (watcher, report) = place.read(0, Watcher::default());
    assert_eq!(watcher.offsets(), [0, 1, 2]);
    assert_eq!(watcher.packets[2].bytes.len(), 1000);
    let mut decoder = pitt_alert::Decoder::new(pitt_alert::SchemaStore::new());
    let rejected = decoder.decode(&watcher.packets[1..2]).rejected;
    assert_eq!(rejected[0].reason, pitt_alert::Reason::TooLarge);
    assert!(rejected[0].detail.contains("1001 bytes"), "{rejected:?}");
    // The loose one has no number yet: it is told of, and read when the limit is raised.
    assert_eq!(report.damaged.len(), 1);
    assert!(report.damaged[0].contains("source.max_file_mb"));
}

#[test]
fn what_changes_while_it_is_read_is_told() {
    let place = Place::new(false);
    let path = place.file("night.tar");
    fs::write(&path, tarball(&[("a.avro", 5), ("b.avro", 5)])).unwrap();
    let watcher = Watcher {
        at_packet: Some(Box::new(|| {
            let whole = tarball(&[("a.avro", 5), ("b.avro", 5), ("c.avro", 5)]);
            fs::write(&path, whole).unwrap();
        })),
        ..Watcher::default()
    };
    let (_, report) = place.read(0, watcher);
    assert_eq!(report.damaged.len(), 1);
    assert!(report.damaged[0].contains("changed while"), "{report:?}");
}

#[test]
fn a_tarball_read_to_its_end_is_not_unpacked_again() {
    let place = Place::new(false);
    let path = place.file("night.tar");
    fs::write(&path, tarball(&[("a.avro", 5), ("b.avro", 5)])).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(place.read(0, Watcher::default()).0.offsets(), [0, 1]);
    // As if the archive had lost what was read: the list alone proves nothing.
    assert_eq!(place.read(1, Watcher::default()).0.offsets(), [1]);

    let rubbish = vec![b'?'; fs::metadata(&path).unwrap().len() as usize];
    fs::write(&path, rubbish).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
    let (watcher, report) = place.read(2, Watcher::default());
    assert!(watcher.packets.is_empty());
    assert_eq!((report.passed_over, report.damaged), (2, vec![]));

    file.set_modified(SystemTime::now()).unwrap();
    assert_eq!(place.read(2, Watcher::default()).1.damaged.len(), 1);
}
