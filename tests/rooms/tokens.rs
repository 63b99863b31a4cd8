//! What the text of one file says: the names it defines, the names it brings in, and the paths it mentions.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What a module's own text says, without what stands under `#[cfg(test)]`.
#[derive(Debug, Default)]
pub struct Said {
    pub definitions: Vec<(String, Kind)>,
    pub uses: Vec<Use>,
    pub mentions: Vec<Mention>,
    /// `mod name;`
    pub files: Vec<String>,
    /// `mod name { … }`
    pub inline: Vec<(String, Said)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A struct, an enum, a trait, …: a path may go on behind it, as in `Serial::new`.
    Type,
    /// A function, a constant or a static.
    Value,
    Macro,
}

/// One leaf of a `use`, at the module's level or in a block.
#[derive(Debug)]
pub struct Use {
    pub path: Vec<String>,
    /// The name by which the module knows it. None for a glob.
    pub name: Option<String>,
    /// `pub use`, `pub(crate) use`, …
    pub is_export: bool,
    pub line: usize,
}

/// A path in the code; often it is a single name.
#[derive(Debug)]
pub struct Mention {
    pub path: Vec<String>,
    pub is_macro: bool,
    pub line: usize,
}

/// The words that begin an item, from its visibility on.
const ITEM: [&str; 15] = [
    "pub",
    "unsafe",
    "async",
    "extern",
    "impl",
    "macro_rules",
    "mod",
    "use",
    "const",
    "enum",
    "fn",
    "static",
    "struct",
    "trait",
    "type",
];

/// Reads the text of the file `path`.
///
/// # Panics
///
/// If the text cannot be split into tokens.
pub fn read(path: &str, text: &str) -> Said {
    let tokens: TokenStream =
        text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
    let mut said = Said::default();
    scan(tokens, Level::Module, &mut said);
    said
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Directly in a module: a definition here is a name of the module.
    Module,
    /// In a function, a type, an implementation, or an expression.
    Inside,
    Attribute,
}

fn scan(tokens: TokenStream, level: Level, said: &mut Said) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at = match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => attribute(&tokens, at, said),
            TokenTree::Punct(_) => at + 1,
            TokenTree::Literal(literal) => {
                if level == Level::Attribute {
                    path_in_text(&literal.to_string(), literal.span().start().line, said);
                }
                at + 1
            }
            TokenTree::Group(group) => {
                scan(
                    group.stream(),
                    if level == Level::Module { Level::Inside } else { level },
                    said,
                );
                at + 1
            }
            TokenTree::Ident(word) if level == Level::Attribute => {
                mention(&tokens, at, &word.to_string(), said)
            }
            TokenTree::Ident(word) => match word.to_string().as_str() {
                "pub" => at + 1 + usize::from(restriction(tokens.get(at + 1))),
                "use" if !is_punct(tokens.get(at + 1), '<') => bring_in(&tokens, at, said),
                "mod" => module(&tokens, at, said),
                "macro_rules" => define(&tokens, at + 2, Kind::Macro, level, said),
                "struct" | "enum" | "union" | "trait" | "type" => {
                    define(&tokens, at + 1, Kind::Type, level, said)
                }
                "fn" => define(&tokens, at + 1, Kind::Value, level, said),
                // Not `const fn`, `const { … }`, `*const T` or `&'static T`.
                "const" | "static" => {
                    let name = at + 1 + usize::from(is_word(tokens.get(at + 1), "mut"));
                    if is_punct(tokens.get(name + 1), ':') {
                        define(&tokens, name, Kind::Value, level, said)
                    } else {
                        at + 1
                    }
                }
                word => mention(&tokens, at, word, said),
            },
        };
    }
}

/// Passes over an attribute; with `#[cfg(test)]`, over what it is on.
fn attribute(tokens: &[TokenTree], hash: usize, said: &mut Said) -> usize {
    let bracket = hash + 1 + usize::from(is_punct(tokens.get(hash + 1), '!'));
    let Some(TokenTree::Group(group)) = tokens.get(bracket) else { return hash + 1 };
    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
    if is_word(inner.first(), "doc") {
        return bracket + 1;
    }
    if is_word(inner.first(), "cfg") && inner.get(1).is_some_and(is_test) {
        return behind(tokens, bracket + 1);
    }
    scan(group.stream(), Level::Attribute, said);
    bracket + 1
}

/// Whether these parentheses of a `cfg` hold in tests only.
fn is_test(condition: &TokenTree) -> bool {
    let TokenTree::Group(group) = condition else { return false };
    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
    match inner.first() {
        Some(TokenTree::Ident(word)) if word == "all" => inner.get(1).is_some_and(|all| {
            let TokenTree::Group(all) = all else { return false };
            all.stream().into_iter().any(|token| is_word(Some(&token), "test"))
        }),
        Some(TokenTree::Ident(word)) => word == "test" || word == "doctest",
        _ => false,
    }
}

/// The place behind the item, statement, field or match arm that begins at `start`.
fn behind(tokens: &[TokenTree], start: usize) -> usize {
    let mut at = start;
    while is_punct(tokens.get(at), '#') {
        at += 2;
    }
    let is_item = ITEM.iter().any(|word| is_word(tokens.get(at), word));
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Punct(punct)
                if punct.as_char() == ';' || (punct.as_char() == ',' && !is_item) =>
            {
                break;
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
            _ => {}
        }
    }
    at
}

/// Whether these are the parentheses of `pub(crate)`, and not the first field of a tuple.
fn restriction(token: Option<&TokenTree>) -> bool {
    let Some(TokenTree::Group(group)) = token else { return false };
    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
    let is_one = inner.len() == 1
        && ["crate", "self", "super"].iter().any(|word| is_word(inner.first(), word));
    group.delimiter() == Delimiter::Parenthesis && (is_one || is_word(inner.first(), "in"))
}

fn define(tokens: &[TokenTree], name: usize, kind: Kind, level: Level, said: &mut Said) -> usize {
    let Some(TokenTree::Ident(ident)) = tokens.get(name) else { return name };
    if level == Level::Module || kind == Kind::Macro {
        said.definitions.push((plain(ident), kind));
    }
    name + 1
}

fn module(tokens: &[TokenTree], word: usize, said: &mut Said) -> usize {
    let Some(TokenTree::Ident(name)) = tokens.get(word + 1) else { return word + 1 };
    match tokens.get(word + 2) {
        Some(TokenTree::Group(group)) => {
            let mut inner = Said::default();
            scan(group.stream(), Level::Module, &mut inner);
            said.inline.push((plain(name), inner));
        }
        _ => said.files.push(plain(name)),
    }
    word + 3
}

fn bring_in(tokens: &[TokenTree], word: usize, said: &mut Said) -> usize {
    let line = tokens.get(word).map_or(0, |word| word.span().start().line);
    let before = word.checked_sub(1).and_then(|before| tokens.get(before));
    let is_export = is_word(before, "pub") || restriction(before);
    let length = tokens.iter().skip(word).take_while(|token| !is_punct(Some(token), ';')).count();
    let tree = tokens.get(word + 1..word + length).unwrap_or_default();
    leaves(tree, &[], &mut |path, name| said.uses.push(Use { path, name, is_export, line }));
    word + length
}

/// Calls `found` with the path and the name of each leaf of a `use`.
fn leaves(
    tree: &[TokenTree],
    prefix: &[String],
    found: &mut impl FnMut(Vec<String>, Option<String>),
) {
    let mut path = prefix.to_vec();
    let mut name = None;
    for (at, token) in tree.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if word == "as" => {
                name = tree
                    .get(at + 1)
                    .map(|name| name.to_string().trim_start_matches("r#").to_owned());
                break;
            }
            TokenTree::Ident(word) => path.push(plain(word)),
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for branch in inner
                    .split(|token| is_punct(Some(token), ','))
                    .filter(|branch| !branch.is_empty())
                {
                    leaves(branch, &path, found);
                }
                return;
            }
            TokenTree::Punct(punct) if punct.as_char() == '*' => return found(path, None),
            _ => {}
        }
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = name.or_else(|| path.last().cloned());
    found(path, name);
}

/// Takes the path that begins here, unless it is no path: a field, a method, a label, or what follows `<T as Trait>`.
fn mention(tokens: &[TokenTree], start: usize, word: &str, said: &mut Said) -> usize {
    let mut path = vec![word.trim_start_matches("r#").to_owned()];
    let mut at = start + 1;
    while is_colons(tokens, at) {
        let Some(TokenTree::Ident(next)) = tokens.get(at + 2) else { break };
        path.push(plain(next));
        at += 3;
    }
    let before = |back: usize| start.checked_sub(back).and_then(|before| tokens.get(before));
    let is_member = is_punct(before(1), '.') && !is_punct(before(2), '.');
    let is_variable = (is_punct(before(1), '$') && word != "crate") || is_punct(before(1), '\'');
    let goes_on = is_punct(before(1), ':') && is_punct(before(2), ':');
    let is_field = path.len() == 1 && is_punct(tokens.get(at), ':') && !is_colons(tokens, at);
    if !(is_member || is_variable || goes_on || is_field) {
        let is_macro = is_punct(tokens.get(at), '!')
            && matches!(tokens.get(at + 1), Some(TokenTree::Group(_)));
        let line = tokens.get(start).map_or(0, |word| word.span().start().line);
        said.mentions.push(Mention { path, is_macro, line });
    }
    at
}

/// A path in the text of an attribute, as in `#[serde(default = "crate::limits::timeout")]`.
fn path_in_text(literal: &str, line: usize, said: &mut Said) {
    let path: Vec<String> = literal.trim_matches('"').split("::").map(str::to_owned).collect();
    let is_name =
        |part: &String| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    if literal.starts_with('"') && path.iter().all(is_name) {
        said.mentions.push(Mention { path, is_macro: false, line });
    }
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')
}

fn is_punct(token: Option<&TokenTree>, c: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == c)
}

fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == word)
}

fn plain(ident: &proc_macro2::Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}
