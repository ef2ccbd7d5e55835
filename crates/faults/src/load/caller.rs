//! One caller: sends commands until each has a final answer.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use rand::{RngExt as _, rngs::StdRng};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Crowd, Shared,
    buyer::{COMMANDS_MAX, body, id},
    lock,
    record::{Accepted, Attempt, Outcome, Sent, What},
};

/// How long one request may take before the next node is tried.
const ATTEMPT_MAX: Duration = Duration::from_millis(1500);
/// How long a command is tried altogether.
const COMMAND_MAX: Duration = Duration::from_secs(50);
/// The pause after an answer that is none.
const RETRY_PAUSE: Duration = Duration::from_millis(40);
/// The longest pause between two commands of a caller: the load is to be steady, not the highest.
const THINK_MS: u64 = 50;
/// How many of a hundred commands are repeated after their answer.
const REPEATED_PERCENT: u32 = 6;
/// How many of a hundred commands go to two nodes at once.
const DOUBLED_PERCENT: u32 = 4;

/// A caller at work.
pub(super) struct Caller {
    shared: Arc<Shared>,
    crowd: Crowd,
    chance: StdRng,
    client: reqwest::Client,
}

impl Caller {
    pub(super) fn new(shared: Arc<Shared>, crowd: Crowd, chance: StdRng) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(ATTEMPT_MAX);
        Ok(Self {
            shared,
            crowd,
            chance,
            client: client.build()?,
        })
    }

    pub(super) async fn run(mut self) {
        let mut paused = self.shared.paused.subscribe();
        loop {
            // Counted before it looks: whoever pauses looks at the count after.
            self.shared.busy.fetch_add(1, Ordering::AcqRel);
            if !*paused.borrow_and_update() {
                self.command().await;
            }
            self.shared.busy.fetch_sub(1, Ordering::AcqRel);
            if paused.wait_for(|paused| !paused).await.is_err() {
                return;
            }
            let think = self.chance.random_range(0..THINK_MS);
            tokio::time::sleep(Duration::from_millis(think)).await;
        }
    }

    /// Sends one command until it has its answer, and notes everything.
    async fn command(&mut self) {
        let (user, what) = self.choose();
        let key = format!("k-{}", id(&mut self.chance));
        let lane = usize::from(self.shared.lane_of(user));
        lock(&self.shared.silences)[lane].asked(Instant::now());
        let mut sent = Sent {
            key,
            user,
            what,
            attempts: Vec::new(),
        };
        if self.chance.random_ratio(DOUBLED_PERCENT, 100) {
            let (one, other) = (self.node(), self.node());
            let (first, second) =
                tokio::join!(self.attempt(one, &sent), self.attempt(other, &sent));
            sent.attempts.extend([first, second]);
        }
        let settled = self.until_final(&mut sent).await;
        lock(&self.shared.silences)[lane].left(Instant::now(), settled);
        if settled && self.chance.random_ratio(REPEATED_PERCENT, 100) && is_accepted(&sent) {
            let node = self.node();
            let again = self.attempt(node, &sent).await;
            sent.attempts.push(again);
        }
        if is_accepted(&sent) {
            self.shared.accepted.fetch_add(1, Ordering::Relaxed);
        }
        lock(&self.shared.records).push(sent);
    }

    async fn until_final(&mut self, sent: &mut Sent) -> bool {
        let began = Instant::now();
        while !sent.attempts.iter().any(|a| a.outcome.is_final()) {
            if began.elapsed() > COMMAND_MAX {
                return false;
            }
            if !sent.attempts.is_empty() {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            let node = self.node();
            let attempt = self.attempt(node, sent).await;
            sent.attempts.push(attempt);
        }
        true
    }

    fn choose(&mut self) -> (Uuid, What) {
        let mut buyers = lock(&self.crowd.buyers);
        while buyers.len() < self.crowd.count {
            buyers.push(self.crowd.born(self.shared.lanes, &mut self.chance));
        }
        let number = self.chance.random_range(0..buyers.len());
        let buyer = &mut buyers[number];
        let chosen = (buyer.user, buyer.next(&mut self.chance));
        if buyer.commands >= COMMANDS_MAX {
            buyers.swap_remove(number);
        }
        chosen
    }

    fn node(&mut self) -> usize {
        self.chance.random_range(0..self.shared.urls.len())
    }

    async fn attempt(&self, node: usize, command: &Sent) -> Attempt {
        let (context, name) = command.what.path();
        let url = &self.shared.urls[node];
        let url = format!("{url}/v1/users/{}/{context}/{name}", command.user);
        let request = self
            .client
            .post(url)
            .header("idempotency-key", &command.key);
        let request = request.json(&body(command.what));
        let sent = self.shared.watch.now();
        let outcome = match request.send().await {
            Ok(answer) => read(answer).await,
            // A connection that never came to be has brought nothing.
            Err(error) if error.is_connect() => Outcome::Nothing("no connection".to_owned()),
            Err(error) => Outcome::Unknown(error.to_string()),
        };
        Attempt {
            sent,
            ended: self.shared.watch.now(),
            outcome,
        }
    }
}

fn is_accepted(sent: &Sent) -> bool {
    let mut outcomes = sent.attempts.iter().map(|attempt| &attempt.outcome);
    outcomes.any(|outcome| matches!(outcome, Outcome::Accepted(_)))
}

async fn read(answer: reqwest::Response) -> Outcome {
    let status = answer.status().as_u16();
    let body: Value = match answer.json().await {
        Ok(body) => body,
        Err(error) => return Outcome::Unknown(format!("{status}, and {error}")),
    };
    let code = || body["code"].as_str().unwrap_or("no code").to_owned();
    match status {
        201 => accepted(&body).map_or_else(
            || Outcome::Unknown(format!("a 201 that cannot be read: {body}")),
            Outcome::Accepted,
        ),
        200 => Outcome::Unchanged,
        409 | 412 | 422 => Outcome::Refused(code()),
        _ => match code().as_str() {
            code @ ("overloaded" | "unavailable" | "not-the-owner") => {
                Outcome::Nothing(code.to_owned())
            }
            _ => Outcome::Unknown(format!("{status} {}", code())),
        },
    }
}

fn accepted(body: &Value) -> Option<Accepted> {
    let events = body["events"].as_array()?.iter();
    let events = events.map(|event| event["id"].as_str()?.parse().ok());
    Some(Accepted {
        events: events.collect::<Option<_>>()?,
        version: body["version"].as_u64()?,
        position: body["position"].as_str()?.to_owned(),
    })
}
