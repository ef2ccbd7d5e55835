//! Sellers who list products and count their stock, one command at a time, at any node.
//!
//! A seller knows the rightful answer to each command. Where a node cannot give it, the seller
//! does what docs/http.md says: the same command with the same key, to any node.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Client;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    cluster::{LANES, until},
    log::lane_of,
};

/// How long a seller waits for an answer before asking another node.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a command may take altogether.
const COMMAND_MAX: Duration = Duration::from_secs(60);
/// How long a seller waits after a 503 at most; `retry-after` says a second.
const PAUSE: Duration = Duration::from_millis(200);
const COUNTED_WITHIN: Duration = Duration::from_secs(60);

/// The load while it goes on.
pub(crate) struct Load {
    shared: Arc<Shared>,
    sellers: JoinSet<Seller>,
}

struct Shared {
    urls: Vec<String>,
    client: Client,
    turn: AtomicUsize,
    done: AtomicU64,
    stop: AtomicBool,
    lanes: Mutex<Vec<Served>>,
}

/// When a lane accepted its last command, and the longest time between two.
struct Served {
    last: Instant,
    gap_max: Duration,
}

/// What became of the commands of a load.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The keys of all accepted commands, by user.
    pub(crate) accepted: BTreeMap<String, Vec<String>>,
    pub(crate) refused: u64,
    /// Why commands were sent again, and how often.
    pub(crate) again: BTreeMap<String, u64>,
    /// The longest time in which a lane accepted nothing.
    pub(crate) gap_max: Duration,
}

#[derive(Default)]
struct Seller {
    user: String,
    accepted: Vec<String>,
    refused: u64,
    again: BTreeMap<String, u64>,
}

impl Load {
    pub(crate) fn start(urls: Vec<String>, sellers: usize, seed: u64) -> Self {
        println!("load of {sellers} sellers, seed {seed}");
        let client = Client::builder().no_proxy().timeout(PATIENCE);
        let now = Instant::now();
        let shared = Arc::new(Shared {
            urls,
            client: client.build().expect("an HTTP client"),
            turn: AtomicUsize::new(0),
            done: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            lanes: Mutex::new(
                (0..LANES)
                    .map(|_| Served {
                        last: now,
                        gap_max: Duration::ZERO,
                    })
                    .collect(),
            ),
        });
        let sell = |number| {
            let mut dice = StdRng::seed_from_u64(seed + number as u64);
            let user = user_of(number % usize::from(LANES), &mut dice);
            let seller = Seller {
                user,
                ..Seller::default()
            };
            seller.sell(shared.clone(), dice)
        };
        Self {
            sellers: (0..sellers).map(sell).collect(),
            shared,
        }
    }

    /// Waits until so many more commands have their rightful answers.
    pub(crate) async fn until_done(&self, more: u64) {
        let due = self.shared.done.load(Ordering::Relaxed) + more;
        until("commands are answered", COUNTED_WITHIN, async || {
            let done = self.shared.done.load(Ordering::Relaxed);
            (done >= due)
                .then_some(())
                .ok_or(format!("{done} of {due}"))
        })
        .await;
    }

    /// Waits until every lane has accepted a command since this moment.
    pub(crate) async fn until_every_lane_accepts(&self, within: Duration) {
        let since = Instant::now();
        until("every lane accepts commands", within, async || {
            let lanes = self.shared.lanes.lock().expect("no seller panics with it");
            let lacking = |lane: &usize| lanes[*lane].last < since;
            let lacking: Vec<usize> = (0..lanes.len()).filter(lacking).collect();
            lacking
                .is_empty()
                .then_some(())
                .ok_or(format!("not {lacking:?}"))
        })
        .await;
    }

    /// Lets every seller end the command at hand.
    pub(crate) async fn end(self) -> Outcome {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut outcome = Outcome::default();
        for seller in self.sellers.join_all().await {
            outcome.refused += seller.refused;
            outcome.accepted.insert(seller.user, seller.accepted);
            for (reason, count) in seller.again {
                *outcome.again.entry(reason).or_default() += count;
            }
        }
        let lanes = self.shared.lanes.lock().expect("no seller panics with it");
        outcome.gap_max = lanes
            .iter()
            .map(|lane| lane.gap_max)
            .max()
            .unwrap_or_default();
        let accepted: usize = outcome.accepted.values().map(Vec::len).sum();
        println!(
            "{accepted} accepted, {} refused by the rules, sent again: {:?}; the longest time in \
             which a lane accepted nothing: {:?}",
            outcome.refused, outcome.again, outcome.gap_max
        );
        outcome
    }
}

impl Shared {
    /// Sends a command until it has an answer of its own; gives the status and the code.
    async fn command(
        &self,
        again: &mut BTreeMap<String, u64>,
        path: &str,
        body: String,
        key: &str,
    ) -> (u16, String) {
        let deadline = Instant::now() + COMMAND_MAX;
        loop {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let url = &self.urls[turn % self.urls.len()];
            let request = self.client.post(format!("{url}/v1/users/{path}"));
            let request = request
                .header("content-type", "application/json")
                .header("idempotency-key", key)
                .body(body.clone());
            let reason = match request.send().await {
                Ok(answer) => {
                    let (status, position) = (answer.status().as_u16(), position(&answer));
                    let said = answer.text().await.unwrap_or_default();
                    let code = code(&said);
                    if status != 503 && !(status == 201 && said.is_empty()) {
                        self.answered(position);
                        return (status, code);
                    }
                    tokio::time::sleep(PAUSE).await;
                    format!("{status} {code}")
                }
                Err(error) if error.is_connect() => "not connected".to_owned(),
                Err(error) if error.is_timeout() => "no answer in time".to_owned(),
                Err(_) => "the connection broke".to_owned(),
            };
            assert!(
                Instant::now() < deadline,
                "{path} with {key} has no answer within {COMMAND_MAX:?}; the last was {reason}"
            );
            *again.entry(reason).or_default() += 1;
        }
    }

    fn answered(&self, lane: Option<usize>) {
        self.done.fetch_add(1, Ordering::Relaxed);
        let Some(lane) = lane else { return };
        let mut lanes = self.lanes.lock().expect("no seller panics with it");
        let served = &mut lanes[lane];
        let gap = served.last.elapsed();
        served.gap_max = served.gap_max.max(gap);
        served.last = Instant::now();
    }
}

impl Seller {
    async fn sell(mut self, shared: Arc<Shared>, mut dice: StdRng) -> Self {
        let mut products: Vec<String> = Vec::new();
        while !shared.stop.load(Ordering::Relaxed) {
            let (command, body, due) = match dice.random_range(0..10) {
                0..4 => {
                    let product = Uuid::from_u128(dice.random()).to_string();
                    products.push(product.clone());
                    let body = json!({ "product_id": product, "price_cents": 1000 });
                    ("list-product", body, (201, ""))
                }
                4..8 if !products.is_empty() => {
                    let product = &products[dice.random_range(0..products.len())];
                    let body = json!({ "product_id": product, "by": 1 });
                    ("adjust-stock", body, (201, ""))
                }
                _ if !products.is_empty() => {
                    let product = &products[dice.random_range(0..products.len())];
                    let body = json!({ "product_id": product, "by": -1_000_000 });
                    ("adjust-stock", body, (409, "stock-would-be-negative"))
                }
                _ => continue,
            };
            let key = Uuid::from_u128(dice.random()).to_string();
            let path = format!("{}/catalog/{command}", self.user);
            let body = body.to_string();
            let (status, code) = shared.command(&mut self.again, &path, body, &key).await;
            assert_eq!((status, code.as_str()), due, "{path} with {key}");
            match status {
                201 => self.accepted.push(key),
                _ => self.refused += 1,
            }
        }
        self
    }
}

/// A user of this lane: every lane has sellers.
fn user_of(lane: usize, dice: &mut StdRng) -> String {
    let users = std::iter::repeat_with(|| Uuid::from_u128(dice.random()).to_string());
    let mut of_lane = users.filter(|user| lane_of(user) as usize == lane);
    of_lane.next().expect("there is no end of users")
}

/// The lane that accepted a command.
fn position(answer: &reqwest::Response) -> Option<usize> {
    let position = answer.headers().get("foldline-position")?.to_str().ok()?;
    let (_, place) = position.split_once('/')?;
    place.split_once('@')?.0.parse().ok()
}

fn code(said: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(said).unwrap_or_default();
    body["code"].as_str().unwrap_or_default().to_owned()
}
