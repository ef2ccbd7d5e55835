//! Several nodes at one log: a command finds the owner of its lane, through handovers and
//! writers that were replaced, and takes effect once.

use std::{
    sync::{Arc, Mutex, RwLock, Weak},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use foldline_command::{
    Answer, CommandError, CommandSide, Courier, Hop, Neighbours, Owner, Owners, Passed, Request,
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
    /// Commands whose connections broke before they had arrived, and that still may.
    on_their_way: Mutex<Vec<(usize, Request)>>,
}

enum Mishap {
    /// It never arrives.
    Lost,
    /// It is decided, and the answer never comes back.
    AnswerLost,
    /// The connection breaks, and the command arrives when everybody has forgotten it.
    Delayed,
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
        hop: Hop,
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
            passed_on: Some(hop),
            within: Some(deadline.saturating_duration_since(Instant::now())),
            ..request.clone()
        };
        if matches!(mishap, Some(Mishap::Delayed)) {
            let mut on_their_way = self.on_their_way.lock().expect("no test panics with it");
            on_their_way.push((place, request));
            return Err(Undelivered::Unknown("the connection broke".into()));
        }
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

impl Town {
    /// Lets a command arrive whose connection broke long ago; nobody hears the answer.
    async fn arrives(&self) -> Result<Answer, CommandError> {
        let command = self
            .on_their_way
            .lock()
            .expect("no test panics with it")
            .pop();
        let (place, request) = command.expect("a command on its way");
        let node = self.nodes.read().expect("no test panics with it")[place].upgrade();
        within(node.expect("the node is there").submit(request)).await
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
        passed_on: Some(Hop {
            trip: uuid::Uuid::from_u128(1),
            attempt: 1,
            epoch: Epoch(1),
        }),
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

/// What the counter refuses as it stands: to go below zero.
fn refused_now(key: &str) -> Request {
    add(-5, key)
}

#[tokio::test]
async fn a_delayed_attempt_does_not_take_effect_after_a_later_one_was_refused() {
    let (ground, town, [owner, other]) = two().await;
    town.befalls(Mishap::Delayed);
    let answer = within(other.submit(refused_now("late"))).await;
    assert!(
        matches!(answer, Ok(Answer::Passed(Passed { status: 409, .. }))),
        "{answer:?}"
    );
    // Now the rules would accept it.
    accepted(within(owner.submit(add(10, "meanwhile"))).await);
    let late = town.arrives().await;
    assert!(
        matches!(late, Err(CommandError::Elsewhere { .. })),
        "{late:?}"
    );
    assert_eq!(keys(&ground.events(LANE).await), ["meanwhile"]);

    // Whoever sends it anew, with the same key, has it decided anew.
    let anew = within(other.submit(refused_now("late"))).await;
    assert!(
        matches!(anew, Ok(Answer::Passed(Passed { status: 201, .. }))),
        "{anew:?}"
    );
}

#[tokio::test]
async fn a_delayed_attempt_does_not_outlive_the_writer_it_was_meant_for() {
    let (ground, town, [first, second]) = two().await;
    // The last one comes first.
    (0..3).for_each(|_| town.befalls(Mishap::Lost));
    town.befalls(Mishap::Delayed);
    // The lane moves to the node that asks, which refuses, and back again.
    let asked = tokio::spawn({
        let second = second.clone();
        async move { second.submit(refused_now("late")).await }
    });
    quiet().await;
    within(first.release(LANE)).await;
    second.own(LANE);
    town.announce(1, 2);
    let answer = within(asked).await.expect("it does not panic");
    assert!(
        matches!(
            answer,
            Err(CommandError::Rejected { .. }) | Ok(Answer::Passed(Passed { status: 409, .. }))
        ),
        "{answer:?}"
    );
    within(second.release(LANE)).await;
    first.own(LANE);
    town.announce(0, 3);
    within(first.ready()).await;
    accepted(within(first.submit(add(10, "meanwhile"))).await);
    let late = town.arrives().await;
    assert!(
        matches!(late, Err(CommandError::Elsewhere { .. })),
        "{late:?}"
    );
    assert_eq!(keys(&ground.events(LANE).await), ["meanwhile"]);
}
