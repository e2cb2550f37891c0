//! The commented header of a filter file.

use crate::error::FilterProblem;
use crate::suggest::nearest;

/// What the comments at the top of a filter say about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Header {
    /// `-- title:` one line for people.
    pub title: Option<String>,
    /// `-- owner:` who to ask.
    pub owner: Option<String>,
    /// `-- survey:` whose alerts it reads; `None` for `any`.
    pub survey: Option<String>,
    /// `-- output:` the stream of its matches, several filters may share one; its name without. `none`: not published.
    pub output: Option<String>,
    /// `-- topic:` under which they are published; without, the settings' prefix and the stream.
    pub topic: Option<String>,
    /// `-- format:` in which they are published, `json`, `avro` or `schemaless`; in place of the settings'.
    pub format: Option<String>,
    /// All comments, in order, without their `--`: the physics and its source.
    pub comments: Vec<String>,
}

const KEYS: [&str; 6] = ["title", "owner", "survey", "output", "topic", "format"];
const FORMATS: [&str; 3] = ["json", "avro", "schemaless"];

/// A line of the header that cannot be used, from 1.
pub(crate) struct HeaderFault {
    pub(crate) line: u64,
    pub(crate) problem: FilterProblem,
}

impl Header {
    /// Reads the comment lines before the first line of SQL.
    pub(crate) fn read(text: &str) -> Result<Header, HeaderFault> {
        let mut header = Header::default();
        for (number, line) in (1_u64..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let Some(comment) = line.strip_prefix("--") else {
                break;
            };
            let comment = comment.trim();
            header.comments.push(comment.to_string());
            header.read_key(comment).map_err(|message| HeaderFault {
                line: number,
                problem: FilterProblem::Header { message },
            })?;
        }
        Ok(header)
    }

    fn read_key(&mut self, comment: &str) -> Result<(), String> {
        let Some((key, value)) = comment.split_once(':') else {
            return Ok(());
        };
        let key = key.trim().to_lowercase();
        let value = value.trim().to_string();
        let slot = match key.as_str() {
            "title" => &mut self.title,
            "owner" => &mut self.owner,
            "output" => &mut self.output,
            "topic" => &mut self.topic,
            "format" => &mut self.format,
            "survey" => &mut self.survey,
            other if other.contains(' ') => return Ok(()),
            other => {
                return match nearest(other, KEYS) {
                    Some(known) => Err(format!(
                        "`{other}:` is no header (did you mean `{known}:`?)"
                    )),
                    None => Ok(()),
                };
            }
        };
        if slot.is_some() {
            return Err(format!("`{key}:` is given twice (keep one)"));
        }
        if key == "format" && !FORMATS.contains(&value.as_str()) {
            return Err(format!(
                "format `{value}` is unknown (write `json`, `avro` or `schemaless`)"
            ));
        }
        if key != "survey" {
            *slot = Some(value);
        } else if value != "any" {
            *slot = Some(survey(&value)?);
        }
        Ok(())
    }
}

/// The line of the header, from 1, with this key.
pub(crate) fn line_of(text: &str, key: &str) -> Option<u64> {
    let named = |line: &str| {
        let (found, _) = line.trim().strip_prefix("--")?.split_once(':')?;
        found.trim().eq_ignore_ascii_case(key).then_some(())
    };
    let mut lines = (1_u64..).zip(text.lines());
    lines.find_map(|(number, line)| named(line).map(|()| number))
}

fn survey(value: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match !value.is_empty() && value.chars().all(plain) {
        true => Ok(value.to_string()),
        false => Err(format!(
            "survey `{value}` is no survey (write `ztf`, `lsst` or `any`)"
        )),
    }
}
