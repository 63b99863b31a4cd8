//! The check itself, on small crates made up for it: it finds what it is for, and nothing else.

use crate::Texts;
use crate::arrows::{self, Arrow};
use crate::circles;
use crate::floors::Floors;
use crate::names::Crate;

/// A crate of these files in `src/`, with `lib.rs` among them.
fn house(files: &[(&str, &str)]) -> Crate {
    let texts: Texts =
        files.iter().map(|(name, text)| (format!("src/{name}"), (*text).to_owned())).collect();
    Crate::read("src/lib.rs", &texts)
}

fn arrows(files: &[(&str, &str)]) -> Vec<Arrow> {
    arrows::of(&house(files))
}

/// `from to: names`, without `src/`.
fn lines(files: &[(&str, &str)]) -> Vec<String> {
    let line = |arrow: Arrow| {
        let names: Vec<&str> = arrow.names.keys().map(String::as_str).collect();
        format!(
            "{} {}: {}",
            arrow.from.trim_start_matches("src/"),
            arrow.to.trim_start_matches("src/"),
            names.join(", ")
        )
    };
    arrows(files).into_iter().map(line).collect()
}

#[test]
fn a_circle_is_found_and_its_names_are_said() {
    let text = circles::described(&arrows(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::Below;\npub struct Above(Below);"),
        ("b.rs", "use crate::c::Ground;\npub struct Below(Ground);"),
        ("c.rs", "\n\npub struct Ground;\nfn high() { crate::a::Above::new() }"),
    ]));
    assert_eq!(
        text,
        "a circle: src/a.rs → src/b.rs → src/c.rs → src/a.rs\n  \
         src/a.rs → src/b.rs: Below (line 1)\n  \
         src/b.rs → src/c.rs: Ground (line 1)\n  \
         src/c.rs → src/a.rs: Above (line 4)\n"
    );
}

#[test]
fn a_circle_through_a_re_export_is_found() {
    let files = [
        ("lib.rs", "mod a; mod room; pub use room::Thing as Renamed;"),
        ("a.rs", "use crate::Renamed; pub fn high(_: Renamed) {}"),
        ("room/mod.rs", "mod deep; pub(crate) use deep::*;"),
        ("room/deep.rs", "pub struct Thing; fn f(thing: Thing) { crate::a::high(thing) }"),
    ];
    assert_eq!(lines(&files), ["a.rs room/deep.rs: Renamed", "room/deep.rs a.rs: high"]);
    assert!(!circles::knots(&arrows(&files)).is_empty());
}

#[test]
fn of_a_large_knot_a_shortest_circle_comes_first() {
    let text = circles::described(&arrows(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "pub fn a() { crate::b::b() }"),
        ("b.rs", "pub fn b() { crate::c::c() }"),
        ("c.rs", "pub fn c() { crate::a::a(); crate::b::b() }"),
    ]));
    assert!(
        text.starts_with("a circle: src/b.rs → src/c.rs → src/b.rs\n  and 3 files in all"),
        "{text}"
    );
}

#[test]
fn a_facade_neither_makes_a_circle_nor_hides_one() {
    let files = [
        ("lib.rs", "pub mod room; pub use room::{Inner, helper};"),
        ("room/mod.rs", "mod inner; mod help; pub use inner::Inner; pub use help::helper;"),
        (
            "room/inner.rs",
            "use super::helper; pub struct Inner; impl Inner { fn f() { helper() } }",
        ),
        ("room/help.rs", "pub fn helper() {}"),
    ];
    assert_eq!(lines(&files), ["room/inner.rs room/help.rs: helper"]);
}

#[test]
fn every_way_to_name_something_is_seen() {
    for (text, names) in [
        ("use crate::b::{c::{self, Thing}, other};", "Thing, other"),
        ("use super::b::c as d; fn f(_: d::Thing) {}", "Thing"),
        ("use crate::b::*; fn f() -> Thing { other() }", "Thing, other"),
        ("fn f() { use crate::b::c; let _ = c::Thing; }", "Thing"),
        ("fn f() { println!(\"{}\", crate::b::other()) }", "other"),
        ("#[serde(with = \"crate::b::other\")] struct S;", "other"),
        ("mod inner { fn f() { super::super::b::other() } }", "other"),
        ("impl crate::b::c::Thing { const X: u8 = 1; }", "Thing"),
        ("fn f() { a.b(crate::b::c::Thing { x: 1 }.y) }", "Thing"),
        ("fn f() -> u8 { crate::b::made!(1) }", "made"),
        ("fn f() -> Vec<crate::b::c::Thing> { v.collect::<Vec<crate::b::c::Thing>>() }", "Thing"),
        ("fn f() { match x { crate::b::c::Thing::One => {} } }", "Thing"),
        ("use crate::b::Late as _;", "Late"),
    ] {
        let found = lines(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", text),
            (
                "b.rs",
                "pub mod c { pub struct Thing; } pub use c::Thing; pub fn other() {} macro_rules! made { () => {} } pub(crate) use made; \
                 pub trait Late {}",
            ),
        ]);
        assert_eq!(found, [format!("a.rs b.rs: {names}")], "{text}");
    }
}

#[test]
fn what_is_no_dependency_is_none() {
    for text in [
        "#[cfg(test)] mod tests { use crate::b::Thing; }",
        "#[cfg(test)] use crate::b::Thing;",
        "#[cfg(test)] fn f<A, B>(_: crate::b::Thing) {}",
        "#[cfg(all(test, unix))] mod tests;",
        "struct S { #[cfg(test)] x: crate::b::Thing, y: u8 }",
        "/// Like [`crate::b::Thing`].\nstruct S;",
        "fn f() { \"crate::b::Thing\" }",
        "// crate::b::Thing\nmod b { pub struct Thing; } fn f(_: self::b::Thing) {}",
        "fn f() { value.b.other(); value.other() }",
        "use std::b::Thing; use b::other;",
        "pub(crate) use crate::b::Thing;",
        "use crate::b;",
        "use crate::b::*; struct Thing; fn f(_: Thing) { x.other(); let S { other: y } = s; }",
        "fn f() { <u8 as Trait>::b::other() }",
    ] {
        let found = lines(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", text),
            ("b.rs", "pub struct Thing; pub fn other() {}"),
        ]);
        assert!(found.is_empty(), "{text}: {found:?}");
    }
}

#[test]
fn a_module_and_a_function_of_one_name_are_told_apart() {
    let with = |text| {
        lines(&[
            ("lib.rs", "mod room;"),
            ("room/mod.rs", "mod user; mod rules; mod high; pub use high::rules;"),
            ("room/user.rs", text),
            ("room/rules.rs", "pub const ONE: u8 = 1;"),
            ("room/high.rs", "pub fn rules() {}"),
        ])
    };
    assert_eq!(
        with("use super::rules; const X: u8 = rules::ONE;"),
        ["room/user.rs room/rules.rs: ONE"]
    );
    assert_eq!(with("use super::rules; fn f() { rules() }"), ["room/user.rs room/high.rs: rules"]);
}

#[test]
fn a_macro_of_a_module_above_is_a_dependency() {
    let files = [
        ("lib.rs", "mod room;"),
        (
            "room/mod.rs",
            "macro_rules! made { () => { $crate::room::low::x() } } mod high; mod low;",
        ),
        ("room/high.rs", "made!();"),
        ("room/low.rs", "pub fn x() {}"),
    ];
    assert_eq!(lines(&files), ["room/high.rs room/mod.rs: made", "room/mod.rs room/low.rs: x"]);
}

const STACK: [(&str, &str); 5] = [
    ("lib.rs", "mod ground; mod hall; mod roof;"),
    ("ground.rs", "pub struct Ground;"),
    ("hall/mod.rs", "mod door; pub use door::Door;"),
    ("hall/door.rs", "use crate::ground::Ground; pub struct Door(Ground);"),
    ("roof.rs", "use crate::hall::Door; pub struct Roof(Door);"),
];

fn compared(list: &str, files: &[(&str, &str)]) -> String {
    let page = format!("# Map\n\n```rooms src\n{list}\n```\n\n```\nother\n```\n");
    let floors = Floors::read(&page);
    assert_eq!(floors.len(), 1);
    floors[0].compare(&house(files).rooms("src"), &arrows(files))
}

#[test]
fn rooms_as_they_are_listed_pass() {
    assert_eq!(compared("ground\nhall/   # doors and rooms\nroof", &STACK), "");
}

#[test]
fn an_upward_arrow_is_found_and_said() {
    assert_eq!(
        compared("ground\nroof\nhall/", &STACK),
        "`roof` names `hall`, which is above it in `src`:\n  src/roof.rs → src/hall/door.rs: Door (line 1)\n"
    );
    assert_eq!(
        compared("ground\nhall roof", &STACK),
        "`roof` names `hall`, which is beside it in `src`:\n  src/roof.rs → src/hall/door.rs: Door (line 1)\n"
    );
}

#[test]
fn a_room_that_is_not_listed_or_not_there_is_found() {
    assert_eq!(compared("ground\nroof", &STACK), "the list of `src` lacks `hall`\n");
    assert_eq!(
        compared("ground cellar\nhall\nroof roof", &STACK),
        "the list of `src` names `cellar`: no such file or folder is there\nthe list of `src` names `roof` twice\n"
    );
}

#[test]
fn the_root_is_above_all_rooms() {
    let files = [
        ("lib.rs", "mod a; pub const TARGET: &str = \"a\"; fn f() { a::f() }"),
        ("a.rs", "pub fn f() {} fn g() { crate::TARGET }"),
    ];
    assert_eq!(
        compared("a", &files),
        "`a` names `lib.rs`, which is above it in `src`:\n  src/a.rs → src/lib.rs: TARGET (line 1)\n"
    );
}
