//! A private key in SignedData (RFC 9483 §4.1.6) by the key generation authority (RFC 5652 §5): an AsymmetricKeyPackage (RFC 5958), or a
//! bare PrivateKeyInfo for clients that read nothing else. Every buffer that holds the key is wiped, and none is copied.

use cms::content_info::CmsVersion;
use cms::signed_data::{SignerIdentifier, SignerInfo};
use countersign_ca::authority::Delegate;
use countersign_ca::{Error, GeneratedKey, KeyForm, oid as ca};
use der::asn1::{Any, OctetString, OctetStringRef, SetOfVec};
use der::oid::ObjectIdentifier;
use der::{AnyRef, Encode, Sequence, SliceWriter, Tag, TagNumber};
use ring::digest;
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::Attribute;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use zeroize::Zeroizing;

use crate::cmp::wire::enveloped::ID_DATA;

/// id-ct-KP-aKeyPackage, RFC 5958 §2.
const KEY_PACKAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.2.1.2.78.5");
/// id-contentType, RFC 5652 §11.1.
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
/// id-messageDigest, RFC 5652 §11.2.
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");

/// Content with its signature (RFC 5652 §5.1).
///
/// ```text
/// SignedData ::= SEQUENCE {
///     version CMSVersion,
///     digestAlgorithms DigestAlgorithmIdentifiers,
///     encapContentInfo EncapsulatedContentInfo,
///     certificates [0] IMPLICIT CertificateSet OPTIONAL,
///     crls [1] IMPLICIT RevocationInfoChoices OPTIONAL,
///     signerInfos SignerInfos }
/// ```
///
/// The certificates are in the order that RFC 9483 §4.1.6 requires, the signer's first. DER would sort the set, but CMS does not require
/// DER.
#[derive(Sequence)]
struct SignedData<'a> {
    version: u8,
    digest_algorithms: SetOfVec<AlgorithmIdentifierOwned>,
    encap_content_info: EncapsulatedContentInfo<'a>,
    certificates: AnyRef<'a>,
    signer_infos: SetOfVec<SignerInfo>,
}

/// The content of a SignedData, with its type (RFC 5652 §5.2).
///
/// ```text
/// EncapsulatedContentInfo ::= SEQUENCE {
///     eContentType ContentType,
///     eContent [0] EXPLICIT OCTET STRING OPTIONAL }
/// ```
#[derive(Sequence)]
struct EncapsulatedContentInfo<'a> {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0")]
    content: OctetStringRef<'a>,
}

/// The SignedData with a private key, DER but for the order of the certificates.
///
/// # Errors
/// [`Error::Internal`] when it cannot be encoded or signed.
pub fn key_package(
    key: &GeneratedKey,
    form: KeyForm,
    signer: &Delegate,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (content_type, package) = match form {
        KeyForm::Rfc5958 => {
            // AsymmetricKeyPackage ::= SEQUENCE SIZE (1..MAX) OF OneAsymmetricKey (RFC 5958 §2): of one.
            let package = AnyRef::new(Tag::Sequence, key.one_asymmetric_key());
            (KEY_PACKAGE, package.and_then(|package| wiped(&package)).map_err(Error::internal)?)
        }
        // PrivateKeyInfo has no content type of its own, so that it is id-data.
        KeyForm::Openssl => (ID_DATA, key.private_key_info()?.to_bytes()),
    };
    let digest_alg = digest_of(&signer.algorithm().oid);
    let digest = digest::digest(digest_alg.hash, &package);
    let attributes = signed_attributes(content_type, digest.as_ref());
    let attributes = attributes.map_err(Error::internal)?;
    let signature = signer.sign(&attributes.to_der().map_err(Error::internal)?)?;
    let octets = |bytes: &[u8]| OctetString::new(bytes).map_err(Error::internal);
    let signer_info = SignerInfo {
        version: CmsVersion::V3,
        sid: SignerIdentifier::SubjectKeyIdentifier(SubjectKeyIdentifier(octets(
            signer.key_identifier(),
        )?)),
        digest_alg: digest_alg.identifier(),
        signed_attrs: Some(attributes),
        signature_algorithm: signer.algorithm(),
        signature: octets(&signature)?,
        unsigned_attrs: None,
    };
    signed_data(content_type, &package, digest_alg.identifier(), signer, signer_info)
        .map_err(Error::internal)
}

/// SignedData of one SignerInfo, with the signer's chain but without its root.
fn signed_data(
    content_type: ObjectIdentifier,
    package: &[u8],
    digest_alg: AlgorithmIdentifierOwned,
    signer: &Delegate,
    signer_info: SignerInfo,
) -> der::Result<Zeroizing<Vec<u8>>> {
    let mut certificates = signer.certificate().to_vec();
    let above = signer.chain().split_last().map_or(&[][..], |(_root, above)| above);
    above.iter().for_each(|certificate| certificates.extend_from_slice(certificate));
    let tag = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
    wiped(&SignedData {
        // RFC 5652 §5.1: 3, because the signer is named by its key identifier.
        version: 3,
        digest_algorithms: SetOfVec::try_from(vec![digest_alg])?,
        encap_content_info: EncapsulatedContentInfo {
            content_type,
            content: OctetStringRef::new(package)?,
        },
        certificates: AnyRef::new(tag, &certificates)?,
        signer_infos: SetOfVec::try_from(vec![signer_info])?,
    })
}

/// The signed attributes: contentType and messageDigest (RFC 5652 §5.3).
fn signed_attributes(
    content_type: ObjectIdentifier,
    digest: &[u8],
) -> der::Result<SetOfVec<Attribute>> {
    let attribute = |oid, value| {
        Ok::<_, der::Error>(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
    };
    SetOfVec::try_from(vec![
        attribute(CONTENT_TYPE, Any::encode_from(&content_type)?)?,
        attribute(MESSAGE_DIGEST, Any::encode_from(&OctetString::new(digest)?)?)?,
    ])
}

/// A hash algorithm.
struct DigestAlgorithm {
    oid: ObjectIdentifier,
    hash: &'static digest::Algorithm,
}

impl DigestAlgorithm {
    /// The AlgorithmIdentifier of the hash algorithm, without parameters (RFC 5754 §2).
    const fn identifier(&self) -> AlgorithmIdentifierOwned {
        AlgorithmIdentifierOwned { oid: self.oid, parameters: None }
    }
}

/// The hash algorithm that goes with a signature algorithm; SHA-512 with Ed25519 (RFC 8419 §3.1).
const fn digest_of(signature: &ObjectIdentifier) -> DigestAlgorithm {
    match *signature {
        ca::ECDSA_SHA384 => DigestAlgorithm { oid: ca::SHA384, hash: &digest::SHA384 },
        ca::ED25519 => DigestAlgorithm { oid: ca::SHA512, hash: &digest::SHA512 },
        _ => DigestAlgorithm { oid: ca::SHA256, hash: &digest::SHA256 },
    }
}

/// A value as DER, in a buffer of the exact length that is wiped when dropped.
fn wiped(value: &impl Encode) -> der::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; usize::try_from(value.encoded_len()?)?]);
    let mut writer = SliceWriter::new(&mut buffer);
    value.encode(&mut writer)?;
    writer.finish()?;
    Ok(buffer)
}
