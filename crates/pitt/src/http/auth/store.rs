//! The file of an archive's tokens.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::token::Token;

/// Version of the file's format.
const FORMAT: u32 = 1;

/// What can be wrong with tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file, its lock or its folder.
    #[error("cannot {what} `{}`: {source}", file.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is something else.
    #[error(
        "`{}` is no file of tokens: {reason} (a newer pitt may have written it; moved away, all tokens are gone)",
        file.display()
    )]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No token has this id.
    #[error("there is no token `{id}` in `{}` (`pitt token list` shows them)", file.display())]
    Unknown {
        /// The id asked for.
        id: String,
        /// Which file.
        file: PathBuf,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers to make a token of")]
    Random,
}

/// The tokens of an archive: `<archive>/tokens.json`, readable by its owner alone.
///
/// ```json
/// {"format": 1, "tokens": [{"id": "9f86d081aa", "name": "anna", "scopes": ["write"], "created_us": 1795389847000000,
///   "expires_us": null, "revoked_us": null, "last_used_us": null, "hash": "$argon2id$v=19$m=19456,t=2,p=1$..$.."}]}
/// ```
///
/// Written anew to a temporary file, synced and renamed, while `<archive>/tokens.lock` is held by `flock`: two processes
/// that change it at once both get their change. A crash of the process or the system leaves the old file or the new one,
/// and perhaps a temporary file. It is broken when it is no JSON of this shape or has another `format`: then no token is
/// good, and nobody writes to it.
#[derive(Clone, Debug)]
pub struct TokenFile(PathBuf);

#[derive(Serialize, Deserialize)]
struct Content {
    format: u32,
    tokens: Vec<Token>,
}

/// By what a changed file is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

/// The lock; let go by name, as closing would leave it with a child just forked.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl TokenFile {
    /// That of an archive.
    pub fn of(archive: &Path) -> Self {
        Self(archive.join("tokens.json"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// All tokens, in the order they were made; none when there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or is something else.
    pub fn read(&self) -> Result<Vec<Token>, TokenError> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(source) => return Err(self.failed("read", source)),
        };
        let damaged = |reason: String| TokenError::Damaged {
            file: self.0.clone(),
            reason,
        };
        let content: Content =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if content.format != FORMAT {
            return Err(damaged(format!(
                "its format is {}, expected {FORMAT}",
                content.format
            )));
        }
        Ok(content.tokens)
    }

    /// Changes the tokens while no other process does. Nothing is written when `change` fails.
    ///
    /// # Errors
    /// What `change` says; or the file cannot be read or written.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<Token>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let _lock = self.lock()?;
        let mut tokens = self.read()?;
        let outcome = change(&mut tokens)?;
        let content = Content {
            format: FORMAT,
            tokens,
        };
        self.write(&content)
            .map_err(|source| self.failed("write", source))?;
        Ok(outcome)
    }

    /// Marks a token revoked; one that was revoked before stays as it is.
    ///
    /// # Errors
    /// There is none with this id; or the file cannot be read or written.
    pub fn revoke(&self, id: &str, now_us: i64) -> Result<Token, TokenError> {
        self.change(|tokens| {
            let found = tokens.iter_mut().find(|token| token.id == id);
            let Some(token) = found else {
                return Err(TokenError::Unknown {
                    id: id.to_owned(),
                    file: self.0.clone(),
                });
            };
            token.revoked_us.get_or_insert(now_us);
            Ok(token.clone())
        })
    }

    /// By what a change is known; `None` when there is no file.
    pub(super) fn mark(&self) -> Option<Mark> {
        let data = fs::metadata(&self.0).ok()?;
        Some(Mark {
            modified: data.modified().ok()?,
            length: data.len(),
            inode: data.ino(),
        })
    }

    fn lock(&self) -> Result<Lock, TokenError> {
        let path = self.0.with_extension("lock");
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let opened = options.open(&path);
        let locked = opened.and_then(|file| file.lock().map(|()| Lock(file)));
        locked.map_err(|source| TokenError::File {
            what: "lock",
            file: path.clone(),
            source,
        })
    }

    fn write(&self, content: &Content) -> io::Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        let new = self.0.with_extension("json.new");
        // What a crash left behind may have another mode.
        let _ = fs::remove_file(&new);
        let mut options = OpenOptions::new();
        let mut file = options
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(content)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        File::open(folder)?.sync_all()
    }

    fn failed(&self, what: &'static str, source: io::Error) -> TokenError {
        TokenError::File {
            what,
            file: self.0.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::Scope;
    use super::*;

    fn token(id: usize) -> Token {
        Token {
            id: id.to_string(),
            name: "me".into(),
            scopes: vec![Scope::Read],
            created_us: 0,
            expires_us: None,
            revoked_us: None,
            last_used_us: None,
            hash: String::new(),
        }
    }

    #[test]
    fn it_is_its_owners_alone_and_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::of(folder.path());
        assert_eq!((file.read().unwrap(), file.mark()), (vec![], None));
        file.change(|tokens| {
            tokens.push(token(1));
            Ok(())
        })
        .unwrap();
        let mode = fs::metadata(file.path()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(file.read().unwrap(), [token(1)]);
        assert!(file.mark().is_some());
        assert_eq!(file.revoke("1", 7).unwrap().revoked_us, Some(7));
        assert_eq!(file.revoke("1", 9).unwrap().revoked_us, Some(7));
    }

    #[test]
    fn changes_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::of(folder.path());
        std::thread::scope(|scope| {
            for id in 0..20 {
                let file = &file;
                scope.spawn(move || {
                    let add = |tokens: &mut Vec<Token>| {
                        tokens.push(token(id));
                        Ok(())
                    };
                    file.change(add).unwrap();
                });
            }
        });
        assert_eq!(file.read().unwrap().len(), 20);
    }

    #[test]
    fn something_else_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::of(folder.path());
        for text in ["", "[]", "{\"format\":2,\"tokens\":[]}"] {
            fs::write(file.path(), text).unwrap();
            assert!(file.change(|_| Ok(())).is_err(), "{text}");
            assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
        }
        let error = file.read().unwrap_err().to_string();
        assert!(error.contains("its format is 2, expected 1"), "{error}");
    }

    #[test]
    fn an_unknown_id_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = TokenFile::of(folder.path()).revoke("abc", 0).unwrap_err();
        assert!(error.to_string().contains("there is no token `abc`"));
    }
}
