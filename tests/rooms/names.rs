//! The modules of a crate, and which file defines a name.

use std::collections::{BTreeSet, HashMap};

use crate::Texts;
use crate::tokens::{self, Kind, Said};

pub struct Crate {
    /// The root comes first, and each module before those in it.
    pub modules: Vec<Module>,
}

pub struct Module {
    pub file: String,
    /// Where the files of the modules in it are.
    pub folder: String,
    /// Whether a file of its own holds it.
    pub is_file: bool,
    pub said: Said,
    name: String,
    parent: usize,
    children: HashMap<String, usize>,
    definitions: HashMap<String, Vec<Kind>>,
    /// By name, places in `said.uses`.
    aliases: HashMap<String, Vec<usize>>,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Module(usize),
    /// Something that this module defines.
    Item(usize, bool),
}

/// The rooms of a folder: its files and folders of Rust.
pub struct Rooms {
    pub names: BTreeSet<String>,
    /// The file of the module whose folder it is: `lib.rs`, `main.rs` or `mod.rs`.
    pub face: String,
}

impl Crate {
    /// Reads the crate with this root file, of `texts` what a `mod` reaches outside tests.
    ///
    /// # Panics
    ///
    /// If a module has no file, or a file is not Rust.
    pub fn read(root: &str, texts: &Texts) -> Self {
        let mut house = Self { modules: Vec::new() };
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        house.add_file("crate", 0, root, folder, texts);
        house
    }

    fn add_file(
        &mut self,
        name: &str,
        parent: usize,
        file: &str,
        folder: &str,
        texts: &Texts,
    ) -> usize {
        let said =
            tokens::read(file, texts.get(file).unwrap_or_else(|| panic!("{file} is missing")));
        self.add(Module::new(name, parent, file, folder, true, said), texts)
    }

    fn add(&mut self, mut module: Module, texts: &Texts) -> usize {
        let here = self.modules.len();
        let (file, folder) = (module.file.clone(), module.folder.clone());
        let files = std::mem::take(&mut module.said.files);
        let inline = std::mem::take(&mut module.said.inline);
        self.modules.push(module);
        for name in files {
            let inner = format!("{folder}/{name}");
            let beside = format!("{inner}.rs");
            let inside = format!("{inner}/mod.rs");
            let own = if texts.contains_key(&beside) { beside } else { inside };
            assert!(
                texts.contains_key(&own),
                "{file} says `mod {name};`: expected {inner}.rs or {inner}/mod.rs, found neither"
            );
            let child = self.add_file(&name, here, &own, &inner, texts);
            self.modules[here].children.insert(name, child);
        }
        for (name, said) in inline {
            let inner = format!("{folder}/{name}");
            let child = self.add(Module::new(&name, here, &file, &inner, false, said), texts);
            self.modules[here].children.insert(name, child);
        }
        here
    }

    /// Whether the crate has a module whose files are in this folder.
    pub fn has(&self, folder: &str) -> bool {
        self.face(folder).is_some()
    }

    /// # Panics
    ///
    /// If no module has this folder.
    pub fn rooms(&self, folder: &str) -> Rooms {
        let face = self.face(folder).unwrap_or_else(|| panic!("no module has the folder {folder}"));
        let own = |child: &&usize| self.modules[**child].is_file;
        let names = self.modules[face]
            .children
            .values()
            .filter(own)
            .map(|child| self.modules[*child].name.clone());
        Rooms { names: names.collect(), face: self.modules[face].file.clone() }
    }

    fn face(&self, folder: &str) -> Option<usize> {
        self.modules.iter().position(|module| {
            module.is_file && module.folder == folder && !module.children.is_empty()
        })
    }

    /// The files that define what `path` names, as module `from` reads it. None for what another crate or the block defines.
    pub fn files(&self, from: usize, path: &[String], is_macro: bool) -> BTreeSet<&str> {
        let mut targets = self.resolve(from, path, &mut Vec::new());
        if is_macro && path.len() == 1 && targets.is_empty() {
            targets = self.macro_above(from, &path[0]);
        }
        let item = |target| match target {
            Target::Item(module, _) => Some(self.modules[module].file.as_str()),
            Target::Module(_) => None,
        };
        targets.into_iter().filter_map(item).collect()
    }

    /// Whether `path` names a module, besides whatever else has the name.
    pub fn is_module(&self, from: usize, path: &[String]) -> bool {
        let targets = self.resolve(from, path, &mut Vec::new());
        targets.iter().any(|target| matches!(target, Target::Module(_)))
    }

    fn resolve(
        &self,
        from: usize,
        path: &[String],
        seen: &mut Vec<(usize, String)>,
    ) -> BTreeSet<Target> {
        let Some((first, rest)) = path.split_first() else { return BTreeSet::new() };
        let mut targets = match first.as_str() {
            "crate" => BTreeSet::from([Target::Module(0)]),
            "self" => BTreeSet::from([Target::Module(from)]),
            "super" => BTreeSet::from([Target::Module(self.modules[from].parent)]),
            name => self.look_up(from, name, seen),
        };
        for name in rest {
            let next = |target| match target {
                Target::Module(module) if name == "super" => {
                    BTreeSet::from([Target::Module(self.modules[module].parent)])
                }
                Target::Module(module) => self.look_up(module, name, seen),
                Target::Item(_, true) => BTreeSet::from([target]),
                Target::Item(_, false) => BTreeSet::new(),
            };
            targets = targets.into_iter().flat_map(next).collect();
        }
        targets
    }

    /// What a name means in a module: what is defined or brought in there, and else what its globs bring.
    fn look_up(
        &self,
        module: usize,
        name: &str,
        seen: &mut Vec<(usize, String)>,
    ) -> BTreeSet<Target> {
        let key = (module, name.to_owned());
        if seen.contains(&key) {
            return BTreeSet::new();
        }
        seen.push(key);
        let here = &self.modules[module];
        let kinds = here.definitions.get(name).into_iter().flatten();
        let mut found: BTreeSet<Target> =
            kinds.map(|kind| Target::Item(module, *kind == Kind::Type)).collect();
        found.extend(here.children.get(name).map(|child| Target::Module(*child)));
        for alias in here.aliases.get(name).into_iter().flatten() {
            found.extend(self.resolve(module, &here.said.uses[*alias].path, seen));
        }
        if found.is_empty() {
            for glob in here.said.uses.iter().filter(|glob| glob.name.is_none()) {
                for target in self.resolve(module, &glob.path, seen) {
                    if let Target::Module(other) = target {
                        found.extend(self.look_up(other, name, seen));
                    }
                }
            }
        }
        seen.pop();
        found
    }

    /// A `macro_rules!` of a module that this one is in, which reaches by the order of the text.
    fn macro_above(&self, mut module: usize, name: &str) -> BTreeSet<Target> {
        while module != 0 {
            module = self.modules[module].parent;
            if self.modules[module]
                .definitions
                .get(name)
                .is_some_and(|kinds| kinds.contains(&Kind::Macro))
            {
                return BTreeSet::from([Target::Item(module, false)]);
            }
        }
        BTreeSet::new()
    }
}

impl Module {
    fn new(name: &str, parent: usize, file: &str, folder: &str, is_file: bool, said: Said) -> Self {
        let mut definitions: HashMap<String, Vec<Kind>> = HashMap::new();
        for (name, kind) in &said.definitions {
            definitions.entry(name.clone()).or_default().push(*kind);
        }
        let mut aliases: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, brought) in said.uses.iter().enumerate() {
            if let Some(name) = &brought.name {
                aliases.entry(name.clone()).or_default().push(at);
            }
        }
        Self {
            file: file.to_owned(),
            folder: folder.to_owned(),
            is_file,
            said,
            name: name.to_owned(),
            parent,
            children: HashMap::new(),
            definitions,
            aliases,
        }
    }
}
