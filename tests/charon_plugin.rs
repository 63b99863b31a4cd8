//! The plugin for charon has one source for all versions of strongSwan. These tests compile the parts that differ between versions against
//! the declarations of each kind of version, and check what the Makefile detects from headers and libraries. `ike_denials.rs` and
//! `ike_strongswan.rs` run the whole plugin in the installed strongSwan and in strongSwan 6.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A kind of strongSwan version, by the differences that concern the plugin.
struct Kind {
    /// The first version of the kind.
    version: &'static str,
    number: u32,
    /// The parameters of `listener_t.ike_keys`.
    exchanges: &'static str,
    /// How `peer_cfg_t` gives aggressive mode.
    aggressive: &'static str,
    /// The parameters of `child_cfg_t.get_proposals`.
    proposals: &'static str,
    /// The macro of `plugin.h` for plugins.
    define: &'static str,
}

const OLD: &str = "bool (*use_aggressive)(peer_cfg_t*);";
const NEW: &str = "bool (*has_option)(peer_cfg_t*, int); };\nenum { OPT_IKEV1_AGGRESSIVE = 2";
const DEFINE: &str = "#define PLUGIN_DEFINE(name) const char *name##_plugin_version = VERSION; plugin_t *name##_plugin_create()";

const KINDS: [Kind; 5] = [
    Kind {
        version: "5.9.8",
        number: 50908,
        exchanges: "key_exchange_t",
        aggressive: OLD,
        proposals: "child_cfg_t*, bool",
        define: "",
    },
    Kind {
        version: "6.0.0",
        number: 60000,
        exchanges: "array_t",
        aggressive: OLD,
        proposals: "child_cfg_t*, bool",
        define: "",
    },
    Kind {
        version: "6.0.2",
        number: 60002,
        exchanges: "array_t",
        aggressive: NEW,
        proposals: "child_cfg_t*, bool",
        define: "",
    },
    Kind {
        version: "6.0.3",
        number: 60003,
        exchanges: "array_t",
        aggressive: NEW,
        proposals: "child_cfg_t*, bool",
        define: DEFINE,
    },
    Kind {
        version: "6.1.0",
        number: 60100,
        exchanges: "array_t",
        aggressive: NEW,
        proposals: "child_cfg_t*, bool, bool",
        define: DEFINE,
    },
];

/// The plugin's uses of all these declarations.
const USE: &str = "
#include \"countersign_versions.h\"
static bool keys(countersign_key_exchanges_t *of) { return of != 0; }
listener_t listener = { .ike_keys = keys };
bool is_aggressive(peer_cfg_t *cfg) { return countersign_is_aggressive(cfg); }
linked_list_t *proposals(child_cfg_t *cfg) { return countersign_proposals(cfg); }
COUNTERSIGN_DEFINE(countersign) { return 0; }
";

impl Kind {
    /// Writes its headers to a folder. Each has the same few declarations.
    fn write(&self, folder: &Path) {
        let Self { exchanges, aggressive, proposals, define, .. } = self;
        let text = format!(
            "#pragma once\n#include <stdbool.h>\n#define FALSE false\n\
             typedef struct array_t array_t;\ntypedef struct linked_list_t linked_list_t;\ntypedef struct key_exchange_t key_exchange_t;\n\
             typedef struct plugin_t plugin_t;\ntypedef struct peer_cfg_t peer_cfg_t;\ntypedef struct child_cfg_t child_cfg_t;\n\
             typedef struct {{ bool (*ike_keys)({exchanges}*); }} listener_t;\n\
             struct peer_cfg_t {{ {aggressive} }};\n\
             struct child_cfg_t {{ linked_list_t *(*get_proposals)({proposals}); }};\n{define}\n"
        );
        fs::write(folder.join("all.h"), text).unwrap();
        for name in [
            "collections/array.h",
            "collections/linked_list.h",
            "config/child_cfg.h",
            "config/peer_cfg.h",
            "crypto/key_exchange.h",
            "plugins/plugin.h",
        ] {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "#include <all.h>\n").unwrap();
        }
        fs::write(folder.join("use.c"), USE).unwrap();
    }
}

fn charon() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ike-plugin/charon")
}

fn output(command: &mut Command) -> (bool, String) {
    let done = command.output();
    let done = done.unwrap_or_else(|e| panic!("{command:?}: {e}; `make deps` installs it"));
    let both = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&both).into_owned())
}

/// Compiles the parts that differ, against headers of a kind, with a version number.
fn compile(folder: &Path, number: u32, version: &str) -> (bool, String) {
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"]).arg(folder.join("use.so"));
    cc.arg("-I").arg(folder).arg("-I").arg(charon()).arg(format!("-DSTRONGSWAN={number}"));
    output(cc.arg(format!("-DVERSION=\"{version}\"")).arg(folder.join("use.c")))
}

#[test]
fn what_differs_between_versions_compiles_for_each_of_them() {
    for (at, kind) in KINDS.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        kind.write(folder.path());
        let (compiled, said) = compile(folder.path(), kind.number, kind.version);
        assert!(compiled, "{}: {said}", kind.version);
        let (_, symbols) = output(Command::new("nm").arg("-D").arg(folder.path().join("use.so")));
        for symbol in ["countersign_plugin_create", "countersign_plugin_version"] {
            assert!(symbols.contains(symbol), "{}: {symbols}", kind.version);
        }
        let library = fs::read(folder.path().join("use.so")).unwrap();
        let version = format!("\0{}\0", kind.version);
        assert!(library.windows(version.len()).any(|of| of == version.as_bytes()));
        // The number of another kind is refused, where the kinds differ by number.
        if matches!(kind.version, "6.0.0" | "6.0.2") {
            let before = &KINDS[at - 1];
            let (compiled, _) = compile(folder.path(), before.number, before.version);
            assert!(!compiled, "{} compiles as {}", kind.version, before.version);
        }
    }
}

/// The commands that the Makefile would run for the headers and libraries of this folder.
fn planned(folder: &Path, more: &[&str]) -> (bool, String) {
    let mut make = Command::new("make");
    make.args(["-n", "-C"]).arg(charon()).arg("TARGET=plugin.so").args(more);
    for variable in ["HEADERS", "LIBRARIES"] {
        make.arg(format!("{variable}={}", folder.display()));
    }
    // Not what a `make test` above it hands on.
    output(make.env_remove("MAKEFLAGS").env_remove("MAKEOVERRIDES").env("VERSION", "1.2.3"))
}

#[test]
fn the_version_comes_from_the_source_and_the_layout_from_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (planned_it, said) = planned(folder, &[]);
    assert!(!planned_it && said.contains("expected configure.ac in"), "{said}");
    fs::write(folder.join("configure.ac"), "AC_INIT([strongSwan],[6.0.12rc1])\n").unwrap();
    let (planned_it, said) = planned(folder, &[]);
    assert!(!planned_it && said.contains("expected charon's library at"), "{said}");
    let library = |functions: &str| {
        fs::write(folder.join("charon.c"), functions).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-o"]).arg(folder.join("libcharon.so.0"));
        let (compiled, said) = output(cc.arg(folder.join("charon.c")));
        assert!(compiled, "{said}");
    };
    let v2 = "void task_manager_v2_create(void) {}\n";
    for (functions, there, not_there) in [
        (v2, vec!["-DUSE_IKEV2"], vec!["-DME", "-DUSE_IKEV1"]),
        ("void task_manager_v1_create(void) {}\n", vec!["-DUSE_IKEV1"], vec!["-DME"]),
        ("void mediation_manager_create(void) {}\n", vec!["-DME"], vec!["-DUSE_IKEV1"]),
    ] {
        library(functions);
        let (planned_it, said) = planned(folder, &[]);
        assert!(planned_it, "{said}");
        let words: Vec<_> = said.split_whitespace().collect();
        assert!(there.iter().all(|word| words.contains(word)), "{functions}: {said}");
        assert!(!not_there.iter().any(|word| words.contains(word)), "{functions}: {said}");
        assert!(words.contains(&"-DSTRONGSWAN=60012"), "{said}");
        assert!(words.contains(&"-DVERSION='\"6.0.12rc1\"'"), "{said}");
    }
    // Headers that were installed have no source above them: then it is said.
    fs::remove_file(folder.join("configure.ac")).unwrap();
    let (_, said) = planned(folder, &["VERSION=6.1.0"]);
    assert!(said.contains("-DSTRONGSWAN=60100"), "{said}");
}
