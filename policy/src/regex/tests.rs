use std::ops::Range;

use super::*;

fn groups(pattern: &str, text: &str) -> String {
    let regex = Regex::new(pattern.as_bytes()).unwrap();
    let found = regex.captures(text.as_bytes()).unwrap();
    assert_eq!(found.is_some(), regex.is_match(text.as_bytes()), "{pattern} {text}");
    let Some(found) = found else { return "no match".into() };
    let show = |group: Option<Range<usize>>| {
        group.map_or("(?,?)".into(), |span| format!("({},{})", span.start, span.end))
    };
    found.into_iter().map(show).collect()
}

/// From the AT&T test suite for POSIX regular expressions (`basic`, `nullsubexpr`, `repetition`, `rightassoc`), as far as the suite
/// follows the standard.
#[test]
fn submatches_follow_the_posix_rule() {
    for (pattern, text, wanted) in [
        ("abracadabra$", "abracadabracadabra", "(7,18)"),
        ("a...b", "abababbb", "(2,7)"),
        ("XXXXXX", "..XXXXXX", "(2,8)"),
        ("\\)", "()", "(1,2)"),
        ("a]", "a]a", "(0,2)"),
        ("}", "}", "(0,1)"),
        ("]", "]", "(0,1)"),
        ("a^b", "a^b", "no match"),
        ("(^)foo", "foo", "(0,3)(0,0)"),
        ("(a*)(ab)*(b*)", "abb", "(0,3)(0,1)(?,?)(1,3)"),
        ("((a*)(b|abc))(c*)", "abc", "(0,3)(0,3)(0,0)(0,3)(3,3)"),
        ("(a|ab)(c|bcd)(d*)", "abcd", "(0,4)(0,2)(2,3)(3,4)"),
        ("(a|ab)(bcd|c)(d*)", "abcd", "(0,4)(0,2)(2,3)(3,4)"),
        ("(ab|a)(c|bcd)(d*)", "abcd", "(0,4)(0,2)(2,3)(3,4)"),
        ("((a|ab)(c|bcd))(d*)", "abcd", "(0,4)(0,4)(0,1)(1,4)(4,4)"),
        ("(a*)(b|abc)(c*)", "abc", "(0,3)(0,1)(1,2)(2,3)"),
        ("(a|b)*", "abba", "(0,4)(3,4)"),
        ("((a)|(b))*", "ab", "(0,2)(1,2)(?,?)(1,2)"),
        ("(a*)*", "a", "(0,1)(0,1)"),
        ("(a*)*", "x", "(0,0)(0,0)"),
        ("(a*)*", "aaaaaa", "(0,6)(0,6)"),
        ("(a*)*", "aaaaaax", "(0,6)(0,6)"),
        ("(a*)+", "x", "(0,0)(0,0)"),
        ("(a+)*", "x", "(0,0)(?,?)"),
        ("([a]*)*", "aaaaaa", "(0,6)(0,6)"),
        ("([^b]*)*", "b", "(0,0)(0,0)"),
        ("([ab]*)*", "ababab", "(0,6)(0,6)"),
        ("((..)|(.))", "aa", "(0,2)(0,2)(0,2)(?,?)"),
        ("((..)|(.))((..)|(.))", "aaa", "(0,3)(0,2)(0,2)(?,?)(2,3)(?,?)(2,3)"),
        ("((..)|(.)){2}", "aaa", "(0,3)(2,3)(?,?)(2,3)"),
        ("((..)|(.))*", "aaa", "(0,3)(2,3)(?,?)(2,3)"),
        ("(a|ab|c|bcd){0,10}(d*)", "ababcd", "(0,6)(3,6)(6,6)"),
        ("(a|ab|c|bcd)*(d*)", "ababcd", "(0,6)(3,6)(6,6)"),
        ("(ab|a)((c|bcd)*)(d*)", "abcd", "(0,4)(0,2)(2,3)(2,3)(3,4)"),
        ("foo|foobar", "xfoobar", "(1,7)"),
        ("x*", "", "(0,0)"),
        ("()", "a", "(0,0)(0,0)"),
        ("(a|)b", "b", "(0,1)(0,0)"),
        ("$^", "", "(0,0)"),
        ("(.a|.b).*|.*(.a|.b)", "xa", "(0,2)(0,2)(?,?)"),
        ("(Ab|cD)*", "aBcD", "(0,0)(?,?)"),
    ] {
        assert_eq!(groups(pattern, text), wanted, "{pattern} on {text}");
    }
}

#[test]
fn brackets_classes_and_bounds() {
    for (pattern, yes, no) in [
        ("^[]a]$", "]", "b"),
        ("^[^]a]$", "b", "]"),
        ("^[a-c-]$", "-", "d"),
        ("^[-a]$", "-", "b"),
        ("^[a\\]$", "\\", "]"),
        ("^[[:alpha:]_]+$", "Az_", "A1"),
        ("^[[:xdigit:]]{2,3}$", "fF", "f"),
        ("^[[.-.]-0]+$", "./-0", "1"),
        ("^[[=a=]]$", "a", "b"),
        ("^a{2}$", "aa", "aaa"),
        ("^a{2,}$", "aaaaa", "a"),
        ("^a{0}b$", "b", "ab"),
        ("^(ab?){1,2}$", "aba", "abaa"),
        ("a.b", "a\nb", "ab"),
        ("a[^x]b", "a\nb", "axb"),
        ("^b", "b", "a\nb"),
        ("b$", "b", "b\n"),
        ("a|^$", "", "b"),
    ] {
        let regex = Regex::new(pattern.as_bytes()).unwrap();
        assert!(regex.is_match(yes.as_bytes()), "{pattern} {yes:?}");
        assert!(!regex.is_match(no.as_bytes()), "{pattern} {no:?}");
    }
    assert!(Regex::new(b"^[\x80-\xff]$").unwrap().is_match(b"\xe9"));
}

#[test]
fn what_posix_does_not_have_is_refused_with_its_place() {
    for (pattern, offset) in [
        ("*x", 0),
        ("a|*b", 2),
        ("(*a)", 1),
        ("^*", 1),
        ("a$+", 2),
        ("a**", 2),
        ("a+{2}", 2),
        ("(", 0),
        ("a(b(c)", 1),
        ("a)", 1),
        ("[", 0),
        ("x[a", 1),
        ("[b-a]", 1),
        ("[a-c-e]", 4),
        ("[[:foo:]]", 1),
        ("[[.ab.]]", 1),
        ("x{1", 1),
        ("x{,3}", 1),
        ("x{3,2}", 1),
        ("x{256}", 1),
        ("{1}", 0),
        ("(a)\\1", 3),
        ("\\w", 0),
        ("\\<a", 0),
        ("a\\", 1),
    ] {
        let error = Regex::new(pattern.as_bytes()).unwrap_err();
        assert_eq!(error.offset, offset, "{pattern}: {error}");
    }
}

#[test]
fn hostile_patterns_and_texts_are_bounded() {
    let nested = format!("{}a{}", "(".repeat(5000), ")".repeat(2000));
    for pattern in [
        "((a{255}){255}){255}".to_owned(),
        nested,
        "a".repeat(MAX_PATTERN + 1),
        format!("({}){{255}}", "[ab]".repeat(100)),
    ] {
        assert!(Regex::new(pattern.as_bytes()).is_err(), "{}", pattern.get(..20).unwrap());
    }
    // Takes exponential time with backtracking, or exponential space as a DFA.
    let text = vec![b'a'; 4096];
    assert!(!Regex::new(b"^(a|aa)*b$").unwrap().is_match(&text));
    assert!(!Regex::new(b"(.*a){20}b").unwrap().is_match(&text));
    assert!(!Regex::new(b"[ab]*a[ab]{200}c").unwrap().is_match(&text));
    assert!(Regex::new(b"[ab]*a[ab]{200}").unwrap().is_match(&text));
    // With groups, there is an answer or a refusal in short time.
    let regex = Regex::new(b"((a|aa)*|(a*)*)*((a*)(a*)(a*))*").unwrap();
    let _ = regex.captures(&text);
    assert_eq!(regex.captures(&vec![b'a'; MAX_CAPTURED + 1]), Err(OutOfSteps));
}
