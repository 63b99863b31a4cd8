//! Templates of subjects, such as `CN={id},O=Example`.

use crate::error::{Error, Result};
use crate::name::distinguished_name;

/// Checks the template of a subject. An empty template is permitted.
///
/// # Errors
/// [`Error::Malformed`] if the filled template would not be a distinguished name, or has another placeholder than `{id}` and `{name}`.
pub(super) fn check(template: &str) -> Result<()> {
    if template.is_empty() {
        return Ok(());
    }
    let filled = fill(template, "name", "id.example");
    if filled.contains(['{', '}']) {
        return Err(Error::malformed(format!(
            "a subject template knows `{{id}}` and `{{name}}`, found `{}`",
            template.escape_debug()
        )));
    }
    distinguished_name(&filled).map(drop)
}

/// Fills a template of a subject. `id` is escaped by RFC 4514; `name`, an account's name, has no character that would need it.
pub(super) fn fill(template: &str, name: &str, id: &str) -> String {
    let escaped: String = id
        .chars()
        .flat_map(|c| {
            matches!(c, '+' | '#' | '"' | '\\' | ',' | ';' | '<' | '>' | '=')
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect();
    template.replace("{name}", name).replace("{id}", &escaped)
}
