//! Rules about attribute names, as the author wrote them, and about local constants.

use std::collections::HashSet;

use super::linter::Linter;
use crate::ipsec;
use crate::source::{Span, printable};
use crate::syntax::tree::{Name, Owner, TextKind, Tree};

impl Linter<'_> {
    /// Checks attribute names as the author wrote them, and the use of local constants.
    pub(super) fn names(&mut self, tree: &Tree) {
        let constants: HashSet<&[u8]> =
            tree.constants.iter().map(|constant| &*constant.name).collect();
        let mut used: HashSet<&[u8]> = HashSet::new();
        let mut computed = false;
        for text in tree.texts() {
            match &text.kind {
                TextKind::Attribute(name) if constants.contains(&*name.text) => {
                    used.insert(&name.text);
                }
                TextKind::Attribute(name) => self.name(name, text.span),
                TextKind::Dereference(of) => match of.literal() {
                    Some(name) if constants.contains(name) => {
                        used.insert(name);
                    }
                    _ => computed = true,
                },
                _ => {}
            }
        }
        for constant in
            tree.constants.iter().filter(|constant| !computed && !used.contains(&*constant.name))
        {
            let message = format!("local constant `{}` is never used", printable(&constant.name));
            self.warn("unused-constant", constant.span, message, "remove it, or use it");
        }
    }

    fn name(&mut self, name: &Name, span: Span) {
        let shown = printable(&name.text);
        if name.owner == Owner::Undefined {
            let message = format!("attribute `{shown}` is always empty");
            return self.warn(
                "reserved-name",
                span,
                message,
                "names that begin with `_` are the evaluator's own",
            );
        }
        if name.owner != Owner::Action {
            return;
        }
        if name.text.eq_ignore_ascii_case(b"true") || name.text.eq_ignore_ascii_case(b"false") {
            let message = format!("`{shown}` is an attribute's name here, not a constant");
            self.warn(
                "keyword",
                span,
                message,
                "the constants `true` and `false` stand alone as tests",
            );
        } else if self.options.ipsec && ipsec::attribute(&shown).is_none() {
            let near = ipsec::names()
                .map(|known| (strsim::damerau_levenshtein(&shown, known), known))
                .filter(|(distance, _)| *distance <= 1 + shown.len() / 4)
                .min();
            let hint = near.map_or_else(
                || "it counts as the empty string; `policy vocabulary` lists the names that are set".to_owned(),
                |(_, known)| format!("did you mean `{known}`? an undefined attribute counts as the empty string"),
            );
            self.warn(
                "undefined-attribute",
                span,
                format!("attribute `{shown}` is never set"),
                hint,
            );
        }
    }
}
