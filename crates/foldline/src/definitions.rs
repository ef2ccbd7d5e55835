//! Where the read models' definitions come from: built in, or a directory that stands for them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use foldline_read_model::{LoadErrors, Model, load_dir, load_str};
use foldline_schema::Catalog;

/// The definitions of an application.
#[derive(Clone, Debug)]
pub(crate) struct Definitions {
    built_in: Vec<(String, String)>,
    directory: Option<PathBuf>,
    catalog: Arc<Catalog>,
}

impl Definitions {
    pub(crate) fn new(built_in: Vec<(String, String)>, catalog: Arc<Catalog>) -> Self {
        Self {
            built_in,
            directory: None,
            catalog,
        }
    }

    pub(crate) fn in_directory(mut self, directory: Option<&Path>) -> Self {
        self.directory = directory.map(Path::to_owned);
        self
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }

    /// Loads every definition as it stands now.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub(crate) fn load(&self) -> Result<Vec<Arc<Model>>, LoadErrors> {
        if let Some(directory) = &self.directory {
            let models = load_dir(directory, &self.catalog)?;
            return Ok(models.into_iter().map(Arc::new).collect());
        }
        let (mut models, mut errors) = (Vec::new(), Vec::new());
        for (file, text) in &self.built_in {
            match load_str(file, text, &self.catalog) {
                Ok(model) => models.push(Arc::new(model)),
                Err(LoadErrors(more)) => errors.extend(more),
            }
        }
        if errors.is_empty() {
            Ok(models)
        } else {
            Err(LoadErrors(errors))
        }
    }

    /// Reads a definition that a store kept with a generation.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence: its events may have moved on since.
    pub(crate) fn parse(&self, model: &str, text: &str) -> Result<Model, String> {
        let file = format!("{model} (as the table was built)");
        load_str(&file, text, &self.catalog).map_err(|errors| errors.to_string())
    }
}
