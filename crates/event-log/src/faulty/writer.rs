//! A writer whose appends meet the planned faults.

use async_trait::async_trait;
use foldline_kernel::{Epoch, Lane};
use foldline_schema::NewEvent;

use super::{AppendFault, Faults};
use crate::{AppendError, Appended, Heads, LaneWriter};

pub(super) struct FaultyWriter {
    inner: Box<dyn LaneWriter>,
    faults: Faults,
    /// A writer that was told `Unknown` or `Fenced` is not to be used again.
    spent: bool,
}

impl FaultyWriter {
    pub(super) fn new(inner: Box<dyn LaneWriter>, faults: Faults) -> Self {
        Self {
            inner,
            faults,
            spent: false,
        }
    }

    fn unknown(&self) -> AppendError {
        AppendError::Unknown {
            lane: self.lane(),
            source: "an injected fault: the answer is lost".into(),
        }
    }

    fn unavailable(&self, source: &str) -> AppendError {
        AppendError::Unavailable {
            lane: self.lane(),
            source: source.into(),
        }
    }

    fn fenced(&self) -> AppendError {
        AppendError::Fenced {
            lane: self.lane(),
            epoch: self.epoch(),
        }
    }

    async fn meet(
        &mut self,
        fault: AppendFault,
        batch: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        match fault {
            AppendFault::LostAnswer => {
                self.inner.append(batch).await?;
                Err(self.unknown())
            }
            AppendFault::UnknownNothing => Err(self.unknown()),
            AppendFault::Fenced { appended } => {
                if appended {
                    self.inner.append(batch).await?;
                }
                Err(self.fenced())
            }
            AppendFault::Full => Err(self.unavailable("an injected fault: the disk is full")),
            AppendFault::HeldBefore(gate) => {
                gate.pass().await;
                self.inner.append(batch).await
            }
            AppendFault::HeldAfter(gate) => {
                let appended = self.inner.append(batch).await;
                gate.pass().await;
                appended
            }
        }
    }
}

#[async_trait]
impl LaneWriter for FaultyWriter {
    fn lane(&self) -> Lane {
        self.inner.lane()
    }

    fn epoch(&self) -> Epoch {
        self.inner.epoch()
    }

    fn heads(&self) -> &Heads {
        self.inner.heads()
    }

    async fn append(&mut self, batch: Vec<NewEvent>) -> Result<Appended, AppendError> {
        if self.spent {
            return Err(self.unavailable("this writer's last append has no known outcome"));
        }
        let outcome = match self.faults.next_append(self.lane()) {
            None => self.inner.append(batch).await,
            Some(fault) => self.meet(fault, batch).await,
        };
        self.spent = matches!(
            outcome,
            Err(AppendError::Unknown { .. } | AppendError::Fenced { .. })
        );
        outcome
    }
}
