//! Callers that send commands, and what they were told.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};
use uuid::Uuid;

use crate::node::Node;

/// How many callers a load has.
const CALLERS: usize = 32;

/// A command as it is sent, once or again.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) user: Uuid,
    pub(crate) context: &'static str,
    name: &'static str,
    pub(crate) key: String,
    body: String,
}

/// What came back for a command.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) command: Command,
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) replayed: bool,
    pub(crate) body: String,
}

impl Command {
    /// Sends it; an error where no answer came back.
    pub(crate) async fn send(self, client: &Client, url: &str) -> reqwest::Result<Answer> {
        let Self {
            user,
            context,
            name,
            ..
        } = self;
        let request = client
            .post(format!("{url}/v1/users/{user}/{context}/{name}"))
            .header("content-type", "application/json")
            .header("idempotency-key", &self.key)
            .body(self.body.clone());
        let response = request.send().await?;
        let header = |name| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        Ok(Answer {
            status: response.status().as_u16(),
            content_type: header("content-type").unwrap_or_default(),
            replayed: header("idempotency-replayed").is_some(),
            body: response.text().await?,
            command: self,
        })
    }
}

impl Answer {
    /// The position of the command's last event.
    pub(crate) fn position(&self) -> String {
        self.said()["position"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The ids of the command's events.
    pub(crate) fn events(&self) -> Vec<String> {
        let said = self.said();
        let events = said["events"].as_array().into_iter().flatten();
        events
            .filter_map(|event| Some(event["id"].as_str()?.to_owned()))
            .collect()
    }

    pub(crate) fn said(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Somebody who registers and then places one order after another.
pub(crate) struct Person {
    user: Uuid,
    commands: usize,
    lines: usize,
}

impl Person {
    /// A new person, whose orders have this many lines.
    pub(crate) fn new(lines: usize) -> Self {
        let user = Uuid::new_v4();
        Self {
            user,
            commands: 0,
            lines,
        }
    }

    /// Gives the next command.
    pub(crate) fn next(&mut self) -> Command {
        self.commands += 1;
        let (context, name, body) = match self.commands {
            1 => ("accounts", "register", json!({"state": "SP"})),
            _ => ("orders", "place", self.order()),
        };
        Command {
            user: self.user,
            context,
            name,
            key: format!("{}-{}", self.user, self.commands),
            body: body.to_string(),
        }
    }

    fn order(&self) -> Value {
        let line = |_| {
            json!({
                "product_id": Uuid::new_v4(), "seller_id": Uuid::new_v4(),
                "quantity": 1, "unit_price_cents": 5990, "freight_cents": 1200,
            })
        };
        let lines: Vec<_> = (0..self.lines).map(line).collect();
        json!({ "order_id": Uuid::new_v4(), "lines": lines })
    }
}

/// Callers under way.
pub(crate) struct Load {
    tasks: JoinSet<Vec<Answer>>,
    stop: watch::Sender<bool>,
    accepted: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    /// Why callers have stopped by themselves.
    troubles: Arc<Mutex<Vec<String>>>,
}

impl Load {
    /// Lets callers send until they are stopped, or the node is gone.
    pub(crate) fn start(node: &Node) -> Self {
        Self::of_large_orders(node, 1)
    }

    /// The same with orders of many lines.
    pub(crate) fn of_large_orders(node: &Node, lines: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (accepted, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let troubles = Arc::<Mutex<Vec<String>>>::default();
        let mut tasks = JoinSet::new();
        for _ in 0..CALLERS {
            let (client, url) = (node.client.clone(), node.url.clone());
            let (stopped, accepted, refused) = (stopped.clone(), accepted.clone(), refused.clone());
            let troubles = troubles.clone();
            tasks.spawn(async move {
                let mut person = Person::new(lines);
                let mut answers = Vec::new();
                while !*stopped.borrow() {
                    let answer = match person.next().send(&client, &url).await {
                        Ok(answer) => answer,
                        Err(error) => {
                            let mut troubles = troubles.lock().expect("no caller panics");
                            troubles.push(format!("{error:?}"));
                            break;
                        }
                    };
                    let count = if answer.status == 201 {
                        &accepted
                    } else {
                        &refused
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                    answers.push(answer);
                }
                answers
            });
        }
        Self {
            tasks,
            stop,
            accepted,
            refused,
            troubles,
        }
    }

    /// How it goes, for whoever waits in vain.
    pub(crate) fn state(&self) -> String {
        let troubles = self.troubles.lock().expect("no caller panics");
        format!(
            "{} accepted, {} refused, {} of {CALLERS} callers have stopped: {:?}",
            self.accepted(),
            self.refused(),
            troubles.len(),
            troubles.last(),
        )
    }

    /// How many commands were accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// How many commands were answered otherwise so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Stops the callers and gives every answer that reached one.
    pub(crate) async fn end(self) -> Vec<Answer> {
        // Nobody listens any more where the node has gone.
        let _ = self.stop.send(true);
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

/// Keeps the answers that promise something.
pub(crate) fn accepted(answers: Vec<Answer>) -> Vec<Answer> {
    answers
        .into_iter()
        .filter(|answer| answer.status == 201)
        .collect()
}
