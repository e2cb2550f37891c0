//! The course of publishing against a made-up cluster that can fail, or lose its client, at every single step.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::*;

/// What the other side has.
#[derive(Default)]
struct Cluster {
    /// Visible messages.
    log: Vec<String>,
    cursor: Option<Cursor>,
    /// Of the transaction under way.
    open: Vec<String>,
    /// Counts producers; only the newest may write.
    epoch: u32,
    transactions: bool,
    /// Steps until something happens.
    until: usize,
    then: Option<Trouble>,
    /// A value that is never taken.
    poison: Option<String>,
    /// It is refused with its whole batch once, before it is refused alone.
    together: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// The process dies before the step is done.
    DiesBefore,
    /// ... after it is done, before the answer comes.
    DiesAfter,
    /// The step fails.
    Fails,
    /// The step is done, but the answer is lost.
    AnswerLost,
    /// Somebody else has opened with our id.
    Rival,
}

#[derive(Clone, Default)]
struct Client(Rc<RefCell<Cluster>>);

struct Line {
    cluster: Rc<RefCell<Cluster>>,
    epoch: u32,
    sent: Vec<String>,
    transactions: bool,
}

/// How a process's death goes through the publisher.
const DEATH: &str = "killed";

impl Connect for Client {
    type Producer = Line;

    fn connect(&mut self) -> Result<Line, Failure> {
        let transactions = self.0.borrow().transactions;
        Ok(Line {
            cluster: self.0.clone(),
            epoch: 0,
            sent: vec![],
            transactions,
        })
    }

    fn without_transactions(&mut self) -> bool {
        std::mem::replace(&mut self.0.borrow_mut().transactions, false)
    }
}

impl Line {
    fn at<T>(
        &mut self,
        step: impl FnOnce(&mut Cluster, &mut Vec<String>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let cluster = self.cluster.clone();
        let mut cluster = cluster.borrow_mut();
        let now = cluster.then.filter(|_| cluster.until == 0);
        cluster.until = cluster.until.wrapping_sub(1);
        if self.epoch != 0 && self.epoch != cluster.epoch {
            return Err(Failure::Fenced("a newer producer".into()));
        }
        match now {
            Some(Trouble::DiesBefore | Trouble::Fails) => {
                let why = if now == Some(Trouble::Fails) {
                    "failed"
                } else {
                    DEATH
                };
                return Err(Failure::Broken(why.into()));
            }
            Some(Trouble::Rival) => {
                cluster.epoch += 1;
                cluster.open.clear();
                return Err(Failure::Fenced("a newer producer".into()));
            }
            _ => {}
        }
        let done = step(&mut cluster, &mut self.sent)?;
        match now {
            Some(Trouble::DiesAfter) => Err(Failure::Broken(DEATH.into())),
            Some(Trouble::AnswerLost) => Err(Failure::Broken("no answer".into())),
            _ => Ok(done),
        }
    }
}

impl Producer for Line {
    fn open(&mut self) -> Result<Option<Cursor>, Failure> {
        let epoch = self.at(|cluster, _| {
            cluster.open.clear();
            cluster.epoch += 1;
            Ok(cluster.epoch)
        })?;
        self.epoch = epoch;
        self.at(|cluster, _| Ok(cluster.cursor.clone()))
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.at(|_, sent| {
            sent.clear();
            Ok(())
        })
    }

    fn send(&mut self, message: &Outgoing) -> Result<(), Failure> {
        let text = String::from_utf8(message.value.to_vec()).unwrap();
        let transactions = self.transactions;
        self.at(|cluster, sent| {
            if cluster.poison.as_ref() == Some(&text) && !cluster.together {
                let message = Some((sent.len(), "too large".into()));
                let taken = match transactions {
                    true => vec![],
                    false => (0..sent.len()).collect(),
                };
                return Err(Failure::Refused { message, taken });
            }
            sent.push(text.clone());
            match transactions {
                true => cluster.open.push(text),
                false => cluster.log.push(text),
            }
            Ok(())
        })
    }

    fn commit(&mut self, cursor: &Cursor) -> Result<(), Failure> {
        self.at(|cluster, _| {
            let poisoned = cluster.poison.as_ref();
            if poisoned.is_some_and(|poison| cluster.open.contains(poison)) {
                cluster.together = false;
                let (message, taken) = (None, vec![]);
                return Err(Failure::Refused { message, taken });
            }
            let open = std::mem::take(&mut cluster.open);
            cluster.log.extend(open);
            cluster.cursor = Some(cursor.clone());
            Ok(())
        })
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.at(|cluster, _| {
            cluster.open.clear();
            Ok(())
        })
    }
}

/// Numbers from 1, three in a batch.
struct Numbers(u64);

impl Feed for Numbers {
    fn after(&mut self, place: Option<&str>) -> Result<Batch, String> {
        let from = place.map_or(0, |place| place.parse().unwrap());
        let to = (from + 3).min(self.0);
        let message = |n: u64| Outgoing {
            topic: "numbers".into(),
            key: Bytes::from(n.to_string()),
            spread: "".into(),
            headers: vec![],
            value: Bytes::from(n.to_string()),
            label: if n.is_multiple_of(2) { "even" } else { "odd" }.into(),
        };
        Ok(Batch {
            messages: (from + 1..=to).map(message).collect(),
            refused: vec![],
            kept_back: 0,
            place: (to > from).then(|| to.to_string()),
            mark: Some(format!("number {to}")),
        })
    }

    fn published(&mut self, _: &Cursor) {}
}

const COUNT: u64 = 8;

fn publisher(client: &Client, known: Option<Cursor>) -> Publisher<Client, Numbers> {
    Publisher::new(client.clone(), Numbers(COUNT), Backoff::default(), known)
}

/// Publishes everything, with a new process after each death; gives whether the end was reached.
fn run(client: &Client) -> bool {
    let mut publisher = publisher(client, None);
    for _ in 0..200 {
        match publisher.step() {
            Progress::Idle => return true,
            Progress::Fenced { .. } | Progress::Foreign { .. } => return false,
            Progress::Waiting { why, .. } if why == DEATH => {
                publisher = self::publisher(client, None);
            }
            Progress::Waiting { .. } | Progress::Published { .. } => {}
        }
    }
    panic!("no end");
}

fn cluster(transactions: bool, until: usize, then: Option<Trouble>) -> Client {
    Client(Rc::new(RefCell::new(Cluster {
        transactions,
        until,
        then,
        ..Cluster::default()
    })))
}

fn numbers() -> Vec<String> {
    (1..=COUNT).map(|n| n.to_string()).collect()
}

#[test]
fn each_message_once_whatever_happens_at_whichever_step() {
    // Opening takes two steps, three batches of 3, 3 and 2 messages take 5, 5 and 4.
    for until in 0..=16 {
        for trouble in [
            Trouble::DiesBefore,
            Trouble::DiesAfter,
            Trouble::Fails,
            Trouble::AnswerLost,
        ] {
            let client = cluster(true, until, Some(trouble));
            assert!(run(&client), "{trouble:?} at step {until}");
            let cluster = client.0.borrow();
            assert_eq!(cluster.log, numbers(), "{trouble:?} at step {until}");
            let cursor = cluster.cursor.clone().unwrap();
            assert_eq!((cursor.place.as_str(), cursor.published), ("8", COUNT));
        }
    }
}

#[test]
fn without_transactions_only_the_last_batch_can_repeat() {
    for until in 0..=16 {
        for trouble in [Trouble::DiesBefore, Trouble::DiesAfter] {
            let client = cluster(false, until, Some(trouble));
            assert!(run(&client));
            let log = client.0.borrow().log.clone();
            assert!(log.len() <= numbers().len() + 3, "{log:?}");
            let mut once = log;
            once.sort();
            once.dedup();
            assert_eq!(once, numbers(), "{trouble:?} at step {until}");
        }
    }
}

#[test]
fn a_rival_ends_it_once_and_for_all() {
    for until in 2..=15 {
        let client = cluster(true, until, Some(Trouble::Rival));
        let mut publisher = publisher(&client, None);
        let fenced = (0..20).map(|_| publisher.step());
        let fenced = fenced.filter(|p| matches!(p, Progress::Fenced { .. }));
        assert!(fenced.count() > 10, "step {until}");
        // The rival goes on from the cursor, and the two together published each once.
        assert!(run(&cluster_of(&client)));
        assert_eq!(client.0.borrow().log, numbers(), "step {until}");
    }
}

fn cluster_of(client: &Client) -> Client {
    client.0.borrow_mut().then = None;
    client.clone()
}

#[test]
fn a_message_that_is_never_taken_holds_nobody_up() {
    let client = cluster(true, 0, None);
    client.0.borrow_mut().poison = Some("5".into());
    assert!(run(&client));
    let cluster = client.0.borrow();
    assert_eq!(cluster.log, ["1", "2", "3", "4", "6", "7", "8"]);
    let cursor = cluster.cursor.as_ref().unwrap();
    let json: serde_json::Value = serde_json::from_str(&cursor.to_json()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"place": "8", "mark": "number 8", "published": 7, "refused": {"odd": 1}})
    );
    assert_eq!(
        Cursor::from_json(cursor.to_json().as_bytes()).as_ref(),
        Some(cursor)
    );
}

#[test]
fn without_transactions_a_refused_message_does_not_repeat_the_others() {
    for poison in numbers() {
        let client = cluster(false, 0, None);
        client.0.borrow_mut().poison = Some(poison.clone());
        assert!(run(&client));
        let mut others = numbers();
        others.retain(|number| *number != poison);
        assert_eq!(client.0.borrow().log, others);
        assert_eq!(client.0.borrow().cursor.as_ref().unwrap().published, 7);
    }
}

#[test]
fn those_that_were_refused_with_another_are_published() {
    let client = cluster(true, 0, None);
    client.0.borrow_mut().poison = Some("5".into());
    client.0.borrow_mut().together = true;
    assert!(run(&client));
    let cluster = client.0.borrow();
    assert_eq!(cluster.log, ["1", "2", "3", "4", "6", "7", "8"]);
}

/// Numbers that cannot be read at times, or that are of another history than the cursor.
struct Sick {
    numbers: Numbers,
    silent: Rc<Cell<bool>>,
    resumed: Result<Option<Cursor>, ResumeError>,
}

impl Feed for Sick {
    fn after(&mut self, place: Option<&str>) -> Result<Batch, String> {
        match self.silent.get() {
            true => Err("no disk".into()),
            false => self.numbers.after(place),
        }
    }

    fn resume(&mut self, cursor: &Cursor) -> Result<Option<Cursor>, ResumeError> {
        assert_eq!(cursor.mark.as_deref(), Some("number 6"));
        self.resumed.clone()
    }

    fn published(&mut self, _: &Cursor) {}
}

fn sick(
    client: &Client,
    resumed: Result<Option<Cursor>, ResumeError>,
) -> (Publisher<Client, Sick>, Rc<Cell<bool>>) {
    let silent = Rc::new(Cell::new(false));
    let feed = Sick {
        numbers: Numbers(COUNT),
        silent: silent.clone(),
        resumed,
    };
    let publisher = Publisher::new(client.clone(), feed, Backoff::default(), None);
    (publisher, silent)
}

/// A cluster where somebody got as far as 6.
fn begun() -> Client {
    let client = cluster(true, 0, None);
    client.0.borrow_mut().cursor = Some(Cursor {
        place: "6".into(),
        mark: Some("number 6".into()),
        published: 6,
        ..Cursor::default()
    });
    client
}

#[test]
fn a_feed_that_cannot_be_read_is_no_fault_of_the_output() {
    let client = begun();
    let (mut publisher, silent) = sick(&client, Ok(None));
    silent.set(true);
    for first in [true, false] {
        let Progress::Waiting {
            why,
            whose,
            first: told,
            ..
        } = publisher.step()
        else {
            panic!("it cannot work");
        };
        assert_eq!((why.as_str(), whose, told), ("no disk", Whose::Feed, first));
    }
    assert_eq!(client.0.borrow().epoch, 1, "the producer stays");
    silent.set(false);
    assert!(matches!(publisher.step(), Progress::Published { .. }));
    assert_eq!(client.0.borrow().log, ["7", "8"]);
}

#[test]
fn a_cursor_of_another_history_ends_it_and_one_from_before_is_gone_on_from() {
    let client = begun();
    let why = "another number 6".to_owned();
    let (mut publisher, _) = sick(&client, Err(ResumeError::Foreign(why.clone())));
    for _ in 0..2 {
        let why = why.clone();
        assert_eq!(publisher.step(), Progress::Foreign { why });
    }
    assert!(client.0.borrow().log.is_empty());
    // The archive cannot say now: asked again.
    let (mut publisher, _) = sick(&client, Err(ResumeError::Silent("no disk".into())));
    for _ in 0..2 {
        assert!(matches!(
            publisher.step(),
            Progress::Waiting {
                whose: Whose::Feed,
                ..
            }
        ));
    }
    let before = Cursor {
        place: "4".into(),
        published: 4,
        ..Cursor::default()
    };
    let (mut publisher, _) = sick(&client, Ok(Some(before)));
    while publisher.step() != Progress::Idle {}
    let cluster = client.0.borrow();
    assert_eq!(cluster.log, ["5", "6", "7", "8"]);
    assert_eq!(cluster.cursor.as_ref().unwrap().published, 8);
}

#[test]
fn pauses_grow_and_what_is_wrong_is_said_once() {
    let client = cluster(true, 0, Some(Trouble::Fails));
    let mut publisher = publisher(&client, None);
    let mut pauses = vec![];
    for _ in 0..9 {
        client.0.borrow_mut().until = 0;
        let Progress::Waiting { pause, first, .. } = publisher.step() else {
            panic!("it cannot work");
        };
        pauses.push((pause.as_secs_f64(), first));
    }
    let seconds: Vec<f64> = pauses.iter().map(|(pause, _)| *pause).collect();
    assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
    assert_eq!(pauses.iter().filter(|(_, first)| *first).count(), 1);
    client.0.borrow_mut().then = None;
    let counts: Vec<(Arc<str>, u64)> = vec![("odd".into(), 2), ("even".into(), 1)];
    assert_eq!(publisher.step(), Progress::Published { counts });
}

#[test]
fn a_lost_cursor_is_replaced_by_the_one_known_here() {
    let known = |place: &str| Cursor {
        place: place.into(),
        ..Cursor::default()
    };
    let client = cluster(true, 0, None);
    let mut forgetful = publisher(&client, Some(known("6")));
    while forgetful.step() != Progress::Idle {}
    assert_eq!(client.0.borrow().log, ["7", "8"]);
    // Where there is one over there, that one counts.
    client.0.borrow_mut().cursor = Some(known("7"));
    let mut informed = publisher(&client, Some(known("2")));
    while informed.step() != Progress::Idle {}
    assert_eq!(client.0.borrow().log, ["7", "8", "8"]);
}

/// Numbers that note what they are asked.
struct Noting(Numbers, Rc<RefCell<Vec<String>>>);

impl Feed for Noting {
    fn after(&mut self, place: Option<&str>) -> Result<Batch, String> {
        let from = place.unwrap_or("nothing");
        self.1.borrow_mut().push(format!("after {from}"));
        self.0.after(place)
    }

    fn prepare(&mut self, place: &str) {
        self.1.borrow_mut().push(format!("prepare {place}"));
    }

    fn published(&mut self, cursor: &Cursor) {
        let place = &cursor.place;
        self.1.borrow_mut().push(format!("published {place}"));
    }
}

#[test]
fn what_follows_is_prepared_while_a_batch_is_on_its_way() {
    let noted = Rc::new(RefCell::new(vec![]));
    let feed = Noting(Numbers(COUNT), noted.clone());
    let client = cluster(true, 0, None);
    let mut publisher = Publisher::new(client, feed, Backoff::default(), None);
    while publisher.step() != Progress::Idle {}
    let expected = "after nothing, prepare 3, published 3, after 3, prepare 6, published 6, \
                    after 6, prepare 8, published 8, after 8";
    assert_eq!(noted.borrow().join(", "), expected);
}
