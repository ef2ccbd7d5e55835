//! Indexes for queries that changed while the rules, and so the rows, stayed the same.

use std::sync::Arc;

use foldline_read_model::Model;
use foldline_tables::TableError;
use futures::FutureExt;
use tokio::task::JoinHandle;

use super::Running;
use crate::{live::Live, parts::Shared, projector::told};

/// What has been made, and what is being made beside the following of a generation.
#[derive(Debug, Default)]
pub(super) struct Indexing {
    made: Option<Arc<Model>>,
    task: Option<(Arc<Model>, JoinHandle<bool>)>,
}

impl Running {
    /// Has the indexes made that a definition's queries ask for, unless they are, or are being
    /// made; what failed is tried again with the next call.
    pub(super) fn index(&mut self, shared: &Arc<Shared>, model: &Arc<Model>) {
        let Indexing { made, task } = &mut self.indexing;
        if let Some((asked, ended)) = task.take_if(|(_, task)| task.is_finished())
            && matches!(ended.now_or_never(), Some(Ok(true)))
        {
            *made = Some(asked);
        }
        if task.is_some() {
            return;
        }
        if made.as_ref().is_some_and(|made| Arc::ptr_eq(made, model)) {
            return;
        }
        let (shared, live, asked) = (Arc::clone(shared), Arc::clone(&self.live), model.clone());
        let making = tokio::spawn(async move {
            let made = make(&shared, &live, &asked).await;
            if let Err(error) = &made {
                tracing::warn!(view = %asked.name, generation = %live.number, error = told(error),
                    "indexes cannot be made now; trying again");
            }
            made.is_ok()
        });
        *task = Some((Arc::clone(model), making));
    }
}

/// Commits wait at the gate rather than in the store, where they would fail after a while.
async fn make(shared: &Shared, live: &Live, model: &Arc<Model>) -> Result<(), TableError> {
    let _held = live.gate.lock().await;
    let mut writer = shared.tables.writer(model, live.number).await?;
    writer.index().await
}

impl Drop for Indexing {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.task {
            task.abort();
        }
    }
}
