//! What was asked for on the command line.

use anyhow::{Context as _, ensure};

/// What was asked for.
pub(crate) struct Arguments {
    /// Packages in the small store.
    pub(crate) small: u32,
    /// Packages in the large store.
    pub(crate) large: u32,
    /// Rounds of each row.
    pub(crate) rounds: usize,
}

impl Arguments {
    /// Reads `--small N`, `--large N`, `--rounds N` and what cargo adds; `None` without `--bench`.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> anyhow::Result<Option<Self>> {
        let (mut found, mut is_bench) = (Self { small: 1000, large: 100_000, rounds: 7 }, false);
        while let Some(word) = words.next() {
            let mut number = || -> anyhow::Result<u32> {
                let text = words.next().with_context(|| format!("{word} needs a number"))?;
                text.parse().with_context(|| format!("{word} {text}: not a number"))
            };
            match word.as_str() {
                "--bench" => is_bench = true,
                "--small" => found.small = number()?,
                "--large" => found.large = number()?,
                "--rounds" => found.rounds = number()? as usize,
                other => anyhow::bail!("{other} is not understood: there are --small, --large and --rounds"),
            }
        }
        ensure!(found.small > 0 && found.small <= found.large, "the small store has packages, and the large one more");
        ensure!(found.rounds > 0, "no rounds, no medians");
        Ok(is_bench.then_some(found))
    }
}
