//! Numbers that look random and are the same each time: xorshift, by the seed that a test prints.
#![allow(dead_code, reason = "each test program uses some of it")]

/// A generator; its state is never 0.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `end`.
    pub(crate) fn pick(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 8) % end as u64).unwrap()
    }
}
