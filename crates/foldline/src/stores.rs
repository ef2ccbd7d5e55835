//! The stores of the tables, as the configuration has them.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context as _;
use async_trait::async_trait;
use foldline_kernel::LogId;
use foldline_read_model::{Model, TableKind};
use foldline_tables::{
    Cql, Generation, GenerationNumber, Postgres, Refusal, Sqlite, SwitchError, TableError,
    TableReader, TableWriter, Tables,
};

use crate::{
    configuration::{Configuration, Store},
    role::Role,
};

/// Opens the stores of all tables, and asks them whether they can keep these read models.
///
/// # Errors
/// When one cannot be opened, or refuses a read model.
pub(crate) async fn open(
    configuration: &Configuration,
    models: &[Arc<Model>],
    role: Role,
) -> anyhow::Result<Arc<dyn Tables>> {
    let settings = &configuration.tables;
    let wide = one(configuration, settings.wide, role).await?;
    let tables: Arc<dyn Tables> = if settings.wide == settings.relational {
        wide
    } else {
        Arc::new(ByKind {
            wide,
            relational: one(configuration, settings.relational, role).await?,
            kinds: (models.iter())
                .map(|model| (model.name.to_string(), model.table))
                .collect(),
        })
    };
    for model in models {
        if let Some(refusal) = tables.refuses(model) {
            anyhow::bail!(
                "the read model `{}` cannot be on {:?}: {refusal}",
                model.name,
                settings.of(model.table)
            );
        }
    }
    Ok(tables)
}

async fn one(
    configuration: &Configuration,
    store: Store,
    role: Role,
) -> anyhow::Result<Arc<dyn Tables>> {
    let settings = &configuration.tables;
    Ok(match store {
        Store::Sqlite => Arc::new(Sqlite::open(&configuration.data.join("tables")).await?),
        Store::Postgres => {
            let settings = settings.postgres(role != Role::Query)?;
            let opened = Postgres::open(settings).await;
            Arc::new(opened.context("cannot open the tables on Postgres")?)
        }
        Store::Cql => {
            let opened = Cql::open(&settings.cql()?).await;
            Arc::new(opened.context("cannot open the tables on CQL")?)
        }
    })
}

/// Tables of which each kind has a store of its own.
struct ByKind {
    wide: Arc<dyn Tables>,
    relational: Arc<dyn Tables>,
    /// By the names of the read models. A file that changes its kind is another read model to the
    /// stores once the process starts anew.
    kinds: HashMap<String, TableKind>,
}

impl ByKind {
    fn of(&self, model: &str) -> &dyn Tables {
        let kind = self.kinds.get(model).copied();
        self.by(kind.unwrap_or(TableKind::Relational))
    }

    fn by(&self, kind: TableKind) -> &dyn Tables {
        match kind {
            TableKind::Wide => self.wide.as_ref(),
            TableKind::Relational => self.relational.as_ref(),
        }
    }
}

#[async_trait]
impl Tables for ByKind {
    fn refuses(&self, model: &Model) -> Option<Refusal> {
        self.by(model.table).refuses(model)
    }

    async fn generations(&self, model: &str) -> Result<Vec<Generation>, TableError> {
        self.of(model).generations(model).await
    }

    async fn create(&self, model: &Arc<Model>, log_id: LogId) -> Result<Generation, TableError> {
        self.of(&model.name).create(model, log_id).await
    }

    async fn switch(
        &self,
        model: &str,
        from: Option<GenerationNumber>,
        to: GenerationNumber,
    ) -> Result<(), SwitchError> {
        self.of(model).switch(model, from, to).await
    }

    async fn retire(&self, model: &str, generation: GenerationNumber) -> Result<(), TableError> {
        self.of(model).retire(model, generation).await
    }

    async fn writer(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Box<dyn TableWriter>, TableError> {
        self.of(&model.name).writer(model, generation).await
    }

    async fn reader(
        &self,
        model: &Arc<Model>,
        generation: GenerationNumber,
    ) -> Result<Arc<dyn TableReader>, TableError> {
        self.of(&model.name).reader(model, generation).await
    }
}
