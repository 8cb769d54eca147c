//! Which of many patterns match no path at all.
//!
//! Every path is met once; a pattern that matches it, or a directory above it, is let go of. What is left in the end
//! does nothing where it stands.

use std::collections::{BTreeSet, HashMap};

use super::Pattern;
use crate::path::TreePath;

/// Patterns, numbered, that have not met a path which they match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unmatched {
    /// Numbers of those without wildcards, by the path that they name.
    literal: HashMap<Box<[u8]>, Vec<usize>>,
    wild: Vec<(usize, Pattern)>,
}

impl Unmatched {
    /// Takes patterns with their numbers.
    pub fn new(patterns: impl IntoIterator<Item = (usize, Pattern)>) -> Self {
        let mut all = Self::default();
        for (at, pattern) in patterns {
            if pattern.is_literal() {
                all.literal.entry(pattern.prefix).or_default().push(at);
            } else {
                all.wild.push((at, pattern));
            }
        }
        all
    }

    /// Lets go of those that name this path or a directory above it, and tells their numbers.
    pub fn meet(&mut self, path: &TreePath, mut met: impl FnMut(usize)) {
        self.wild.retain(|(at, pattern)| {
            let matches = pattern.matches(path);
            if matches {
                met(*at);
            }
            !matches
        });
        if self.literal.is_empty() {
            return;
        }
        let bytes = path.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        for end in ends.chain([bytes.len()]) {
            self.literal.remove(&bytes[..end]).into_iter().flatten().for_each(&mut met);
        }
    }

    /// Gives the numbers of those that are left, in order.
    #[must_use]
    pub fn left(self) -> BTreeSet<usize> {
        self.literal.into_values().flatten().chain(self.wild.into_iter().map(|(at, _)| at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_match_nothing_are_left() {
        let patterns = ["/usr/bin", "/usr/*/x", "/etc/a", "/etc/a", "/usr/bi", "/*.conf"];
        let mut unmatched = Unmatched::new(patterns.iter().map(|text| Pattern::new(text).unwrap()).enumerate());
        for path in ["usr/bin/y", "usr/lib/x", "etc/a"] {
            unmatched.meet(&TreePath::new(path.as_bytes()).unwrap(), |_| {});
        }
        assert_eq!(unmatched.left(), BTreeSet::from([4, 5]));
    }
}
