//! What is wrong with a definition: where, what, and a way out.

use std::{fmt, ops::Range};

/// One trouble in a definition, written `file:line:column: trouble` with a way out below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// The file, as it was named to the loader.
    pub file: String,
    /// Line and column, both from 1; `None` where the file as a whole is meant.
    pub at: Option<(usize, usize)>,
    /// What is wrong, and why that matters where it is not plain.
    pub trouble: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.trouble)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with one or several definitions, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct LoadErrors(pub Vec<LoadError>);

/// Collects the troubles of one file.
pub(crate) struct Troubles<'t> {
    file: &'t str,
    text: &'t str,
    found: Vec<(usize, LoadError)>,
}

impl<'t> Troubles<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        Self {
            file,
            text,
            found: Vec::new(),
        }
    }

    /// Notes a trouble at a place of the text.
    pub(crate) fn add(&mut self, span: Range<usize>, trouble: impl Into<String>, help: impl Help) {
        let error = LoadError {
            file: self.file.into(),
            at: Some(self.line_and_column(span.start)),
            trouble: trouble.into(),
            help: help.help(),
        };
        // One slip at the top of the file shows once, not once for each event.
        if !self.found.iter().any(|(_, known)| *known == error) {
            self.found.push((span.start, error));
        }
    }

    /// Returns where the content of a string begins, if it stands there letter for letter.
    pub(crate) fn inside(&self, span: &Range<usize>, value: &str) -> Option<usize> {
        let written = self.text.get(span.clone())?;
        let quotes = if written.starts_with("'''") || written.starts_with("\"\"\"") {
            3
        } else {
            1
        };
        let inner = written.get(quotes..written.len().checked_sub(quotes)?)?;
        (inner == value).then_some(span.start + quotes)
    }

    /// Returns the number of the line that a place is in.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.line_and_column(at).0
    }

    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn into_errors(mut self) -> LoadErrors {
        self.found.sort_by_key(|(at, _)| *at);
        LoadErrors(self.found.into_iter().map(|(_, error)| error).collect())
    }

    fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

/// A way out, where there is one.
pub(crate) trait Help {
    fn help(self) -> Option<String>;
}

impl Help for &str {
    fn help(self) -> Option<String> {
        Some(self.to_owned())
    }
}

impl Help for String {
    fn help(self) -> Option<String> {
        Some(self)
    }
}

impl Help for Option<String> {
    fn help(self) -> Option<String> {
        self
    }
}
