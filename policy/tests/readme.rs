//! The names in README.md are those of the code.

/// The names that the README gives to principals and signatures are those of the code.
#[test]
fn the_names_in_the_readme_are_those_of_the_code() {
    use countersign_policy::Principal;
    let readme = include_str!("../README.md");
    for name in ["rsa", "dsa", "x509", "binary", "ecdsa-p256", "ecdsa-p384", "ed25519"] {
        for encoding in ["hex", "base64"] {
            assert!(readme.contains(&format!("`{name}-{encoding}:`")), "{name}-{encoding}");
            // `!` is neither hexadecimal nor base64: a known algorithm refuses it, an unknown one is a label.
            assert!(
                Principal::parse(format!("{name}-{encoding}:!").as_bytes()).is_err(),
                "{name}-{encoding}"
            );
        }
    }
}
