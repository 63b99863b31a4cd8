//! The numbers in LDAP messages (RFC 4511), by name: for the built-in directory, which answers, and for the client, which checks the
//! answers of other directories.

/// The tags of elements in BER.
pub mod tag {
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// ENUMERATED.
    pub const ENUMERATED: u8 = 0x0a;
    /// SEQUENCE and SEQUENCE OF.
    pub const SEQUENCE: u8 = 0x30;
    /// SET OF.
    pub const SET: u8 = 0x31;
    /// The bit that is set in a tag if the content consists of elements.
    pub const CONSTRUCTED: u8 = 0x20;

    /// BindRequest, `[APPLICATION 0]` (RFC 4511 §4.2).
    pub const BIND_REQUEST: u8 = 0x60;
    /// BindResponse, `[APPLICATION 1]`.
    pub const BIND_RESPONSE: u8 = 0x61;
    /// UnbindRequest, `[APPLICATION 2]` (§4.3). It has no answer.
    pub const UNBIND_REQUEST: u8 = 0x42;
    /// SearchRequest, `[APPLICATION 3]` (§4.5.1).
    pub const SEARCH_REQUEST: u8 = 0x63;
    /// SearchResultEntry, `[APPLICATION 4]` (§4.5.2).
    pub const SEARCH_RESULT_ENTRY: u8 = 0x64;
    /// SearchResultDone, `[APPLICATION 5]`.
    pub const SEARCH_RESULT_DONE: u8 = 0x65;
    /// SearchResultReference, `[APPLICATION 19]`.
    pub const SEARCH_RESULT_REFERENCE: u8 = 0x73;
    /// ModifyRequest, `[APPLICATION 6]` (§4.6).
    pub const MODIFY_REQUEST: u8 = 0x66;
    /// ModifyResponse, `[APPLICATION 7]`.
    pub const MODIFY_RESPONSE: u8 = 0x67;
    /// AddRequest, `[APPLICATION 8]` (§4.7).
    pub const ADD_REQUEST: u8 = 0x68;
    /// AddResponse, `[APPLICATION 9]`.
    pub const ADD_RESPONSE: u8 = 0x69;
    /// DelRequest, `[APPLICATION 10]` (§4.8). It is primitive.
    pub const DEL_REQUEST: u8 = 0x4a;
    /// DelResponse, `[APPLICATION 11]`.
    pub const DEL_RESPONSE: u8 = 0x6b;
    /// ModifyDNRequest, `[APPLICATION 12]` (§4.9).
    pub const MODIFY_DN_REQUEST: u8 = 0x6c;
    /// ModifyDNResponse, `[APPLICATION 13]`.
    pub const MODIFY_DN_RESPONSE: u8 = 0x6d;
    /// CompareRequest, `[APPLICATION 14]` (§4.10).
    pub const COMPARE_REQUEST: u8 = 0x6e;
    /// CompareResponse, `[APPLICATION 15]`.
    pub const COMPARE_RESPONSE: u8 = 0x6f;
    /// AbandonRequest, `[APPLICATION 16]` (§4.11). It is primitive, and has no answer.
    pub const ABANDON_REQUEST: u8 = 0x50;
    /// ExtendedRequest, `[APPLICATION 23]` (§4.12).
    pub const EXTENDED_REQUEST: u8 = 0x77;
    /// ExtendedResponse, `[APPLICATION 24]`.
    pub const EXTENDED_RESPONSE: u8 = 0x78;

    /// The controls of a message, `[0]` (§4.1.1).
    pub const CONTROLS: u8 = 0xa0;
    /// The referral of a result, `[3]` (§4.1.9).
    pub const REFERRAL: u8 = 0xa3;
    /// serverSaslCreds of a BindResponse, `[7]` (§4.2.2).
    pub const SERVER_SASL_CREDS: u8 = 0x87;
    /// responseName of an ExtendedResponse, `[10]` (§4.12).
    pub const RESPONSE_NAME: u8 = 0x8a;
    /// responseValue of an ExtendedResponse, `[11]`.
    pub const RESPONSE_VALUE: u8 = 0x8b;

    /// The filter `and`, `[0]` (§4.5.1.7).
    pub const FILTER_AND: u8 = 0xa0;
    /// The filter `not`, `[2]`; `or` is `[1]`, between them.
    pub const FILTER_NOT: u8 = 0xa2;
    /// The filter `present`, `[7]`.
    pub const FILTER_PRESENT: u8 = 0x87;

    /// The tag of the response that ends a request; `None` for a request that has none, and for an unknown one.
    pub const fn response_to(request: u8) -> Option<u8> {
        match request {
            BIND_REQUEST => Some(BIND_RESPONSE),
            SEARCH_REQUEST => Some(SEARCH_RESULT_DONE),
            MODIFY_REQUEST => Some(MODIFY_RESPONSE),
            ADD_REQUEST => Some(ADD_RESPONSE),
            DEL_REQUEST => Some(DEL_RESPONSE),
            MODIFY_DN_REQUEST => Some(MODIFY_DN_RESPONSE),
            COMPARE_REQUEST => Some(COMPARE_RESPONSE),
            EXTENDED_REQUEST => Some(EXTENDED_RESPONSE),
            _ => None,
        }
    }
}

/// The object identifiers of controls and extended operations.
pub mod oid {
    /// The control of paged results (RFC 2696).
    pub const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";
    /// The control ManageDsaIT (RFC 3296 §3).
    pub const MANAGE_DSA_IT: &str = "2.16.840.1.113730.3.4.2";
    /// The extended operation StartTLS (RFC 4511 §4.14).
    pub const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
    /// The extended operation "Who am I?" (RFC 4532).
    pub const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
    /// The notice of disconnection (RFC 4511 §4.4.1).
    pub const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";
}

/// The result codes that this program distinguishes (RFC 4511 §4.1.9, appendix A).
pub mod result {
    /// success.
    pub const SUCCESS: u32 = 0;
    /// noSuchObject.
    pub const NO_SUCH_OBJECT: u32 = 32;
}

/// The length octets of an element, which follow its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// The number of length octets, 1 to 5.
    pub octets: usize,
    /// The number of octets of the content.
    pub content: usize,
}

/// A length that LDAP does not allow, or that needs more than four octets (RFC 4511 §5.1: only the definite form).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnusableLength;

impl Length {
    /// Reads the length octets, which follow a tag; `None` if they are not all there yet.
    ///
    /// # Errors
    /// The indefinite form, or more than four octets of length.
    pub fn read(behind_tag: &[u8]) -> Result<Option<Self>, UnusableLength> {
        match behind_tag {
            [] => Ok(None),
            [short @ ..=0x7f, ..] => Ok(Some(Self { octets: 1, content: usize::from(*short) })),
            [long @ 0x81..=0x84, rest @ ..] => {
                let count = usize::from(long & 0x7f);
                let Some(octets) = rest.get(..count) else { return Ok(None) };
                let content =
                    octets.iter().fold(0_usize, |n, octet| (n << 8) | usize::from(*octet));
                Ok(Some(Self { octets: count.saturating_add(1), content }))
            }
            _ => Err(UnusableLength),
        }
    }
}
