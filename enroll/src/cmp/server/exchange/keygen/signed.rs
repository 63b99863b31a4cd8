//! A private key in SignedData (RFC 9483 §4.1.6): an AsymmetricKeyPackage (RFC 5958), or a bare PrivateKeyInfo for those who read
//! nothing else, that the key generation authority signs (RFC 5652 §5). What holds the key is written into buffers that are wiped, and is never copied.

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

/// ```text
/// SignedData ::= SEQUENCE {
///     version CMSVersion,
///     digestAlgorithms DigestAlgorithmIdentifiers,
///     encapContentInfo EncapsulatedContentInfo,
///     certificates [0] IMPLICIT CertificateSet OPTIONAL,
///     crls [1] IMPLICIT RevocationInfoChoices OPTIONAL,
///     signerInfos SignerInfos }
/// ```
/// RFC 5652 §5.1. The certificates stand in their order, the signer's first, as RFC 9483 §4.1.6 wants it: DER would sort
/// the set, and CMS does not demand DER.
#[derive(Sequence)]
struct SignedData<'a> {
    version: u8,
    digest_algorithms: SetOfVec<AlgorithmIdentifierOwned>,
    encap_content_info: EncapsulatedContentInfo<'a>,
    certificates: AnyRef<'a>,
    signer_infos: SetOfVec<SignerInfo>,
}

/// ```text
/// EncapsulatedContentInfo ::= SEQUENCE {
///     eContentType ContentType,
///     eContent [0] EXPLICIT OCTET STRING OPTIONAL }
/// ```
/// RFC 5652 §5.2.
#[derive(Sequence)]
struct EncapsulatedContentInfo<'a> {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0")]
    content: OctetStringRef<'a>,
}

/// The key, signed: SignedData, DER but for the order of the certificates.
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
            // AsymmetricKeyPackage ::= SEQUENCE SIZE (1..MAX) OF OneAsymmetricKey (RFC 5958 §2).
            let package = AnyRef::new(Tag::Sequence, key.one_asymmetric_key());
            (KEY_PACKAGE, package.and_then(|package| wiped(&package)).map_err(Error::internal)?)
        }
        // A PrivateKeyInfo has no content type of its own.
        KeyForm::Openssl => (ID_DATA, key.private_key_info()?.to_bytes()),
    };
    let (digest_alg, hash) = digest_of(&signer.algorithm().oid);
    let attributes = signed_attributes(content_type, digest::digest(hash, &package).as_ref());
    let attributes = attributes.map_err(Error::internal)?;
    let signature = signer.sign(&attributes.to_der().map_err(Error::internal)?)?;
    let octets = |bytes: &[u8]| OctetString::new(bytes).map_err(Error::internal);
    let signer_info = SignerInfo {
        version: CmsVersion::V3,
        sid: SignerIdentifier::SubjectKeyIdentifier(SubjectKeyIdentifier(octets(
            signer.key_identifier(),
        )?)),
        digest_alg: digest_alg.clone(),
        signed_attrs: Some(attributes),
        signature_algorithm: signer.algorithm(),
        signature: octets(&signature)?,
        unsigned_attrs: None,
    };
    signed_data(content_type, &package, digest_alg, signer, signer_info).map_err(Error::internal)
}

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

/// contentType and messageDigest (RFC 5652 §5.3): what is signed.
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

/// The hash that goes with a signature; SHA-512 with Ed25519 (RFC 8419 §3.1).
fn digest_of(
    signature: &ObjectIdentifier,
) -> (AlgorithmIdentifierOwned, &'static digest::Algorithm) {
    let (oid, hash) = match *signature {
        ca::ECDSA_SHA384 => (ca::SHA384, &digest::SHA384),
        ca::ED25519 => (ca::SHA512, &digest::SHA512),
        _ => (ca::SHA256, &digest::SHA256),
    };
    (AlgorithmIdentifierOwned { oid, parameters: None }, hash)
}

/// DER in a buffer that is wiped when dropped.
fn wiped(value: &impl Encode) -> der::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; usize::try_from(value.encoded_len()?)?]);
    let mut writer = SliceWriter::new(&mut buffer);
    value.encode(&mut writer)?;
    writer.finish()?;
    Ok(buffer)
}
