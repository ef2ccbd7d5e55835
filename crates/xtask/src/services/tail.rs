//! The last lines of a text: what one wants to see of a log after a failure.

use std::{collections::VecDeque, fmt, fs::File, io::BufRead, io::BufReader, path::Path};

/// How many lines are shown.
const LINES: usize = 30;

/// The last lines of what has been pushed.
#[derive(Default)]
pub(super) struct Tail(VecDeque<String>);

impl Tail {
    /// Takes the next line.
    pub(super) fn push(&mut self, line: String) {
        if self.0.len() == LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    /// Returns the last lines of a file; none if it cannot be read.
    pub(super) fn of(path: &Path) -> Self {
        let mut tail = Self::default();
        let lines = File::open(path).map(|file| BufReader::new(file).lines());
        for line in lines.into_iter().flatten().map_while(Result::ok) {
            tail.push(line);
        }
        tail
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.0 {
            writeln!(f, "  | {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut tail = Tail::default();
        (0..LINES + 5).for_each(|n| tail.push(n.to_string()));
        let shown = tail.to_string();
        assert!(shown.starts_with("  | 5\n"), "{shown}");
        assert_eq!(shown.lines().count(), LINES);
    }
}
