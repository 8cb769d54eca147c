//! Sizes and times in words: `475 kB`, `4.07 MB`, `2 min`, `3 h`.
//!
//! One form wherever a number of bytes or seconds is said in text. Sizes are in powers of 1,000, with two digits behind
//! the point from megabytes on; a time has one unit.

use std::fmt;
use std::time::Duration;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Units with the bytes from which on a size, rounded, is said in them.
const SIZES: [(u64, f64, &str); 3] = [(999_995_000_000, 1e12, "TB"), (999_995_000, 1e9, "GB"), (999_500, 1e6, "MB")];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "some digits are shown")]
        let value = self.0 as f64;
        match SIZES.iter().find(|(from, ..)| self.0 >= *from) {
            Some((_, unit, name)) => f.pad(&format!("{:.2} {name}", value / unit)),
            None if self.0 >= 1_000 => f.pad(&format!("{:.0} kB", value / 1e3)),
            None => f.pad(&format!("{} B", self.0)),
        }
    }
}

/// How long something takes or has taken; what is below a second is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7_200 => write!(f, "{} min", seconds / 60),
            seconds @ 7_200..172_800 => write!(f, "{} h", seconds / 3_600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_rounded_and_has_its_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1 kB"),
            (475_400, "475 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (4_072_000, "4.07 MB"),
            (999_994_999, "999.99 MB"),
            (999_995_000, "1.00 GB"),
            (1 << 40, "1.10 TB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn a_time_has_the_unit_in_which_it_is_more_than_one() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_300, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
            (15_552_000, "180 days"),
        ] {
            assert_eq!(Span(Duration::from_secs(seconds)).to_string(), text);
        }
    }
}
