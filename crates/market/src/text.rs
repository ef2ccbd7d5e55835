//! Texts that clients send, bounded.

use std::fmt;

use serde::Deserialize;

/// A text of `MIN` to `MAX` characters without NUL, which Postgres cannot hold.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Text<const MIN: usize, const MAX: usize>(String);

/// A text that is too short, too long, or holds a NUL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// It has too few or too many characters.
    #[error("a text here has {min} to {max} characters, this one {length}")]
    Length {
        /// The fewest characters.
        min: usize,
        /// The most characters.
        max: usize,
        /// The characters it has.
        length: usize,
    },
    /// It holds the character U+0000.
    #[error("a text holds no NUL (U+0000)")]
    Nul,
}

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// Returns the text itself.
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<String> for Text<MIN, MAX> {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let length = text.chars().count();
        if !(MIN..=MAX).contains(&length) {
            return Err(InvalidText::Length {
                min: MIN,
                max: MAX,
                length,
            });
        }
        if text.contains('\0') {
            return Err(InvalidText::Nul);
        }
        Ok(Self(text))
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<&str> for Text<MIN, MAX> {
    type Error = InvalidText;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.to_owned().try_into()
    }
}

/// What people write about themselves stays out of logs and panics.
impl<const MIN: usize, const MAX: usize> fmt::Debug for Text<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_counted_in_characters() {
        assert!(Text::<1, 3>::try_from("äöü").is_ok());
        assert!(Text::<0, 3>::try_from("").is_ok());
        for refused in ["", "four", "a\0"] {
            assert!(Text::<1, 3>::try_from(refused).is_err(), "{refused:?}");
        }
    }
}
