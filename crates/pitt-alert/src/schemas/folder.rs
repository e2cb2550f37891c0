//! A folder of `.avsc` files in place of a registry.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::avro::schema::full_name;

/// Most files read from a folder, and the largest one, bytes.
const MAX_FILES: usize = 20_000;
const MAX_FILE: u64 = 4 << 20;
/// Deepest sub-folder looked into.
const MAX_FOLDERS: usize = 6;

/// Every alert schema under `folder`, as (id, JSON with all named types written out).
///
/// Two layouts are understood, also mixed and in sub-folders: `<id>.avsc`, and the survey's own, where a schema is split
/// into one file a named type (`lsst.v10_0.alert.avsc` names `lsst.v10_0.diaSource`, which is in
/// `lsst.v10_0.diaSource.avsc`); then the id is 100 times the major version plus the minor.
pub(super) fn read(folder: &Path) -> std::io::Result<Vec<(u32, String)>> {
    let mut files = Vec::new();
    collect(folder, 0, &mut files)?;
    files.sort();
    let mut definitions = HashMap::new();
    let mut tops = Vec::new();
    for file in files {
        let Some(Value::Object(object)) = fs::read_to_string(&file)
            .ok()
            .and_then(|t| serde_json::from_str(&t).ok())
        else {
            tracing::warn!(file = %file.display(), "not a schema: no JSON object in it");
            continue;
        };
        let Ok((name, _)) = full_name(&object, "") else {
            continue;
        };
        if let Some(id) = id_of(&file, &name) {
            tops.push((id, name.clone()));
        }
        definitions.insert(name, object);
    }
    let written_out = tops.into_iter().map(|(id, name)| {
        let mut writer = Writer {
            definitions: &definitions,
            done: HashSet::new(),
        };
        (id, writer.named(&name).to_string())
    });
    Ok(written_out.collect())
}

/// A schema with the types of `others` written out in it. `None` if it is not a named type.
pub(super) fn written_out(json: &str, others: &[String]) -> Option<String> {
    let mut definitions = HashMap::new();
    let mut top = None;
    for text in others.iter().map(String::as_str).chain([json]) {
        if let Ok(Value::Object(object)) = serde_json::from_str(text) {
            let (name, _) = full_name(&object, "").ok()?;
            top = Some(name.clone());
            definitions.insert(name, object);
        }
    }
    Some(
        Writer {
            definitions: &definitions,
            done: HashSet::new(),
        }
        .named(&top?)
        .to_string(),
    )
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && depth < MAX_FOLDERS {
            collect(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|e| e == "avsc")
            && files.len() < MAX_FILES
            && size(&path) <= MAX_FILE
        {
            files.push(path);
        }
    }
    Ok(())
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(u64::MAX, |metadata| metadata.len())
}

/// The id in the file's name, or of an alert in a namespace such as `lsst.v10_0`.
fn id_of(file: &Path, name: &str) -> Option<u32> {
    if let Some(id) = file
        .file_stem()
        .and_then(|stem| stem.to_str()?.parse().ok())
    {
        return Some(id);
    }
    let (namespace, word) = name.rsplit_once('.')?;
    let (major, minor) = namespace.rsplit_once(".v")?.1.split_once('_')?;
    (word == "alert").then_some(
        major
            .parse::<u32>()
            .ok()?
            .checked_mul(100)?
            .checked_add(minor.parse().ok()?)?,
    )
}

/// Writes named types out where they are first used.
struct Writer<'a> {
    definitions: &'a HashMap<String, Map<String, Value>>,
    done: HashSet<String>,
}

impl Writer<'_> {
    fn named(&mut self, name: &str) -> Value {
        match self.definitions.get(name) {
            Some(object) if self.done.insert(name.to_owned()) => self.object(object),
            _ => Value::String(name.to_owned()),
        }
    }

    fn object(&mut self, object: &Map<String, Value>) -> Value {
        let mut written = object.clone();
        for key in ["type", "items", "values"] {
            if let Some(inner) = written.get_mut(key) {
                *inner = self.ty(inner);
            }
        }
        if let Some(Value::Array(fields)) = written.get_mut("fields") {
            for field in fields {
                if let Some(ty) = field.get_mut("type") {
                    *ty = self.ty(ty);
                }
            }
        }
        Value::Object(written)
    }

    fn ty(&mut self, ty: &Value) -> Value {
        match ty {
            Value::String(name) => self.named(name),
            Value::Array(branches) => {
                Value::Array(branches.iter().map(|branch| self.ty(branch)).collect())
            }
            Value::Object(object) => self.object(object),
            other => other.clone(),
        }
    }
}
