//! Nothing is lost: the node dies again and again in the middle of an import.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::dataset::Olist;
use crate::dice::Dice;
use crate::expected::{Expected, user};
use crate::history::History;
use crate::import::assert_decided;
use crate::log::Log;
use crate::node::{Node, until};
use crate::queries::assert_every_row;

const KILLS: usize = 20;
const ORDERS: usize = 3_000;
/// The node dies at the latest after this many commands since it started.
const COMMANDS_BEFORE_DEATH: u64 = 3_000;
const DEATH_WITHIN: Duration = Duration::from_secs(60);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(5);
const WITNESS_CITY: &str = "a town of witnesses";
const WITNESS_STATE: &str = "ZZ";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_node_is_killed_at_random_moments() {
    let _alone = crate::alone().await;
    let mut dice = Dice::from_env("moments of death");
    let olist = Olist::find().first_orders(ORDERS);
    let history = History::of(&olist);
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut node = Node::start(&data.path().join("node")).await;

    let witnesses = Witnesses::send(&node);
    let mut import = Import::start(&node, &olist);
    for kill in 1..=KILLS {
        let after = 1 + dice.below(COMMANDS_BEFORE_DEATH);
        let answered = until_answered(&node, &mut import, after).await;
        println!("death {kill} of {KILLS} after {answered} commands (drawn: {after})");
        node = node.restart().await;
    }
    drop(import);
    let seen = witnesses.stop().await;
    println!(
        "{} witnesses were told that they are registered",
        seen.len()
    );
    assert_whole(&node, &olist, &history, &seen).await;
}

/// After one more import everything is there, and once.
pub(crate) async fn assert_whole(
    node: &Node,
    olist: &Olist,
    history: &History,
    witnesses: &[Witness],
) {
    let last = node.import(&olist.dir);
    println!("the last import: {last:?}");
    assert_decided(&last, history);
    let known = last.accepted + last.already_known;
    assert_eq!(known, history.facts.len() as u64, "{last:?}");

    let log = Log::of(node);
    log.assert_sound();
    let mut due = history.events();
    *due.entry("account.registered.v1").or_default() += witnesses.len() as u64;
    assert_eq!(log.events(), due);
    let ids = log.ids();
    let lost: Vec<_> = witnesses
        .iter()
        .filter(|one| !ids.contains(one.event.as_str()))
        .collect();
    assert!(
        lost.is_empty(),
        "answered with success, and not in the log: {lost:?}"
    );

    let mut expected = Expected::of(history);
    let rows = witnesses
        .iter()
        .map(|one| user(&one.person, WITNESS_CITY, WITNESS_STATE));
    expected.rows.entry("users").or_default().extend(rows);
    node.until_caught_up().await;
    assert_every_row(node, &expected).await;
    node.assert_verified();
}

/// An importer that is started again whenever it gives up or ends.
struct Import<'a> {
    olist: &'a Olist,
    child: Child,
}

impl<'a> Import<'a> {
    fn start(node: &Node, olist: &'a Olist) -> Self {
        Self {
            olist,
            child: spawn(node, olist),
        }
    }

    fn keep_going(&mut self, node: &Node) {
        if self.child.try_wait().expect("a process of ours").is_some() {
            self.child = spawn(node, self.olist);
        }
    }
}

impl Drop for Import<'_> {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An importer that runs beside the test.
pub(crate) fn spawn(node: &Node, olist: &Olist) -> Child {
    let mut importer = node.importer(&olist.dir);
    importer.stdout(Stdio::null()).stderr(Stdio::null());
    importer.spawn().expect("the importer starts")
}

async fn until_answered(node: &Node, import: &mut Import<'_>, count: u64) -> u64 {
    until("enough commands are answered", DEATH_WITHIN, async || {
        import.keep_going(node);
        match node.commands_answered().await.unwrap_or(0) {
            enough if enough >= count => Ok(enough),
            few => Err(format!("{few} of {count}\n{}", node.output())),
        }
    })
    .await
}

/// Somebody who was told that they are registered.
#[derive(Debug)]
pub(crate) struct Witness {
    person: String,
    event: String,
}

/// Registers one made-up person after another and remembers every success it is told of. The
/// import alone would not show a loss, for it sends everything again.
struct Witnesses {
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<Witness>>,
}

impl Witnesses {
    fn send(node: &Node) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (client, url) = (node.client.clone(), node.url.clone());
        let task = tokio::spawn(async move {
            let mut seen: Vec<Witness> = Vec::new();
            while !*stopped.borrow() {
                let name = format!("witness {}", seen.len());
                let person = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string();
                let event = register(&client, &url, &person).await;
                seen.push(Witness { person, event });
            }
            seen
        });
        Self { stop, task }
    }

    /// Lets the last one be answered, and gives all of them.
    async fn stop(self) -> Vec<Witness> {
        self.stop.send(true).expect("the witnesses listen");
        self.task.await.expect("the witnesses live")
    }
}

/// Sends the same command until it is answered, over all deaths between, and gives its event's id.
async fn register(client: &Client, url: &str, person: &str) -> String {
    let url = format!("{url}/v1/users/{person}/accounts/register");
    let deadline = Instant::now() + DEATH_WITHIN;
    let mut turns = tokio::time::interval(TRY_AGAIN_AFTER);
    loop {
        turns.tick().await;
        match try_to_register(client, &url, person).await {
            Ok(said) => return event_id(&said),
            Err(seen) => assert!(Instant::now() < deadline, "no answer for {person}: {seen}"),
        }
    }
}

async fn try_to_register(client: &Client, url: &str, person: &str) -> Result<String, String> {
    let body = json!({ "city": WITNESS_CITY, "state": WITNESS_STATE });
    let request = client
        .post(url)
        .header("Idempotency-Key", format!("witness-{person}"));
    let said = |error: reqwest::Error| format!("{error:?}");
    let response = request.json(&body).send().await.map_err(said)?;
    let status = response.status().as_u16();
    let said = response.text().await.map_err(said)?;
    match status {
        201 => Ok(said),
        503 => Err(said),
        _ => panic!("{person} is answered {status} {said}"),
    }
}

fn event_id(said: &str) -> String {
    let answer: Value = serde_json::from_str(said).expect("JSON of an answer");
    let id = answer["events"][0]["id"].as_str();
    id.unwrap_or_else(|| panic!("no id of an event in {answer}"))
        .to_owned()
}
