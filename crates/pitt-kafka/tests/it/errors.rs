//! Clusters that are not there, go away, or refuse.

use std::sync::Arc;

use pitt_kafka::KafkaError;
use pitt_kafka::consume::{Intake, SourceState, TroubleKind};
use pitt_stream::Server;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::ground::{Member, Store, config, input, open, send, wait_for};

#[test]
fn a_cluster_that_is_not_there_is_waited_for_and_one_that_goes_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let first = Server::bind(config(folder.path())).unwrap();
    first.handle().create_topic("a", 1).unwrap();
    send(&first.handle(), "a", 0, 0..10);
    let address = first.address();
    first.shutdown();
    let store = Arc::<Store>::default();
    let member = Member::start(input(&address.to_string(), &["a"]), &store);
    for part in 1..3 {
        wait_for("a trouble", || {
            let troubles = member.health().troubles;
            troubles
                .first()
                .is_some_and(|first| first.kind == TroubleKind::Connection)
        });
        let health = member.health();
        assert_eq!(health.state, SourceState::Waiting);
        let text = &health.troubles[0].text;
        assert!(
            text.contains(&address.to_string()) && text.contains("`servers`"),
            "{text}"
        );
        let mut again = config(folder.path());
        again.address = address;
        let server = Server::bind(again).unwrap();
        send(&server.handle(), "a", 0, part * 10..(part + 1) * 10);
        wait_for("messages", || store.len() == (part + 1) * 10);
        wait_for("the end of the trouble", || {
            member.health().troubles.is_empty()
        });
        assert_eq!(
            member.health().last_error.unwrap().kind,
            TroubleKind::Connection
        );
        server.shutdown();
    }
    store.assert_whole("a", 1, 30);
    member.stop();
}

#[test]
fn a_group_that_may_not_be_joined_is_a_trouble() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("a", 1, 1).unwrap();
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 3];
    cluster.request_errors(RDKafkaApiKey::JoinGroup, &refused);
    let store = Arc::<Store>::default();
    let member = Member::start(input(&cluster.bootstrap_servers(), &["a"]), &store);
    wait_for("a trouble", || {
        let troubles = member.health().troubles;
        troubles
            .iter()
            .any(|trouble| trouble.kind == TroubleKind::Group && trouble.text.contains("`pitt`"))
    });
    // The mock lets us in when the errors are used up.
    wait_for("partitions", || !member.health().partitions.is_empty());
    assert!(member.health().troubles.is_empty());
    member.stop();
}

#[test]
fn settings_that_cannot_be_are_refused_at_the_start() {
    let refused = |key: &str, value: &str| {
        let mut settings = input("127.0.0.1:9", &["a"]);
        settings.access.settings.insert(key.into(), value.into());
        Intake::start(vec![(settings, open())]).err().unwrap()
    };
    assert!(matches!(
        refused("isolation.level", "read_uncommitted"),
        KafkaError::Refused { .. }
    ));
    let error = refused("no.such.setting", "1");
    assert!(error.to_string().contains("no.such.setting"), "{error}");
}
