//! Sizes and times as people write them: `10GB`, `10GiB`, `7d`, `12h`.
//!
//! A number alone keeps the unit that its flag has always had. Units of sizes are those of SI (`kB`, `MB`, `GB`, `TB`:
//! powers of 1,000, as this program prints them) and of IEC (`KiB`, `MiB`, `GiB`, `TiB`: powers of 1,024); capitals do
//! not matter, but a unit has to be written out: `10G` could be either. Times are what the crate `humantime` reads:
//! `90m` are minutes, `7d` and `1h 30m` are what they look like.

use std::time::Duration;

/// Names of units of sizes, in small letters, with their bytes.
const SIZES: [(&str, u64); 9] = [
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Reads a number of bytes; without a unit it is bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim().to_ascii_lowercase());
    let unit = match unit.as_str() {
        "" => 1,
        unit => SIZES.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes).ok_or_else(wanted_size)?,
    };
    bytes(number, unit).ok_or_else(wanted_size)
}

fn wanted_size() -> String {
    "a size must be a number of bytes, or a number with kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 10GB".into()
}

/// Multiplies a decimal number exactly; what is less than a byte is cut off.
fn bytes(number: &str, unit: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.len() > 9 || number.ends_with('.') {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if part.is_empty() {
        return Some(whole);
    }
    let scale = 10_u128.pow(u32::try_from(part.len()).ok()?);
    let part = u128::from(part.parse::<u64>().ok()?) * u128::from(unit) / scale;
    whole.checked_add(u64::try_from(part).ok()?)
}

/// Reads a time; without a unit it is days.
pub(super) fn days(text: &str) -> Result<Duration, String> {
    time(text, 86_400)
}

/// Reads a time; without a unit it is seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    time(text, 1)
}

fn time(text: &str, unit: u64) -> Result<Duration, String> {
    let text = text.trim();
    let wanted = || "a time must be a number, or a number with s, m (minutes), h, d or w, such as 7d".to_owned();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text
            .parse::<u64>()
            .map(|number| Duration::from_secs(number.saturating_mul(unit)))
            .map_err(|_| wanted());
    }
    humantime::parse_duration(text).map_err(|_| wanted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("10GB", 10_000_000_000),
            ("10 gb", 10_000_000_000),
            ("10GiB", 10 << 30),
            ("1.5GiB", 3 << 29),
            ("0.001kB", 1),
            ("475kB", 475_000),
            ("2TiB", 2 << 40),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "GB", "10G", "10 parsecs", "-1", "1.", ".5GB", "1.2.3GB", "18446744073709551616", "20000000TB", "1e9"]
        {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them_and_numbers_alone_keep_their_unit() {
        for (text, in_days, in_seconds) in [
            ("0", 0, 0),
            ("7", 7 * 86_400, 7),
            ("7d", 7 * 86_400, 7 * 86_400),
            ("12h", 43_200, 43_200),
            ("90m", 5_400, 5_400),
            ("30s", 30, 30),
            ("2w", 14 * 86_400, 14 * 86_400),
            ("1h 30m", 5_400, 5_400),
        ] {
            assert_eq!(days(text), Ok(Duration::from_secs(in_days)), "{text}");
            assert_eq!(seconds(text), Ok(Duration::from_secs(in_seconds)), "{text}");
        }
        for text in ["", "d", "-1", "7 fortnights", "1.5", "99999999999999999999"] {
            assert!(days(text).is_err() && seconds(text).is_err(), "{text}");
        }
    }
}
