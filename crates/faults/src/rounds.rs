//! A run: rounds of faults under load, and the checks between.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::{
    checker::{Findings, answers, lanes, tables::Tables, topics::Topics},
    cluster::{Cluster, Role},
    faults::Befalling,
    load::Load,
    report::{Checked, Report, Round},
    settings::Settings,
};

/// How long a lane may give no answer in a round: as long as the longest fault lasts, and what it
/// then takes to notice, to fence, to read the lane and to serve, on a machine that is busy.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long all lanes may take to answer once a fault is over.
const HEALED_MAX: Duration = Duration::from_secs(40);
/// How often it is looked whether they do.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs all rounds and the checks, and prints them; returns what was found.
///
/// # Errors
/// When the cluster cannot be started, or a check cannot be made.
pub async fn run(settings: &Settings) -> Result<Findings> {
    let mut report = Report::new(settings);
    let mut cluster = Cluster::start(settings).await?;
    let load = Load::start(settings, cluster.urls(Role::Command))?;
    let mut findings = Findings::default();
    for number in 1..=settings.rounds {
        let round = round(settings, number, &mut cluster, &load, &mut findings).await;
        report.round(&round.with_context(|| format!("round {number}"))?);
        if number % settings.check_every == 0 || number == settings.rounds {
            check(settings, number, &cluster, &load, &report, &mut findings).await?;
            if settings
                .broken
                .is_some_and(|broken| broken.is_found(&findings))
            {
                break;
            }
        }
    }
    report.end(&findings);
    Ok(findings)
}

async fn round(
    settings: &Settings,
    number: u32,
    cluster: &mut Cluster,
    load: &Load,
    findings: &mut Findings,
) -> Result<Round> {
    // Each round has a seed of its own, whatever the rounds before have used up.
    let seed = settings
        .seed
        .wrapping_mul(1_000_003)
        .wrapping_add(number.into());
    let only = match settings.broken {
        Some(broken) if settings.only.is_empty() => broken.faults(),
        _ => &settings.only,
    };
    let befalling = Befalling::choose(cluster, only, &mut StdRng::seed_from_u64(seed));
    load.forget_silences();
    let began = Instant::now();
    befalling.befall(cluster).await?;
    if let Err(trouble) = until_well(cluster, load).await {
        findings.add("not-well", format!("round {number}: {trouble:#}"));
        cluster.restart_nodes().await?;
    }
    let (silence, lane) = load.longest_silence();
    if silence > SILENCE_MAX {
        let text = format!("round {number}: lane {lane} gave no answer for {silence:?}");
        findings.add("no-owner", text);
    }
    Ok(Round {
        number,
        fault: befalling.fault,
        target: befalling.target(cluster),
        how: befalling.how,
        accepted: load.accepted(),
        silence,
        lane,
        took: began.elapsed(),
    })
}

/// Waits until every node is ready and every lane answers.
async fn until_well(cluster: &mut Cluster, load: &Load) -> Result<()> {
    let healed = Instant::now();
    cluster.until_all_ready().await?;
    loop {
        let silent = load.silent_since(healed);
        if silent.is_empty() {
            return Ok(());
        }
        ensure!(
            healed.elapsed() < HEALED_MAX,
            "lanes {silent:?} do not answer after {HEALED_MAX:?}"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Lets the load come to rest and holds everything against everything.
async fn check(
    settings: &Settings,
    round: u32,
    cluster: &Cluster,
    load: &Load,
    report: &Report,
    findings: &mut Findings,
) -> Result<()> {
    let began = Instant::now();
    load.pause().await?;
    let sent = load.records();
    let (broker, lanes) = (cluster.broker(), settings.lanes);
    let topics = tokio::task::spawn_blocking(move || Topics::read(&broker, lanes)).await??;
    let mut found = Findings::default();
    let of_lanes = lanes::check(&topics, lanes, &mut found);
    answers::check(&of_lanes, &sent, &mut found);
    // Whoever follows a log that is broken stops, and is right to.
    if found.count() == 0 {
        let tables = Tables::new(cluster.urls(Role::Projector), cluster.urls(Role::Query))?;
        tables.check(&of_lanes, &mut found).await?;
    }
    let checked = Checked {
        round,
        commands: sent.len(),
        events: topics.events.len(),
        took: began.elapsed(),
    };
    report.checked(&checked, &found);
    findings.extend(found);
    load.resume();
    Ok(())
}
