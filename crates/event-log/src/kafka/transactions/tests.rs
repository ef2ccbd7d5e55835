//! What an error means, on a broker that only pretends and fails as it is told.

use std::time::Duration;

use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr as Code},
};

use super::*;
use crate::kafka::{Settings, client::Clients};

/// What one commit may take; `rdkafka`'s own takes 100 ms whenever a record is on its way.
const COMMIT_MAX: Duration = Duration::from_millis(50);

const TIMEOUT: Duration = Duration::from_secs(3);

struct Pretended {
    cluster: MockCluster<'static, DefaultProducerContext>,
    transactions: Transactions,
}

impl Pretended {
    fn new() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders", 2, 1).unwrap();
        let mut settings = Settings::new("market".parse().unwrap(), cluster.bootstrap_servers());
        settings.transaction_timeout = TIMEOUT;
        let producer = Clients::new(Arc::new(settings)).transactional("a-lane");
        let transactions = Transactions::fence(producer.unwrap(), "orders", 1, TIMEOUT).unwrap();
        Self {
            cluster,
            transactions,
        }
    }

    fn write(&self) -> Result<(), Failed> {
        let record = |_| Outgoing {
            topic: "orders".into(),
            key: "a user".into(),
            value: Bytes::from_static(b"an event"),
            headers: None,
        };
        self.transactions.write((0..20).map(record).collect(), 0)
    }

    /// Writes once as it should be, then with the broker's next answers of a kind being errors.
    fn failing(api: RDKafkaApiKey, codes: &[Code]) -> Result<(), Failed> {
        let pretended = Self::new();
        pretended.write().unwrap();
        pretended.cluster.request_errors(api, codes);
        pretended.write()
    }
}

#[test]
fn a_commit_takes_milliseconds_though_records_are_on_their_way() {
    let pretended = Pretended::new();
    let mut took: Vec<Duration> = (0..20)
        .map(|_| {
            let begun = Instant::now();
            pretended.write().unwrap();
            begun.elapsed()
        })
        .collect();
    took.sort();
    assert!(took[took.len() / 2] < COMMIT_MAX, "{took:?}");
}

#[test]
fn what_passes_by_itself_is_tried_again() {
    let passing = [
        Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
    ];
    assert!(Pretended::failing(RDKafkaApiKey::EndTxn, &passing).is_ok());
    let concurrent = [Code::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS; 2];
    assert!(Pretended::failing(RDKafkaApiKey::AddPartitionsToTxn, &concurrent).is_ok());
    let leader = [Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION];
    assert!(Pretended::failing(RDKafkaApiKey::Produce, &leader).is_ok());
}

#[test]
fn a_fenced_producer_is_told_so_wherever_it_learns_of_it() {
    let fenced = [Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH];
    for api in [RDKafkaApiKey::EndTxn, RDKafkaApiKey::AddPartitionsToTxn] {
        let failed = Pretended::failing(api, &fenced).unwrap_err();
        assert!(matches!(failed, Failed::Fenced), "{failed:?}");
    }
}

#[test]
fn a_commit_that_may_have_been_carried_out_is_unknown() {
    for code in [
        Code::RD_KAFKA_RESP_ERR_UNKNOWN,
        Code::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
        Code::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
    ] {
        let failed = Pretended::failing(RDKafkaApiKey::EndTxn, &[code]).unwrap_err();
        assert!(matches!(failed, Failed::Unknown(_)), "{failed:?}");
    }
}

#[test]
fn a_record_that_was_not_delivered_leaves_nothing_for_certain() {
    let too_large = [Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE];
    let failed = Pretended::failing(RDKafkaApiKey::Produce, &too_large).unwrap_err();
    assert!(matches!(failed, Failed::Nothing(_)), "{failed:?}");
}

#[test]
fn a_partition_that_may_not_be_written_leaves_nothing_or_is_unknown() {
    let refused = [Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED];
    let failed = Pretended::failing(RDKafkaApiKey::AddPartitionsToTxn, &refused).unwrap_err();
    assert!(!matches!(failed, Failed::Fenced), "{failed:?}");
}

#[test]
fn a_broker_that_is_gone_makes_an_append_unknown_within_the_bound() {
    let pretended = Pretended::new();
    pretended.write().unwrap();
    pretended.cluster.broker_down(1).unwrap();
    let begun = Instant::now();
    let failed = pretended.write().unwrap_err();
    assert!(!matches!(failed, Failed::Fenced), "{failed:?}");
    assert!(begun.elapsed() < 4 * TIMEOUT, "{:?}", begun.elapsed());
}
