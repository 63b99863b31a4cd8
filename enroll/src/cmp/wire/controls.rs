//! The controls of a CRMF request, which say more than its template (RFC 4211 §6).
//!
//! The server acts on pkiPublicationInfo; in a key update on oldCertID; and on algId and rsaKeyLen where it generates the key. For every
//! other control the answer says that it was left out.

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Sequence};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::GeneralName;

use super::oid;
use super::refusal::{Failure, Refusal, malformed};

/// The most left-out controls that an answer names. Of any further ones it gives only the number.
const NAMED: usize = 8;

/// The values of action in a pkiPublicationInfo (RFC 4211 §6.3).
const DONT_PUBLISH: u8 = 0;
const PLEASE_PUBLISH: u8 = 1;

/// The lowest and the highest pubMethod: dontCare and ldap (RFC 4211 §6.3).
const DONT_CARE: u8 = 0;
const HIGHEST_METHOD: u8 = 3;

/// The value of the control pkiPublicationInfo: whether and where the certificate is to be published (RFC 4211 §6.3).
///
/// ```text
/// PKIPublicationInfo ::= SEQUENCE {
///     action   INTEGER { dontPublish (0), pleasePublish (1) },
///     pubInfos SEQUENCE SIZE (1..MAX) OF SinglePubInfo OPTIONAL }
/// ```
#[derive(Sequence)]
struct PkiPublicationInfo {
    action: u8,
    pub_infos: Option<Vec<SinglePubInfo>>,
}

/// One place where a certificate is to be published (RFC 4211 §6.3).
///
/// ```text
/// SinglePubInfo ::= SEQUENCE {
///     pubMethod    INTEGER { dontCare (0), x500 (1), web (2), ldap (3) },
///     pubLocation  GeneralName OPTIONAL }
/// ```
#[derive(Sequence)]
struct SinglePubInfo {
    pub_method: u8,
    pub_location: Option<GeneralName>,
}

/// The meaning of a request's controls.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// Whether the certificate shall be published in directories; `None` if the request has no pkiPublicationInfo.
    pub published: Option<bool>,
    /// Texts for the answer that say which controls were left out, or were obeyed in another way.
    pub notices: Vec<String>,
}

impl Controls {
    /// Reads controls. `supported` are those that another part of the server acts on; they are not reported as left out.
    ///
    /// # Errors
    /// `badDataFormat` for a pkiPublicationInfo that cannot be read; `badRequest` for one that contradicts itself or has a number that RFC
    /// 4211 does not define, and for two of them.
    pub fn read(
        controls: &[AttributeTypeAndValue],
        supported: &[ObjectIdentifier],
    ) -> Result<Self, Refusal> {
        let mut found = Self::default();
        let mut left_out: Vec<ObjectIdentifier> = Vec::new();
        let mut unnamed = 0_usize;
        for control in controls {
            if control.oid == oid::PKI_PUBLICATION_INFO {
                let value = control.value.to_der().map_err(malformed("a pkiPublicationInfo"))?;
                found.publication(&value)?;
            } else if !supported.contains(&control.oid) && !left_out.contains(&control.oid) {
                match left_out.len() < NAMED {
                    true => left_out.push(control.oid),
                    false => unnamed = unnamed.saturating_add(1),
                }
            }
        }
        let mut names: Vec<String> = left_out.iter().map(name_of).collect();
        if unnamed > 0 {
            names.push(format!("{unnamed} more"));
        }
        match names.as_slice() {
            [] => {}
            [one] => found.notices.push(format!("the control {one} was left out")),
            _ => found.notices.push(format!("the controls {} were left out", names.join(", "))),
        }
        Ok(found)
    }

    /// Reads a pkiPublicationInfo, DER.
    fn publication(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let bad = |why: String| {
            Err(Refusal::new(
                Failure::BadRequest,
                format!("pkiPublicationInfo: {why} (RFC 4211 §6.3)"),
            ))
        };
        if self.published.is_some() {
            return bad("it stands twice; leave one out".into());
        }
        AnyRef::from_der(value).map_err(malformed("a pkiPublicationInfo"))?;
        let info =
            PkiPublicationInfo::from_der(value).map_err(malformed("a pkiPublicationInfo"))?;
        let infos = info.pub_infos.as_deref();
        match info.action {
            DONT_PUBLISH if infos.is_some() => {
                return bad("pubInfos must be absent with dontPublish; leave it out".into());
            }
            DONT_PUBLISH => self.published = Some(false),
            PLEASE_PUBLISH => self.published = Some(true),
            other => {
                return bad(format!(
                    "expected the action dontPublish (0) or pleasePublish (1), found {other}"
                ));
            }
        }
        if infos.is_some_and(<[_]>::is_empty) {
            return bad("expected one SinglePubInfo at least in pubInfos; leave it out".into());
        }
        let infos = infos.unwrap_or_default();
        if let Some(other) = infos.iter().find(|info| info.pub_method > HIGHEST_METHOD) {
            return bad(format!(
                "expected the pubMethod dontCare (0), x500 (1), web (2) or ldap (3), found {}",
                other.pub_method
            ));
        }
        if infos.iter().any(|info| info.pub_method != DONT_CARE || info.pub_location.is_some()) {
            self.notices
                .push("it is published where this CA publishes, whatever pubInfos says".into());
        }
        Ok(())
    }
}

/// The name of a control in its RFC, or its object identifier.
fn name_of(control: &ObjectIdentifier) -> String {
    let name = match *control {
        oid::REG_TOKEN => "regToken",
        oid::AUTHENTICATOR => "authenticator",
        oid::PKI_ARCHIVE_OPTIONS => "pkiArchiveOptions",
        oid::OLD_CERT_ID => "oldCertID",
        oid::PROTOCOL_ENCR_KEY => "protocolEncrKey",
        oid::ALT_CERT_TEMPLATE => "altCertTemplate",
        oid::ALG_ID => "algId",
        oid::RSA_KEY_LEN => "rsaKeyLen",
        other => return format!("`{other}`"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use der::asn1::Any;

    use super::*;

    fn control(oid: ObjectIdentifier, value: &[u8]) -> AttributeTypeAndValue {
        AttributeTypeAndValue { oid, value: Any::from_der(value).unwrap() }
    }

    fn publication(value: &[u8]) -> Result<Controls, Refusal> {
        Controls::read(&[control(oid::PKI_PUBLICATION_INFO, value)], &[])
    }

    #[test]
    fn what_is_said_of_publication_is_read() {
        let said = |published, told: &[&str]| Controls {
            published: Some(published),
            notices: told.iter().map(|text| (*text).to_owned()).collect(),
        };
        assert_eq!(publication(&[0x30, 3, 2, 1, 0]), Ok(said(false, &[])));
        assert_eq!(publication(&[0x30, 3, 2, 1, 1]), Ok(said(true, &[])));
        // pubInfos with dontCare alone, and with ldap.
        assert_eq!(
            publication(&[0x30, 10, 2, 1, 1, 0x30, 5, 0x30, 3, 2, 1, 0]),
            Ok(said(true, &[]))
        );
        let elsewhere = publication(&[0x30, 10, 2, 1, 1, 0x30, 5, 0x30, 3, 2, 1, 3]).unwrap();
        assert!(elsewhere.notices[0].contains("where this CA publishes"), "{elsewhere:?}");
        for (value, failure, word) in [
            // dontPublish with pubInfos; no SinglePubInfo; another action; another method; no PKIPublicationInfo.
            (&[0x30, 10, 2, 1, 0, 0x30, 5, 0x30, 3, 2, 1, 0][..], Failure::BadRequest, "absent"),
            (&[0x30, 5, 2, 1, 0, 0x30, 0], Failure::BadRequest, "absent"),
            (&[0x30, 5, 2, 1, 1, 0x30, 0], Failure::BadRequest, "one SinglePubInfo"),
            (&[0x30, 3, 2, 1, 2], Failure::BadRequest, "found 2"),
            (&[0x30, 10, 2, 1, 1, 0x30, 5, 0x30, 3, 2, 1, 4], Failure::BadRequest, "found 4"),
            (&[0x30, 0], Failure::BadDataFormat, "pkiPublicationInfo"),
            (&[2, 1, 0], Failure::BadDataFormat, "pkiPublicationInfo"),
        ] {
            let refusal = publication(value).unwrap_err();
            assert_eq!(refusal.failure, failure, "{value:?}: {}", refusal.text);
            assert!(refusal.text.contains(word), "{value:?}: {}", refusal.text);
        }
        let twice = [[0x30, 3, 2, 1, 0], [0x30, 3, 2, 1, 1]]
            .map(|value| control(oid::PKI_PUBLICATION_INFO, &value));
        assert_eq!(Controls::read(&twice, &[]).unwrap_err().failure, Failure::BadRequest);
    }

    #[test]
    fn what_is_left_out_is_told_once_and_not_without_end() {
        let unknown =
            |n: u32| control(ObjectIdentifier::new(&format!("1.3.6.1.4.1.{n}")).unwrap(), &[5, 0]);
        let read = |controls: &[_]| Controls::read(controls, &[oid::OLD_CERT_ID]).unwrap().notices;
        assert_eq!(read(&[control(oid::OLD_CERT_ID, &[5, 0])]), [""; 0]);
        let token = || control(oid::REG_TOKEN, &[12, 1, b'x']);
        assert_eq!(read(&[token(), token()]), ["the control regToken was left out"]);
        let two = read(&[control(oid::AUTHENTICATOR, &[12, 1, b'x']), unknown(7)]);
        assert_eq!(two, ["the controls authenticator, `1.3.6.1.4.1.7` were left out"]);
        let many: Vec<_> = (0..1000).map(unknown).collect();
        let told = read(&many);
        assert!(told[0].ends_with(", 992 more were left out") && told[0].len() < 300, "{told:?}");
    }
}
