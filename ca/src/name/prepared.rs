//! Prepares strings for caseIgnoreMatch by RFC 4518 (RFC 5280 §7.1), whose sections the comments name. The tables come
//! from `stringprep`, the composed forms from `unicode-normalization`. stringprep's own X.520 profile is not used: it
//! folds case without composing, and keeps format characters.

use std::borrow::Cow;

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::likeness::Likeness;

/// A prepared string.
struct Prepared<'t> {
    text: Cow<'t, str>,
    /// Whether `text` is the whole string. Otherwise the original continues with a character that RFC 4518 prohibits,
    /// so that nothing is known about the rest.
    is_whole: bool,
}

/// How certainly two strings are the same after the preparation of RFC 4518.
pub fn likeness(left: &str, right: &str) -> Likeness {
    let (left, right) = (prepare(left), prepare(right));
    let is_same_so_far = match (left.is_whole, right.is_whole) {
        (true, true) if left.text == right.text => return Likeness::Same,
        (true, true) => false,
        (true, false) => left.text.starts_with(&*right.text),
        (false, true) => right.text.starts_with(&*left.text),
        (false, false) => {
            left.text.starts_with(&*right.text) || right.text.starts_with(&*left.text)
        }
    };
    if is_same_so_far { Likeness::Uncertain } else { Likeness::Different }
}

/// A text that is equal for all strings that are certainly the same. Other strings may share it.
pub fn normal(text: &str) -> String {
    prepare(text).text.into_owned()
}

fn prepare(text: &str) -> Prepared<'_> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    if text.bytes().all(is_plain) {
        return Prepared { text: Cow::Borrowed(text), is_whole: true };
    }
    // Nearly all names are printable ASCII. Of the steps, only case folding (§2.2, by NFKC) and the folding of spaces change that.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        let folded = spaced(text.chars().map(|character| character.to_ascii_lowercase()));
        return Prepared { text: Cow::Owned(folded), is_whole: true };
    }
    // §2.4: prohibited characters, and a combining mark at the beginning.
    let unclear = match text.chars().next() {
        Some(first) if is_combining_mark(first) => Some(0),
        _ => text.find(is_prohibited),
    };
    let clear = text.get(..unclear.unwrap_or(text.len())).unwrap_or_default();
    let mapped = clear.chars().filter_map(mapped).flat_map(tables::case_fold_for_nfkc);
    let mut prepared = spaced(mapped.nfkc());
    let is_whole = unclear.is_none() && !prepared.contains(is_prohibited);
    if !is_whole {
        // The prohibited character may combine with the last letter, or may map to nothing. The last letter is
        // therefore uncertain too.
        while prepared.pop().is_some_and(is_combining_mark) {}
        prepared.truncate(prepared.trim_end().len());
    }
    Prepared { text: Cow::Owned(prepared), is_whole }
}

/// §2.2: tabs, line breaks and separators become a space; other control characters, format characters, soft hyphens and
/// variation selectors are removed.
fn mapped(character: char) -> Option<char> {
    match character {
        '\t'..='\r' | '\u{85}' => Some(' '),
        '\u{ad}'
        | '\u{34f}'
        | '\u{1806}'
        | '\u{180b}'..='\u{180d}'
        | '\u{200b}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fffc}' => None,
        ' '..='~' => Some(character),
        _ if character.general_category_group() == GeneralCategoryGroup::Separator => Some(' '),
        _ => match character.general_category() {
            GeneralCategory::Control | GeneralCategory::Format => None,
            _ => Some(character),
        },
    }
}

/// Whether §2.4 prohibits a character. Characters that Unicode 3.2 does not assign are prohibited, too.
fn is_prohibited(character: char) -> bool {
    character == '\u{fffd}'
        || (!character.is_ascii()
            && (tables::unassigned_code_point(character)
                || tables::private_use(character)
                || tables::non_character_code_point(character)))
}

/// §2.6.1: removes spaces at both ends and folds runs of spaces into one. A space that carries a combining mark counts
/// as a letter.
fn spaced(text: impl Iterator<Item = char>) -> String {
    let mut text = text.peekable();
    let mut spaced = String::new();
    let mut is_behind_space = false;
    while let Some(character) = text.next() {
        if character == ' ' && !text.peek().copied().is_some_and(is_combining_mark) {
            is_behind_space = true;
            continue;
        }
        if is_behind_space && !spaced.is_empty() {
            spaced.push(' ');
        }
        is_behind_space = false;
        spaced.push(character);
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn all_are(wanted: Likeness, pairs: &[(&str, &str)]) {
        for (left, right) in pairs {
            assert_eq!(likeness(left, right), wanted, "{left:?} and {right:?}");
            assert_eq!(likeness(right, left), wanted, "{right:?} and {left:?}");
        }
    }

    #[test]
    fn what_rfc_4518_prepares_alike_is_the_same() {
        all_are(
            Likeness::Same,
            &[
                ("Example", "eXAMPLE"),
                ("Straße", "STRASSE"),
                ("Caf\u{e9}", "CAFE\u{301}"),
                ("Exam\u{ad}ple", "example"),
                ("Exam\u{200b}ple\u{fe0f}", "e\u{2060}xample\u{feff}"),
                ("  two\t words ", "Two\u{a0}\u{2003}Words"),
                ("ΣΊΣΥΦΟΣ", "σίσυφος"),
                ("ﬁrm №1", "FIRM No1"),
                ("Ångström", "a\u{30a}ngstro\u{308}m"),
                ("ＡＢＣ", "abc"),
                ("İ", "i\u{307}"),
                ("", " \u{ad} "),
            ],
        );
    }

    #[test]
    fn printable_ascii_is_prepared_as_by_all_the_steps() {
        let all: String = (' '..='~').collect();
        for text in
            ["", " ", "  A  b ", "Example CA 1", "a  -  B", &all, &format!(" {all}  {all} ")]
        {
            let mapped = text.chars().filter_map(mapped).flat_map(tables::case_fold_for_nfkc);
            assert_eq!(normal(text), spaced(mapped.nfkc()), "{text:?}");
        }
    }

    #[test]
    fn what_is_prepared_otherwise_is_different() {
        all_are(
            Likeness::Different,
            &[
                ("example", "examples"),
                ("Cafe", "Café"),
                ("two words", "twowords"),
                ("I", "ı"),
                ("а", "a"),
                ("x \u{308}y", "x y"),
                ("Example", ""),
            ],
        );
    }

    #[test]
    fn what_rfc_4518_prohibits_is_not_certain_but_for_what_stands_before_it() {
        all_are(
            Likeness::Uncertain,
            &[
                // Capital sharp s is younger than Unicode 3.2.
                ("STRA\u{1e9e}E", "Strasse"),
                ("Example \u{1f600}", "EXAMPLE \u{1f600}"),
                ("Example \u{1f600}", "Example"),
                ("Example\u{e000}", "Example"),
                ("\u{301}x", "x"),
                ("b\u{fffd}", "bé"),
                ("e\u{301}\u{fffd}", "é"),
                ("\u{1f600}", ""),
            ],
        );
        all_are(
            Likeness::Different,
            &[
                ("Other \u{1f600}", "Example"),
                ("Example \u{1f600}", "Exa"),
                ("Bad", "Good\u{fffd}"),
            ],
        );
    }
}
