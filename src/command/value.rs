//! Values of reports: how dates and digests are written, in JSON and for people.
//!
//! A date is RFC 3339 in UTC, to the second. A digest is hexadecimal, with `sha256:` in front where OCI and package
//! files name it so. Texts of others are written by `escape::name`, so that a name reads back as what it is.

use std::fmt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use dlstore_model::escape;

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can write.
const LAST: u64 = 253_402_300_799;

/// A date, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date(pub(crate) u64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A package may claim a later one.
        write!(f, "{}", humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(self.0.min(LAST))))
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is written in JSON as it is for people: a digest, an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Writes the path of a file of the host.
pub(super) fn path(path: &Path) -> String {
    escape::name(path.as_os_str().as_encoded_bytes())
}

/// Writes one that stays a path for people.
pub(super) fn of_path<S: Serializer>(at: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_rfc_3339_however_late_they_are() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_755_734_400, "2025-08-21T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Date(seconds).to_string(), text);
            assert_eq!(serde_json::to_value(Date(seconds)).unwrap(), text);
        }
    }
}
