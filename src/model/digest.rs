//! Names of content: four digests that are never mixed up.
//!
//! - [`Digest`] is BLAKE3 and names what this program defines itself: the bytes of a file and the
//!   canonical encoding of a tree.
//! - [`OciDigest`] is SHA-256 and names what the outside world names: blobs of an image, diff IDs,
//!   and the packages as their archives publish them.
//! - [`ActionKey`] is BLAKE3 over a description of work and names a *mapping*, not content: content
//!   proves itself by its name, a mapping has to be trusted.
//! - [`PackageKey`] is such a key too: of what a source was decoded to, by which version of the decoder.
//!
//! All are `[u8; 32]`, `Copy`, and ordered bytewise, which is also the order of their hex forms.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

/// Tells why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a digest (64 lowercase hex digits expected): {0:?}")]
pub struct ParseDigestError(String);

/// BLAKE3 of raw bytes: the name of a file's content or of a tree's encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// SHA-256 of raw bytes, written `sha256:<64 hex>` as OCI does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OciDigest([u8; 32]);

/// BLAKE3 of a description of work: the key under which its outcome is remembered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionKey([u8; 32]);

/// BLAKE3 of source, decoder and the name that was given from outside: what a package is known by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageKey([u8; 32]);

impl PackageKey {
    /// Names what the decoder of this version makes of a source.
    ///
    /// `given` is the name that a plain tar or a directory gets from outside; it is empty for the formats
    /// that name themselves. The page is `store-schema/KEYS.md`.
    #[must_use]
    pub fn new(source: &OciDigest, decoder: u32, given: &str) -> Self {
        let mut key = KeyBuilder::new("package 1");
        key.bytes(source.as_bytes()).number(u64::from(decoder)).text(given);
        Self(*key.finish().as_bytes())
    }
}

impl Digest {
    /// Names `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Takes the name out of a finished BLAKE3 hasher.
    #[must_use]
    pub fn from_hasher(hasher: &blake3::Hasher) -> Self {
        Self(*hasher.finalize().as_bytes())
    }
}

impl OciDigest {
    /// Names `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Takes the name out of a finished SHA-256 hasher.
    #[must_use]
    pub fn from_hasher(hasher: sha2::Sha256) -> Self {
        Self(hasher.finalize().into())
    }
}

macro_rules! digest_type {
    ($name:ident) => {
        impl $name {
            /// Takes 32 bytes that are already such a name, as read from the index.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Gives the 32 raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Writes the 64 lowercase hex digits.
            #[must_use]
            pub fn to_hex(&self) -> String {
                to_hex(&self.0)
            }

            /// Reads 64 lowercase hex digits, and nothing else.
            ///
            /// # Errors
            /// When the text has another length, upper-case or other characters.
            pub fn from_hex(text: &str) -> Result<Self, ParseDigestError> {
                from_hex(text).map(Self).ok_or_else(|| ParseDigestError(text.chars().take(80).collect()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.to_hex())
            }
        }
    };
}

digest_type!(Digest);
digest_type!(OciDigest);
digest_type!(ActionKey);
digest_type!(PackageKey);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Display for ActionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Display for PackageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Display for OciDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.to_hex())
    }
}

impl FromStr for OciDigest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let hex = text.strip_prefix("sha256:").ok_or_else(|| ParseDigestError(text.chars().take(80).collect()))?;
        Self::from_hex(hex)
    }
}

/// Builds an [`ActionKey`] out of length-prefixed fields, so that no two descriptions collide by
/// moving bytes from one field into its neighbour.
pub struct KeyBuilder(blake3::Hasher);

impl KeyBuilder {
    /// Starts a key of the given kind, for example `"select 1"`; the number is the kind's version
    /// and changes whenever the same inputs would give another outcome.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        let mut builder = Self(blake3::Hasher::new());
        builder.bytes(b"dlstore action").bytes(kind.as_bytes());
        builder
    }

    /// Adds one field.
    pub fn bytes(&mut self, field: &[u8]) -> &mut Self {
        self.0.update(&(field.len() as u64).to_le_bytes());
        self.0.update(field);
        self
    }

    /// Adds one number.
    pub fn number(&mut self, field: u64) -> &mut Self {
        self.bytes(&field.to_le_bytes())
    }

    /// Adds one text.
    pub fn text(&mut self, field: &str) -> &mut Self {
        self.bytes(field.as_bytes())
    }

    /// Adds what may be absent: its absence is a field too.
    pub fn option<T>(&mut self, field: Option<T>, add: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.number(u64::from(field.is_some()));
        if let Some(field) = field {
            add(self, field);
        }
        self
    }

    /// Adds a list: its length, then each item.
    pub fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut add: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        let items = items.into_iter();
        self.number(items.len() as u64);
        for item in items {
            add(self, item);
        }
        self
    }

    /// Adds names with their values.
    pub fn pairs(&mut self, pairs: &std::collections::BTreeMap<String, String>) -> &mut Self {
        self.list(pairs, |key, (name, value)| {
            key.text(name).text(value);
        })
    }

    /// Finishes the key.
    #[must_use]
    pub fn finish(&self) -> ActionKey {
        ActionKey(*self.0.finalize().as_bytes())
    }
}

/// Writes bytes as lowercase hex.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_only_from_64_lowercase_hex_digits() {
        let name = Digest::of(b"x");
        assert_eq!(Digest::from_hex(&name.to_hex()), Ok(name));
        for bad in ["", "ab", &name.to_hex().to_uppercase(), &format!("{}0", name.to_hex()), &"g".repeat(64)] {
            assert!(Digest::from_hex(bad).is_err(), "{bad}");
        }
        let oci = OciDigest::of(b"");
        assert_eq!(oci.to_string(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(oci.to_string().parse(), Ok(oci));
        assert!(oci.to_hex().parse::<OciDigest>().is_err());
    }

    #[test]
    fn fields_of_a_key_do_not_run_into_each_other() {
        let key = |a: &[u8], b: &[u8]| KeyBuilder::new("t").bytes(a).bytes(b).finish();
        assert_ne!(key(b"ab", b"c"), key(b"a", b"bc"));
        assert_ne!(KeyBuilder::new("t").finish(), KeyBuilder::new("u").finish());
    }
}
