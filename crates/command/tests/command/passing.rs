//! Several nodes at one log: a command finds the owner of its lane, through handovers and
//! writers that were replaced, and takes effect once.

use std::{
    sync::{Arc, Mutex, RwLock, Weak},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use foldline_command::{
    Answer, CommandError, CommandSide, Courier, Neighbours, Owner, Owners, Passed, Request,
    Settings, Undelivered,
};
use foldline_event_log::faulty::AppendFault;
use foldline_kernel::{Epoch, Lane};
use futures::future::join_all;
use tokio::sync::watch;

use super::world::*;

/// Nodes that reach each other without a network, and who owns the one lane.
#[derive(Default)]
struct Town {
    nodes: RwLock<Vec<Weak<CommandSide>>>,
    owner: watch::Sender<Option<Owner>>,
    /// What befalls the next commands on their way.
    mishaps: Mutex<Vec<Mishap>>,
}

enum Mishap {
    /// It never arrives.
    Lost,
    /// It is decided, and the answer never comes back.
    AnswerLost,
    /// The answer is that there is no room.
    NoRoom,
}

#[async_trait]
impl Owners for Town {
    fn owner(&self, _: Lane) -> Option<Owner> {
        self.owner.borrow().clone()
    }

    async fn changed(&self, _: Lane, seen: Option<&Owner>) {
        let mut owner = self.owner.subscribe();
        let _ = owner.wait_for(|owner| owner.as_ref() != seen).await;
    }
}

#[async_trait]
impl Courier for Town {
    async fn pass_on(
        &self,
        to: &Owner,
        request: &Request,
        deadline: Instant,
    ) -> Result<Passed, Undelivered> {
        let place: usize = to.address.parse().expect("addresses are places");
        let mishap = self.mishaps.lock().expect("no test panics with it").pop();
        if matches!(mishap, Some(Mishap::Lost)) {
            return Err(Undelivered::NotTaken("the road is closed".into()));
        }
        if matches!(mishap, Some(Mishap::NoRoom)) {
            return Ok(Passed {
                decided: false,
                ..passed(503)
            });
        }
        let node = self.nodes.read().expect("no test panics with it")[place].upgrade();
        let node = node.ok_or(Undelivered::NotTaken("nobody is there".into()))?;
        let request = Request {
            passed_on: true,
            within: Some(deadline.saturating_duration_since(Instant::now())),
            ..request.clone()
        };
        let answer = node.submit(request).await;
        if matches!(mishap, Some(Mishap::AnswerLost)) {
            return Err(Undelivered::Unknown("the answer was lost".into()));
        }
        match answer {
            Ok(Answer::Accepted(accepted)) => Ok(Passed {
                status: 201,
                headers: vec![("version".into(), accepted.version.to_string().into())],
                body: Default::default(),
                decided: true,
            }),
            Ok(_) => Ok(passed(200)),
            Err(CommandError::Elsewhere { .. } | CommandError::Unavailable { .. }) => {
                Err(Undelivered::NotTaken("it is not the owner".into()))
            }
            Err(CommandError::OutcomeUnknown { .. }) => Err(Undelivered::Unknown("unknown".into())),
            Err(CommandError::Overloaded { .. }) => Ok(Passed {
                decided: false,
                ..passed(503)
            }),
            Err(_) => Ok(passed(409)),
        }
    }
}

fn passed(status: u16) -> Passed {
    Passed {
        status,
        headers: Vec::new(),
        body: Default::default(),
        decided: true,
    }
}

impl Town {
    fn node(self: &Arc<Self>, ground: &Ground, settings: Settings) -> Arc<CommandSide> {
        let place = self.nodes.read().expect("no test panics with it").len();
        let neighbours = Neighbours {
            owners: self.clone(),
            courier: self.clone(),
            address: place.to_string(),
        };
        let node = Arc::new(ground.start_among(neighbours, settings));
        self.nodes
            .write()
            .expect("no test panics with it")
            .push(Arc::downgrade(&node));
        node
    }

    /// Tells everybody who owns the lane from now on.
    fn announce(&self, place: usize, epoch: u32) {
        let owner = Owner {
            epoch: Epoch(epoch),
            address: place.to_string(),
        };
        self.owner.send_replace(Some(owner));
    }

    fn befalls(&self, mishap: Mishap) {
        self.mishaps
            .lock()
            .expect("no test panics with it")
            .push(mishap);
    }
}

/// Two nodes, of which the first owns the lane.
async fn two() -> (Ground, Arc<Town>, [Arc<CommandSide>; 2]) {
    two_with(Settings::default()).await
}

async fn two_with(settings: Settings) -> (Ground, Arc<Town>, [Arc<CommandSide>; 2]) {
    let (ground, town) = (Ground::new(1), Arc::new(Town::default()));
    let nodes = [(); 2].map(|()| town.node(&ground, settings.clone()));
    nodes[0].own(LANE);
    town.announce(0, 1);
    within(nodes[0].ready()).await;
    (ground, town, nodes)
}

#[tokio::test]
async fn a_command_is_answered_by_the_owner_whichever_node_it_came_to() {
    let (ground, _, [owner, other]) = two().await;
    let answer = within(other.submit(add(5, "one"))).await;
    assert!(matches!(
        answer,
        Ok(Answer::Passed(Passed { status: 201, .. }))
    ));
    assert!(accepted(within(owner.submit(add(5, "one"))).await).replayed);
    assert_eq!(keys(&ground.events(LANE).await), ["one"]);
}

#[tokio::test]
async fn what_was_passed_on_is_not_passed_on_again() {
    let (_, _, [_, other]) = two().await;
    let hopped = Request {
        passed_on: true,
        ..add(5, "hopped")
    };
    let answer = within(other.submit(hopped)).await;
    let elsewhere = Err(CommandError::Elsewhere {
        lane: LANE,
        maybe_taken: false,
    });
    assert_eq!(answer, elsewhere);
}

#[tokio::test]
async fn a_command_whose_answer_was_lost_on_the_way_takes_effect_once() {
    let (ground, town, [_owner, other]) = two().await;
    town.befalls(Mishap::AnswerLost);
    town.befalls(Mishap::Lost);
    let answer = within(other.submit(add(5, "lost"))).await;
    assert!(matches!(answer, Ok(Answer::Passed(_))), "{answer:?}");
    assert_eq!(keys(&ground.events(LANE).await), ["lost"]);
}

#[tokio::test]
async fn a_lane_without_an_owner_is_waited_for_within_the_callers_patience() {
    let (_, town, [owner, other]) = two().await;
    within(owner.release(LANE)).await;
    town.owner.send_replace(None);
    let soon = Request {
        within: Some(Duration::from_millis(20)),
        ..add(5, "soon")
    };
    let answer = within(other.submit(soon)).await;
    assert!(
        matches!(answer, Err(CommandError::Unavailable { .. })),
        "{answer:?}"
    );

    let waiting = within(other.submit(add(5, "later")));
    let opening = async {
        quiet().await;
        owner.own(LANE);
        town.announce(0, 2);
    };
    let (answer, ()) = futures::future::join(waiting, opening).await;
    assert!(matches!(answer, Ok(Answer::Passed(_))), "{answer:?}");
}

#[tokio::test]
async fn a_lane_that_changes_hands_under_load_refuses_nothing_and_doubles_nothing() {
    let (ground, town, nodes) = two().await;
    let load = join_all((0..400).map(|number| {
        let node = &nodes[number % 2];
        let request = add_of(user(number as u128 % 50), 1, &format!("key-{number}"));
        async move { within(node.submit(request)).await }
    }));
    let handovers = async {
        for round in 0..6 {
            let (from, to) = (round % 2, (round + 1) % 2);
            within(nodes[from].release(LANE)).await;
            nodes[to].own(LANE);
            town.announce(to, 2 + round as u32);
            tokio::task::yield_now().await;
        }
    };
    let (answers, ()) = futures::future::join(load, handovers).await;
    for answer in answers {
        assert!(
            matches!(
                answer,
                Ok(Answer::Accepted(_) | Answer::Passed(Passed { status: 201, .. }))
            ),
            "{answer:?}"
        );
    }
    let events = ground.events(LANE).await;
    let mut keys = keys(&events);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((events.len(), keys.len()), (400, 400));
}

#[tokio::test]
async fn a_writer_that_was_replaced_passes_on_what_is_unsettled() {
    let (ground, town, [first, second]) = two().await;
    let gate = foldline_event_log::faulty::Gate::default();
    ground
        .faults
        .on_append(LANE, AppendFault::HeldBefore(gate.clone()));
    let unsettled = tokio::spawn({
        let first = first.clone();
        async move { first.submit(add(5, "unsettled")).await }
    });
    within(gate.arrived()).await;
    second.own(LANE);
    within(second.ready()).await;
    town.announce(1, 2);
    gate.open();
    let answer = within(unsettled).await.expect("it does not panic");
    assert!(matches!(answer, Ok(Answer::Passed(_))), "{answer:?}");
    assert_eq!(keys(&ground.events(LANE).await), ["unsettled"]);
    assert_eq!(first.ended(), [LANE], "it says that its lane has gone");
    assert!(second.ended().is_empty());
}

#[tokio::test]
async fn that_there_is_no_room_says_nothing_about_the_attempt_before() {
    let (ground, town, [_owner, other]) = two().await;
    // The last one comes first.
    town.befalls(Mishap::NoRoom);
    town.befalls(Mishap::AnswerLost);
    let answer = within(other.submit(add(5, "doubtful"))).await;
    assert!(
        matches!(answer, Ok(Answer::Passed(Passed { status: 201, .. }))),
        "{answer:?}"
    );
    assert_eq!(keys(&ground.events(LANE).await), ["doubtful"]);

    town.befalls(Mishap::NoRoom);
    let answer = within(other.submit(add(5, "refused"))).await;
    assert!(
        matches!(answer, Ok(Answer::Passed(Passed { status: 503, .. }))),
        "the first attempt left nothing, so its answer holds: {answer:?}"
    );
}

#[tokio::test]
async fn a_command_that_no_node_knows_does_not_travel() {
    let (_, town, [_owner, other]) = two().await;
    town.befalls(Mishap::Lost);
    let unknown = request(user(1), "counters/a?b", "{}", "unknown");
    let answer = within(other.submit(unknown)).await;
    assert!(
        matches!(answer, Err(CommandError::UnknownCommand { .. })),
        "{answer:?}"
    );
    assert_eq!(
        town.mishaps.lock().expect("no test panics with it").len(),
        1
    );
}
