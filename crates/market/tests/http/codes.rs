//! Every code that Foldline has is provoked over HTTP, or there is a reason why not.

use std::collections::BTreeSet;

use foldline::problem::{self, CODES, Code};

use super::{auth, commands, tools, trouble, views};

const NOT_PROVOKED: &[(Code, &str)] = &[
    (
        problem::BODY_TOO_SLOW,
        "takes ten seconds; a test of foldline-http",
    ),
    (
        problem::UNAVAILABLE,
        "takes a lane that is closed; a test of foldline-command",
    ),
    (
        problem::NOT_THE_OWNER,
        "takes several nodes; a test of foldline-command",
    ),
    (
        problem::NOT_READY,
        "lasts as long as the first build of a read model",
    ),
    (problem::REPLAY_RUNNING, "lasts as long as a replay"),
    (
        problem::VERIFICATION_RUNNING,
        "lasts as long as a verification; a test of foldline-projector",
    ),
    (
        problem::OVERTAKEN,
        "takes two nodes at once; a test of foldline-projector",
    ),
    (problem::INTERNAL, "takes a fault of the node"),
    (problem::CORRUPT, "takes a table whose file is damaged"),
];

#[test]
fn every_code_is_provoked_or_has_a_reason_not_to_be() {
    let provoked = [
        auth::PROVOKED,
        commands::PROVOKED,
        views::PROVOKED,
        tools::PROVOKED,
        trouble::PROVOKED,
    ];
    let provoked = provoked.iter().flat_map(|codes| codes.iter());
    let excused = NOT_PROVOKED.iter().map(|(code, _)| code);
    let told: BTreeSet<_> = provoked.chain(excused).map(|code| code.code).collect();
    let all: BTreeSet<_> = CODES.iter().map(|code| code.code).collect();
    assert_eq!(told, all);
}
