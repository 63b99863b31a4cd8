//! The people who approved a request that more must approve: their names, with an octet 0 between two.

/// The names of the accounts in a value.
pub fn names(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|octet| *octet == 0).filter(|name| !name.is_empty())
}

/// The value with this name appended. A name has no octet 0.
pub fn with(value: &[u8], name: &str) -> Vec<u8> {
    names(value).chain([name.as_bytes()]).collect::<Vec<_>>().join(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_in_their_order() {
        let value = with(&with(&[], "bob"), "alice");
        assert_eq!(names(&value).collect::<Vec<_>>(), [&b"bob"[..], b"alice"]);
        assert_eq!(names(&[]).count(), 0);
    }
}
