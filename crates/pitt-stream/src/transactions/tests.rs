//! What a start finds again.

use super::*;

fn open(folder: &std::path::Path) -> Transactions {
    Transactions::open(folder.join("transactions.log"), 3, false).unwrap()
}

fn committed(offset: i64) -> Committed {
    Committed {
        offset,
        epoch: 0,
        metadata: None,
    }
}

#[test]
fn a_start_finds_what_was_under_way_and_which_offsets_wait() {
    let folder = tempfile::tempdir().unwrap();
    let transactions = open(folder.path());
    let known = transactions.get_or_begin("x").unwrap();
    let under_way = Transaction {
        producer_id: 7,
        epoch: 3,
        timeout_ms: 1_000,
        state: State::Ongoing,
        partitions: [("t".to_owned(), 1)].into(),
        offsets: vec![("g".into(), "in".into(), 0, committed(5))],
        ..Transaction::default()
    };
    transactions
        .keep(&mut lock(&known), under_way.clone())
        .unwrap();
    drop(transactions);
    let transactions = open(folder.path());
    let known = transactions.get("x").unwrap();
    let found = Transaction {
        changed_s: 0,
        ..lock(&known).transaction.clone()
    };
    assert_eq!(found, under_way);
    assert!(transactions.is_waiting("g", "in", 0));
    assert!(!transactions.is_waiting("g", "in", 1) && !transactions.is_waiting("h", "in", 0));
    let ended = Transaction {
        state: State::Committed,
        offsets: vec![],
        ..under_way
    };
    transactions.keep(&mut lock(&known), ended).unwrap();
    assert!(!transactions.is_waiting("g", "in", 0));
}

#[test]
fn ids_are_bounded_and_a_forgotten_one_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let transactions = open(folder.path());
    for id in ["a", "b", "c"] {
        transactions.get_or_begin(id).unwrap();
    }
    let refused = transactions.get_or_begin("d").unwrap_err();
    assert_eq!(refused, ResponseError::PolicyViolation);
    transactions.forget("a").unwrap();
    transactions.get_or_begin("d").unwrap();
}
