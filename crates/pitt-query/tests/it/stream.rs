//! The example filters over simulated alerts: the same verdicts however the alerts are cut into batches, with only the
//! columns the filters ask for, and after a round trip through Parquet.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pitt_alert::{Decoder, Packet, SchemaStore, Selection, SurveyColumns};
use pitt_query::{Catalogs, Filter, FilterSet, Needs, Surveys};
use pitt_simulate::{
    LSST_SCHEMA_ID, SimPacket, SimSurvey, SimulationConfig, Simulator, Visit, lsst_schema,
};

/// Filter and alert id of every match.
type Matches = BTreeSet<(usize, i64)>;

fn decoder(selection: Selection) -> Decoder {
    let store = SchemaStore::new();
    store.insert(LSST_SCHEMA_ID, lsst_schema().1).unwrap();
    let mut decoder = Decoder::new(store);
    decoder.select(selection);
    decoder
}

fn selection(needs: &Needs) -> Selection {
    Selection {
        survey: SurveyColumns::Only(needs.columns.clone()),
        detections: needs.detections,
        forced: needs.forced,
        nondetections: needs.nondetections,
    }
}

fn simulator(alerts_per_visit: u32) -> Simulator {
    Simulator::new(SimulationConfig {
        seed: 20,
        nights: 10,
        visits_per_night: 2,
        alerts_per_visit,
        surveys: vec![SimSurvey::Ztf, SimSurvey::Lsst],
        bad_packets_per_million: 0,
        duplicates_per_million: 0,
        ..SimulationConfig::default()
    })
}

/// The packets of a visit.
fn packets(visit: &Visit) -> Vec<Packet> {
    let packet = |sent: &SimPacket| Packet::unplaced("sim", sent.bytes.clone());
    visit.packets.iter().map(packet).collect()
}

/// The schemas of both surveys, as decoding everything of one packet gives them.
fn known_schemas() -> Surveys {
    let mut surveys = Surveys::new();
    let mut simulator = simulator(1);
    let mut decoder = decoder(Selection::everything());
    for visit in std::iter::from_fn(|| simulator.next_visit()).take(2) {
        for batch in decoder.decode(&packets(&visit)).batches {
            surveys.insert(&batch.survey, &batch.records.schema());
        }
    }
    surveys
}

fn examples() -> Vec<Filter> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/filters");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let parse = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        Filter::parse(name, &std::fs::read_to_string(path).unwrap())
            .unwrap_or_else(|error| panic!("{}", error.report()))
    };
    files
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "sql"))
        .map(parse)
        .collect()
}

fn compile(surveys: &Surveys) -> FilterSet {
    FilterSet::compile(examples(), surveys, &Catalogs::new())
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

fn collect(set: &FilterSet, survey: &str, records: &RecordBatch, matches: &mut Matches) {
    let ids = records
        .column_by_name("alert_id")
        .unwrap()
        .as_primitive::<Int64Type>();
    for verdict in set.evaluate(survey, records) {
        matches.extend(
            verdict
                .rows
                .iter()
                .map(|row| (verdict.filter, ids.value(*row as usize))),
        );
    }
}

/// Decodes and evaluates packets so many at a time.
fn in_batches_of(
    size: usize,
    set: &FilterSet,
    decoder: &mut Decoder,
    packets: &[Bytes],
    matches: &mut Matches,
) {
    for part in packets.chunks(size) {
        let part: Vec<Packet> = part
            .iter()
            .map(|bytes| Packet::unplaced("sim", bytes.clone()))
            .collect();
        let decoded = decoder.decode(&part);
        assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
        for batch in decoded.batches {
            collect(set, &batch.survey, &batch.records, matches);
        }
    }
}

fn through_parquet(records: &RecordBatch) -> RecordBatch {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, records.schema(), None).unwrap();
    writer.write(records).unwrap();
    writer.close().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))
        .unwrap()
        .build()
        .unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[test]
fn verdicts_do_not_depend_on_batches_selection_or_storage() {
    let surveys = known_schemas();
    let set = compile(&surveys);
    let lean = selection(set.selection());
    let (mut whole, mut small, mut narrow, mut stored) = (
        Matches::new(),
        Matches::new(),
        Matches::new(),
        Matches::new(),
    );
    let mut full_decoder = decoder(Selection {
        survey: SurveyColumns::AllButStamps,
        ..Selection::everything()
    });
    let mut lean_decoder = decoder(lean);
    let mut alerts = 0;
    let mut simulator = simulator(500);
    for visit in std::iter::from_fn(|| simulator.next_visit()).take(40) {
        let packets: Vec<Bytes> = visit
            .packets
            .iter()
            .filter(|p| p.fault.is_none())
            .map(|p| p.bytes.clone())
            .collect();
        alerts += packets.len();
        in_batches_of(packets.len(), &set, &mut full_decoder, &packets, &mut whole);
        in_batches_of(77, &set, &mut lean_decoder, &packets, &mut small);
        in_batches_of(
            packets.len(),
            &set,
            &mut lean_decoder,
            &packets,
            &mut narrow,
        );
        let part: Vec<Packet> = packets
            .iter()
            .map(|bytes| Packet::unplaced("sim", bytes.clone()))
            .collect();
        for batch in lean_decoder.decode(&part).batches {
            collect(
                &set,
                &batch.survey,
                &through_parquet(&batch.records),
                &mut stored,
            );
        }
    }
    assert!(set.disabled().is_empty(), "{:?}", set.disabled());
    let mut counts: BTreeMap<&str, usize> = set.filters().iter().map(|f| (f.name(), 0)).collect();
    for (filter, _) in &whole {
        *counts.entry(set.filters()[*filter].name()).or_default() += 1;
    }
    println!("{alerts} alerts: {counts:?}");
    assert_eq!(alerts, 20_000);
    assert_eq!(whole, small, "batches of 77");
    assert_eq!(whole, narrow, "only the columns asked for");
    assert_eq!(whole, stored, "after Parquet");
    assert!(
        counts.values().all(|count| *count > 0),
        "every example takes something: {counts:?}"
    );
}

#[test]
fn output_columns_come_as_written() {
    let surveys = known_schemas();
    let set = compile(&surveys);
    let mut decoder = decoder(selection(set.selection()));
    let mut simulator = simulator(300);
    let mut seen = BTreeSet::new();
    for visit in std::iter::from_fn(|| simulator.next_visit()).take(12) {
        for batch in decoder.decode(&packets(&visit)).batches {
            for verdict in set.evaluate(&batch.survey, &batch.records) {
                let output = set.output(&verdict, &batch.survey, &batch.records).unwrap();
                assert_eq!(output.num_rows(), verdict.rows.len());
                // A column of the alerts keeps what it says of itself.
                if let Ok(ra) = output.schema().field_with_name("ra") {
                    assert_eq!(ra.metadata()["unit"], "deg");
                }
                let names: Vec<String> = output
                    .schema()
                    .fields()
                    .iter()
                    .map(|f| f.name().clone())
                    .collect();
                seen.insert(format!(
                    "{}: {}",
                    set.filters()[verdict.filter].name(),
                    names.join(", ")
                ));
            }
        }
    }
    assert!(
        seen.iter()
            .any(|line| line.starts_with("asteroids: objectId, candid, ssnamenr")),
        "{seen:#?}"
    );
}
