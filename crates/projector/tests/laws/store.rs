//! The tables that laws run on: the double that can fail, and real files.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use foldline_read_model::{Change, Model, RowKey, RowValues, Value};
use foldline_tables::{
    Absorbed, Batch, GenerationNumber, GenerationState, Sqlite, Tables,
    faulty::{Faults, Faulty},
};

use crate::tables::MemoryTables;

/// Tables, and what they need to stay.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) tables: Arc<dyn Tables>,
    _dir: Option<Arc<tempfile::TempDir>>,
}

impl Store {
    pub(crate) fn memory() -> (Self, MemoryTables) {
        let tables = MemoryTables::default();
        let store = Self {
            tables: Arc::new(tables.clone()),
            _dir: None,
        };
        (store, tables)
    }

    /// Tables that somebody else puts away.
    pub(crate) fn of(tables: Arc<dyn Tables>) -> Self {
        Self { tables, _dir: None }
    }

    pub(crate) async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tables = Sqlite::open(dir.path()).await.unwrap();
        Self {
            tables: Arc::new(tables),
            _dir: Some(Arc::new(dir)),
        }
    }

    /// The same tables as another process has them, and what goes wrong with them there.
    pub(crate) fn faulty(&self) -> (Self, Faults) {
        let (tables, faults) = Faulty::new(self.tables.clone());
        let store = Self {
            tables: Arc::new(tables),
            _dir: self._dir.clone(),
        };
        (store, faults)
    }

    /// The same files, opened once more.
    pub(crate) async fn opened_again(&self) -> Self {
        let dir = self._dir.clone().expect("tables in files");
        let tables = Sqlite::open(dir.path()).await.unwrap();
        Self {
            tables: Arc::new(tables),
            _dir: Some(dir),
        }
    }

    /// The file of a generation.
    pub(crate) fn file(&self, model: &Model, number: GenerationNumber) -> PathBuf {
        let dir = self._dir.as_ref().expect("tables in files");
        dir.path().join(format!("{}-g{number}.sqlite", model.name))
    }

    /// Number and state of every generation.
    pub(crate) async fn states(&self, model: &Model) -> Vec<(u32, GenerationState)> {
        let generations = self.tables.generations(&model.name).await.unwrap();
        let state = |known: &foldline_tables::Generation| (known.number.0, known.state);
        generations.iter().map(state).collect()
    }

    pub(crate) async fn serving(&self, model: &Model) -> GenerationNumber {
        let serving = self.serving_if_any(model).await;
        serving.expect("a generation serves")
    }

    pub(crate) async fn serving_if_any(&self, model: &Model) -> Option<GenerationNumber> {
        let generations = self.tables.generations(&model.name).await.unwrap();
        let mut generations = generations.into_iter();
        let serving = generations.find(|known| known.state == GenerationState::Serving);
        serving.map(|serving| serving.number)
    }

    /// Reads everything a generation holds.
    pub(crate) async fn read(
        &self,
        model: &Arc<Model>,
        number: GenerationNumber,
    ) -> (BTreeMap<RowKey, RowValues>, Absorbed) {
        let reader = self.tables.reader(model, number).await.unwrap();
        let mut snapshot = reader.snapshot().await.unwrap();
        let absorbed = snapshot.absorbed().clone();
        let mut rows = BTreeMap::new();
        loop {
            let more = snapshot.next_rows(100).await.unwrap();
            if more.is_empty() {
                return (rows, absorbed);
            }
            rows.extend(more);
        }
    }

    pub(crate) async fn rows(&self, model: &Arc<Model>) -> BTreeMap<RowKey, RowValues> {
        self.read(model, self.serving(model).await).await.0
    }

    /// Changes a row behind the back of every projector.
    pub(crate) async fn meddle(&self, model: &Arc<Model>, key: RowKey, column: &str, to: Value) {
        let mut change = Change::upsert(Default::default());
        change.touch(model, model.column(column).unwrap(), to);
        let number = self.serving(model).await;
        let mut writer = self.tables.writer(model, number).await.unwrap();
        let batch = Batch {
            rows: vec![(key, change)],
            ..Batch::default()
        };
        writer.commit(&batch).await.unwrap();
    }
}
