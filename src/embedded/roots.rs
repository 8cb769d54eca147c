//! Mozilla's root certificates as PEM text.
//!
//! They come in the order of the SHA-256 of their DER bytes: an order of their own, that does not change
//! when the crate lists them in another one.

use sha2::{Digest, Sha256};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::compose::fixup::ca_bundle::pem;

/// Says how many there are.
pub(super) const fn count() -> usize {
    TLS_SERVER_ROOT_CERTS.len()
}

/// Writes all of them.
pub(super) fn bundle() -> Vec<u8> {
    let mut certificates: Vec<&[u8]> = TLS_SERVER_ROOT_CERTS.iter().map(AsRef::as_ref).collect();
    certificates.sort_by_cached_key(|der| <[u8; 32]>::from(Sha256::digest(der)));
    certificates.iter().map(|der| pem(der)).collect::<String>().into_bytes()
}
