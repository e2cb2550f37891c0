//! One chunk of a replay: JSON lines, an Avro container file, or a tarball of the packets.

use std::io::{self, Write};

use anyhow::{Context, Result, ensure};
use pitt_alert::message::{
    AlertRecord, Annotation, ContainerWriter, Matched, MessageError, annotated_schema,
};
use pitt_alert::{Decoded, Decoder, Packet, SchemaStore, Selection};
use pitt_archive::Archive;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_128;

use super::list::Entry;
use super::{Form, Replay};

/// A block of an Avro file is closed at this size `[bytes]`.
const BLOCK_BYTES: usize = 1 << 20;

/// Content type and ending of a file.
pub fn kind(form: Form) -> (&'static str, &'static str) {
    match form {
        Form::Json => ("application/x-ndjson", "jsonl"),
        Form::Avro => ("application/avro", "avro"),
        Form::Packets => ("application/x-tar", "tar"),
    }
}

/// Writes a chunk: the same bytes each time.
///
/// # Errors
/// The archive is damaged, or `out` takes no more.
pub fn write(
    archive: &Archive,
    replay: &Replay,
    entries: &[Entry],
    out: &mut dyn Write,
) -> Result<()> {
    match replay.form {
        Form::Packets => tarball(archive, replay, entries, out),
        Form::Json | Form::Avro => messages(archive, replay, entries, out),
    }
}

/// Entries of one packet after the other, with the packet.
fn packets<'a>(
    archive: &Archive,
    entries: &'a [Entry],
) -> impl Iterator<Item = Result<(&'a [Entry], Packet)>> + use<'a> {
    let groups = entries.chunk_by(|a, b| a.place == b.place);
    let places = groups
        .clone()
        .filter_map(|group| Some(group.first()?.place));
    let packets = archive.packets_at(places.collect());
    groups
        .zip(packets)
        .map(|(group, packet)| Ok((group, packet?)))
}

/// A member for each packet, `<survey>/<alert>.avro`, with the time of receipt.
fn tarball(
    archive: &Archive,
    replay: &Replay,
    entries: &[Entry],
    out: &mut dyn Write,
) -> Result<()> {
    let mut tar = tar::Builder::new(out);
    for group in packets(archive, entries) {
        let (group, packet) = group?;
        let entry = group.first().context("a packet without an alert")?;
        let survey = replay.drawn.surveys.get(usize::from(entry.survey));
        let survey = survey.context("an entry is damaged")?;
        let mut header = tar::Header::new_gnu();
        header.set_size(packet.bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime((packet.received_us / 1_000_000).unsigned_abs());
        let name = format!("{survey}/{}.avro", entry.alert_id);
        tar.append_data(&mut header, name, &*packet.bytes)?;
    }
    tar.finish()?;
    Ok(())
}

fn messages(
    archive: &Archive,
    replay: &Replay,
    entries: &[Entry],
    out: &mut dyn Write,
) -> Result<()> {
    let mut speaker = Speaker::new(archive, replay)?;
    for group in packets(archive, entries) {
        let (group, packet) = group?;
        let decoded = speaker.decoder.decode(std::slice::from_ref(&packet));
        for entry in group {
            let known = speaker.know(&packet, &decoded, entry)?;
            match replay.form {
                Form::Avro => speaker.avro(&known, out)?,
                _ => line(&known, replay.stamps, out)?,
            }
        }
    }
    match speaker.file {
        Some((_, mut file)) => Ok(out.write_all(&file.take())?),
        None => Ok(()),
    }
}

/// An alert, and what the broker knows of it.
struct Known {
    record: AlertRecord,
    annotation: Annotation,
}

/// Makes messages.
struct Speaker<'a> {
    replay: &'a Replay,
    schemas: SchemaStore,
    decoder: Decoder,
    /// The file that is being written, and the fingerprint of its alerts' schema.
    file: Option<(u128, ContainerWriter)>,
}

impl<'a> Speaker<'a> {
    fn new(archive: &Archive, replay: &'a Replay) -> Result<Self> {
        let schemas = archive.schema_store()?;
        let mut decoder = Decoder::new(schemas.clone());
        decoder.select(Selection::common_only());
        Ok(Self {
            replay,
            schemas,
            decoder,
            file: None,
        })
    }

    fn know(&self, packet: &Packet, decoded: &Decoded, entry: &Entry) -> Result<Known> {
        let told = || {
            let id = entry.alert_id;
            format!("stored alert {id} cannot be read (run `pitt verify`)")
        };
        let record = AlertRecord::find(&packet.bytes, entry.record, &self.schemas);
        let received_us = packet.received_us;
        let annotation = Annotation::of_record(decoded, entry.record, received_us);
        let mut annotation = annotation.with_context(told)?;
        annotation.matched = entry.taken.and_then(|taken| {
            let version = self.replay.drawn.versions.get(usize::from(taken.version))?;
            Some(Matched {
                filter: self.replay.asked.filter.as_deref()?.into(),
                version: version.as_str().into(),
                // Archives of older versions do not say when.
                at_us: taken.at_us.unwrap_or(received_us),
            })
        });
        Ok(Known {
            record: record.with_context(told)?,
            annotation,
        })
    }

    fn avro(&mut self, known: &Known, out: &mut dyn Write) -> Result<()> {
        let schema = known.record.schema();
        if self.file.is_none() {
            let json = annotated_schema(schema)?;
            let sync = xxh3_128(format!("{}{json}", self.replay.id).as_bytes());
            self.file = Some((schema.fingerprint(), ContainerWriter::new(&json, sync)));
        }
        let (of, file) = self.file.as_mut().context("no file")?;
        ensure!(
            *of == schema.fingerprint(),
            "alerts of two schemas are in one chunk (run `pitt verify`)"
        );
        let annotation = &known.annotation;
        file.append(
            &known
                .record
                .annotated_datum(self.replay.stamps, annotation)?,
        );
        if file.block_bytes() >= BLOCK_BYTES {
            out.write_all(&file.take())?;
        }
        Ok(())
    }
}

/// A line of JSON. An alert that is beyond all bounds as JSON has `error` in place of the survey's fields.
fn line(known: &Known, stamps: bool, out: &mut dyn Write) -> io::Result<()> {
    let (record, annotation) = (&known.record, &known.annotation);
    match record.json(stamps) {
        Ok(json) => out.write_all(&record.annotated_json(&json, annotation))?,
        Err(error) => out.write_all(without_fields(annotation, &error).as_bytes())?,
    }
    out.write_all(b"\n")
}

fn without_fields(annotation: &Annotation, error: &MessageError) -> String {
    json!({"error": error.to_string(), "pitt": annotation.json()}).to_string()
}
