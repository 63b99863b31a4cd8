//! The configuration file as the operator writes it. Its values are read here and checked in the file of each section.

use std::collections::{BTreeMap, BTreeSet};

use countersign_ca::profile::ProfileConfig;
use countersign_ca::record::Label;
use serde::{Deserialize, Serialize};

use super::admin::AdminFile;
use super::authorizer::AuthorizerFile;
use super::cmp::CmpFile;
use super::crl::CrlFile;
use super::est::EstFile;
use super::gateways::Gateways;
use super::http::HttpFile;
use super::ldap::LdapFile;
use super::notify::NotifyFile;
use super::ocsp::OcspFile;
use super::scep::ScepFile;
use super::values::LogFormat;

/// The configuration file that `init` writes: every setting with its default, most of them in comments. A test holds its values equal to
/// [`ConfigFile::default`].
pub const TEMPLATE: &str = include_str!("../countersign.toml");

/// The content of `countersign.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    /// The section `[http]`.
    pub http: HttpFile,
    /// The section `[authority]`.
    pub authority: AuthorityFile,
    /// The section `[crl]`.
    pub crl: CrlFile,
    /// The section `[ocsp]`.
    pub ocsp: OcspFile,
    /// The section `[ldap]`.
    pub ldap: LdapFile,
    /// The section `[cmp]`.
    pub cmp: CmpFile,
    /// The section `[scep]`.
    pub scep: ScepFile,
    /// The section `[est]`.
    pub est: EstFile,
    /// The section `[admin]`.
    pub admin: AdminFile,
    /// The section `[notify]`.
    pub notify: NotifyFile,
    /// The section `[authorizer]`.
    pub authorizer: AuthorizerFile,
    /// The sections `[gateways.NAME]`, by name.
    pub gateways: Gateways,
    /// The section `[log]`.
    pub log: LogFile,
    /// The sections `[profiles.NAME]`, by name.
    pub profiles: BTreeMap<String, ProfileConfig>,
}

/// The section `[authority]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorityFile {
    /// The issuing CA of accounts that name none. `None` for the one that `ca set-default` chose, or else the one founded first.
    pub default_ca: Option<Label>,
}

/// The section `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogFile {
    /// A filter of `tracing`, such as `info` or `warn,countersign_enroll=debug`.
    pub filter: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

impl Default for LogFile {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::default() }
    }
}

impl ConfigFile {
    /// The keys whose values differ from those of another file, such as `http.listen`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (mut these, mut those) = (BTreeMap::new(), BTreeMap::new());
        for (file, values) in [(self, &mut these), (other, &mut those)] {
            if let Ok(value) = toml::Value::try_from(file) {
                flatten(String::new(), value, values);
            }
        }
        let keys: BTreeSet<&String> = these.keys().chain(those.keys()).collect();
        keys.into_iter().filter(|key| these.get(*key) != those.get(*key)).cloned().collect()
    }
}

/// Collects the values of nested tables under dotted keys, such as `http.listen`. `key` is the dotted key of `value`; empty for the whole
/// file.
fn flatten(key: String, value: toml::Value, into: &mut BTreeMap<String, toml::Value>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(key, value, into);
            }
        }
        value => drop(into.insert(key, value)),
    }
}

/// Parses the text of the file. The error is a message with the line; for an unknown key it also names the key that may be meant.
pub fn parse(text: &str) -> Result<ConfigFile, String> {
    toml::from_str(text).map_err(|e: toml::de::Error| {
        let message = e.message();
        let line = e.span().map_or(0, |span| {
            text.get(..span.start).unwrap_or("").matches('\n').count().saturating_add(1)
        });
        format!("line {line}: {message}{}", did_you_mean(message))
    })
}

/// The hint at a known key that is similar to the unknown one; empty if there is none. serde's message names the unknown key and the known
/// ones in backticks, the unknown one first.
fn did_you_mean(message: &str) -> String {
    if !message.contains("unknown field") && !message.contains("unknown variant") {
        return String::new();
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next() else { return String::new() };
    let close = quoted.max_by(|a, b| {
        strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown))
    });
    close
        .filter(|known| strsim::jaro_winkler(known, unknown) > 0.8)
        .map(|known| format!("; did you mean `{known}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotated_default_says_what_is_in_force() {
        assert_eq!(parse(TEMPLATE).unwrap(), ConfigFile::default());
        // The template has every key, most of them in comments. Without the comment signs, it still gives the defaults.
        let uncommented: String = TEMPLATE
            .lines()
            .map(|line| line.strip_prefix("#= ").unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let shown = parse(&uncommented).unwrap();
        assert_eq!(
            ConfigFile { profiles: BTreeMap::new(), ..shown.clone() },
            ConfigFile::default()
        );
        assert_eq!(
            shown.profiles.get("gateway"),
            countersign_ca::profile::built_in("gateway").as_ref()
        );
        let values = toml::Value::try_from(ConfigFile::default()).unwrap();
        for (section, keys) in values.as_table().unwrap() {
            for key in keys.as_table().into_iter().flatten().map(|(key, _)| key) {
                assert!(
                    TEMPLATE.contains(&format!("{key} = ")),
                    "{section}.{key} is not in the annotated default"
                );
            }
        }
    }

    #[test]
    fn what_differs_between_two_files_is_named() {
        let before =
            parse("[http]\nkeep_alive = \"10s\"\n[profiles.a]\nvalidity = \"1d\"").unwrap();
        let after = parse(
            "[log]\nfilter = \"debug\"\n[profiles.b]\n[ldap]\npeer_dns = { a = \"cn={id}\" }",
        )
        .unwrap();
        assert_eq!(before.differences(&before), [""; 0]);
        let keys = before.differences(&after);
        for key in ["http.keep_alive", "log.filter", "ldap.peer_dns.a", "profiles.a.validity"] {
            assert!(keys.iter().any(|found| found == key), "{key}: {keys:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_what_was_meant() {
        let why =
            parse("[http]\nlisten = \"127.0.0.1:1\"\npublik_url = \"http://x\"\n").unwrap_err();
        assert!(why.contains("line 3") && why.contains("did you mean `public_url`?"), "{why}");
        let why = parse("[profiles.gateway]\nvalidty = \"1d\"\n").unwrap_err();
        assert!(why.contains("did you mean `validity`?"), "{why}");
    }
}
