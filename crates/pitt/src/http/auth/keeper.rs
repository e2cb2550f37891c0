//! The tokens as a running broker knows them: read again when the file changes, each verified once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ring::hmac;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::TokenError;
use super::guesses::Guesses;
use super::store::{Mark, TokenFile};
use super::token::{self, Standing, Token};
use crate::source::now_us;

/// How often the file is looked at: a revoked token is refused within a second.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// How often it is noted when tokens were last used.
const NOTE_EVERY_US: i64 = 60_000_000;
/// Longest wait for a verification, of which one is made at a time.
const PATIENCE: Duration = Duration::from_secs(5);
/// The id of the token of this run.
pub(super) const SESSION: &str = "session";
/// Most verified texts remembered: one a token, as only good ones are.
const KNOWN: usize = 4096;

/// What a text was found to be.
#[derive(Debug)]
pub(super) enum Finding {
    /// A token that is good.
    Good(Arc<Token>),
    /// The token of this run.
    Session,
    /// A token that is not good any more.
    Over(Standing),
    /// Nothing.
    Wrong,
    /// No token of ours by its form: what a client sends that was made for another broker.
    Foreign,
    /// Too many wrong ones came from there: not looked at for so long.
    Wait(Duration),
    /// Too many wait for verification.
    Busy,
}

/// A text that was verified: whose it is, and by which hash.
struct Known {
    id: String,
    hash: String,
}

#[derive(Default)]
struct Book {
    mark: Option<Mark>,
    tokens: HashMap<String, Arc<Token>>,
}

/// By what a verified text is remembered; the text itself is not.
type Tag = [u8; 32];

/// The tokens of an archive while a broker runs.
pub(super) struct Keeper {
    file: TokenFile,
    /// Of this process alone: what is remembered of a text says nothing about it.
    key: hmac::Key,
    session: Option<hmac::Tag>,
    book: RwLock<Book>,
    known: Mutex<HashMap<Tag, Known>>,
    used: Mutex<HashMap<String, i64>>,
    noted_us: Mutex<i64>,
    guesses: Guesses,
    checking: Semaphore,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Reads the tokens; makes one for this run too, with its text, if `session` says so.
    pub(super) fn open(
        file: TokenFile,
        session: bool,
    ) -> Result<(Self, Option<String>), TokenError> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &token::random::<32>()?);
        let text = session.then(|| token::text(SESSION)).transpose()?;
        let keeper = Self {
            session: text.as_ref().map(|text| hmac::sign(&key, text.as_bytes())),
            file,
            key,
            book: RwLock::default(),
            known: Mutex::default(),
            used: Mutex::default(),
            noted_us: Mutex::new(now_us()),
            guesses: Guesses::default(),
            checking: Semaphore::new(1),
        };
        keeper.look();
        Ok((keeper, text))
    }

    /// What a text is. Argon2 runs once a token, on a thread for what blocks, one at a time.
    pub(super) async fn find(self: &Arc<Self>, text: &str, address: IpAddr) -> Finding {
        let Some(id) = token::id_of(text) else {
            return Finding::Foreign;
        };
        if let Some(tag) = self.session.as_ref().filter(|_| id == SESSION) {
            let same = hmac::verify(&self.key, text.as_bytes(), tag.as_ref()).is_ok();
            return if same {
                Finding::Session
            } else {
                self.wrong(address)
            };
        }
        let tag = self.tag(text);
        if let Some(token) = self.remembered(&tag) {
            return self.standing(token);
        }
        if let Err(wait) = self.guesses.begin(address, Instant::now()) {
            return Finding::Wait(wait);
        }
        let token = match self.token(id) {
            Some(token) => Some(token),
            None => self.just_made(id).await,
        };
        match token {
            Some(token) => self.verify(token, text, tag, address).await,
            None => Finding::Wrong,
        }
    }

    /// A token that was made since the last look. Who guesses ids cannot have many looks taken.
    async fn just_made(self: &Arc<Self>, id: &str) -> Option<Arc<Token>> {
        let keeper = self.clone();
        let looked = tokio::task::spawn_blocking(move || keeper.look()).await;
        looked.ok().and_then(|()| self.token(id))
    }

    async fn verify(
        self: &Arc<Self>,
        token: Arc<Token>,
        text: &str,
        tag: Tag,
        address: IpAddr,
    ) -> Finding {
        let Ok(Ok(_turn)) = timeout(PATIENCE, self.checking.acquire()).await else {
            self.guesses.right(address);
            return Finding::Busy;
        };
        let (checked, text) = (token.clone(), text.to_owned());
        let right = tokio::task::spawn_blocking(move || checked.is(&text)).await;
        if !right.unwrap_or(false) {
            return Finding::Wrong;
        }
        self.guesses.right(address);
        let mut known = lock(&self.known);
        if known.len() >= KNOWN {
            known.clear();
        }
        let (id, hash) = (token.id.clone(), token.hash.clone());
        known.insert(tag, Known { id, hash });
        drop(known);
        self.standing(token)
    }

    fn wrong(&self, address: IpAddr) -> Finding {
        match self.guesses.begin(address, Instant::now()) {
            Ok(()) => Finding::Wrong,
            Err(wait) => Finding::Wait(wait),
        }
    }

    fn tag(&self, text: &str) -> Tag {
        let mut tag = Tag::default();
        tag.copy_from_slice(hmac::sign(&self.key, text.as_bytes()).as_ref());
        tag
    }

    fn token(&self, id: &str) -> Option<Arc<Token>> {
        let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
        book.tokens.get(id).cloned()
    }

    /// The token of a text that was verified, as long as the file has it with the hash it was verified by.
    fn remembered(&self, tag: &Tag) -> Option<Arc<Token>> {
        let known = lock(&self.known);
        let Known { id, hash } = known.get(tag)?;
        self.token(id).filter(|token| token.hash == *hash)
    }

    fn standing(&self, token: Arc<Token>) -> Finding {
        let now = now_us();
        match token.standing(now) {
            Standing::Good => {
                lock(&self.used).insert(token.id.clone(), now);
                Finding::Good(token)
            }
            over => Finding::Over(over),
        }
    }

    /// Reads the file again if it changed, and notes now and then when tokens were used. Blocks.
    pub(super) fn look(&self) {
        let mark = self.file.mark();
        let same = {
            let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
            book.mark == mark
        };
        if !same {
            self.read(mark);
        }
        let mut noted = lock(&self.noted_us);
        if now_us() - *noted >= NOTE_EVERY_US {
            *noted = now_us();
            drop(noted);
            self.note();
        }
    }

    fn read(&self, mark: Option<Mark>) {
        let tokens = self.file.read().unwrap_or_else(|error| {
            tracing::error!("no token is good: {error}");
            vec![]
        });
        let tokens = tokens.into_iter();
        let tokens = tokens.map(|token| (token.id.clone(), Arc::new(token)));
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        *book = Book {
            mark,
            tokens: tokens.collect(),
        };
    }

    /// Writes when tokens were last used. Blocks.
    pub(super) fn note(&self) {
        let used = std::mem::take(&mut *lock(&self.used));
        if used.is_empty() {
            return;
        }
        let noted = self.file.change(|tokens| {
            for token in tokens {
                let before = token.last_used_us.max(used.get(&token.id).copied());
                token.last_used_us = before;
            }
            Ok(())
        });
        if let Err(error) = noted {
            tracing::warn!("cannot note when tokens were used: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::token::Scope;
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn add(file: &TokenFile, expires_us: Option<i64>) -> (String, String) {
        let (token, text) = Token::new("me", vec![Scope::Write], now_us(), expires_us).unwrap();
        let id = token.id.clone();
        file.change(|tokens| {
            tokens.push(token);
            Ok(())
        })
        .unwrap();
        (id, text)
    }

    fn keeper(folder: &std::path::Path) -> (Arc<Keeper>, TokenFile) {
        let file = TokenFile::of(folder);
        let (keeper, _) = Keeper::open(file.clone(), false).unwrap();
        (Arc::new(keeper), file)
    }

    #[tokio::test]
    async fn a_token_is_good_until_it_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, file) = keeper(folder.path());
        let (id, text) = add(&file, None);
        for _ in 0..3 {
            assert!(matches!(keeper.find(&text, HERE).await, Finding::Good(_)));
        }
        file.revoke(&id, now_us()).unwrap();
        keeper.look();
        let found = keeper.find(&text, HERE).await;
        assert!(matches!(found, Finding::Over(Standing::Revoked)));
    }

    #[tokio::test]
    async fn a_remembered_token_ends_with_its_time_and_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, file) = keeper(folder.path());
        let (_, past) = add(&file, Some(now_us() - 1));
        let (_, good) = add(&file, None);
        keeper.look();
        let found = keeper.find(&past, HERE).await;
        assert!(matches!(found, Finding::Over(Standing::Expired)));
        assert!(matches!(keeper.find(&good, HERE).await, Finding::Good(_)));
        std::fs::write(file.path(), "damaged").unwrap();
        keeper.look();
        assert!(matches!(keeper.find(&good, HERE).await, Finding::Wrong));
    }

    #[tokio::test]
    async fn guessing_is_answered_later_and_later_but_good_tokens_pass() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, file) = keeper(folder.path());
        let (id, text) = add(&file, None);
        keeper.look();
        assert!(matches!(keeper.find(&text, HERE).await, Finding::Good(_)));
        let mut waits = 0;
        for number in 0..20 {
            let guess = format!("pitt_{id}_{number:043}");
            match keeper.find(&guess, HERE).await {
                Finding::Wrong => {}
                Finding::Wait(_) => waits += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(waits >= 10, "{waits}");
        assert!(matches!(keeper.find(&text, HERE).await, Finding::Good(_)));
    }

    #[tokio::test]
    async fn the_token_of_a_run_is_good_in_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Keeper::open(TokenFile::of(folder.path()), true).unwrap();
        let (first, text) = open();
        let (second, _) = open();
        let text = text.unwrap();
        let (first, second) = (Arc::new(first), Arc::new(second));
        assert!(matches!(first.find(&text, HERE).await, Finding::Session));
        assert!(matches!(second.find(&text, HERE).await, Finding::Wrong));
        assert!(!TokenFile::of(folder.path()).path().exists());
    }

    #[tokio::test]
    async fn it_is_noted_when_a_token_was_used() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, file) = keeper(folder.path());
        let (_, text) = add(&file, None);
        keeper.look();
        let begin = now_us();
        assert!(matches!(keeper.find(&text, HERE).await, Finding::Good(_)));
        keeper.note();
        assert!(file.read().unwrap()[0].last_used_us.unwrap() >= begin);
    }
}
