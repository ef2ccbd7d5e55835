//! Where Postgres is, who connects, and every bound of it by name.

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::connections::Doubt;
use crate::TableError;

/// Tables in Postgres.
#[derive(Clone)]
pub struct PostgresSettings {
    /// Who writes: `postgres://user:password@host:port/database`. It owns the schema. A process
    /// that only answers queries needs none.
    pub url: Option<String>,
    /// Who reads: a login that can only select. Unless it is given, readers connect by `url` and
    /// take on the reading role.
    pub reader_url: Option<String>,
    /// The schema that holds everything; one per environment.
    pub schema: String,
    /// How many connections read rows at most, in this process.
    pub readers_max: u32,
    /// How many connections write rows at most: one per generation that is followed, and one more
    /// while one is switched, indexed or built.
    pub writers_max: u32,
    /// How long one statement of a writer may take, loading and indexing aside.
    pub statement_timeout: Duration,
    /// How long one statement of a reader may take.
    pub read_timeout: Duration,
    /// How long a process that starts tries to reach a server that is not there yet.
    pub open_timeout: Duration,
}

/// How long one waits for a free connection before one is told `unavailable`.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a connection may take to be made.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a writer waits for a lock that another one holds.
const LOCK_MAX: Duration = Duration::from_secs(10);
/// The same while a generation is loaded, whose commits are large; several may load it.
const LOADING_LOCK_MAX: Duration = Duration::from_secs(30);
/// How long the tables of a retired generation wait for those who still read them; what is left
/// then goes with the next generation.
pub(crate) const DROP_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a switch waits for who writes what is switched to: the commits of what serves may be
/// held back meanwhile.
pub(crate) const SWITCH_WAIT_MAX: Duration = Duration::from_millis(250);
/// How long a transaction of a writer may stand idle. One whose process is cut off holds its locks
/// no longer than this.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(10);
/// The same of a snapshot, beside which a log is read and folded.
pub(crate) const SNAPSHOT_IDLE_MAX: Duration = Duration::from_secs(3600);
/// How long one statement of a snapshot may take: the first one sorts all rows.
pub(crate) const SNAPSHOT_STATEMENT_MAX: Duration = Duration::from_secs(3600);
/// How long the indexes of a large table may take.
pub(crate) const INDEX_MAX: Duration = Duration::from_secs(4 * 3600);
/// The memory that the making of an index may take.
pub(crate) const INDEX_MEMORY: &str = "256MB";
/// A connection that was unused for this long is tried before it is used.
pub(crate) const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// A connection that nobody used for this long is closed.
const UNUSED_MAX: Duration = Duration::from_secs(60);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    Reading,
    Snapshots,
    Writing,
    /// Writing into a generation that nobody reads yet.
    Loading,
    /// The registry and the tables as such.
    Registry,
}

impl PostgresSettings {
    /// Settings with the usual bounds.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::default()
        }
    }

    /// Returns the role that can only select; it is named after the schema.
    pub fn reader_role(&self) -> String {
        format!("{}_reader", self.schema)
    }

    /// Returns how a connection is opened.
    ///
    /// # Errors
    /// When there is no address for this purpose, or it cannot be read.
    pub(crate) fn options(&self, purpose: For) -> Result<PgConnectOptions, TableError> {
        let reads = matches!(purpose, For::Reading | For::Snapshots);
        let own = self.reader_url.as_deref().filter(|_| reads);
        let Some(url) = own.or(self.url.as_deref()) else {
            return Err(trouble(
                "only an address for reading is configured, and this process is to write",
            ));
        };
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| trouble(&error.to_string()))?
            .application_name("foldline")
            .disable_statement_logging()
            .options([("jit", "off")]);
        let options = if reads && own.is_none() {
            options.options([("role", self.reader_role())])
        } else {
            options
        };
        Ok(self.bounded(options, purpose))
    }

    fn bounded(&self, options: PgConnectOptions, purpose: For) -> PgConnectOptions {
        let (statement, idle) = match purpose {
            For::Reading => (self.read_timeout, IDLE_MAX),
            For::Snapshots => (SNAPSHOT_STATEMENT_MAX, SNAPSHOT_IDLE_MAX),
            For::Writing | For::Registry => (self.statement_timeout, IDLE_MAX),
            For::Loading => (INDEX_MAX, IDLE_MAX),
        };
        let lock = match purpose {
            For::Loading => LOADING_LOCK_MAX,
            _ => LOCK_MAX,
        };
        let millis = |bound: Duration| format!("{}ms", bound.as_millis());
        let options = options.options([
            ("statement_timeout", millis(statement)),
            ("idle_in_transaction_session_timeout", millis(idle)),
            ("lock_timeout", millis(lock)),
        ]);
        match purpose {
            For::Reading | For::Snapshots => options.options([
                ("default_transaction_read_only", "on"),
                // A snapshot is read to its end.
                ("cursor_tuple_fraction", "1"),
            ]),
            For::Writing | For::Loading => {
                // Rows are looked up by their keys and nothing else. A plan that was made while a
                // table was small must not read all of it once it is large.
                let by_key = ["enable_seqscan", "enable_hashjoin", "enable_mergejoin"];
                let options = options.options(by_key.map(|way| (way, "off")));
                if purpose == For::Loading {
                    // A crash of the server takes rows and checkpoint together, and the log has
                    // them still; nobody reads them yet.
                    options.options([("synchronous_commit", "off")])
                } else {
                    options
                }
            }
            For::Registry => options,
        }
    }

    /// Returns a bounded pool, in which a connection is not trusted after a pause, nor lent once
    /// there is doubt about it.
    pub(crate) fn pool(
        &self,
        purpose: For,
        most: u32,
        doubt: &Doubt,
    ) -> Result<sqlx::PgPool, TableError> {
        let doubt = doubt.clone();
        let pool = PgPoolOptions::new()
            .max_connections(most.max(1))
            .acquire_timeout(WAIT_MAX)
            .idle_timeout(UNUSED_MAX)
            .test_before_acquire(false)
            .before_acquire(move |connection, used| {
                let doubted = doubt.covers(used.age);
                Box::pin(async move {
                    use sqlx::Connection;
                    let trusted = used.idle_for < TRUSTED_IDLE;
                    Ok(!doubted && (trusted || connection.ping().await.is_ok()))
                })
            });
        Ok(pool.connect_lazy_with(self.options(purpose)?))
    }
}

fn trouble(trouble: &str) -> TableError {
    TableError::Corrupt {
        operation: "connect to Postgres".into(),
        trouble: trouble.into(),
    }
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            url: None,
            reader_url: None,
            schema: "foldline".into(),
            readers_max: 16,
            writers_max: 32,
            statement_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(10),
            open_timeout: Duration::from_secs(30),
        }
    }
}

/// Addresses hold passwords.
impl std::fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
