//! Names of leases: 128 random bits, written as 32 lowercase hex digits.
//!
//! The name of a lease is the name of its lock file and of its stage, so whatever is taken for one becomes a path that
//! a collection removes. Therefore it is a type, and nothing but such digits makes one: rows and files that have
//! another name are damage, and are named and never followed.

use std::fmt;

/// The name of a lease; written as 32 lowercase hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseName(u128);

impl LeaseName {
    /// Digits of a name.
    const DIGITS: usize = 32;

    /// Makes a name of 128 bits: of random ones a name that nobody else has.
    #[must_use]
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Reads 32 lowercase hex digits; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_name = text.len() == Self::DIGITS && text.bytes().all(is_digit);
        is_name.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_thirty_two_lowercase_hex_digits_are_a_name() {
        for name in ["0".repeat(32), "0123456789abcdef".repeat(2), "f".repeat(32)] {
            assert_eq!(LeaseName::parse(&name).unwrap().to_string(), name);
        }
        for bits in [0, 1, 0xabc << 64, u128::MAX] {
            let name = LeaseName::new(bits);
            assert_eq!(LeaseName::parse(&name.to_string()), Some(name));
        }
        let long = "0".repeat(31);
        let strange = [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "../sources".to_owned(),
            "/tmp".to_owned(),
            long.clone(),
            format!("{long}00"),
            format!("{long}A"),
            format!("+{long}"),
            format!("{long}/"),
            format!("{long}\0"),
            format!("{}\u{e9}", "0".repeat(30)),
        ];
        for name in strange {
            assert_eq!(LeaseName::parse(&name), None, "{name:?}");
        }
    }
}
