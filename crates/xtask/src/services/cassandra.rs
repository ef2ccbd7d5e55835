//! Apache Cassandra: one node, which owns the whole ring.

use std::process::Command;

use anyhow::{Result, ensure};

use super::{
    fetch::Package, home::Home, ports::Port, programs::java, record::Engine, server::Server,
};

const CONFIGURATION: &str = "cassandra.yaml";
const LOGGING: &str = "logback.xml";

/// Packages of the JDK that Cassandra reaches into, as its own `jvm17-server.options` lists them.
const EXPORTS: [&str; 8] = [
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.management/com.sun.jmx.remote.security",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
];
const OPENS: [&str; 14] = [
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
];

/// Alone, a node has nobody to wait for.
const ALONE: [&str; 5] = [
    "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.ring_delay_ms=1",
    "-Dcassandra.load_ring_state=false",
    "-Dcassandra.superuser_setup_delay_ms=0",
    "-Dcassandra.shutdown_announce_in_ms=0",
];

/// What is fetched.
pub(super) fn package() -> Package {
    let version = Server::Cassandra.version(Engine::Native);
    Package {
        artifacts: vec![format!("org.apache.cassandra:cassandra-all:{version}")],
        megabytes: 66,
        archive: None,
    }
}

/// The node's configuration, and where its log goes.
pub(super) fn configuration(home: &Home) -> Vec<(&'static str, String)> {
    vec![
        (CONFIGURATION, yaml(home)),
        (LOGGING, include_str!("logback.xml").to_owned()),
    ]
}

/// The node: quick to start, or with the compiler of a real one.
///
/// # Errors
/// When the Java is too new for it.
pub(super) fn command(home: &Home) -> Result<Command> {
    /// From here on there is no security manager any more, which Cassandra 5.0 installs.
    const TOO_NEW: u32 = 24;
    /// From here on it must be allowed.
    const NOT_BY_ITSELF: u32 = 18;
    let major = home.java.as_ref().map_or(0, |java| java.major);
    ensure!(
        major < TOO_NEW,
        "Cassandra 5.0 runs on Java 17 to 23, and this is {major}: set JAVA_HOME to such a one",
    );
    let mut command = java(home);
    command.args(["-Xms768m", "-Xmx768m", "-Xss256k", "-XX:+UseSerialGC"]);
    command.args([
        "-XX:MaxDirectMemorySize=256m",
        "-Djava.net.preferIPv4Stack=true",
    ]);
    if !home.jit {
        command.arg("-XX:TieredStopAtLevel=1");
    }
    if major >= NOT_BY_ITSELF {
        command.arg("-Djava.security.manager=allow");
    }
    for package in EXPORTS {
        command.args(["--add-exports", &format!("{package}=ALL-UNNAMED")]);
    }
    for package in OPENS {
        command.args(["--add-opens", &format!("{package}=ALL-UNNAMED")]);
    }
    let (state, data) = (home.state.display(), home.data.display());
    command
        .args([
            "-Djdk.attach.allowAttachSelf=true",
            "-Dchronicle.analytics.disable=true",
            "-Dio.netty.tryReflectionSetAccessible=true",
            "-Dio.netty.allocator.useCacheForAllThreads=true",
            "-Dio.netty.allocator.maxOrder=11",
            "-Dcassandra-foreground=yes",
        ])
        .args(ALONE)
        .arg(format!("-Dcassandra.config=file://{state}/{CONFIGURATION}"))
        .arg(format!("-Dcassandra.storagedir={data}"))
        .arg(format!("-Dcassandra.logdir={data}"))
        .arg(format!(
            "-Dlogback.configurationFile=file:{state}/{LOGGING}"
        ))
        .args(["-cp", &format!("{}/*", home.programs.display())])
        .arg("org.apache.cassandra.service.CassandraDaemon");
    Ok(command)
}

fn yaml(home: &Home) -> String {
    let (clients, nodes) = (
        home.ports.of(Port::Cassandra),
        home.ports.of(Port::CassandraNodes),
    );
    format!(
        r#"cluster_name: foldline
num_tokens: 1
initial_token: "0"
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
commitlog_sync: periodic
commitlog_sync_period: 10000ms
# A mutation may be half as large.
commitlog_segment_size: 8MiB
endpoint_snitch: SimpleSnitch
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {nodes}
native_transport_port: {clients}
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "127.0.0.1:{nodes}"
# Else each DROP and TRUNCATE would keep a copy.
auto_snapshot: false
hinted_handoff_enabled: false
incremental_backups: false
concurrent_reads: 8
concurrent_writes: 8
concurrent_compactors: 1
memtable_heap_space: 128MiB
file_cache_size: 32MiB
key_cache_size: 8MiB
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::{home::tests::home, programs::Java};

    #[test]
    fn the_node_listens_on_loopback_at_its_ports() {
        let yaml = yaml(&home(false));
        for line in [
            "storage_port: 21070",
            "native_transport_port: 21042",
            "      - seeds: \"127.0.0.1:21070\"",
        ] {
            assert!(yaml.lines().any(|found| found == line), "{yaml}");
        }
        assert!(!yaml.contains("0.0.0.0"));
    }

    #[test]
    fn a_java_that_is_too_new_is_refused_and_a_newer_one_allowed() {
        let with = |major| {
            let mut home = home(false);
            home.java = Some(Java {
                path: "java".into(),
                major,
            });
            command(&home)
        };
        assert!(!format!("{:?}", with(17).unwrap()).contains("security.manager"));
        assert!(format!("{:?}", with(21).unwrap()).contains("security.manager=allow"));
        assert!(with(25).unwrap_err().to_string().contains("JAVA_HOME"));
    }
}
