//! Keys: public keys and how possession of the private half is proven; private keys in files, and private keys that are
//! generated for peers.

mod decryption;
mod folder;
mod foreign;
mod generated;
mod message_signer;
mod passphrase;
mod possession;
mod private;
mod public;
mod seal;

pub use decryption::{DecryptionKey, KeyTransport, OaepHash};
pub(crate) use folder::REVOKED;
pub use folder::{KeyFolder, read_credential, read_private, read_private_octets};
pub use foreign::{Bundle, is_encrypted, read_bundle, read_key};
pub(crate) use generated::RSA_SIZES;
pub use generated::{GeneratedKey, KeyForm};
pub use message_signer::MessageSigner;
pub use passphrase::Passphrase;
pub use possession::Challenge;
pub use private::{FileKey, KeyAlgorithm, signature_algorithm};
pub use public::{KeyKind, Proof, ProvenKey, SubjectPublicKey, algorithm_identifier};
pub use seal::{Opener, Sealer};
