//! The shape of each crate: no circle among its files, and rooms that name only the rooms below them.
//!
//! docs/ARCHITECTURE.md lists the rooms of each crate, from the ground up. File A depends on file B of the same crate if A
//! names something that B defines: in a `use`, by a path such as `crate::journal::Entry`, or through a glob. Re-exports are
//! followed to the file that defines the name, so a facade such as `mod.rs` is transparent: neither `mod x;` nor `pub use` makes
//! its file depend on anything. Code under `#[cfg(test)]` does not count.
//!
//! The check reads tokens, not types. It does not see which methods are called on a value, or what a macro of another crate makes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod arrows;
mod circles;
mod floors;
mod made_up;
mod names;
mod tokens;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use floors::Floors;
use names::Crate;

/// The root file of each crate, from the workspace's folder.
const CRATES: [&str; 6] = [
    "ca/src/lib.rs",
    "enroll/src/lib.rs",
    "ike-plugin/src/lib.rs",
    "ldap-bridge/src/lib.rs",
    "policy/src/lib.rs",
    "src/main.rs",
];

const MAP: &str = "docs/ARCHITECTURE.md";

/// Texts of files by their path.
type Texts = BTreeMap<String, String>;

#[test]
fn the_files_of_no_crate_go_in_a_circle() {
    let mut found = String::new();
    for root in CRATES {
        found += &circles::described(&arrows::of(&read(root)));
    }
    assert!(
        found.is_empty(),
        "expected files that depend on each other in one direction only; found:\n{found}\
         To open a circle, move one of the names down into a file that both may use, or into the file that uses it."
    );
}

#[test]
fn rooms_name_only_the_rooms_below_them_as_the_map_shows() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(MAP)).unwrap();
    let listed = Floors::read(&map);
    let mut found = String::new();
    for root in CRATES {
        let house = read(root);
        let folder = root.rsplit_once('/').unwrap().0;
        if !listed.iter().any(|floors| floors.folder == folder) {
            found += &format!(
                "`{folder}` has no list: add a block that begins with ```rooms {folder}\n"
            );
        }
        let arrows = arrows::of(&house);
        for floors in listed.iter().filter(|floors| house.has(&floors.folder)) {
            found += &floors.compare(&house.rooms(&floors.folder), &arrows);
        }
    }
    for floors in &listed {
        if !CRATES.iter().any(|root| read(root).has(&floors.folder)) {
            found += &format!(
                "the list of `{}` is of a folder without modules: remove it\n",
                floors.folder
            );
        }
    }
    assert!(
        found.is_empty(),
        "expected the rooms that {MAP} lists from the ground up, each naming only rooms of earlier lines; found:\n{found}\
         Move the name down into a room that both may use, or change the list if the map is to change."
    );
}

#[test]
fn every_crate_of_the_workspace_is_checked() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    for member in members {
        let folder = match member.as_str().unwrap() {
            "." => "src".to_owned(),
            member => format!("{member}/src"),
        };
        assert!(
            CRATES.iter().any(|root| root.starts_with(&folder)),
            "add the root of `{folder}` to CRATES in tests/rooms/main.rs"
        );
    }
}

/// The crate whose root file this is, as it stands in the work tree.
fn read(root: &str) -> Crate {
    let mut texts = Texts::new();
    let folder = root.rsplit_once('/').unwrap().0;
    gather(Path::new(env!("CARGO_MANIFEST_DIR")), folder, &mut texts);
    Crate::read(root, &texts)
}

fn gather(workspace: &Path, folder: &str, texts: &mut Texts) {
    for entry in fs::read_dir(workspace.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            gather(workspace, &path, texts);
        } else if path.ends_with(".rs") {
            texts.insert(path.clone(), fs::read_to_string(workspace.join(&path)).unwrap());
        }
    }
}
