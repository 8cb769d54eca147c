//! `dlstore store rebuild`: the index made anew from the kept packages, when it is lost.
//!
//! What is back and what is not are results; exit code 1 says that something could not be brought back. Images are not
//! counted among that: composing makes them again, with the digests that they had.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Global;
use super::output::{Output, count, table};
use super::progress::Progress;
use dlstore_ingest::rebuild::{Restored, restore};
use dlstore_store::Rebuild;

/// What `store rebuild` is told.
#[derive(Args)]
pub(super) struct RebuildArgs {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, out: &Output, arguments: &RebuildArgs) -> anyhow::Result<ExitCode> {
    let rebuild = Rebuild::begin(&global.store_path()?, global.existing())?;
    let has_journal = rebuild.journal().is_some();
    let progress = Progress::new(global, 0, "hashing");
    let adopted = rebuild.adopt(&|name| progress.step(name))?;
    progress.finish();
    let progress = Progress::new(global, adopted.sources.len(), "decoding");
    let restored = restore(&rebuild, &adopted, &|name| progress.step(name))?;
    rebuild.finish()?;
    progress.finish();
    if !has_journal {
        out.note("the roots' journal is missing too: roots of images and of your own are not known any more");
    }
    print(out, &restored, arguments.json)?;
    Ok(ExitCode::from(u8::from(!restored.lost.is_empty())))
}

fn print(out: &Output, restored: &Restored, as_json: bool) -> anyhow::Result<()> {
    let Restored { packages, lost, images } = restored;
    if as_json {
        let packages: Vec<_> = packages
            .iter()
            .map(|record| {
                json!({
                    "format": record.format.name(), "name": record.name, "version": record.version,
                    "architecture": record.architecture, "source": record.source.to_string(),
                })
            })
            .collect();
        return out.json(json!({"packages": packages, "lost": lost, "compose_again": images}));
    }
    let rows: Vec<Vec<String>> = packages
        .iter()
        .map(|record| {
            let words = [record.format.name(), &record.name, &record.version, &record.architecture];
            words.into_iter().map(str::to_owned).collect()
        })
        .collect();
    for line in table(&rows) {
        out.result(&line)?;
    }
    for one in lost {
        out.result(&format!("lost {one}"))?;
    }
    for root in images {
        out.note(&format!("{root}: compose it again"));
    }
    out.say(&format!("brought back {}, {} lost", count(packages.len(), "package"), lost.len()));
    Ok(())
}
