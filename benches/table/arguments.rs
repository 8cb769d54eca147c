//! What was asked for on the command line and in the environment.

use anyhow::{Context as _, bail};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Nothing: this is not `cargo bench`.
    Nothing,
    /// Floors that need no working program.
    Floors,
    /// The whole table.
    Table,
}

/// What was asked for.
pub(crate) struct Arguments {
    /// How much is measured.
    pub(crate) extent: Extent,
    /// Rounds that count.
    pub(crate) rounds: usize,
    /// Says whether the table goes into `docs/performance.md`.
    pub(crate) writes: bool,
}

impl Arguments {
    /// Reads `--quick`, `--floors`, `--write` and what cargo adds; rounds also from `DLSTORE_BENCH_ROUNDS`.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let rounds = match std::env::var("DLSTORE_BENCH_ROUNDS") {
            Ok(text) => text.parse().context("DLSTORE_BENCH_ROUNDS is no number")?,
            Err(_) => 11,
        };
        let mut found = Self { extent: Extent::Nothing, rounds, writes: false };
        for word in words {
            match word.as_str() {
                "--bench" if found.extent == Extent::Nothing => found.extent = Extent::Table,
                "--bench" => {}
                "--floors" => found.extent = Extent::Floors,
                "--quick" => found.rounds = 3,
                "--write" => found.writes = true,
                other => bail!("{other} is not understood: there are --quick, --floors and --write"),
            }
        }
        if found.rounds == 0 {
            bail!("no rounds, no medians");
        }
        Ok(found)
    }
}
