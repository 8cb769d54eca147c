//! Debian's order of versions (`deb-version(7)`, Debian Policy 5.6.12).
//!
//! ```text
//! [epoch:]upstream[-revision]
//! ```
//!
//! Epochs compare as numbers, then upstream and revision as alternating runs of non-digits and
//! digits. In a run of non-digits `~` sorts before the end, the end before letters, and letters
//! before everything else; a run of digits compares as a number of any length. A missing epoch is 0,
//! and so is a missing revision.

use std::cmp::Ordering;

/// Greatest epoch: dpkg keeps it in a C `int`.
const MAX_EPOCH: u64 = i32::MAX as u64;

/// Compares two versions; texts that are not valid compare by the same rules as far as they go.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Parts::of(a), Parts::of(b));
    digits(a.epoch, b.epoch).then_with(|| runs(a.upstream, b.upstream)).then_with(|| runs(a.revision, b.revision))
}

/// Checks the grammar: a decimal epoch, an upstream version that begins with a digit, no empty
/// revision, and only the characters that dpkg accepts in each part.
pub(super) fn is_valid(version: &str) -> bool {
    let parts = Parts::of(version);
    let epoch = match version.split_once(':') {
        Some((epoch, _)) => {
            !epoch.is_empty()
                && epoch.bytes().all(|byte| byte.is_ascii_digit())
                && epoch.parse::<u64>().is_ok_and(|epoch| epoch <= MAX_EPOCH)
        }
        None => true,
    };
    let allowed =
        |bytes: &[u8], marks: &[u8]| bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(byte));
    epoch
        && parts.upstream.first().is_some_and(u8::is_ascii_digit)
        && allowed(parts.upstream, b".-+~:")
        && allowed(parts.revision, b".+~")
        && !version.ends_with('-')
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Self {
        let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self { epoch: epoch.as_bytes(), upstream: upstream.as_bytes(), revision: revision.as_bytes() }
    }
}

/// Compares upstream versions or revisions.
fn runs(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        loop {
            let (left, right) = (rank(a), rank(b));
            if left != right {
                return left.cmp(&right);
            }
            if left == 0 {
                break;
            }
            (a, b) = (&a[1..], &b[1..]);
        }
        let (left, rest_a) = split_digits(a);
        let (right, rest_b) = split_digits(b);
        let order = digits(left, right);
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

/// Gives the place of the first character among non-digits; a digit and the end are both 0.
fn rank(text: &[u8]) -> i32 {
    match text.first() {
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}

/// Compares two runs of digits as numbers, however long they are.
fn digits(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |text: &[u8]| text.iter().position(|digit| *digit != b'0').unwrap_or(text.len());
    let (a, b) = (&a[significant(a)..], &b[significant(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
