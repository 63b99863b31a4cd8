//! Generated paths and CRLs, validated by us and by four validators of others: OpenSSL, the JDK, Bouncy Castle and pyhanko-certvalidator. The
//! table of docs/path-validation.md lists the validators that differ from RFC 5280, with the section that decides. The test fails for a
//! difference without a row, and for a row without a difference.
//!
//! Every class comes alone, and then in pairs that depend on the seed. The seed is printed; `DIFFERENTIAL_SEED=N cargo test --test
//! differential` repeats the pairs. `DIFFERENTIAL_PAIRS=N` is the number of pairs; `DIFFERENTIAL_FOLDER=PATH` keeps the paths in a folder.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod classes;
mod classes_crl;
mod classes_names;
mod der;
mod model;
mod stored;
mod table;
mod validators;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use classes::Class;
use model::{Case, Draft, Random};
use table::Table;
use validators::Verdict;

/// The validators of others.
const OTHERS: [&str; 4] = ["openssl", "jdk", "bouncy-castle", "pyhanko"];
/// The number of pairs of classes in a run.
const PAIRS: usize = 120;

/// Classes in which our validator is known to be wrong. A class in which it agrees must be removed.
const MENDING: &[&str] = &[];

/// A generated or stored path, with the verdict of the RFC.
struct Trial {
    name: String,
    classes: Vec<&'static str>,
    is_good: bool,
    case: Case,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn seed() -> u64 {
    number("DIFFERENTIAL_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::from(now.unwrap().subsec_nanos())
    })
}

fn trial(number: usize, classes: &[&Class], random: &mut Random) -> Trial {
    let mut draft = Draft::new(random);
    for class in classes {
        (class.change)(random, &mut draft);
    }
    let names: Vec<_> = classes.iter().map(|class| class.name).collect();
    Trial {
        name: format!("{number:03}-{}", names.join("+")),
        classes: names,
        // What one class refuses is refused.
        is_good: classes.iter().all(|class| class.is_good),
        case: draft.encode(),
    }
}

fn trials(all: &[Class], seed: u64) -> Vec<Trial> {
    let mut random = Random(seed);
    let mut trials: Vec<Trial> = Vec::new();
    for class in all {
        trials.push(trial(trials.len(), &[class], &mut random));
    }
    for kept in stored::all() {
        let name = format!("{:03}-{}", trials.len(), kept.name);
        trials.push(Trial {
            name,
            classes: vec![kept.name],
            is_good: kept.is_good,
            case: kept.case,
        });
    }
    let alone = trials.len();
    let pairs = number("DIFFERENTIAL_PAIRS").map_or(PAIRS, |count| count.try_into().unwrap());
    while trials.len() < alone + pairs {
        let (one, other) = (random.of(all), random.of(all));
        if one.group.goes_with(other.group) {
            trials.push(trial(trials.len(), &[one, other], &mut random));
        }
    }
    trials
}

/// OpenSSL's command validates one path at a time, so that two of them run at once.
fn ask_openssl(folder: &std::path::Path, trials: &[Trial]) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((at, trial)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            trials.get(at).map(|trial| (at, trial))
        } {
            let folder = folder.join(&trial.name);
            done.push((at, validators::openssl(&folder, &trial.case.settings)));
        }
        done
    };
    let mut all: Vec<_> = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, verdict)| verdict).collect()
}

#[test]
fn every_disagreement_is_decided() {
    let seed = seed();
    println!("DIFFERENTIAL_SEED={seed}");
    let classes = classes::all();
    let trials = trials(&classes, seed);
    let names: BTreeSet<_> = trials.iter().flat_map(|of| of.classes.iter().copied()).collect();
    assert_eq!(names.len(), classes.len() + stored::all().len(), "two classes of one name");
    let table = Table::read(&names, &OTHERS);
    let temporary = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("DIFFERENTIAL_FOLDER").map(std::path::PathBuf::from);
    let folder = kept.as_deref().unwrap_or(temporary.path());
    for trial in &trials {
        validators::write(folder, &trial.name, &trial.case);
    }
    let said = std::thread::scope(|scope| {
        let java = scope.spawn(|| validators::script(&mut validators::java(), folder));
        let python = scope.spawn(|| validators::script(&mut validators::python(), folder));
        let openssl = ask_openssl(folder, &trials);
        let mut said = java.join().unwrap();
        said.extend(python.join().unwrap());
        let of = trials.iter().zip(openssl);
        said.extend(of.map(|(trial, verdict)| (("openssl".into(), trial.name.clone()), verdict)));
        said
    });

    let mut wrong = Vec::new();
    let mut shown: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for trial in &trials {
        let ours = validators::ours(&trial.case);
        let wanted = trial.is_good;
        if let Some(class) = trial.classes.iter().find(|class| MENDING.contains(class)) {
            if trial.classes.len() == 1 && ours.is_ok() == wanted {
                wrong.push(format!("`{class}` agrees: it need not be mended any more"));
            }
            continue;
        }
        if ours.is_ok() != wanted {
            wrong.push(format!("{}: ours {ours:?}", trial.name));
            continue;
        }
        for other in OTHERS {
            let theirs = said.get(&(other.to_owned(), trial.name.clone()));
            let theirs = theirs.unwrap_or_else(|| panic!("{other} said nothing of {}", trial.name));
            if theirs.is_ok() == wanted {
                continue;
            }
            // What another accepts, and must not, may not be generated at all.
            let decided = trial.classes.iter().find(|class| wanted && table.decides(class, other));
            match decided {
                Some(class) => *shown.entry((class, other)).or_default() += 1,
                None => wrong.push(format!("{}: {other} {theirs:?}", trial.name)),
            }
        }
    }
    for (class, other) in table.rows() {
        if !shown.contains_key(&(class, other)) {
            wrong.push(format!("the table's row `{class}` for {other}: nothing shows it"));
        }
    }
    println!(
        "{} paths, {} of them told otherwise by somebody",
        trials.len(),
        shown.values().sum::<usize>()
    );
    assert!(wrong.is_empty(), "seed {seed}, {} times:\n{}", wrong.len(), wrong.join("\n"));
}
