//! Taking turns at one read model's registry, with nothing but reads and writes of a majority.
//!
//! Lamport's bakery: whoever comes says that it is choosing, takes a number above all that it sees,
//! and waits for everybody who is choosing or has a lower number. It needs registers in which a
//! read that begins after a write has ended sees it; that is what a quorum of writers and a quorum
//! of readers are, so it needs no conditional writes (four rounds each, and not to be mixed with
//! others on a table).
//!
//! A contender that died would block the others for ever, so what it wrote expires ([`LEASE`]).
//! That is the one place where time matters: whoever stood still for longer than its lease might
//! act beside its successor. It looks at the clock before its last write and gives up if it took
//! half of it, and that write carries the number of the switch it follows, so that it loses to any
//! later one. What is left is two switches from the same generation at once, one of which stood
//! still for half a lease within a single request: then the registry says one of the two, the same
//! to everybody, and a generation serves that somebody wanted.

use std::time::Duration;

use scylla::value::CqlValue;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    session::{Sight, Store, text},
    trouble::Fault,
};

/// After this long what a contender wrote is gone.
const LEASE: Duration = Duration::from_secs(60);
/// How long one waits for one's turn.
const WAIT_MAX: Duration = Duration::from_secs(70);
/// How often one looks whose turn it is.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A turn; others wait until it is over, or its lease is.
#[derive(Debug)]
pub(crate) struct Turn<'s> {
    store: &'s Store,
    model: String,
    contender: Uuid,
    began: Instant,
}

/// What a contender has said.
struct Said {
    contender: Uuid,
    choosing: bool,
    number: i64,
}

impl<'s> Turn<'s> {
    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Fault::Unreached`] where the cluster cannot be reached, or others took too long.
    pub(crate) async fn take(store: &'s Store, model: &str) -> Result<Self, Fault> {
        let waits_from = Instant::now();
        let mut turn = Self {
            store,
            model: model.to_owned(),
            contender: Uuid::new_v4(),
            began: Instant::now(),
        };
        match turn.wait(waits_from).await {
            Ok(()) => Ok(turn),
            Err(fault) => {
                turn.end().await;
                Err(fault)
            }
        }
    }

    async fn wait(&mut self, from: Instant) -> Result<(), Fault> {
        let number = self.choose().await?;
        loop {
            let mut others = self.said().await?.into_iter();
            let first = others.all(|other| {
                let later = (number, self.contender) <= (other.number, other.contender);
                !other.choosing && later
            });
            if first {
                return Ok(());
            }
            if from.elapsed() > WAIT_MAX {
                let late = "others take their turns at the registry";
                return Err(Fault::Unreached(late.into()));
            }
            // What was said must not expire before it is heard.
            if self.began.elapsed() > LEASE / 2 {
                self.say(3, false, number).await?;
                self.began = Instant::now();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn choose(&mut self) -> Result<i64, Fault> {
        self.say(1, true, 0).await?;
        let said = self.said().await?;
        let number = said.iter().map(|said| said.number).max().unwrap_or(0) + 1;
        self.began = Instant::now();
        self.say(2, false, number).await?;
        Ok(number)
    }

    async fn say(&self, step: i64, choosing: bool, number: i64) -> Result<(), Fault> {
        let statement = format!(
            "INSERT INTO {} (model, contender, choosing, number) VALUES (?, ?, ?, ?) \
             USING TIMESTAMP ? AND TTL {}",
            self.store.table("foldline_turns"),
            LEASE.as_secs()
        );
        let values = vec![
            text(&self.model),
            CqlValue::Uuid(self.contender),
            CqlValue::Boolean(choosing),
            CqlValue::BigInt(number),
            CqlValue::BigInt(step),
        ];
        self.store.put(&statement, values).await
    }

    async fn said(&self) -> Result<Vec<Said>, Fault> {
        let statement = format!(
            "SELECT contender, choosing, number FROM {} WHERE model = ?",
            self.store.table("foldline_turns")
        );
        let of = [text(&self.model)];
        let rows = self.store.rows(&statement, &of, Sight::Fresh).await?;
        let said = rows.into_iter().filter_map(|row| match &row[..] {
            [
                Some(CqlValue::Uuid(contender)),
                Some(CqlValue::Boolean(choosing)),
                Some(CqlValue::BigInt(number)),
            ] => Some(Said {
                contender: *contender,
                choosing: *choosing,
                number: *number,
            }),
            // Its cells expire one by one.
            _ => None,
        });
        Ok(said.collect())
    }

    /// Tells whether there is time enough left for one last write.
    pub(crate) fn is_good(&self) -> bool {
        self.began.elapsed() < LEASE / 2
    }

    /// Lets the next one have its turn; where that cannot be said, the lease says it.
    pub(crate) async fn end(self) {
        let statement = format!(
            "DELETE FROM {} USING TIMESTAMP ? WHERE model = ? AND contender = ?",
            self.store.table("foldline_turns")
        );
        let values = vec![
            CqlValue::BigInt(4),
            text(&self.model),
            CqlValue::Uuid(self.contender),
        ];
        if let Err(fault) = self.store.put(&statement, values).await {
            tracing::warn!(model = self.model, error = %fault.source(),
                "a turn at the registry ends only with its lease");
        }
    }
}
