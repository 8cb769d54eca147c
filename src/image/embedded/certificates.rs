//! The CA bundle: Mozilla's roots for TLS servers as PEM text.
//!
//! The certificates come in the order of the SHA-256 of their DER bytes, which is what people compare them by
//! and does not follow the crate: it may list the same roots in another order without a change here.
//! Each is a block of RFC 7468, section 5: lines of 64 characters, every line ended by one newline, no text between
//! the blocks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use dlstore_model::digest::OciDigest;

/// Where the bundle lies: what `SSL_CERT_FILE` of every image says.
pub(super) const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Length of a full line of base64 (RFC 7468, section 2).
const LINE: usize = 64;

/// Says how many certificates there are.
pub(super) const fn count() -> usize {
    TLS_SERVER_ROOT_CERTS.len()
}

/// Gives the CA bundle alone: what a fix-up adds the certificates of a definition to.
pub(crate) fn certificates() -> Vec<u8> {
    let mut all: Vec<&[u8]> = TLS_SERVER_ROOT_CERTS.iter().map(AsRef::as_ref).collect();
    all.sort_by_cached_key(|der| OciDigest::of(der));
    let mut text = Vec::new();
    for der in all {
        text.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(der).as_bytes().chunks(LINE) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text.extend_from_slice(b"-----END CERTIFICATE-----\n");
    }
    text
}
