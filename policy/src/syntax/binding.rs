//! The precedence of operators (RFC 2704 §4.6.5, and the table in README.md): a higher number binds more tightly.

/// `||`
pub(super) const OR: u8 = 1;
/// `&&`
pub(super) const AND: u8 = 2;
/// `!`
pub(super) const NOT: u8 = 3;
/// `==` `!=` `<` `>` `<=` `>=` `~=`
pub(super) const RELATION: u8 = 4;
/// `+` `-` `.`
pub(super) const SUM: u8 = 5;
/// `*` `/` `%`
pub(super) const PRODUCT: u8 = 6;
/// `^`
pub(super) const POWER: u8 = 7;
/// Unary `-` `@` `&` `$`
pub(super) const PREFIX: u8 = 8;
