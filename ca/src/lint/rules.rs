//! Every rule of the lint, with its stable code, its severity and its source.

use super::severity::Severity::{self, Error, Notice, Warning};

/// A rule of the lint.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The stable code, which programs may match.
    pub code: &'static str,
    /// The severity of a broken rule.
    pub severity: Severity,
    /// The document and section that contain the rule; `house rule` if it is our own.
    pub section: &'static str,
    /// The demand of the rule: the sentence that is true of an object that keeps it.
    pub title: &'static str,
}

macro_rules! rules {
    ($($name:ident $severity:ident $code:literal $section:literal $title:literal;)*) => {
        $(
            #[doc = $title]
            pub(super) const $name: Rule =
                Rule { code: $code, severity: $severity, section: $section, title: $title };
        )*
        /// Every rule.
        pub(super) const ALL: &[Rule] = &[$($name),*];
    };
}

rules! {
    DER Error "x690.der" "X.690 §10" "the object is DER and nothing stands behind it";
    SIZE Error "size" "house rule" "a certificate has at most 64 KiB";
    OUTER_ALGORITHM Error "rfc5280.signature.same" "RFC 5280 §4.1.1.2" "the two signature algorithms are the same";
    VERSION Error "rfc5280.version" "RFC 5280 §4.1.2.1" "the version is 3";
    SERIAL_POSITIVE Error "rfc5280.serial.positive" "RFC 5280 §4.1.2.2" "the serial number is positive";
    SERIAL_LENGTH Error "rfc5280.serial.length" "RFC 5280 §4.1.2.2" "the serial number has at most 20 octets";
    SERIAL_ENTROPY Warning "house.serial.entropy" "RFC 5280 §4.1.2.2" "the serial number has 64 bits or more";
    ALGORITHM Error "rfc5280.signature.algorithm" "RFC 5280 §4.1.1.2" "the signature algorithm is a strong one";
    ALGORITHM_PARAMETERS Error "rfc5758.signature.parameters" "RFC 5758 §3.2, RFC 4055 §5, RFC 8410 §3" "the algorithm's parameters are as its RFC says";
    ISSUER_EMPTY Error "rfc5280.issuer.empty" "RFC 5280 §4.1.2.4" "the issuer is not empty";
    NAME_STRING Error "rfc5280.name.string" "RFC 5280 §4.1.2.4" "names are made of UTF8String or PrintableString, countries of PrintableString, DC and email of IA5String";
    NAME_LENGTH Error "rfc5280.name.length" "RFC 5280 §A.1" "an attribute of a name is not longer than its upper bound";
    NAME_EMPTY Error "rfc5280.name.value" "RFC 5280 §A.1" "an attribute of a name has a value";
    NAME_MISLEADING Error "house.name.misleading" "house rule" "a name has no invisible characters";
    NAME_TWICE Warning "x501.name.twice" "X.501 §9.3" "an RDN has each attribute type once";
    VALIDITY_ORDER Error "rfc5280.validity.order" "RFC 5280 §4.1.2.5" "notBefore is not after notAfter";
    VALIDITY_ENCODING Error "rfc5280.validity.encoding" "RFC 5280 §4.1.2.5" "dates until 2049 are UTCTime, later ones GeneralizedTime";
    KEY_KIND Error "house.key.kind" "RFC 5480 §2.1.1, RFC 8410 §4" "the key is P-256, P-384, P-521, Ed25519 or RSA";
    KEY_RSA Error "house.key.rsa" "RFC 8017 §3.1" "an RSA modulus has 2048 bits or more, and its exponent is odd and 65537 or more";
    UNIQUE_ID Error "rfc5280.uniqueid" "RFC 5280 §4.1.2.8" "there are no unique identifiers";
    EXTENSION_TWICE Error "rfc5280.extension.twice" "RFC 5280 §4.2" "each extension stands once";
    EXTENSION_UNREADABLE Error "rfc5280.extension.unreadable" "RFC 5280 §4.2" "each known extension can be read";
    EXTENSION_UNKNOWN Error "rfc5280.extension.unknown" "RFC 5280 §4.2" "no unknown extension is critical";
    EXTENSION_CRITICAL Error "rfc5280.extension.critical" "RFC 5280 §4.2.1" "an extension that must not be critical is not";
    SKI_MISSING Error "rfc5280.ski.missing" "RFC 5280 §4.2.1.2" "a CA has a subjectKeyIdentifier";
    SKI_RECOMMENDED Warning "rfc5280.ski.recommended" "RFC 5280 §4.2.1.2" "an end entity has a subjectKeyIdentifier";
    AKI_MISSING Error "rfc5280.aki.missing" "RFC 5280 §4.2.1.1" "whatever is not self-signed has an authorityKeyIdentifier with a keyIdentifier";
    KU_MISSING Error "rfc5280.ku.missing" "RFC 5280 §4.2.1.3" "a CA has a keyUsage";
    KU_EMPTY Error "rfc5280.ku.empty" "RFC 5280 §4.2.1.3" "a keyUsage has at least one bit";
    KU_CRITICAL Warning "rfc5280.ku.critical" "RFC 5280 §4.2.1.3" "keyUsage is critical";
    KU_CA Error "rfc5280.ku.ca" "RFC 5280 §4.2.1.3" "a CA may sign certificates and CRLs";
    KU_END_ENTITY Error "rfc5280.ku.endentity" "RFC 5280 §4.2.1.9" "an end entity may not sign certificates";
    KU_KEY Error "rfc8813.ku.key" "RFC 8813 §3, RFC 8410 §5" "an EC or Ed25519 key encrypts no keys or data";
    BC_MISSING Error "rfc5280.bc.missing" "RFC 5280 §4.2.1.9" "a CA has basicConstraints that say so, critical";
    BC_END_ENTITY Error "rfc5280.bc.endentity" "RFC 5280 §4.2.1.9" "an end entity is no CA";
    BC_PATH Error "rfc5280.bc.path" "RFC 5280 §4.2.1.9" "a path length stands only in a CA";
    SAN_EMPTY Error "rfc5280.san.empty" "RFC 5280 §4.2.1.6" "a subjectAltName has at least one name";
    SAN_CRITICAL Error "rfc5280.san.critical" "RFC 5280 §4.2.1.6" "subjectAltName is critical when the subject is empty, and only then";
    SAN_DNS Error "rfc5280.san.dns" "RFC 5280 §4.2.1.6, RFC 1034 §3.5" "a dNSName is a host name";
    SAN_WILDCARD Error "rfc4945.san.wildcard" "RFC 4945 §5.1.3.6" "a dNSName has no wildcard: IKE identities are exact";
    SAN_IP Error "rfc5280.san.ip" "RFC 5280 §4.2.1.6" "an iPAddress has 4 or 16 octets";
    SAN_EMAIL Error "rfc5280.san.email" "RFC 5280 §4.2.1.6" "an rfc822Name is a mailbox";
    SAN_URI Error "rfc5280.san.uri" "RFC 5280 §4.2.1.6" "a uniformResourceIdentifier is absolute";
    SUBJECT_EMPTY Error "rfc5280.subject.empty" "RFC 5280 §4.1.2.6" "a CA has a subject, and an end entity a subject or a subjectAltName";
    IKE_IDENTITY Warning "rfc4945.identity" "RFC 4945 §3.1" "the IKE identity stands in the subjectAltName";
    IKE_KU Error "rfc4945.ku" "RFC 4945 §5.1.3.2" "keyUsage has digitalSignature or nonRepudiation";
    IKE_EKU Error "rfc4945.eku" "RFC 4945 §5.1.3.12" "extendedKeyUsage, if there is one, has ipsecIKE or anyExtendedKeyUsage";
    IKE_EKU_OBSOLETE Warning "rfc4945.eku.obsolete" "RFC 4945 §5.1.3.12" "the obsolete IPsec key usages are not used";
    IKE_INTERMEDIATE Notice "house.eku.intermediate" "house rule" "iKEIntermediate is for old clients";
    EKU_EMPTY Error "rfc5280.eku.empty" "RFC 5280 §4.2.1.12" "an extendedKeyUsage has at least one usage, each once";
    OCSP_KU Error "rfc5280.ocsp.ku" "RFC 5280 §4.2.1.12" "an OCSP responder's keyUsage has digitalSignature or nonRepudiation";
    OCSP_ALONE Warning "house.ocsp.alone" "house rule" "an OCSP responder's key signs nothing but OCSP answers";
    OCSP_NOCHECK Error "rfc6960.nocheck" "RFC 6960 §4.2.2.2.1" "nocheck is NULL, not critical, and stands only in an OCSP responder";
    NC_END_ENTITY Error "rfc5280.nc.endentity" "RFC 5280 §4.2.1.10" "nameConstraints stand only in a CA";
    NC_CRITICAL Error "rfc5280.nc.critical" "RFC 5280 §4.2.1.10" "nameConstraints are critical";
    NC_EMPTY Error "rfc5280.nc.empty" "RFC 5280 §4.2.1.10" "nameConstraints have at least one subtree";
    NC_DIRECTORY Error "house.nc.directory" "house rule" "no directoryName is excluded: strongSwan 6 refuses such chains";
    CP_TWICE Error "rfc5280.cp.twice" "RFC 5280 §4.2.1.4" "a certificate policy stands once";
    CDP_URI Error "rfc5280.cdp.uri" "RFC 5280 §4.2.1.13" "a distribution point has a fullName with http: or ldap: URIs";
    CDP_LDAP Error "rfc4516.cdp.attribute" "RFC 5280 §4.2.1.13, RFC 4516 §2" "an ldap: URI names the attribute";
    AIA_URI Error "rfc5280.aia.uri" "RFC 5280 §4.2.2.1" "an accessLocation is a URI";
    CRL_VERSION Error "rfc5280.crl.version" "RFC 5280 §5.1.2.1" "the version is 2";
    CRL_DATES Error "rfc5280.crl.dates" "RFC 5280 §5.1.2.5" "nextUpdate is there and after thisUpdate";
    CRL_NUMBER Error "rfc5280.crl.number" "RFC 5280 §5.2.3" "cRLNumber is there, not critical, and has at most 20 octets";
    CRL_AKI Error "rfc5280.crl.aki" "RFC 5280 §5.2.1" "authorityKeyIdentifier is there";
    CRL_EMPTY Error "rfc5280.crl.empty" "RFC 5280 §5.1.2.6" "revokedCertificates is absent when nothing is revoked";
    CRL_TWICE Error "rfc5280.crl.twice" "RFC 5280 §5.1.2.6" "each serial number stands once";
    CRL_REASON Error "rfc5280.crl.reason" "RFC 5280 §5.3.1" "a reason code is known, not unspecified, and removeFromCRL only in a delta CRL";
    CRL_FUTURE Error "rfc5280.crl.future" "RFC 5280 §5.1.2.6" "no certificate was revoked more than a minute after thisUpdate";
    CRL_ENTRY Error "rfc5280.crl.entry" "RFC 5280 §5.1.2.6" "an entry has a serial number, a time and known extensions, each once";
    CRL_DELTA Error "rfc5280.crl.delta" "RFC 5280 §5.2.4" "deltaCRLIndicator is critical, and refers to a CRL that is not newer";
    CRL_POINT Error "rfc5280.crl.idp" "RFC 5280 §5.2.5" "issuingDistributionPoint is critical and not empty";
    CRL_FRESHEST Error "rfc5280.crl.freshest" "RFC 5280 §5.2.6" "freshestCRL is not critical, and not in a delta CRL";
    CRL_UNKNOWN Error "rfc5280.crl.unknown" "RFC 5280 §5.2" "no unknown extension is critical";
}
