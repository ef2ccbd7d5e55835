//! The connections of one process, all of them bounded.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, timeout},
};

use super::{
    names::Names,
    settings::{CONNECT_MAX, For, PostgresSettings, WAIT_MAX},
    trouble,
};
use crate::TableError;

/// How many connections look after the registry and the tables as such at once.
const REGISTRY_MAX: u32 = 4;
/// How often a read is tried whose connection broke, and the pause before the second time; each
/// further one is twice as long.
const READ_ATTEMPTS: u32 = 4;
const READ_PAUSE: Duration = Duration::from_millis(25);

/// Every way to the server.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) settings: PostgresSettings,
    pub(crate) names: Names,
    pub(crate) readers: PgPool,
    /// None where this process only reads.
    registry: Option<PgPool>,
    writers: Arc<Semaphore>,
    doubt: Doubt,
}

/// A connection that writes. Whoever drops it on the way rolls back what it had begun: the server
/// sees it close.
#[derive(Debug)]
pub(crate) struct Lent {
    pub(crate) sql: PgConnection,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(crate) fn new(settings: PostgresSettings) -> Result<Self, TableError> {
        let doubt = Doubt::default();
        let registry = match settings.url {
            Some(_) => Some(settings.pool(For::Registry, REGISTRY_MAX, &doubt)?),
            None => None,
        };
        Ok(Self {
            readers: settings.pool(For::Reading, settings.readers_max, &doubt)?,
            registry,
            writers: Arc::new(Semaphore::new(settings.writers_max.max(1) as usize)),
            names: Names {
                schema: settings.schema.clone(),
            },
            settings,
            doubt,
        })
    }

    /// Begins a read that is tried again where its connection broke.
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            left: READ_ATTEMPTS - 1,
            pause: READ_PAUSE,
            doubt: self.doubt.clone(),
        }
    }

    /// Returns where the registry is read: there where it is written, if this process may, since
    /// readers may be sent to a copy that lags behind.
    pub(crate) fn looks(&self) -> &PgPool {
        self.registry.as_ref().unwrap_or(&self.readers)
    }

    /// Returns where the registry is written.
    ///
    /// # Errors
    /// In a process that only reads.
    pub(crate) fn registry(&self, doing: &str) -> Result<&PgPool, TableError> {
        self.registry.as_ref().ok_or_else(|| TableError::Corrupt {
            operation: doing.into(),
            trouble: "this process is only to read: it has no `url` of a role that writes".into(),
        })
    }

    /// Opens a connection of its own.
    ///
    /// # Errors
    /// When there are as many as there may be, or the server does not answer.
    pub(crate) async fn open(&self, purpose: For) -> Result<Lent, TableError> {
        let unavailable = |source: crate::Source| TableError::Unavailable {
            operation: "connect to Postgres".into(),
            source,
        };
        let options = self.settings.options(purpose)?;
        let permit = timeout(WAIT_MAX, Arc::clone(&self.writers).acquire_owned()).await;
        let permit = permit.map_err(|_| {
            let most = self.settings.writers_max;
            unavailable(format!("all {most} connections for writing are in use").into())
        })?;
        let permit = permit.expect("it is never closed");
        let opened = timeout(CONNECT_MAX, options.connect()).await;
        let opened = opened.map_err(|late| unavailable(late.into()))?;
        Ok(Lent {
            sql: opened.map_err(|error| unavailable(error.into()))?,
            _permit: permit,
        })
    }
}

/// Reads are tried again where it was not the statement but the connection that failed.
#[derive(Debug)]
pub(crate) struct Patience {
    left: u32,
    pause: Duration,
    doubt: Doubt,
}

impl Patience {
    /// Tells whether to try again after an error, once it is time to.
    pub(crate) async fn bears(&mut self, error: &TableError) -> bool {
        if !is_broken(error) {
            return false;
        }
        self.doubt.begin();
        if self.left == 0 {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.left -= 1;
        self.pause *= 2;
        true
    }
}

/// When a connection was last found broken. A server that was started anew leaves nothing but
/// broken ones behind, more of them than a read is tried again: whatever was opened before that
/// moment is not lent any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doubt(Arc<Mutex<Option<Instant>>>);

impl Doubt {
    fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Tells whether a connection of this age was there when one was found broken.
    pub(crate) fn covers(&self, age: Duration) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() <= age)
    }
}

fn is_broken(error: &TableError) -> bool {
    let TableError::Unavailable { source, .. } = error else {
        return false;
    };
    let sql = source.downcast_ref::<sqlx::Error>();
    sql.is_some_and(|error| {
        trouble::unreachable(error) && !matches!(error, sqlx::Error::PoolTimedOut)
    })
}
