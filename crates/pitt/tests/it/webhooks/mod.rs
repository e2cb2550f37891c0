//! Webhooks: what a receiver is promised, over real brokers and real connections of this machine.

mod killed;
mod receiver;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use pitt::broker::Broker;
use pitt::config::Settings;
use pitt::pipeline::Counters;
use pitt::push::{Delivery, Patience};
use pitt_alert::Packet;
use serde_json::{Value, json};

use super::client::ask;
use super::live::{self, file, packets, run};
use super::port::send;
use super::token;
use receiver::{Receiver, until};

/// Retries without long waits.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    answer: Duration::from_secs(30),
    delay: Duration::from_millis(5),
    longest: Duration::from_millis(20),
    tries: 4,
    give_up: Duration::from_secs(3600),
};

fn settings(folder: &Path) -> Settings {
    let mut settings = live::settings(folder);
    settings.push.allow_private = true;
    settings
}

/// A broker that can be asked over HTTP and delivers; `broker` is taken to run it.
struct Office {
    broker: Option<Broker>,
    counters: Arc<Counters>,
    delivery: Option<Delivery>,
    stage: live::Stage,
    token: String,
}

impl Office {
    /// With two filters: `all`, and `some` that takes every third alert.
    fn open(settings: &Settings) -> Self {
        Self::with(settings, PATIENCE)
    }

    fn with(settings: &Settings, patience: Patience) -> Self {
        let mut office = Self::without_delivery(settings);
        let (desk, feed) = (&office.stage.api.hooks, &office.stage.api.live.feed);
        office.delivery = Some(Delivery::start(desk, feed, patience).unwrap());
        office
    }

    /// A broker that delivers nothing.
    fn without_delivery(settings: &Settings) -> Self {
        let filters = vec![
            file("all", "alert_id > 0"),
            file("some", "alert_id % 3 = 0"),
        ];
        let mut broker = Broker::open(settings, filters).unwrap();
        let counters = Arc::default();
        let stage = live::stage(settings, &mut broker, &counters);
        let url = stage.port.session_url().unwrap();
        Self {
            token: url.split_once("#token=").unwrap().1.to_owned(),
            broker: Some(broker),
            counters,
            stage,
            delivery: None,
        }
    }

    fn run(&mut self, packets: &[Packet]) {
        run(self.broker.take().unwrap(), packets, &self.counters, |_| {});
    }

    /// Status and answer of a request with a token, or none.
    fn ask_as(&self, token: &str, what: &str, body: &Value) -> (u16, Value) {
        ask_at(self.stage.port.address(), token, what, body)
    }

    fn ask(&self, what: &str) -> Value {
        let (status, answer) = self.ask_as(&self.token, what, &Value::Null);
        assert!(status < 300, "{what}: {status} {answer}");
        answer
    }

    /// Makes a webhook that begins with the first match there ever was; gives its id and secret.
    fn add(&self, filter: &str, url: &str) -> (String, String) {
        let what = format!("POST filters/{filter}/webhooks");
        let wanted = json!({"url": url, "after": "0", "note": "for a test"});
        let (status, made) = self.ask_as(&self.token, &what, &wanted);
        assert_eq!(status, 201, "{made}");
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    fn hook(&self, id: &str) -> Value {
        let all = self.ask("GET webhooks")["webhooks"].take();
        let mut all = all.as_array().unwrap().iter();
        all.find(|hook| hook["id"] == id).unwrap().clone()
    }

    fn until(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) {
        until(what, || is(&self.hook(id)));
    }
}

/// Status and answer of a request to the API.
fn ask_at(at: SocketAddr, token: &str, what: &str, body: &Value) -> (u16, Value) {
    let what = what.replacen(' ', " /api/v1/", 1);
    ask(at, &what, Some(token), body).told()
}

/// Places of all matches of a filter, in order.
fn logged(folder: &Path, filter: &str) -> Vec<String> {
    let settings = settings(folder);
    let broker = Broker::open(&settings, vec![]).unwrap();
    let log = live::log(broker.archive()).into_iter();
    log.filter(|(_, of, ..)| of == filter)
        .map(|(seq, ..)| format!("0:{seq}"))
        .collect()
}

#[test]
fn matches_arrive_signed_in_order_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut office, receiver) = (Office::open(&settings(folder.path())), Receiver::open());
    let (id, secret) = office.add("some", &receiver.url());
    let packets = packets(1000);
    let some = packets.len() / 4;
    office.run(&packets);
    until("a third arrives", || receiver.taken().len() > some);
    office.until(&id, "nothing waits", |hook| hook["pending"] == 0);

    let hook = office.hook(&id);
    assert_eq!(hook["delivered"], receiver.taken().len());
    assert_eq!(
        (&hook["state"], &hook["failed"]),
        (&json!("active"), &json!(0))
    );
    assert!(
        hook.get("secret").is_none() && hook["last_error"].is_null(),
        "{hook}"
    );
    assert_eq!(
        office.ask("GET filters/some")["followers"],
        json!({"sse": 0, "webhooks": 1, "topic": null})
    );
    assert_eq!(
        office.ask("GET filters/some/webhooks")["webhooks"],
        json!([hook])
    );
    assert_eq!(
        office.ask("GET filters/all/webhooks")["webhooks"],
        json!([])
    );
    let (_, metrics) = send(
        office.stage.port.address(),
        b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    let counted = format!("pitt_webhook_delivered_total {}", hook["delivered"]);
    assert!(metrics.contains(&counted) && metrics.contains("pitt_webhooks_delivering 1"));
    let status = office.ask("GET status");
    assert_eq!(status["webhooks"]["hooks"], 1, "{status}");

    receiver.assert_signed(&secret);
    let ids = receiver.parcels().into_iter().map(|parcel| {
        assert!(parcel.cursors().len() <= 100);
        parcel.id
    });
    for (number, of_parcel) in ids.enumerate() {
        assert_eq!(of_parcel, format!("{id}-{number}"));
    }
    drop(office);
    assert_eq!(receiver.taken(), logged(folder.path(), "some"));
}

#[test]
fn a_receiver_that_fails_gets_everything_in_order_when_it_works_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut office = Office::open(&settings(folder.path()));
    // Of each four requests one is taken.
    let receiver = Receiver::answering(|n| match n % 4 {
        0 => (500, String::new()),
        1 => (503, "retry-after: 0\r\n".into()),
        2 => (429, String::new()),
        _ => (204, String::new()),
    });
    let (id, secret) = office.add("all", &receiver.url());
    office.run(&packets(500));
    receiver.wait(500);
    office.until(&id, "it is well", |hook| hook["last_error"].is_null());
    assert_eq!(office.hook(&id)["failed"], 0);
    drop(office);
    receiver.assert_signed(&secret);
    assert_eq!(receiver.taken(), logged(folder.path(), "all"));
}

#[test]
fn a_restart_goes_on_where_it_was_and_misses_nothing_of_the_time_between() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let packets = packets(1000);
    // It breaks down after its third batch.
    let receiver = Receiver::answering(|n| (if n < 3 { 200 } else { 500 }, String::new()));
    let patience = Patience {
        tries: u32::MAX,
        ..PATIENCE
    };
    let mut office = Office::with(&settings, patience);
    let (id, secret) = office.add("all", &receiver.url());
    office.run(&packets[..400]);
    until("it breaks down", || receiver.parcels().len() > 4);
    assert!(office.hook(&id)["last_error"].is_string());
    drop(office);
    let (before, broken) = (receiver.taken().len(), receiver.parcels().pop().unwrap());
    assert!(before < 400);

    // A broker without delivery: the receiver is told nothing.
    let mut office = Office::without_delivery(&settings);
    let quiet = receiver.parcels().len();
    office.run(&packets[..700]);
    let hook = office.hook(&id);
    let pending = hook["pending"].as_u64().unwrap();
    assert_eq!(pending, 700 - before as u64, "{hook}");
    assert_eq!(receiver.parcels().len(), quiet);
    drop(office);

    let second = Receiver::open();
    let moved = |hooks: &str| hooks.replace(&receiver.url(), &second.url());
    let file = folder.path().join("archive/webhooks/hooks.json");
    std::fs::write(&file, moved(&std::fs::read_to_string(&file).unwrap())).unwrap();
    // As patient as before: tries are counted through restarts, and one that fails by chance must not make a dead letter.
    let mut office = Office::with(&settings, patience);
    office.run(&packets);
    second.wait(1000 - before);
    office.until(&id, "nothing waits", |hook| hook["pending"] == 0);
    drop(office);
    second.assert_signed(&secret);
    // What was under way comes again as it was.
    let first = &second.parcels()[0];
    assert_eq!((&first.id, &first.body), (&broken.id, &broken.body));
    let both = [receiver.taken(), second.taken()].concat();
    assert_eq!(both, logged(folder.path(), "all"));
}

#[test]
fn what_is_not_taken_becomes_a_dead_letter_and_can_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut office = Office::open(&settings(folder.path()));
    let refuses = Arc::new(AtomicBool::new(true));
    let now = refuses.clone();
    let receiver = Receiver::answering(move |n| match (now.load(Ordering::Relaxed), n) {
        // The second batch is no good; the third fails as often as it is tried.
        (true, 1) => (422, String::new()),
        (true, 2..6) => (500, String::new()),
        _ => (200, String::new()),
    });
    let (id, secret) = office.add("all", &receiver.url());
    office.run(&packets(600));
    office.until(&id, "it goes on", |hook| hook["pending"] == 0);
    let hook = office.hook(&id);
    assert_eq!(hook["dead_letters"], 2, "{hook}");
    assert_eq!(
        hook["failed"].as_u64().unwrap() + hook["delivered"].as_u64().unwrap(),
        600
    );

    let path = format!("webhooks/{id}/dead");
    let dead = office.ask(&format!("GET {path}"))["dead"].take();
    assert_eq!(dead[0]["id"], format!("{id}-1"));
    assert_eq!(dead[0]["reason"], "the receiver answers 422");
    assert_eq!(
        (&dead[0]["tries"], &dead[1]["tries"]),
        (&json!(1), &json!(4))
    );
    let number = dead[0]["matches"].as_array().unwrap().len();
    assert_eq!(dead[0]["number_of_matches"], number);

    refuses.store(false, Ordering::Relaxed);
    assert_eq!(
        office.ask(&format!("POST {path}/retry")),
        json!({"batches": 2})
    );
    receiver.wait(600);
    office.until(&id, "all is delivered", |hook| hook["delivered"] == 600);
    assert_eq!(office.ask(&format!("GET {path}"))["dead"], json!([]));
    drop(office);
    receiver.assert_signed(&secret);
    let (mut taken, mut expected) = (receiver.taken(), logged(folder.path(), "all"));
    taken.sort();
    expected.sort();
    assert_eq!(taken, expected);
}

#[test]
fn dead_letters_that_are_refused_again_stay_and_can_be_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut office = Office::open(&settings(folder.path()));
    let receiver = Receiver::answering(|_| (400, String::new()));
    let (id, _) = office.add("all", &receiver.url());
    office.run(&packets(40));
    office.until(&id, "all is dead", |hook| hook["failed"] == 40);
    let before = receiver.parcels().len();
    let retried = office.ask(&format!("POST webhooks/{id}/dead/retry"));
    let batches = retried["batches"].as_u64().unwrap() as usize;
    until("they were tried", || {
        receiver.parcels().len() == before + batches
    });
    office.until(&id, "they are dead again", |hook| hook["failed"] == 40);
    let dropped = office.ask(&format!("DELETE webhooks/{id}/dead"));
    assert_eq!(dropped, retried);
    assert_eq!(office.hook(&id)["failed"], 0);
}

#[test]
fn too_many_dead_letters_pause_it_and_nothing_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let mut office = Office::open(&settings);
    let refuses = Arc::new(AtomicBool::new(true));
    let now = refuses.clone();
    let receiver = Receiver::answering(move |_| {
        (
            if now.load(Ordering::Relaxed) {
                401
            } else {
                200
            },
            String::new(),
        )
    });
    let (id, _) = office.add("all", &receiver.url());
    // As if a hundred had died before.
    let folder_of_dead = folder.path().join(format!("archive/webhooks/{id}/dead"));
    std::fs::create_dir_all(&folder_of_dead).unwrap();
    for number in 0..100 {
        let name = format!("{:010}-0.json", 9_000_000 + number);
        std::fs::write(folder_of_dead.join(name), "{}").unwrap();
    }
    office.run(&packets(40));
    office.until(&id, "it rests", |hook| hook["state"] == "paused");
    let hook = office.hook(&id);
    assert!(
        hook["reason"].as_str().unwrap().contains("100 batches"),
        "{hook}"
    );
    std::fs::remove_dir_all(&folder_of_dead).unwrap();
    refuses.store(false, Ordering::Relaxed);
    office.ask(&format!("POST webhooks/{id}/resume"));
    receiver.wait(40);
    drop(office);
    assert_eq!(receiver.taken(), logged(folder.path(), "all"));
}

#[test]
fn a_receiver_that_wants_no_more_pauses_it_and_one_that_fails_for_long_too() {
    let folder = tempfile::tempdir().unwrap();
    let patience = Patience {
        give_up: Duration::from_millis(100),
        tries: u32::MAX,
        ..PATIENCE
    };
    let mut office = Office::with(&settings(folder.path()), patience);
    let status = Arc::new(AtomicUsize::new(410));
    let now = status.clone();
    let receiver =
        Receiver::answering(move |_| (now.load(Ordering::Relaxed) as u16, String::new()));
    let (id, _) = office.add("some", &receiver.url());
    office.run(&packets(200));
    office.until(&id, "it rests", |hook| hook["state"] == "paused");
    assert!(office.hook(&id)["reason"].as_str().unwrap().contains("410"));
    let asked = receiver.parcels().len();
    assert_eq!(asked, 1);

    status.store(500, Ordering::Relaxed);
    office.ask(&format!("POST webhooks/{id}/resume"));
    office.until(&id, "it rests again", |hook| hook["state"] == "paused");
    let hook = office.hook(&id);
    assert!(
        hook["reason"].as_str().unwrap().contains("answers 500"),
        "{hook}"
    );
    assert!(receiver.parcels().len() > 2);
    assert_eq!(hook["failed"], 0, "{hook}");

    status.store(200, Ordering::Relaxed);
    office.ask(&format!("POST webhooks/{id}/resume"));
    office.until(&id, "nothing waits", |hook| hook["pending"] == 0);
    drop(office);
    assert_eq!(receiver.taken(), logged(folder.path(), "some"));
}

#[test]
fn paused_it_is_silent_and_resumed_it_has_missed_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut office, receiver) = (Office::open(&settings(folder.path())), Receiver::open());
    let (id, _) = office.add("all", &receiver.url());
    let paused = office.ask(&format!("POST webhooks/{id}/pause"));
    assert_eq!(
        (&paused["state"], &paused["reason"]),
        (&json!("paused"), &Value::Null)
    );
    office.run(&packets(300));
    assert_eq!(office.hook(&id)["pending"], 300);
    assert_eq!(receiver.parcels(), []);
    office.ask(&format!("POST webhooks/{id}/resume"));
    receiver.wait(300);
    let removed = office.ask_as(
        &office.token,
        &format!("DELETE webhooks/{id}"),
        &Value::Null,
    );
    assert_eq!(removed.0, 204);
    let left = folder.path().join("archive/webhooks").join(&id);
    until("its files are gone", || !left.exists());
    let again = office.ask_as(
        &office.token,
        &format!("DELETE webhooks/{id}"),
        &Value::Null,
    );
    assert_eq!(
        (again.0, &again.1["code"]),
        (404, &json!("unknown_webhook"))
    );
}

#[test]
fn a_slow_receiver_holds_up_neither_ingest_nor_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut office = Office::open(&settings(folder.path()));
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let closed = gate.clone();
    let slow = Receiver::answering(move |_| {
        let (open, opened) = &*closed;
        let _open = opened
            .wait_while(open.lock().unwrap(), |open| !*open)
            .unwrap();
        (200, String::new())
    });
    let quick = Receiver::open();
    office.add("all", &slow.url());
    office.add("all", &quick.url());
    office.run(&packets(1000));
    quick.wait(1000);
    assert_eq!((slow.parcels().len(), slow.parcels()[0].status), (1, 0));
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    slow.wait(1000);
    drop(office);
    let expected = logged(folder.path(), "all");
    assert_eq!(slow.taken(), expected);
    assert_eq!(quick.taken(), expected);
}

#[test]
fn one_process_of_an_archive_delivers_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (mut office, receiver) = (Office::open(&settings(folder.path())), Receiver::open());
    let (id, _) = office.add("all", &receiver.url());
    let (desk, feed) = (&office.stage.api.hooks, &office.stage.api.live.feed);
    let other = Delivery::start(desk, feed, PATIENCE).unwrap();
    office.run(&packets(300));
    receiver.wait(300);
    let numbers = || {
        let parcels = receiver.parcels().into_iter();
        parcels.map(|parcel| parcel.id).collect::<Vec<_>>()
    };
    let expected: Vec<String> = (0..numbers().len()).map(|n| format!("{id}-{n}")).collect();
    assert_eq!(numbers(), expected, "each batch came once");
    // The first one ends; the other takes over and does not begin again.
    office.delivery = None;
    let late = Receiver::open();
    let (_, secret) = office.add("some", &late.url());
    until("the other delivers", || !late.taken().is_empty());
    office.until(&id, "nothing waits", |hook| hook["pending"] == 0);
    assert_eq!(numbers(), expected);
    late.assert_signed(&secret);
    drop(other);
}

#[test]
fn redirects_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let mut office = Office::open(&settings(folder.path()));
    let elsewhere = Receiver::open();
    let target = elsewhere.url();
    let receiver = Receiver::answering(move |_| (307, format!("location: {target}\r\n")));
    let (id, _) = office.add("some", &receiver.url());
    office.run(&packets(40));
    office.until(&id, "it is given up", |hook| hook["dead_letters"] != 0);
    let dead = office.ask(&format!("GET webhooks/{id}/dead"));
    let reason = dead["dead"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("307: redirects are not followed"),
        "{reason}"
    );
    assert_eq!(elsewhere.parcels(), []);
}

#[test]
fn private_addresses_are_refused_when_it_is_made_and_when_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut private = settings(folder.path());
    let receiver = Receiver::open();
    let named = receiver.url().replace("127.0.0.1", "localhost");
    let (id, _) = Office::open(&private).add("all", &named);
    private.push.allow_private = false;
    let mut office = Office::open(&private);
    for url in [
        receiver.url(),
        "http://localhost:9/".into(),
        "http://[::1]:9/".into(),
        "http://[::ffff:127.0.0.1]/".into(),
        "http://2130706433/".into(),
        "http://10.1.2.3/".into(),
        "http://169.254.169.254/latest/meta-data".into(),
    ] {
        let wanted = json!({"url": url});
        let (status, answer) = office.ask_as(&office.token, "POST filters/all/webhooks", &wanted);
        assert_eq!((status, &answer["where"]), (400, &json!("url")), "{url}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains("push.allow_private"), "{url}: {detail}");
    }
    // One from before the setting changed, as one whose name resolves to another address than when it was made.
    office.run(&packets(40));
    office.until(&id, "it is tried", |hook| hook["last_error"].is_string());
    let error = office.hook(&id)["last_error"].take();
    assert!(
        error.as_str().unwrap().contains("private network"),
        "{error}"
    );
    let tried = office.ask(&format!("POST webhooks/{id}/test"));
    assert_eq!(tried["ok"], false);
    assert_eq!(receiver.parcels(), []);
}

#[test]
fn whoever_made_one_sees_its_address_and_may_change_it() {
    let folder = tempfile::tempdir().unwrap();
    let (office, receiver) = (Office::open(&settings(folder.path())), Receiver::open());
    let archive = folder.path().join("archive");
    let (ann, ben, eve) = (
        token(&archive, "ann", "write"),
        token(&archive, "ben", "write"),
        token(&archive, "eve", "admin"),
    );
    let wanted = json!({"url": receiver.url(), "note": "<b>mine</b>"});
    let (_, made) = office.ask_as(&ann, "POST filters/all/webhooks", &wanted);
    let id = made["id"].as_str().unwrap().to_owned();
    let url = |token: &str| {
        let (_, list) = office.ask_as(token, "GET filters/all/webhooks", &Value::Null);
        list["webhooks"][0]["url"].as_str().unwrap().to_owned()
    };
    assert_eq!((url(&ann), url(&eve)), (receiver.url(), receiver.url()));
    assert!(url(&ben).starts_with("http://127.0.0.1:") && !url(&ben).contains("hidden"));
    for what in [
        "DELETE webhooks/ID",
        "POST webhooks/ID/pause",
        "GET webhooks/ID/dead",
    ] {
        let what = what.replace("ID", &id);
        assert_eq!(office.ask_as(&ben, &what, &Value::Null).0, 403, "{what}");
    }
    let nobody = |what: &str| office.ask_as("none", what, &Value::Null).0;
    assert_eq!(nobody("GET filters/all/webhooks"), 401);
    assert_eq!(nobody("GET webhooks"), 401);
    let (status, tested) = office.ask_as(&ann, &format!("POST webhooks/{id}/test"), &Value::Null);
    assert_eq!((status, tested), (200, json!({"ok": true, "error": null})));
    assert_eq!(receiver.parcels()[0].body, "{\"matches\":[],\"test\":true}");
    let (status, _) = office.ask_as(&eve, &format!("DELETE webhooks/{id}"), &Value::Null);
    assert_eq!(status, 204);
    let (status, answer) = office.ask_as(&ann, "POST filters/nothing/webhooks", &wanted);
    assert_eq!((status, &answer["code"]), (404, &json!("unknown_filter")));
}

/// The Python of docs/push.md, run as it stands there but for secret and port.
#[test]
fn the_receiver_of_the_documentation_takes_what_is_signed_and_nothing_else() {
    let docs = include_str!("../../../../../docs/push.md");
    let (_, after) = docs.split_once("## Webhooks").unwrap();
    let (_, code) = after.split_once("```python\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let python = std::env::var("PITT_PYTHON").unwrap_or_else(|_| "python3".into());
    if Command::new(&python).arg("--version").output().is_err() {
        eprintln!("skipped: no Python");
        return;
    }
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let folder = tempfile::tempdir().unwrap();
    let mut office = Office::open(&settings(folder.path()));
    let (id, secret) = office.add("some", &format!("http://127.0.0.1:{port}/"));
    let code = code
        .replace("whsec_..", &secret)
        .replace("9000", &port.to_string());
    assert!(code.contains(&secret) && code.contains(&port.to_string()));
    let mut receiver = Command::new(&python)
        .args(["-u", "-c", &code])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = format!("POST webhooks/{id}/test");
    until("it listens", || office.ask(&path)["ok"] == true);
    let forged = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nx-pitt-timestamp: 1\r\nx-pitt-signature: v1=00\r\n\
         x-pitt-id: {id}-0\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
    );
    let (status, _) = send(([127, 0, 0, 1], port).into(), forged.as_bytes());
    assert_eq!(status, 403);
    office.run(&packets(200));
    office.until(&id, "all is taken", |hook| hook["pending"] == 0);
    receiver.kill().unwrap();
    let printed = receiver.wait_with_output().unwrap();
    drop(office);
    let lines = String::from_utf8(printed.stdout).unwrap().lines().count();
    assert_eq!(lines, logged(folder.path(), "some").len());
}
