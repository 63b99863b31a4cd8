//! The accounts that hold an identity: their names, with an octet 0 between two.

use crate::record::Label;

/// The names of the accounts in a value.
pub fn names(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|octet| *octet == 0).filter(|name| !name.is_empty())
}

/// The value with this account added or moved to the end.
pub fn with(value: &[u8], account: &Label) -> Vec<u8> {
    let name = account.as_str().as_bytes();
    others(value, name).chain([name]).collect::<Vec<_>>().join(&0)
}

/// The value with this account removed.
pub fn without(value: &[u8], account: &Label) -> Vec<u8> {
    others(value, account.as_str().as_bytes()).collect::<Vec<_>>().join(&0)
}

fn others<'a>(value: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    names(value).filter(move |holder| *holder != name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_come_and_go() {
        let [one, two]: [Label; 2] = ["gw1", "gw2"].map(|name| name.parse().unwrap());
        let value = with(&with(&[], &one), &two);
        assert_eq!(with(&value, &one), [&b"gw2"[..], b"gw1"].join(&0));
        assert_eq!(names(&without(&value, &one)).collect::<Vec<_>>(), [b"gw2"]);
        assert_eq!(without(b"gw1", &one), b"");
    }
}
