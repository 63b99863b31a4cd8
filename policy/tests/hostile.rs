//! Texts by hostile or careless authors: each gives a clear error with its position, or a false clause, but never a panic or a
//! stack overflow. Every test runs on a thread with the stack that threads have by default.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use countersign_policy::attributes::{AttributeError, MAX_VALUE};
use countersign_policy::syntax::parse_file;
use countersign_policy::syntax::parser::MAX_DEPTH;
use countersign_policy::{
    AttributeSet, ComplianceValues, Finding, PolicySet, Question, Requesters, Source, Span,
};
use proptest::prelude::*;

const MANY: usize = 100_000;
const MILLION: usize = 1_000_000;
const HEAD: &str = "Authorizer: \"POLICY\"\nLicensees: \"alice\"\n";

/// Runs with the 2 MiB of stack that a thread has by default.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Checks the first finding, which must have this message, line and column, and must be short.
#[track_caller]
fn refused(text: impl Into<Vec<u8>>, message: &str, line: usize, column: usize) {
    let source = Source::new("hostile", text.into());
    let findings = parse_file(&source).unwrap_err();
    let finding: &Finding = &findings[0];
    assert!(finding.message.contains(message), "wanted {message}, found {}", finding.message);
    let shown = source.render(finding);
    assert!(
        shown.contains(&format!("--> hostile:{line}:{column}\n")),
        "wanted {line}:{column}\n{shown}"
    );
    assert!(shown.len() < 1500 && !shown.contains('\0') && !shown.contains('\x1b'), "{shown:?}");
}

fn conditions(conditions: &str) -> String {
    format!("{HEAD}Conditions: {conditions}\n")
}

/// The answer to alice, in the order deny, log, allow.
#[track_caller]
fn answer_with(text: impl Into<Vec<u8>>, attributes: &[(&str, Vec<u8>)]) -> String {
    let source = Source::new("hostile", text.into());
    let mut builder = PolicySet::builder();
    if let Err(findings) = builder.policy(&source) {
        panic!("{}", source.render(&findings[0]));
    }
    let mut set = AttributeSet::new();
    for (name, value) in attributes {
        set.set(name, value).unwrap();
    }
    ask(&builder.build(), &set)
}

#[track_caller]
fn answer(text: impl Into<Vec<u8>>) -> String {
    answer_with(text, &[])
}

fn ask(set: &PolicySet, attributes: &AttributeSet) -> String {
    let requesters = Requesters::new(["alice"]).unwrap();
    let values = ComplianceValues::new(["deny", "log", "allow"]).unwrap();
    let answer = set.ask(Question { attributes, requesters: &requesters, values: &values });
    String::from_utf8(answer.value.to_vec()).unwrap()
}

/// `test` is false, and the clause behind it is still evaluated.
#[track_caller]
fn is_false(test: &str) {
    assert_eq!(
        answer(conditions(&format!("{test} -> \"allow\"; true -> \"log\";"))),
        "log",
        "{test}"
    );
}

#[track_caller]
fn is_true(test: &str) {
    assert_eq!(
        answer(conditions(&format!("{test} -> \"allow\"; true -> \"log\";"))),
        "allow",
        "{test}"
    );
}

#[test]
fn unterminated_strings() {
    on_a_small_stack(|| {
        refused(conditions("a == \"x"), "found a newline inside a string", 3, 18);
        refused(
            format!("{HEAD}Conditions: a == \"x"),
            "found the end of the field inside a string",
            3,
            18,
        );
        refused(
            format!("{HEAD}Conditions: a == \"x\\"),
            "found the end of the field inside a string",
            3,
            18,
        );
        refused(
            format!("{HEAD}Conditions: a == \"x\\\n"),
            "found the end of the field inside a string",
            3,
            18,
        );
        refused(
            "Authorizer: \"POLICY\nLicensees: \"a\"\n",
            "found a newline inside a string",
            1,
            13,
        );
        refused("Authorizer: a\nLocal-Constants: a = \"\\", "found the end of the field", 2, 22);
        refused(
            format!("Authorizer: \"{}", "x".repeat(10 << 20)),
            "found the end of the field",
            1,
            13,
        );
    });
}

#[test]
fn lines_of_ten_megabytes() {
    on_a_small_stack(|| {
        let long = "x".repeat(10 << 20);
        assert_eq!(answer(conditions(&format!("\"{long}\" != \"\";"))), "allow");
        assert_eq!(
            answer(conditions(&format!("{long} == \"\";"))),
            "allow",
            "a name that has no value"
        );
        assert_eq!(answer(conditions(&format!("true; # {long}"))), "allow");
        assert_eq!(answer(format!("{HEAD}Comment: {long}\n")), "allow");
        refused(format!("{HEAD}{long}: 1\n"), "expected a field label", 3, 1);
        refused(conditions(&format!("{long};")), "expected a test, found a string", 3, 13);
        refused(
            conditions(&format!("true; {}@", " ".repeat(10 << 20))),
            "found the end of the field",
            4,
            1,
        );
        refused(
            conditions(&format!("true; {}?", " ".repeat(10 << 20))),
            "found `?`",
            3,
            19 + (10 << 20),
        );
        refused(
            conditions(&format!("{} == 1;", "9".repeat(10 << 20))),
            "found a larger one",
            3,
            13,
        );
    });
}

#[test]
fn a_hundred_thousand_levels_of_nesting() {
    on_a_small_stack(|| {
        let too_deep = &format!("expected at most {MAX_DEPTH} levels of nesting");
        for (open, inner, close) in [
            ("(", "true", ")"),
            ("!", "true", ""),
            ("-", "1", ""),
            ("$", "a", ""),
            ("@", "a", ""),
            ("& ", "a", ""),
        ] {
            let text = conditions(&format!("{}{inner}{};", open.repeat(MANY), close.repeat(MANY)));
            refused(text, too_deep, 3, 13 + open.len() * MAX_DEPTH);
            refused(conditions(&open.repeat(MANY)), too_deep, 3, 13 + open.len() * MAX_DEPTH);
        }
        refused(conditions(&"true -> {".repeat(MANY)), too_deep, 3, 12 + 9 * (MAX_DEPTH + 1));
        let braces = format!("{}true;{}", "true -> {".repeat(MANY), "};".repeat(MANY));
        refused(conditions(&braces), too_deep, 3, 12 + 9 * (MAX_DEPTH + 1));
        for open in ["(", "$"] {
            let column = 13 + MAX_DEPTH;
            refused(format!("Authorizer: {}\n", open.repeat(MANY)), too_deep, 1, column);
            refused(
                format!("Authorizer: a\nLicensees: {}\n", open.repeat(MANY)),
                too_deep,
                2,
                column - 1,
            );
            refused(
                format!("Authorizer: a\nSignature: {}\n", open.repeat(MANY)),
                too_deep,
                2,
                column - 1,
            );
            refused(
                format!("Authorizer: a\nLicensees: 1-of({}\n", open.repeat(MANY)),
                too_deep,
                2,
                column + 4,
            );
        }
    });
}

/// A text at the limits must not overflow the stack either, when it is parsed, bound, asked or dropped.
#[test]
fn as_many_levels_as_are_allowed() {
    on_a_small_stack(|| {
        let nest = |open: &str, inner: &str, close: &str, levels: usize| {
            format!(
                "{}{inner}{}",
                open.repeat(MAX_DEPTH / levels),
                close.repeat(MAX_DEPTH / levels)
            )
        };
        is_true(&nest("(", "true", ")", 1));
        is_true(&nest("!", "true", "", 1));
        is_true(&nest("false || true && !!(", "true", ")", 3));
        is_true(&format!("{} < 2", nest("(1-1*1^(", "1", "))", 2)));
        is_true(&format!("{} > 0.5", nest("1.0+1.0*1.0^-(", "1.0", ")", 2)));
        is_true(&format!("{} == \"\"", nest("$(\"\" . ", "a", ")", 2)));
        let braces = nest("true -> {", "true;", "};", 1);
        assert_eq!(answer(conditions(&format!("{braces};").replace("};;", "};"))), "allow");
        let licensees = nest("\"x\" || \"alice\" && (", "\"alice\"", ")", 1);
        assert_eq!(answer(format!("Authorizer: \"POLICY\"\nLicensees: {licensees}\n")), "allow");
        let authorizer = nest("(", "\"POLICY\"", ")", 1);
        assert_eq!(answer(format!("Authorizer: {authorizer}\nLicensees: \"alice\"\n")), "allow");
    });
}

fn chain(of: &str, operator: &str) -> String {
    let mut text = format!("{of}{operator}").repeat(MILLION - 1);
    text.push_str(of);
    text
}

#[test]
fn chains_of_a_million_tests() {
    on_a_small_stack(|| {
        is_true(&chain("true", "&&"));
        is_false(&chain("false", "||"));
        is_true(&chain("true&&true", "||"));
        refused(conditions(&format!("{};", chain("a", "<"))), "found a second comparison", 3, 16);
    });
}

#[test]
fn chains_of_a_million_numbers_and_strings() {
    on_a_small_stack(|| {
        is_true(&format!("{} == 1000000", chain("1", "+")));
        is_true(&format!("{} == -999998", chain("1", "-")));
        is_true(&format!("{} == 1000000", chain("1*1^1", "+")));
        is_true(&format!("{} == 1", chain("1", "^")));
        is_false(&format!("{} == 0", chain("2", "*")));
        is_true(&format!("{} > 999999.0", chain("1.0", "+")));
        is_true(&format!("{} == \"\"", chain("\"\"", ".")));
        is_true(&format!("{} == \"\"", chain("a", ".")));
    });
}

#[test]
fn chains_of_a_million_principals() {
    on_a_small_stack(|| {
        let of = |licensees: String| format!("Authorizer: \"POLICY\"\nLicensees: {licensees}\n");
        assert_eq!(answer(of(chain("\"alice\"", "&&"))), "allow");
        assert_eq!(answer(of(chain("\"bob\"", "||"))), "deny");
        assert_eq!(answer(of(chain("\"alice\"&&\"bob\"", "||"))), "deny");
        let authorizer = format!("{}.\"POLICY\"", chain("\"\"", "."));
        assert_eq!(answer(format!("Authorizer: {authorizer}\nLicensees: \"alice\"\n")), "allow");
    });
}

#[test]
fn a_million_clauses() {
    on_a_small_stack(|| {
        assert_eq!(answer(conditions(&"false;".repeat(MILLION))), "deny");
        assert_eq!(
            answer(conditions(&format!("true->{{{}}};", "true->\"log\";".repeat(MILLION)))),
            "log"
        );
    });
}

#[test]
fn bytes_that_are_not_utf_8() {
    on_a_small_stack(|| {
        let text = |before: &[u8], bytes: &[u8], after: &[u8]| {
            [HEAD.as_bytes(), before, bytes, after].concat()
        };
        for bytes in [
            b"\xff".as_slice(),
            b"\xc3",
            b"\xed\xa0\x80",
            b"\xf8\x88\x80\x80\x80",
            b"\xc0\x80",
            b"\x80\x1b[2J",
        ] {
            let string = text(b"Conditions: a == \"", bytes, b"\";\n");
            assert_eq!(
                answer_with(string.clone(), &[("a", bytes.to_vec())]),
                "allow",
                "strings are bytes"
            );
            assert_eq!(answer_with(string, &[("a", b"\xef\xbf\xbd".to_vec())]), "deny");
            assert_eq!(answer(text(b"# ", bytes, b"\n")), "allow");
            assert_eq!(answer(text(b"Comment: ", bytes, b"\n")), "allow");
            let byte = format!("found the byte 0x{:02x}", bytes[0]);
            refused(text(b"Conditions: a == ", bytes, b";\n"), &byte, 3, 18);
            refused(text(b"Conditions: a", bytes, b" == \"\";\n"), &byte, 3, 14);
            refused(
                text(b"", bytes, b": a\n"),
                "expected a field label, found something else",
                3,
                1,
            );
            // The shown part begins and ends within characters.
            let long = bytes.repeat(500);
            refused(
                text(b"Conditions: a == \"", &long, b"\n"),
                "found a newline inside a string",
                3,
                18,
            );
        }
    });
}

/// A backtracking matcher would need 2^65536 steps, and one that writes repetitions out would need terabytes.
#[test]
fn regular_expressions_that_would_blow_up() {
    on_a_small_stack(|| {
        let text = vec![b'a'; MAX_VALUE];
        let deep = format!("{}a{}b", "(".repeat(MANY), ")*".repeat(MANY));
        let alternatives = format!("({}a)*b", "a|".repeat(MANY));
        let optional = format!("^{}{}b$", "a?".repeat(10_000), "a".repeat(10_000));
        for pattern in [
            "(a*)*b",
            "^(a|a)*b$",
            "^(a|aa)+$b",
            "(((a{0,255}){0,255}){0,255}){0,255}b",
            "^(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)b$",
            "[[:alpha:]]{255}{255}{255}b",
            "a{99999999999}b",
            "(",
            "[",
            "a{2,1}b",
            &deep,
            &alternatives,
            &optional,
        ] {
            for test in [format!("x ~= \"{pattern}\""), format!("x ~= \"{pattern}\" && _1 == _1")] {
                let text = conditions(&format!("{test} -> \"allow\"; true -> \"log\";"));
                let answer = answer_with(text, &[("x", vec![b'a'; MAX_VALUE])]);
                assert_eq!(answer, "log", "{}", &pattern[..pattern.len().min(60)]);
            }
            // The same pattern, known only when the question is asked.
            if pattern.len() <= MAX_VALUE {
                let attributes = [("x", text.clone()), ("p", pattern.as_bytes().to_vec())];
                let text = conditions("x ~= p -> \"allow\"; true -> \"log\";");
                assert_eq!(answer_with(text, &attributes), "log");
            }
        }
    });
}

#[test]
fn huge_exponents() {
    on_a_small_stack(|| {
        for test in [
            "2^2147483647 != 1",
            "-2^2147483647 < 0",
            "9.9^999999999.9 > 0.0",
            "9.9^999999999.9 < 1.0",
            "(-8.0)^0.5 < 9.0",
            "0.0^-1.0 > 1.0",
            "10.0^400.0 > 1.0",
            "2^31 > 0",
        ] {
            is_false(test);
            is_false(&format!("!({test})"));
        }
        for test in [
            "1^2147483647 == 1",
            "-1^2147483647 == -1",
            "-1^2147483646 == 1",
            "0^2147483647 == 0",
            "2^-2147483647 == 0",
            "2^30 == 1073741824",
            "2.0^-999999999.9 < 0.5",
            "0.5^999999999.9 < 0.5",
        ] {
            is_true(test);
        }
        let literal = format!("{}.0 - 1.0 > 0.0;", "9".repeat(MANY));
        refused(conditions(&literal), "expected a float of double precision", 3, 13);
        is_false(&format!("&\"{}\" != &\"\"", "9".repeat(400)).replace("!=", ">"));
    });
}

#[test]
fn division_by_zero() {
    on_a_small_stack(|| {
        for test in [
            "1/0 == 1",
            "1%0 == 0",
            "1.0/0.0 > 1.0",
            "0.0/0.0 < 1.0",
            "1/@nothing == 0",
            "1.0/&nothing < 1.0",
        ] {
            is_false(test);
            is_false(&format!("!({test})"));
            is_false(&format!("{test} || true"));
            is_true(&format!("true || {test}"));
        }
        assert_eq!(answer(conditions("1/0 == 1 -> { true; };")), "deny", "no clause within fires");
        assert_eq!(answer(conditions("true -> { 1/0 == 1; true -> \"log\"; };")), "log");
    });
}

#[test]
fn integers_that_overflow() {
    on_a_small_stack(|| {
        for test in [
            "2147483647 + 1 < 0",
            "-2147483647 - 2 > 0",
            "65536 * 65536 == 0",
            "(-2147483647 - 1) / -1 < 0",
            "(-2147483647 - 1) % -1 == 0",
            "-(-2147483647 - 1) < 0",
            "-@\"-2147483648\" < 0",
            "@\"2147483647\" + 1 < 0",
        ] {
            is_false(test);
            is_false(&format!("!({test})"));
        }
        for text in ["2147483648", "-2147483649", "99999999999999999999999999"] {
            is_true(&format!("@\"{text}\" == 0"));
        }
        refused(conditions("2147483648 > 0;"), "expected an integer of at most 2147483647", 3, 13);
        refused(
            conditions("99999999999999999999 > 0;"),
            "expected an integer of at most 2147483647",
            3,
            13,
        );
    });
}

#[test]
fn nul_bytes() {
    on_a_small_stack(|| {
        refused("Authorizer: \"POL\0ICY\"\n", "found a NUL byte", 1, 17);
        refused(conditions("a == \"\0\";"), "found a NUL byte", 3, 19);
        refused(conditions("true; # \0"), "found a NUL byte", 3, 21);
        refused(format!("{HEAD}Comment: \0\n"), "found a NUL byte", 3, 10);
        refused(format!("{HEAD}Comment: {}", "\0".repeat(10 << 20)), "found a NUL byte", 3, 10);
        refused("\0", "expected a field label", 1, 1);
        // No escape produces one.
        is_true("\"\\0\" == \"0\" && \"\\000\" == \"000\" && \"\\00\" == \"00\"");
        let mut attributes = AttributeSet::new();
        assert_eq!(attributes.set("a", b"x\0y"), Err(AttributeError::Nul("a".into())));
    });
}

#[test]
fn fields_and_constants_without_end() {
    on_a_small_stack(|| {
        refused(
            format!("{HEAD}{}", "Comment: x\n".repeat(MANY)),
            "stands here a second time",
            4,
            1,
        );
        let distinct: String = (0..MANY).map(|n| format!(" c{n} = \"x{n}\"\n")).collect();
        let text = format!(
            "{HEAD}Local-Constants:\n{distinct}Conditions: c99999 == \"x99999\" && $(\"c\" . n) == \"x7\";\n"
        );
        assert_eq!(answer_with(text, &[("n", b"7".to_vec())]), "allow");
        let twice = format!("{HEAD}Local-Constants:\n{distinct} c0 = \"\"\n");
        refused(twice, "`c0` is given a value a second time", 4 + MANY, 2);
    });
}

/// A text of 1 MiB, as a stranger may send, gives a limited number of findings.
#[test]
fn findings_are_bounded() {
    on_a_small_stack(|| {
        for line in ["x\n", "x\n\n", "\n:", "Comment:\n"] {
            let source = Source::new("hostile", line.repeat((1 << 20) / line.len()).into_bytes());
            let findings = parse_file(&source).unwrap_err();
            assert!(findings.len() <= 1000, "{line:?}: {} findings", findings.len());
        }
    });
}

#[test]
fn a_hundred_thousand_licensees() {
    on_a_small_stack(|| {
        let of = |licensees: String| format!("Authorizer: \"POLICY\"\nLicensees: {licensees}\n");
        let names: Vec<String> = (0..MANY).map(|n| format!("\"p{n}\"")).collect();
        let list = names.join(",");
        assert_eq!(answer(of(format!("{} || \"alice\"", names.join("||")))), "allow");
        assert_eq!(answer(of(format!("{} && \"alice\"", names.join("&&")))), "deny");
        assert_eq!(answer(of(format!("1-of({list},\"alice\")"))), "allow");
        assert_eq!(answer(of(format!("2-of({list},\"alice\")"))), "deny");
        assert_eq!(
            answer(of(format!("100000-of({})", vec!["\"alice\""; MANY].join(",")))),
            "allow"
        );
        assert_eq!(
            answer(of(format!("100000-of({},\"bob\")", vec!["\"alice\""; MANY - 1].join(",")))),
            "deny"
        );
        for k in ["0", "100001", "2147483648", "99999999999999999999"] {
            let message = "expected a threshold from 1 to 100000";
            refused(of(format!("{k}-of({list})")), message, 2, 12);
        }
        // None of them is known before the question.
        let unknown: Vec<String> = (0..MANY).map(|n| format!("a . \"{n}\"")).collect();
        let text = of(unknown.join("||"));
        assert_eq!(answer_with(text.clone(), &[("a", b"alic".to_vec())]), "deny");
        assert_eq!(
            answer_with(format!("{} || a\n", text.trim_end()), &[("a", b"alice".to_vec())]),
            "allow"
        );
    });
}

fn delegation(from: &str, to: &str) -> String {
    format!("Authorizer: \"{from}\"\nLicensees: \"{to}\"\nConditions: true;\n\n")
}

#[test]
fn chains_and_cycles_of_a_hundred_thousand_assertions() {
    on_a_small_stack(|| {
        let links: String =
            (1..MANY).map(|n| delegation(&format!("p{}", n - 1), &format!("p{n}"))).collect();
        let last = format!("p{}", MANY - 1);
        let (first, end) = (delegation("POLICY", "p0"), delegation(&last, "alice"));
        assert_eq!(answer(format!("{links}{first}{end}")), "allow");
        assert_eq!(answer(format!("{links}{first}")), "deny");
        let cycle = delegation(&last, "p0");
        assert_eq!(
            answer(format!("{links}{first}{cycle}")),
            "deny",
            "a cycle supports itself with nothing"
        );
        assert_eq!(answer(format!("{links}{first}{cycle}{end}")), "allow");
        assert_eq!(answer(format!("{links}{cycle}{end}")), "deny");
    });
}

#[test]
fn everybody_delegates_to_everybody() {
    on_a_small_stack(|| {
        let names: Vec<String> = (0..400).map(|n| format!("\"p{n}\"")).collect();
        let mut text: String = names
            .iter()
            .map(|name| format!("Authorizer: {name}\nLicensees: {}\n\n", names.join("||")))
            .collect();
        text.push_str(&delegation("POLICY", "p399"));
        assert_eq!(answer(text.clone()), "deny");
        text.push_str(&delegation("p0", "alice"));
        assert_eq!(answer(text), "allow");
    });
}

/// A string has at most 1 MiB, and the work of a question is limited: later tests are false even if they would be true.
#[test]
fn strings_that_grow() {
    on_a_small_stack(|| {
        let attributes = [("a", vec![b'x'; MAX_VALUE])];
        let joined = |count: usize| vec!["a"; count].join(".");
        let ask = |test: String| {
            answer_with(conditions(&format!("{test} -> \"allow\"; true -> \"log\";")), &attributes)
        };
        assert_eq!(ask(format!("{} != \"\"", joined(16))), "allow");
        assert_eq!(ask(format!("{} != \"\"", joined(17))), "log");
        assert_eq!(ask(format!("{} != \"\"", joined(10_000))), "log");
        assert_eq!(ask(format!("$({}) == \"\"", joined(10_000))), "log");
        assert_eq!(ask(format!("true -> {}; false", joined(10_000))), "log");
        let expensive = format!("{} == \"\";", joined(16)).repeat(10_000);
        let text = conditions(&format!("{expensive} \"x\" == \"x\";"));
        assert_eq!(answer_with(text, &attributes), "deny", "the work of one question is bounded");
        let text = conditions("\"x\" == \"x\";");
        assert_eq!(answer_with(text, &attributes), "allow");
    });
}

fn survives(text: &[u8]) {
    let source = Source::new("soup", text);
    let mut builder = PolicySet::builder();
    match parse_file(&source) {
        Ok(assertions) => {
            for warning in assertions.iter().flat_map(|assertion| assertion.warnings()) {
                assert!(!source.render(warning).is_empty());
            }
        }
        Err(findings) => {
            assert!(!findings.is_empty());
            for finding in &findings {
                let shown = source.render(finding);
                assert!(shown.ends_with('\n') && finding.span.end() <= text.len() + 1, "{shown}");
            }
        }
    }
    let _ = builder.policy(&source);
    builder.assertion(&source).credentials(&source).credential(&source);
    let mut attributes = AttributeSet::new();
    for (name, value) in [("a", "b"), ("b", "-1.5"), ("n", "7"), ("p", "alice")] {
        attributes.set(name, value).unwrap();
    }
    let answer = ask(&builder.build(), &attributes);
    assert!(["deny", "log", "allow"].contains(&answer.as_str()));
}

const TOKENS: [&str; 78] = [
    "Authorizer:",
    "\nAuthorizer:",
    "\nLicensees:",
    "\nConditions:",
    "\nLocal-Constants:",
    "\nComment:",
    "\nSignature:",
    "\nKeyNote-Version:",
    "\n\n",
    "\n",
    "\n ",
    "\r\n",
    "\t",
    " ",
    " ",
    "#",
    "# x\n ",
    "\"",
    "\"POLICY\"",
    "\"alice\"",
    "\"allow\"",
    "\"\"",
    "\"\\",
    "\\\n ",
    "\"\\101\"",
    "\"rsa-hex:00\"",
    "a",
    "b",
    "n",
    "p",
    "_0",
    "_1",
    "_MAX_TRUST",
    "_VALUES",
    "true",
    "false",
    "0",
    "1",
    "7",
    "2147483647",
    "2147483648",
    "1.5",
    "0.0",
    "1.",
    "2-of(",
    "0-of(",
    "3-of",
    ",",
    "(",
    ")",
    "(",
    ")",
    "{",
    "}",
    ";",
    ";",
    "->",
    "&&",
    "||",
    "!",
    "==",
    "!=",
    "<",
    ">=",
    "~=",
    "~",
    "=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    ".",
    "@",
    "&",
    "$",
    "\u{e9}",
];

fn soup() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&TOKENS[..]), 0..40)
        .prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&text);
        survives(&[conditions("").as_bytes(), &text].concat());
    }

    #[test]
    fn token_soup_does_no_harm(text in soup()) {
        survives(text.as_bytes());
        survives(format!("Authorizer: \"POLICY\"\nLicensees: \"alice\"\nConditions: {text};\n").as_bytes());
        survives(format!("Authorizer: \"POLICY\"\nLicensees: {text}\n").as_bytes());
    }

    #[test]
    fn a_finding_is_shown_wherever_it_points(
        text in proptest::collection::vec(any::<u8>(), 0..300),
        start in 0_usize..400,
        length in 0_usize..400,
        message in ".{0,20}",
    ) {
        let source = Source::new("soup", text);
        let finding = Finding::error(Span::new(start, start + length), message).hint("h");
        prop_assert!(source.render(&finding).contains("--> soup:"));
    }
}
