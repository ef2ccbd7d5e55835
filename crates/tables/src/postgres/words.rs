//! Words as arrays, which an index of Postgres finds without any extension.

use std::borrow::Cow;

use foldline_read_model::{ColumnType, Value, fold_words};

use super::value;

/// An entry of an index holds no more than 2.7 kB, so a word that is longer than this is kept as
/// its beginning and a number that its whole makes: two such words are told apart all the same.
const WORD_BYTES_MAX: usize = 512;

/// Returns the words of a value with single spaces between; none where it is no text.
pub(crate) fn of(value: &Value) -> Option<String> {
    let Value::Text(text) = value else {
        return None;
    };
    let folded = fold_words(text);
    let words: Vec<_> = folded.split_whitespace().map(shortened).collect();
    Some(words.join(" "))
}

/// Appends the words of a value as a field of the type `text[]`.
pub(crate) fn put(buffer: &mut Vec<u8>, value: &Value) {
    let Some(words) = of(value) else {
        return value::put_null(buffer);
    };
    let mut fields = Vec::with_capacity(words.len() + 32);
    let mut count = 0;
    for word in words.split_whitespace() {
        value::put_bytes(&mut fields, word.as_bytes());
        count += 1;
    }
    let mut array = value::array_header(value::oids(ColumnType::Text).0, count, false);
    array.append(&mut fields);
    value::put_bytes(buffer, &array);
}

/// Returns a folded word as it is stored, and so as it is looked for.
pub(crate) fn shortened(word: &str) -> Cow<'_, str> {
    if word.len() <= WORD_BYTES_MAX {
        return Cow::Borrowed(word);
    }
    let beginning = &word[..word.floor_char_boundary(WORD_BYTES_MAX - 32)];
    Cow::Owned(format!("{beginning}{:032x}", fingerprint(word)))
}

/// FNV-1a with 128 bits (RFC 9923): it is stored, so it must be the same in every version.
fn fingerprint(word: &str) -> u128 {
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    word.bytes().fold(start, |number: u128, byte| {
        (number ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_and_told_apart() {
        let (one, other) = ("ä".repeat(2000), format!("{}a", "ä".repeat(1999)));
        assert!(shortened(&one).len() <= WORD_BYTES_MAX);
        assert_ne!(shortened(&one), shortened(&other));
        let text = Value::Text("Pão-de-Açúcar".into());
        assert_eq!(of(&text).as_deref(), Some("pao de acucar"));
        assert_eq!(of(&Value::Null), None);
        assert_eq!(fingerprint(""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    }
}
