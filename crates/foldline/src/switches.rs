//! Tables that tell of every switch, whoever in this process makes it.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_kernel::LogId;
use foldline_query::Notice;
use foldline_read_model::Model;
use foldline_tables::{
    Generation, GenerationNumber, SwitchError, TableError, TableReader, TableWriter, Tables,
};

/// Tables whose switches the queries are told of at once.
///
/// Who switches holds back the commits of the generation that served until the switch returns, so
/// the queries know before that generation goes on: they never answer from it afterwards.
pub(crate) struct TellingTables {
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) notice: Notice,
}

#[async_trait]
impl Tables for TellingTables {
    async fn generations(&self, model: &str) -> Result<Vec<Generation>, TableError> {
        self.tables.generations(model).await
    }

    async fn create(&self, model: &Arc<Model>, log_id: LogId) -> Result<Generation, TableError> {
        self.tables.create(model, log_id).await
    }

    async fn switch(
        &self,
        model: &str,
        from: Option<GenerationNumber>,
        to: GenerationNumber,
    ) -> Result<(), SwitchError> {
        let switched = self.tables.switch(model, from, to).await;
        // After an error too: a switch whose answer was lost may have taken effect.
        self.notice.switched(model);
        switched
    }

    async fn retire(&self, model: &str, generation: GenerationNumber) -> Result<(), TableError> {
        self.tables.retire(model, generation).await
    }

    async fn writer(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Box<dyn TableWriter>, TableError> {
        self.tables.writer(model, generation).await
    }

    async fn reader(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Arc<dyn TableReader>, TableError> {
        self.tables.reader(model, generation).await
    }
}
