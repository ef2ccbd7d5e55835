//! The broker: Apache Kafka, one that is its own controller, with a listener for each node.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use rustix::process::Signal;

use super::process::Process;
use crate::settings::Settings;

/// Any 16 bytes in base64url will do, and one broker never meets another.
const CLUSTER: &str = "Zm9sZGxpbmUtdGVzdHMtMQ";
/// How long it may take to answer: ten times what it takes on two quiet cores.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long one question takes at most.
const ASK_MAX: Duration = Duration::from_secs(1);

const LOGGING: &str = "rootLogger.level = warn\nrootLogger.appenderRef.out.ref = out\n\
    appender.out.type = Console\nappender.out.name = out\nappender.out.layout.type = PatternLayout\n\
    appender.out.layout.pattern = %d %p %m (%c)%n\n";

/// Where the broker is reached: by itself, and for each node by way of its proxy.
#[derive(Clone, Debug)]
pub(super) struct Listeners {
    pub(super) controller: u16,
    /// For whoever is not cut off: the checker.
    pub(super) direct: u16,
    /// Per node the broker's own port and that of the proxy before it.
    pub(super) nodes: Vec<(u16, u16)>,
}

#[derive(Debug)]
pub(super) struct Broker {
    java: PathBuf,
    jars: PathBuf,
    directory: PathBuf,
    direct: u16,
    process: Process,
}

impl Broker {
    /// Writes its configuration and makes its data; it does not run yet.
    ///
    /// # Errors
    /// When that fails.
    pub(super) fn prepare(settings: &Settings, listeners: &Listeners) -> Result<Self> {
        let directory = settings.directory.join("broker");
        fs::create_dir_all(directory.join("tmp"))?;
        let data = directory.join("data");
        fs::write(
            directory.join("server.properties"),
            properties(listeners, &data.display().to_string()),
        )?;
        fs::write(directory.join("log4j2.properties"), LOGGING)?;
        let broker = Self {
            java: settings.java.clone(),
            jars: settings.kafka.clone(),
            direct: listeners.direct,
            process: Process::new(directory.join("printed.txt")),
            directory,
        };
        let formatted = broker
            .java(&["-Xmx128m", "kafka.tools.StorageTool", "format"])
            .args(["--cluster-id", CLUSTER, "--config"])
            .arg(broker.directory.join("server.properties"))
            .output()
            .context("java cannot be started")?;
        let said = String::from_utf8_lossy(&formatted.stderr);
        ensure!(formatted.status.success(), "no data for the broker: {said}");
        Ok(broker)
    }

    /// Where whoever is never cut off finds it.
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.direct))
    }

    /// Starts it; it does not answer yet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(&mut self) -> Result<()> {
        let mut command = self.java(&["-Xms400m", "-Xmx400m", "kafka.Kafka"]);
        command.arg(self.directory.join("server.properties"));
        self.process.start(&mut command)
    }

    pub(super) fn kill(&mut self) {
        self.process.kill();
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// When it ends instead, or takes too long.
    pub(super) async fn until_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        let address = self.address().to_string();
        loop {
            let address = address.clone();
            let answers = tokio::task::spawn_blocking(move || answers(&address)).await?;
            if answers {
                return Ok(());
            }
            if !self.process.is_running() {
                bail!("the broker has ended:\n{}", self.process.tail());
            }
            if began.elapsed() > READY_MAX {
                bail!("the broker does not answer:\n{}", self.process.tail());
            }
        }
    }

    /// A call of its Java: options up to the class, then the class and its words.
    fn java(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.java);
        let (class, options) = words
            .iter()
            .partition::<Vec<&str>, _>(|word| !word.starts_with('-'));
        let logging = self.directory.join("log4j2.properties");
        command
            .current_dir(&self.directory)
            .env_remove("LD_LIBRARY_PATH")
            .args(options)
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!(
                "-Djava.io.tmpdir={}",
                self.directory.join("tmp").display()
            ))
            .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
            .arg("-cp")
            .arg(format!("{}/*", self.jars.display()))
            .args(class);
        command
    }
}

fn answers(address: &str) -> bool {
    let consumer: Result<BaseConsumer, _> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "faults")
        .set("log_level", "0")
        .create();
    consumer.is_ok_and(|consumer| consumer.client().fetch_metadata(None, ASK_MAX).is_ok())
}

/// Timeouts are short, so that a round takes seconds.
fn properties(listeners: &Listeners, data: &str) -> String {
    let Listeners {
        controller,
        direct,
        nodes,
    } = listeners;
    let mut listens = format!("DIRECT://127.0.0.1:{direct}");
    let (mut advertised, mut map) = (
        listens.clone(),
        "CONTROLLER:PLAINTEXT,DIRECT:PLAINTEXT".to_owned(),
    );
    for (number, (own, proxy)) in nodes.iter().enumerate() {
        listens += &format!(",NODE{number}://127.0.0.1:{own}");
        advertised += &format!(",NODE{number}://127.0.0.1:{proxy}");
        map += &format!(",NODE{number}:PLAINTEXT");
    }
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners={listens},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners={advertised}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=DIRECT\n\
         listener.security.protocol.map={map}\n\
         log.dirs={data}\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=2\n\
         transaction.abort.timed.out.transaction.cleanup.interval.ms=500\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n\
         auto.create.topics.enable=false\n\
         broker.heartbeat.interval.ms=500\n\
         broker.session.timeout.ms=2000\n",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_is_sent_by_way_of_its_proxy() {
        let listeners = Listeners {
            controller: 1,
            direct: 2,
            nodes: vec![(3, 4), (5, 6)],
        };
        let properties = properties(&listeners, "/data");
        for line in [
            "listeners=DIRECT://127.0.0.1:2,NODE0://127.0.0.1:3,NODE1://127.0.0.1:5,CONTROLLER://127.0.0.1:1",
            "advertised.listeners=DIRECT://127.0.0.1:2,NODE0://127.0.0.1:4,NODE1://127.0.0.1:6",
        ] {
            assert!(
                properties.lines().any(|found| found == line),
                "{properties}"
            );
        }
        assert!(properties.lines().all(|line| line.split('=').count() == 2));
    }
}
