//! The same import into several processes of each role, with the log on a real Kafka.

use crate::dataset::Olist;
use crate::expected::Expected;
use crate::history::History;
use crate::import::assert_decided;
use crate::log::Log;
use crate::node::Node;
use crate::queries::{assert_every_answer, assert_row_counts};
use crate::topics::Topics;

/// Three processes decide, two fold and two answer; every row is what one process with everything
/// in it has, which is what the files say.
#[tokio::test(flavor = "multi_thread")]
async fn several_processes_of_each_role_give_the_same_rows() {
    let _alone = crate::alone().await;
    let olist = Olist::find();
    let history = History::of(&olist);
    let expected = Expected::of(&history);
    let topics = Topics::unique();
    let place = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| place.path().join(name);

    let mut deciding = Vec::new();
    for name in ["command-1", "command-2", "command-3"] {
        let data = at(&format!("{name}.data"));
        let mut node = Node::of_role("command", name, &data, &topics);
        node.until_ready().await;
        deciding.push(node);
    }
    let start = async |role: &str, name: &str| {
        let mut node = Node::of_role(role, name, &at("views"), &topics);
        node.until_ready().await;
        node
    };
    let folding = [
        start("projector", "projector-1").await,
        start("projector", "projector-2").await,
    ];
    let answering = [
        start("query", "query-1").await,
        start("query", "query-2").await,
    ];

    let imported = deciding[0].import(&olist.dir);
    println!("import: {imported:?}");
    assert_eq!(
        imported.accepted,
        history.facts.len() as u64,
        "{imported:?}"
    );
    assert_eq!(imported.already_known, 0, "{imported:?}");
    assert_decided(&imported, &history);
    for node in &deciding {
        let answered = node.commands_answered().await;
        assert!(answered > Some(0), "every node decides for its lanes");
    }
    let log = Log::of(&deciding[1]);
    assert_eq!(log.events(), history.events());
    log.assert_sound();

    for node in &folding {
        node.until_caught_up().await;
    }
    assert_row_counts(&folding[0], &expected);
    for node in &answering {
        assert_every_answer(node, &expected).await;
    }
    folding[1].assert_verified();
}
