//! What outlives a node: its data, and its definitions where a test has its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// A directory for a node's data, and maybe for its definitions.
pub(crate) struct Place {
    directory: TempDir,
    own_definitions: bool,
    settings: Vec<(&'static str, &'static str)>,
}

impl Place {
    /// No data yet; the definitions are the built-in ones.
    pub(crate) fn empty() -> Self {
        let directory = TempDir::new().expect("a directory for a test");
        Self {
            directory,
            own_definitions: false,
            settings: Vec::new(),
        }
    }

    /// No data yet; the definitions are a copy of `projections/` that a test may change.
    pub(crate) fn with_own_definitions() -> Self {
        let place = Self::empty();
        fs::create_dir(place.definitions()).expect("an empty directory takes another");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../projections");
        for file in fs::read_dir(shipped).expect("projections/ is there") {
            let file = file.expect("projections/ can be listed");
            let copy = place.definitions().join(file.file_name());
            fs::copy(file.path(), copy).expect("a definition can be copied");
        }
        Self {
            own_definitions: true,
            ..place
        }
    }

    /// Has the node started with a variable in its environment.
    pub(crate) fn set(&mut self, variable: &'static str, value: &'static str) {
        self.settings.push((variable, value));
    }

    pub(crate) fn settings(&self) -> &[(&'static str, &'static str)] {
        &self.settings
    }

    /// The directory of the log and the tables.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The directory of the definitions, where they are not the built-in ones.
    pub(crate) fn own_definitions(&self) -> Option<PathBuf> {
        self.own_definitions.then(|| self.definitions())
    }

    /// Where the node's output goes.
    pub(crate) fn output(&self) -> PathBuf {
        self.directory.path().join("output")
    }

    /// Writes the definition of a read model, or writes it anew.
    pub(crate) fn define(&self, model: &str, text: &str) {
        fs::write(self.file(model), text).expect("a definition can be written");
    }

    /// Changes some words in a definition.
    pub(crate) fn redefine(&self, model: &str, words: &str, others: &str) {
        let text = fs::read_to_string(self.file(model)).expect("a definition can be read");
        assert!(text.contains(words), "{model} has no {words:?}:\n{text}");
        self.define(model, &text.replace(words, others));
    }

    /// Where some words stand in a definition, as `{model}.toml:{line}:{column}`.
    pub(crate) fn place_of(&self, model: &str, words: &str) -> String {
        let text = fs::read_to_string(self.file(model)).expect("a definition can be read");
        let at = text.find(words).expect("the definition has these words");
        let line_begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[..at].matches('\n').count() + 1;
        format!("{model}.toml:{line}:{}", at - line_begin + 1)
    }

    fn file(&self, model: &str) -> PathBuf {
        self.definitions().join(format!("{model}.toml"))
    }

    fn definitions(&self) -> PathBuf {
        self.directory.path().join("projections")
    }
}
