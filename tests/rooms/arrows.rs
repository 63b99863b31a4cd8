//! Which file of a crate depends on which other, and by what names.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use crate::names::Crate;
use crate::tokens::Use;

/// File `from` names something that file `to` defines.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrow {
    pub from: String,
    pub to: String,
    /// Each with the line of `from` that names it first.
    pub names: BTreeMap<String, usize>,
}

/// All arrows of a crate, by file.
pub fn of(house: &Crate) -> Vec<Arrow> {
    let mut found: BTreeMap<(String, String), BTreeMap<String, usize>> = BTreeMap::new();
    for (place, module) in house.modules.iter().enumerate() {
        // A `use` of a module brings in a function of the same name, too. What the code makes of the name is among the mentions.
        let is_own = |brought: &&Use| !brought.is_export && !house.is_module(place, &brought.path);
        let brought = module.said.uses.iter().filter(is_own);
        let brought = brought.map(|brought| (&brought.path, false, brought.line));
        let mentioned = module
            .said
            .mentions
            .iter()
            .map(|mention| (&mention.path, mention.is_macro, mention.line));
        for (path, is_macro, line) in brought.chain(mentioned) {
            for to in house.files(place, path, is_macro) {
                if to != module.file {
                    let names = found.entry((module.file.clone(), to.to_owned())).or_default();
                    let first = names.entry(short(path)).or_insert(line);
                    *first = line.min(*first);
                }
            }
        }
    }
    found.into_iter().map(|((from, to), names)| Arrow { from, to, names }).collect()
}

/// What a path names, without modules, methods and variants: of `crate::record::Serial::new` that is `Serial`.
fn short(path: &[String]) -> String {
    let first_type = path.iter().find(|name| name.starts_with(char::is_uppercase));
    first_type.or(path.last()).cloned().unwrap_or_default()
}

impl Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}:", self.from, self.to)?;
        for (at, (name, line)) in self.names.iter().enumerate() {
            write!(f, "{} {name} (line {line})", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}
