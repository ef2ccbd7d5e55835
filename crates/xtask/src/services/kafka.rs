//! Apache Kafka in KRaft mode: one broker that is its own controller.

use std::process::Command;

use super::{
    fetch::Package, home::Home, ports::Port, programs::java, record::Engine, server::Server,
};

const PROPERTIES: &str = "server.properties";
const LOGGING: &str = "log4j2.properties";

/// The cluster's id: any 16 bytes in base64url will do, and one broker never meets another.
const CLUSTER: &str = "Zm9sZGxpbmUtdGVzdHMtMQ";

/// What joins the broker's logging to Log4j; of the version that the broker depends on.
const LOG4J: &str = "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3";

/// What is fetched: the broker, its logging, and the classes of its command-line tools.
pub(super) fn package() -> Package {
    let version = Server::Kafka.version(Engine::Native);
    Package {
        artifacts: vec![
            format!("org.apache.kafka:kafka_2.13:{version}"),
            format!("org.apache.kafka:kafka-tools:{version}"),
            LOG4J.to_owned(),
        ],
        megabytes: 54,
        archive: None,
    }
}

/// The broker's properties, and where its log goes.
pub(super) fn configuration(home: &Home) -> Vec<(&'static str, String)> {
    vec![
        (PROPERTIES, properties(home)),
        (LOGGING, include_str!("log4j2.properties").to_owned()),
    ]
}

/// Formats the empty data directory.
pub(super) fn preparation(home: &Home) -> Command {
    let mut command = java(home);
    command
        .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .args(classes(home))
        .args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER])
        .arg("--config")
        .arg(home.state.join(PROPERTIES));
    command
}

/// The broker: quick to start, or with the heap and the compiler of a real one.
pub(super) fn command(home: &Home) -> Command {
    let tuning: &[&str] = if home.jit {
        &["-Xms1g", "-Xmx1g", "-XX:+UseG1GC"]
    } else {
        &[
            "-Xms512m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
        ]
    };
    let mut command = java(home);
    command
        .args(tuning)
        .args(classes(home))
        .arg("kafka.Kafka")
        .arg(home.state.join(PROPERTIES));
    command
}

fn classes(home: &Home) -> [String; 3] {
    let logging = home.state.join(LOGGING);
    [
        format!("-Dlog4j2.configurationFile={}", logging.display()),
        "-cp".to_owned(),
        format!("{}/*", home.programs.display()),
    ]
}

/// After a KILL, a broker is let in again once its old session has ended: by default after 9 s.
fn properties(home: &Home) -> String {
    let (broker, controller) = (
        home.ports.of(Port::Kafka),
        home.ports.of(Port::KafkaController),
    );
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{broker}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         log.dirs={data}\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         group.initial.rebalance.delay.ms=0\n\
         auto.create.topics.enable=false\n\
         broker.heartbeat.interval.ms=1000\n\
         broker.session.timeout.ms=4000\n",
        data = home.data.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::home::tests::home;

    #[test]
    fn the_broker_listens_on_loopback_at_its_ports() {
        let properties = properties(&home(false));
        let listeners = "listeners=PLAINTEXT://127.0.0.1:21092,CONTROLLER://127.0.0.1:21093\n";
        assert!(properties.contains(listeners), "{properties}");
        assert!(properties.contains("log.dirs=/data\n"), "{properties}");
        assert!(properties.lines().all(|line| line.split('=').count() == 2));
    }

    #[test]
    fn only_a_benchmark_waits_for_the_full_compiler() {
        let words = |jit| format!("{:?}", command(&home(jit)));
        assert!(words(false).contains("TieredStopAtLevel"));
        assert!(!words(true).contains("TieredStopAtLevel"));
    }
}
