//! How texts are searched: by words, with case and accents folded, the same on every store.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Folds a text to its words, ` word1 word2 ` with single spaces around each, empty where it has
/// none. A text has a word where its folded form contains the word between spaces.
///
/// The text is decomposed (NFKD), loses its marks, is lower-cased and cut at everything that is
/// neither letter nor digit: `Pão-de-Açúcar` is ` pao de acucar `.
pub fn fold_words(text: &str) -> String {
    let mut folded = String::with_capacity(text.len() + 2);
    let mut in_word = false;
    // Lower-casing may bring a mark of its own (İ), so marks go last.
    let letters = text.nfkd().flat_map(char::to_lowercase);
    for letter in letters.filter(|letter| !is_combining_mark(*letter)) {
        if letter.is_alphanumeric() {
            if !in_word {
                folded.push(' ');
            }
            folded.push(letter);
            in_word = true;
        } else {
            in_word = false;
        }
    }
    if !folded.is_empty() {
        folded.push(' ');
    }
    folded
}

/// Returns the words that a query's text asks for, folded, each once.
pub fn query_words(text: &str) -> Vec<String> {
    let folded = fold_words(text);
    let mut words: Vec<String> = Vec::new();
    for word in folded.split_whitespace() {
        if words.iter().all(|known| known != word) {
            words.push(word.to_owned());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_what_stands_between_words_do_not_matter() {
        for (text, folded) in [
            ("Pão-de-Açúcar", " pao de acucar "),
            ("  ÉCOLE  ", " ecole "),
            ("İstanbul", " istanbul "),
            ("ﬁne ① x²", " fine 1 x2 "),
            ("A.B_C", " a b c "),
            ("日本 語", " 日本 語 "),
            ("— …", ""),
            ("", ""),
        ] {
            assert_eq!(fold_words(text), folded, "{text}");
            assert_eq!(fold_words(folded), folded, "folding again changes nothing");
        }
        assert_eq!(query_words("Große große  Straße"), ["große", "straße"]);
    }
}
