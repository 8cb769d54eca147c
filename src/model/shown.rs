//! The first of many, for people.
//!
//! Nobody reads thousands of lines, and what is behind each (a look through all packages that the store knows) is not
//! for thousands of them. So at most [`MOST_SHOWN`] are kept, and how many more there are.

/// Most problems, and most notes of one kind, that are written out.
pub const MOST_SHOWN: usize = 20;

/// The first of many, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<T> {
    /// At most [`MOST_SHOWN`].
    pub first: Vec<T>,
    /// How many are left out.
    pub more: usize,
}

impl<T> Default for Shown<T> {
    fn default() -> Self {
        Self { first: Vec::new(), more: 0 }
    }
}

impl<T> Shown<T> {
    /// Takes one more, which is made only if it is shown.
    pub fn push(&mut self, make: impl FnOnce() -> T) {
        if self.first.len() < MOST_SHOWN {
            self.first.push(make());
        } else {
            self.more += 1;
        }
    }

    /// Says whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}

impl Shown<String> {
    /// Gives the lines, the last one `and 4,980 more WHAT` where some are left out.
    #[must_use]
    pub fn with_rest(mut self, what: &str) -> Vec<String> {
        if self.more > 0 {
            self.first.push(format!("and {} more {what}", with_commas(self.more)));
        }
        self.first
    }
}

/// Writes a number for people: `4,980`.
#[must_use]
pub fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
