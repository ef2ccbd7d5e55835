//! `up`: starts what does not run, and waits until all of it answers.

use std::{
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};

use super::{
    compose,
    interrupt::Interrupt,
    lock::Lock,
    native, note,
    ports::Ports,
    probe,
    process::LOOK_EVERY,
    record::{Engine, Places, Record},
    server::Server,
    stop::{self, is_running},
    tail::Tail,
};
use crate::workspace::output;

/// For how long a server that does not answer may take to end in good order.
const GIVEN_UP_MAX: Duration = Duration::from_secs(5);

/// How servers are to be started.
pub(super) struct Wish {
    /// What runs them; whatever is there, if nothing is said.
    pub(super) engine: Option<Engine>,
    /// Where they listen.
    pub(super) ports: Ports,
    /// Whether they go to other ports if those are taken.
    pub(super) elsewhere: bool,
    /// Whether they compile fully, for benchmarks.
    pub(super) jit: bool,
    /// Whether tests ask for them.
    pub(super) for_tests: bool,
    /// What ends the waiting.
    pub(super) interrupt: Interrupt,
}

/// How a wait for a server ended.
enum Waited {
    Answers,
    Ended,
    /// It runs and does not answer; how it last failed to.
    TooLong(String),
}

/// Brings servers up and returns what is known of them; those that run already stay as they are.
///
/// # Errors
/// When one cannot be started or does not answer in time. The others stay up.
pub(super) fn up(places: &Places, servers: &[Server], wish: &Wish) -> Result<Vec<Record>> {
    let _lock = Lock::take(&places.services()?.join("lock"), "`services`")?;
    let mut absent = Vec::new();
    for server in servers {
        if !stays_up(places, *server, wish)? {
            absent.push(*server);
        }
    }
    if !absent.is_empty() {
        let began = start(places, &absent, wish)?;
        all(&absent, |server| {
            let version = expect_answer(places, *server, &wish.interrupt)?;
            let seconds = began.elapsed().as_secs_f64();
            note(&format!("{server} {version}: answers after {seconds:.1} s"));
            Ok(())
        })?;
    }
    let records = servers.iter().map(|server| {
        Record::load(places, *server).ok_or_else(|| anyhow!("{server} was taken down meanwhile"))
    });
    records.collect()
}

/// Whether a server runs already and answers; what runs must be what was asked for.
fn stays_up(places: &Places, server: Server, wish: &Wish) -> Result<bool> {
    let Some(mut record) = Record::load(places, server) else {
        return Ok(false);
    };
    if !is_running(server, &record) {
        return Ok(false);
    }
    // It may be starting still, or just ending: somebody killed it a moment ago.
    match wait(server, &record, &wish.interrupt)? {
        Waited::Answers => {}
        Waited::Ended => return Ok(false),
        Waited::TooLong(error) => bail!(
            "{server} runs and does not answer ({error}); \
             to end it: cargo xtask services down --keep {server}"
        ),
    }
    if wish.jit && !record.jit {
        bail!("{server} runs without its full compiler; first: cargo xtask services down {server}");
    }
    if record.for_tests && !wish.for_tests {
        // Asked for by somebody who will take it down.
        record.for_tests = false;
        record.save(places, server)?;
    }
    let address = server.address(record.ports);
    let version = &record.version;
    note(&format!("{server} {version}: runs already, {address}"));
    Ok(true)
}

/// Starts servers and returns since when: what had to be fetched came before.
fn start(places: &Places, servers: &[Server], wish: &Wish) -> Result<Instant> {
    let engine = wish.engine.unwrap_or_else(|| {
        if compose::is_available() {
            Engine::Docker
        } else {
            Engine::Native
        }
    });
    let ports = if wish.elsewhere {
        wish.ports.free(servers)?
    } else {
        wish.ports.check(servers)?;
        wish.ports
    };
    for server in servers {
        std::fs::create_dir_all(places.of(*server))?;
    }
    match engine {
        Engine::Docker => {
            let began = Instant::now();
            compose::start(servers, ports)?;
            for server in servers {
                compose::record(*server, ports, wish.for_tests).save(places, *server)?;
            }
            Ok(began)
        }
        Engine::Native => start_natively(places, servers, ports, wish),
    }
}

fn start_natively(
    places: &Places,
    servers: &[Server],
    ports: Ports,
    wish: &Wish,
) -> Result<Instant> {
    // One after the other: Maven's own cache is not made for two that write to it.
    let homes = servers.iter().map(|server| {
        wish.interrupt.check()?;
        native::home(places, *server, ports, wish).map(|home| (*server, home))
    });
    let homes = homes.collect::<Result<Vec<_>>>()?;
    let began = Instant::now();
    all(&homes, |(server, home)| {
        let record = native::start(places, *server, home, wish.for_tests)?;
        let address = server.address(ports);
        note(&format!("{server} {}: starting, {address}", record.version));
        Ok(())
    })?;
    Ok(began)
}

/// Waits until a server that was just started answers, and returns its version.
fn expect_answer(places: &Places, server: Server, interrupt: &Interrupt) -> Result<String> {
    let Some(record) = Record::load(places, server) else {
        bail!("{server} was not started");
    };
    let why = match wait(server, &record, interrupt)? {
        Waited::Answers => return Ok(record.version),
        Waited::Ended => "has ended".to_owned(),
        Waited::TooLong(error) => {
            let seconds = server.ready_max().as_secs();
            format!("does not answer after {seconds} s ({error}) and is stopped")
        }
    };
    let log = log_tail(places, server, record.engine);
    // What is remembered of it stays, for the `down` that removes its data.
    stop::end(server, &record, true, GIVEN_UP_MAX)?;
    bail!("{server} {why}; the end of its log:\n{log}")
}

/// Waits until a server answers, for as long as that may take.
fn wait(server: Server, record: &Record, interrupt: &Interrupt) -> Result<Waited> {
    let port = record.ports.of(server.port());
    let began = Instant::now();
    while let Err(error) = probe::ask(server, port) {
        interrupt.check()?;
        // Whether a container runs is not asked: that would be a process each time.
        if record.engine == Engine::Native && !is_running(server, record) {
            return Ok(Waited::Ended);
        }
        if began.elapsed() > server.ready_max() {
            return Ok(Waited::TooLong(error.to_string()));
        }
        sleep(LOOK_EVERY);
    }
    Ok(Waited::Answers)
}

fn log_tail(places: &Places, server: Server, engine: Engine) -> String {
    match engine {
        Engine::Native => Tail::of(&places.log(server)).to_string(),
        Engine::Docker => {
            let log = output(&mut compose::log(server, false, Some("30")));
            log.unwrap_or_else(|error| format!("{error:#}"))
        }
    }
}

/// Does something for each at once, and returns every failure as one.
pub(super) fn all<T: Sync>(each: &[T], job: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let job = &job;
    let errors: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = each
            .iter()
            .map(|one| scope.spawn(move || job(one)))
            .collect();
        let done = threads.into_iter().map(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.filter_map(|done| done.err().map(|error| format!("{error:#}")))
            .collect()
    });
    if errors.is_empty() {
        return Ok(());
    }
    bail!("{}", errors.join("\n"))
}
