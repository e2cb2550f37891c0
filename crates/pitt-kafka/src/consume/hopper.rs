//! Messages between the consumers' threads and whoever takes them: bounded by bytes, for each input by itself.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Message, Stand};

/// What waits to be taken.
pub(super) struct Hopper {
    state: Mutex<State>,
    /// Something came.
    filled: Condvar,
    /// Something was taken.
    drained: Condvar,
}

struct State {
    messages: VecDeque<Message>,
    /// Taken before any message.
    requests: VecDeque<Request>,
    /// Bytes that wait, of each input.
    bytes: Vec<usize>,
    closed: bool,
}

/// What a consumer's thread asks of whoever takes its messages, and waits for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) want: Want,
    reply: SyncSender<Reply>,
}

/// What is asked.
#[derive(Debug)]
pub(super) enum Want {
    /// Where the archive stands in these partitions, everything handed out before being committed.
    Positions(Vec<Arc<str>>),
    /// Where it stands in these partitions once everything handed out is committed: they go to somebody else.
    Release(Vec<Arc<str>>),
    /// Where it stands in these partitions by what is committed.
    Look(Vec<Arc<str>>),
}

/// The answer: where the archive stands in each partition asked for, or why it cannot be said.
pub(super) type Reply = Result<Vec<Option<Stand>>, String>;

/// Next for whoever takes.
pub(super) enum Taken {
    Message(Message),
    Request(Request),
}

impl Request {
    pub(super) fn answer(self, reply: Reply) {
        // A consumer that has ended meanwhile wants no answer.
        let _ = self.reply.send(reply);
    }
}

/// A message counts with what it takes beside its bytes, so that many empty ones are bounded too.
const OVERHEAD: usize = 256;

impl Hopper {
    pub(super) fn new(inputs: usize) -> Self {
        let state = State {
            messages: VecDeque::new(),
            requests: VecDeque::new(),
            bytes: vec![0; inputs],
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
            drained: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in, whether there is room or not.
    pub(super) fn push(&self, message: Message) {
        let mut state = self.state();
        state.bytes[message.input] += message.payload.len() + OVERHEAD;
        state.messages.push_back(message);
        self.filled.notify_one();
    }

    /// Bytes of an input that wait.
    pub(super) fn bytes(&self, input: usize) -> usize {
        self.state().bytes[input]
    }

    /// Waits until fewer than `mark` bytes of an input wait; `false` when that takes longer than `longest`.
    pub(super) fn wait_below(&self, input: usize, mark: usize, longest: Duration) -> bool {
        let full = |state: &mut State| state.bytes[input] >= mark && !state.closed;
        let waited = self
            .drained
            .wait_timeout_while(self.state(), longest, full)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }

    /// Forgets messages that nobody took.
    pub(super) fn discard(&self, input: usize, partitions: &[Arc<str>]) {
        let mut state = self.state();
        let state = &mut *state;
        let bytes = &mut state.bytes[input];
        state.messages.retain(|message| {
            let gone = message.input == input && partitions.contains(&message.partition);
            if gone {
                *bytes -= message.payload.len() + OVERHEAD;
            }
            !gone
        });
        self.drained.notify_all();
    }

    /// Asks, and gives where the answer will come; the sender is dropped when there will be none.
    pub(super) fn ask(&self, want: Want) -> Receiver<Reply> {
        let (reply, answer) = sync_channel(1);
        let mut state = self.state();
        if !state.closed {
            state.requests.push_back(Request { want, reply });
            self.filled.notify_one();
        }
        answer
    }

    /// The next thing, requests first; `None` when nothing came in time.
    pub(super) fn take(&self, longest: Duration) -> Option<Taken> {
        let until = Instant::now() + longest;
        let mut state = self.state();
        loop {
            if let Some(request) = state.requests.pop_front() {
                return Some(Taken::Request(request));
            }
            if let Some(message) = state.messages.pop_front() {
                state.bytes[message.input] -= message.payload.len() + OVERHEAD;
                self.drained.notify_all();
                return Some(Taken::Message(message));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.filled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Nobody takes any more: whoever waits goes on without an answer.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.requests.clear();
        state.messages.clear();
        state.bytes.fill(0);
        self.drained.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(input: usize, partition: &str, offset: i64) -> Message {
        Message {
            input,
            partition: partition.into(),
            topic: "t".into(),
            number: 0,
            offset,
            timestamp_ms: None,
            payload: vec![0; 100].into(),
        }
    }

    #[test]
    fn an_input_is_full_by_itself_and_what_is_revoked_is_forgotten() {
        let hopper = Hopper::new(2);
        hopper.push(message(0, "a", 1));
        hopper.push(message(0, "b", 1));
        hopper.push(message(1, "a", 1));
        let brief = Duration::from_millis(1);
        assert!(!hopper.wait_below(0, 500, brief) && hopper.wait_below(1, 500, brief));
        hopper.discard(0, &["a".into()]);
        assert!(hopper.wait_below(0, 500, brief));
        let mut left = vec![];
        while let Some(Taken::Message(message)) = hopper.take(brief) {
            left.push((message.input, message.partition.to_string()));
        }
        assert_eq!(left, [(0, "b".to_owned()), (1, "a".to_owned())]);
        assert_eq!((hopper.bytes(0), hopper.bytes(1)), (0, 0));
    }

    #[test]
    fn requests_come_first_and_end_without_an_answer_when_nobody_takes() {
        let hopper = Hopper::new(1);
        hopper.push(message(0, "a", 1));
        let answer = hopper.ask(Want::Release(vec![]));
        let Some(Taken::Request(request)) = hopper.take(Duration::ZERO) else {
            panic!("a request waits");
        };
        request.answer(Ok(vec![]));
        assert_eq!(answer.recv().unwrap(), Ok(vec![]));
        let answer = hopper.ask(Want::Release(vec![]));
        hopper.close();
        assert!(answer.recv().is_err() && hopper.ask(Want::Release(vec![])).recv().is_err());
    }
}
