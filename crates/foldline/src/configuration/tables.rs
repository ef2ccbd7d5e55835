//! What a node is told of its tables: which store keeps which kind, and where that is.

use std::{fmt, time::Duration};

use anyhow::{Context as _, ensure};
use foldline_read_model::TableKind;
use foldline_tables::{PostgresSettings, cql};
use serde::{Deserialize, Serialize, Serializer};

use super::Secret;

/// Where read models keep their rows. A table is a choice: each of the two kinds can be put on any
/// store, and not one definition changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TablesSettings {
    /// Where read models with `table = "wide"` are.
    pub wide: Store,
    /// Where read models with `table = "relational"` are.
    pub relational: Store,
    /// Postgres, where one of them names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresTables>,
    /// ScyllaDB or Cassandra, where one of them names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cql: Option<CqlTables>,
}

/// A store of tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// Files under the data directory, for the processes of one host.
    #[default]
    Sqlite,
    /// A schema of a Postgres database.
    Postgres,
    /// A keyspace of ScyllaDB or Cassandra.
    Cql,
}

/// Tables in Postgres.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresTables {
    /// Who writes: `postgres://user:password@host:port/database`. A `query` node needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Address>,
    /// Who reads: a login that can only select. Unless it is given, readers connect by `url` and
    /// take on the role `<schema>_reader`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reader_url: Option<Address>,
    /// The schema that holds everything, one per environment.
    pub schema: String,
    /// How many connections of a process read at most.
    pub readers_max: u32,
    /// How many connections of a process write at most.
    pub writers_max: u32,
    /// How long one statement of a writer may take, loading and indexing aside.
    pub statement_timeout_ms: u64,
    /// How long one statement of a reader may take.
    pub read_timeout_ms: u64,
}

/// Tables in ScyllaDB or Cassandra.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CqlTables {
    /// Some nodes of the cluster, `host:port`, with commas between.
    pub nodes: String,
    /// The keyspace, one per environment.
    pub keyspace: String,
    /// How many replicas each datacentre has of a keyspace that is made.
    pub replicas: u8,
    /// Who connects, where the cluster asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

/// An address with a password in it, which is not shown.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

const HIDDEN: &str = "(hidden)";

impl Address {
    /// Returns the address without what opens it: the password of its user, and its parameters,
    /// which may hold one.
    fn shown(&self) -> String {
        let (address, parameters) = match self.0.split_once('?') {
            Some((address, _)) => (address, "?(hidden)"),
            None => (self.0.as_str(), ""),
        };
        let Some((scheme, rest)) = address.split_once("://") else {
            return HIDDEN.into();
        };
        let Some((login, place)) = rest.rsplit_once('@') else {
            return format!("{scheme}://{rest}{parameters}");
        };
        let login = match login.split_once(':') {
            Some((user, _)) => format!("{user}:{HIDDEN}"),
            None => login.to_owned(),
        };
        format!("{scheme}://{login}@{place}{parameters}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

impl Default for PostgresTables {
    fn default() -> Self {
        let settings = PostgresSettings::default();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            url: None,
            reader_url: None,
            schema: settings.schema,
            readers_max: settings.readers_max,
            writers_max: settings.writers_max,
            statement_timeout_ms: millis(settings.statement_timeout),
            read_timeout_ms: millis(settings.read_timeout),
        }
    }
}

impl Default for CqlTables {
    fn default() -> Self {
        let settings = cql::Settings::new(Vec::new(), "foldline");
        Self {
            nodes: String::new(),
            keyspace: settings.keyspace,
            replicas: settings.replicas,
            user: None,
            password: None,
        }
    }
}

impl TablesSettings {
    /// Returns the store of a kind of tables.
    pub(crate) fn of(&self, kind: TableKind) -> Store {
        match kind {
            TableKind::Wide => self.wide,
            TableKind::Relational => self.relational,
        }
    }

    /// Returns where Postgres is, for a node that writes rows or only reads them.
    ///
    /// # Errors
    /// When the configuration does not say.
    pub(crate) fn postgres(&self, writes: bool) -> anyhow::Result<PostgresSettings> {
        let named = self.postgres.as_ref();
        let postgres = named.context(
            "tables are on Postgres, and `tables.postgres` does not say where that is: \
             `tables.postgres.url = \"postgres://user:password@host:5432/database\"`",
        )?;
        // Who only reads by a login of its own does not even hold the other one.
        let url = postgres.url.as_ref();
        let url = url.filter(|_| writes || postgres.reader_url.is_none());
        ensure!(
            url.is_some() || !writes && postgres.reader_url.is_some(),
            "`tables.postgres.url` is missing: this node writes tables"
        );
        ensure!(
            !postgres.schema.is_empty() && postgres.schema.len() <= 48,
            "`tables.postgres.schema` has 1 to 48 bytes"
        );
        let text = |address: &Address| address.0.clone();
        Ok(PostgresSettings {
            url: url.map(text),
            reader_url: postgres.reader_url.as_ref().map(text),
            schema: postgres.schema.clone(),
            readers_max: postgres.readers_max.max(1),
            writers_max: postgres.writers_max.max(1),
            statement_timeout: Duration::from_millis(postgres.statement_timeout_ms.max(1)),
            read_timeout: Duration::from_millis(postgres.read_timeout_ms.max(1)),
            ..PostgresSettings::default()
        })
    }

    /// Returns where the CQL cluster is.
    ///
    /// # Errors
    /// When the configuration does not say.
    pub(crate) fn cql(&self) -> anyhow::Result<cql::Settings> {
        let named = self.cql.as_ref().filter(|cql| !cql.nodes.is_empty());
        let named = named.context(
            "tables are on CQL, and `tables.cql` does not say where that is: \
             `tables.cql.nodes = \"host:9042\"`",
        )?;
        let nodes = named.nodes.split(',').map(|node| node.trim().to_owned());
        let password = named.password.as_ref().map(Secret::reveal);
        Ok(cql::Settings {
            replicas: named.replicas.max(1),
            credentials: (named.user.clone()).zip(password.map(ToOwned::to_owned)),
            ..cql::Settings::new(nodes.collect(), named.keyspace.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (address, shown) in [
            (
                "postgres://me:s3c@ret@host:5432/db",
                "postgres://me:(hidden)@host:5432/db",
            ),
            ("postgres://me@host/db", "postgres://me@host/db"),
            (
                "postgres://host/db?password=s3cret",
                "postgres://host/db?(hidden)",
            ),
            ("s3cret", "(hidden)"),
        ] {
            assert_eq!(Address(address.into()).shown(), shown);
        }
        let settings = TablesSettings {
            postgres: Some(PostgresTables {
                url: Some(Address("postgres://me:s3cret@host/db".into())),
                ..PostgresTables::default()
            }),
            cql: Some(CqlTables {
                password: Some("s3cret".parse().expect("any text")),
                ..CqlTables::default()
            }),
            ..TablesSettings::default()
        };
        let shown = serde_json::to_string(&settings).expect("plain data");
        let debugged = format!("{settings:?}");
        assert!(
            !shown.contains("s3cret") && !debugged.contains("s3cret"),
            "{shown}"
        );
    }

    #[test]
    fn who_only_reads_needs_no_role_that_writes() {
        let address = |text: &str| Some(Address(text.into()));
        let tables = |url, reader_url| TablesSettings {
            postgres: Some(PostgresTables {
                url,
                reader_url,
                ..PostgresTables::default()
            }),
            ..TablesSettings::default()
        };
        let both = tables(address("postgres://w@h/d"), address("postgres://r@h/d"));
        assert!(both.postgres(false).expect("to read").url.is_none());
        assert!(both.postgres(true).expect("to write").url.is_some());
        let one = tables(address("postgres://w@h/d"), None);
        assert!(one.postgres(false).expect("to read").url.is_some());
        let reads = tables(None, address("postgres://r@h/d"));
        assert!(reads.postgres(false).is_ok() && reads.postgres(true).is_err());
        assert!(TablesSettings::default().postgres(true).is_err());
    }
}
