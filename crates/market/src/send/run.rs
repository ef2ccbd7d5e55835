//! One run: many tasks, each taking the next user and sending that user's commands in order.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::vec;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Response};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::{self, Answer, Reply};
use super::tally::Tally;
use super::{Command, Ended, Report, SendArgs, by_user, progress};

/// How long one attempt may take before it counts as lost.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
/// How long a connection may take to come up.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a run that is stopped waits for the answers under way.
const GRACE: Duration = Duration::from_secs(5);
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Why commands could not be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The address cannot be one of a node.
    #[error("`{url}` is no address of a node ({why}); it looks like http://127.0.0.1:7373")]
    BadUrl { url: String, why: String },
    /// The token cannot be sent.
    #[error("{0}")]
    BadToken(String),
    /// No connection at the start: most likely no node was started.
    #[error(
        "nothing answers at {url} ({why}); is a node running? Start one with \
         `cargo run --release`, or say where it is with --url"
    )]
    NothingListens { url: String, why: String },
    /// The node answered a command with what no correct client should see.
    #[error(
        "the node does not take {what}: {problem}; no command of this user was sent after it, \
         and running again is harmless"
    )]
    Wrong { what: String, problem: String },
    /// Nothing was answered for longer than the caller wants to wait.
    #[error(
        "no answer for {seconds} s, last to {what} ({why}); is a node running? Start one with \
         `cargo run --release` and run this again: it goes on where it stopped"
    )]
    OutOfPatience {
        what: String,
        why: String,
        seconds: u64,
    },
}

/// Sends `commands` and reports what came of them; ends early once `interrupt` is ready.
///
/// Fails only if nothing was sent: the address is wrong, or nothing listens there.
pub(crate) async fn send(
    commands: Vec<Command>,
    args: &SendArgs,
    interrupt: impl Future<Output = ()>,
) -> Result<Report, SendError> {
    let base = args.base()?;
    let bearer = args.bearer.headers();
    let client = client(bearer.map_err(|error| SendError::BadToken(error.to_string()))?);
    greet(&client, &base).await?;
    let total = commands.len() as u64;
    let run = Arc::new(Run {
        client,
        base,
        users: Mutex::new(by_user(commands).into_iter()),
        tally: Arc::new(Tally::new()),
        patience: args.patience(),
        stop: watch::Sender::new(false),
    });
    let shown = progress::show(Arc::clone(&run.tally), total, args.json);
    let ended = tokio::select! {
        ended = drive(&run, args.concurrency, interrupt) => ended,
        () = shown => unreachable!("the progress is shown until it is dropped"),
    };
    Ok(Report {
        summary: run.tally.summary(),
        ended,
    })
}

fn client(bearer: HeaderMap) -> Client {
    Client::builder()
        .default_headers(bearer)
        .timeout(ATTEMPT_MAX)
        .connect_timeout(CONNECT_MAX)
        // A node is spoken to directly; a proxy for the web would not find 127.0.0.1.
        .no_proxy()
        .build()
        .expect("a client without TLS needs nothing of its surroundings")
}

/// Makes sure that somebody answers, whatever the answer is: a node that is still opening its
/// lanes is worth waiting for, one that does not exist is not.
async fn greet(client: &Client, base: &str) -> Result<(), SendError> {
    let greeting = client
        .get(format!("{base}/healthz"))
        .timeout(CONNECT_MAX)
        .send()
        .await;
    match greeting {
        Ok(_) => Ok(()),
        Err(error) => Err(SendError::NothingListens {
            url: base.to_owned(),
            why: innermost(&error),
        }),
    }
}

/// Runs the tasks to their end, or stops them at the first failure or interruption.
async fn drive(run: &Arc<Run>, tasks: u16, interrupt: impl Future<Output = ()>) -> Ended {
    let mut workers = JoinSet::new();
    for _ in 0..tasks {
        workers.spawn(Arc::clone(run).work());
    }
    let mut interrupt = pin!(interrupt);
    let mut stopped: Option<(Ended, Instant)> = None;
    loop {
        let deadline = stopped.as_ref().map(|(_, deadline)| *deadline);
        let ended = tokio::select! {
            joined = workers.join_next() => match joined {
                None => break,
                Some(joined) => failure(joined).map(Ended::Failed),
            },
            () = &mut interrupt, if stopped.is_none() => Some(Ended::Interrupted),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if stopped.is_some() => {
                workers.abort_all();
                while workers.join_next().await.is_some() {}
                break;
            }
        };
        if let (Some(ended), None) = (ended, &stopped) {
            run.stop.send_replace(true);
            stopped = Some((ended, Instant::now() + GRACE));
        }
    }
    stopped.map_or(Ended::Complete, |(ended, _)| ended)
}

fn failure(joined: Result<Result<(), SendError>, JoinError>) -> Option<SendError> {
    match joined {
        Ok(result) => result.err(),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_cancelled) => None,
        },
    }
}

/// What all tasks of a run share.
struct Run {
    client: Client,
    base: String,
    users: Mutex<vec::IntoIter<Vec<Command>>>,
    tally: Arc<Tally>,
    patience: Duration,
    stop: watch::Sender<bool>,
}

impl Run {
    /// Takes one user after another until there is none left or the run is stopped.
    async fn work(self: Arc<Self>) -> Result<(), SendError> {
        while let Some(commands) = self.next_user() {
            for command in &commands {
                if *self.stop.borrow() {
                    return Ok(());
                }
                match self.settle(command).await? {
                    Some(answer) => self.tally.count(answer),
                    None => return Ok(()),
                }
            }
        }
        Ok(())
    }

    fn next_user(&self) -> Option<Vec<Command>> {
        self.users
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
    }

    /// Sends one command until it is settled; `None` if the run was stopped meanwhile.
    async fn settle(&self, command: &Command) -> Result<Option<Answer>, SendError> {
        let mut backoff = BACKOFF_FIRST;
        loop {
            let (why, after) = match self.attempt(command).await {
                Ok(Reply::Settled(answer)) => return Ok(Some(answer)),
                Ok(Reply::Wrong { problem }) => {
                    return Err(SendError::Wrong {
                        what: describe(command),
                        problem,
                    });
                }
                Ok(Reply::Later { why, after }) => (why, after),
                // Whether the command was taken is unknown; its key settles it.
                Err(error) => (innermost(&error), None),
            };
            self.tally.note_trouble(&why);
            let Some(left) = self.patience.checked_sub(self.tally.idle()) else {
                let (what, seconds) = (describe(command), self.patience.as_secs());
                return Err(SendError::OutOfPatience { what, why, seconds });
            };
            if self
                .stopped_within(after.unwrap_or(backoff).min(left))
                .await
            {
                return Ok(None);
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn attempt(&self, command: &Command) -> reqwest::Result<Reply> {
        answer::read(self.post(command).await?).await
    }

    async fn post(&self, command: &Command) -> reqwest::Result<Response> {
        let Command {
            user,
            context,
            name,
            key,
            time,
            body,
        } = command;
        self.client
            .post(format!("{}/v1/users/{user}/{context}/{name}", self.base))
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", key)
            .header("Foldline-Time", time.to_string())
            .body(body.clone())
            .send()
            .await
    }

    /// Waits, a little longer by chance so that the tasks do not all come back at once.
    async fn stopped_within(&self, wait: Duration) -> bool {
        let wait = wait.mul_f64(1.0 + 0.2 * rand::random::<f64>());
        let mut stop = self.stop.subscribe();
        tokio::select! {
            () = sleep(wait) => false,
            _ = stop.wait_for(|stopped| *stopped) => true,
        }
    }
}

fn describe(command: &Command) -> String {
    let Command {
        user,
        context,
        name,
        key,
        ..
    } = command;
    format!("{context}/{name} of user {user} (key {key})")
}

/// The cause that says most: HTTP errors wrap the one of the socket several times.
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
