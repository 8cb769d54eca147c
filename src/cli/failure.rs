//! How a command fails: the sentence, the chain of causes, one hint.
//!
//! The exit code says who has to act: 2 when it is what was typed, 1 for all else. A hint is given only
//! where one thing to do next is known.

use std::process::ExitCode;

use super::output::Output;
use crate::compose::ComposeError;
use crate::compose::choose::Place;
use crate::compose::provided::{self, Linkage};
use dlstore_ingest::IngestError;
use dlstore_model::escape::Escaped;
use dlstore_store::StoreError;

/// Prints an error and gives the exit code.
pub(super) fn report(out: &Output, error: &anyhow::Error) -> ExitCode {
    for (at, line) in sentences(error).into_iter().enumerate() {
        out.error(if at == 0 { "error:" } else { "cause:" }, &line);
    }
    if let Some(hint) = hint(error) {
        out.error("hint:", &hint);
    }
    ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
}

/// The sentence and its causes, none of them twice.
fn sentences(error: &anyhow::Error) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain() {
        let line = cause.to_string();
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Writes an error with its causes in one line.
pub(super) fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let line = next.to_string();
        if !text.ends_with(&line) {
            text = format!("{text}: {line}");
        }
        cause = next.source();
    }
    text.replace('\n', "; ")
}

/// A mistake in what was typed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// The last component of an interpreter's path, or a library's name.
fn base_name(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'/').next().unwrap_or(name)
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(error) = error.downcast_ref::<ComposeError>() {
        return match error {
            ComposeError::Missing { name, format, architecture, place, .. } => Some(match place {
                Place::Nowhere => {
                    "say where packages come from: --from PATH (files and folders), or --from store".into()
                }
                Place::Store => format!("dlstore add {name}_*_{architecture}.{format}"),
                Place::Paths => format!("add {name} for {architecture} to the folders given with --from"),
            }),
            ComposeError::Tie { name, .. } => {
                Some(format!("name one in the definition: packages = [\"{name}@sha256:...\"]"))
            }
            ComposeError::Conflict { path, .. } => {
                Some(format!("say in the definition who wins: overrides = [\"{path}\"] leaves out the packages' own"))
            }
            ComposeError::Privileged { path, .. } => {
                Some(format!("if the image needs it, list it in the definition: privileged = [\"{path}\"]"))
            }
            ComposeError::Needs(gaps) => gaps.first().map(|gap| match &gap.provider {
                Some(package) => format!("add \"{package}\" to packages"),
                None if provided::has(Linkage::Glibc, base_name(&gap.name)) => {
                    "extends = \"glibc-dynamic\" has it; or link the program statically".into()
                }
                None if provided::has(Linkage::Musl, base_name(&gap.name)) => {
                    "extends = \"musl-dynamic\" has it; or link the program statically".into()
                }
                None => format!(
                    "or accept it in the definition: waive = [\"{} -> {}: WHY\"]",
                    gap.path,
                    Escaped::bytes(&gap.name)
                ),
            }),
            ComposeError::Gone(_) | ComposeError::Facts(_) => Some("dlstore store verify --full".into()),
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return match error {
            StoreError::Owner(_) => {
                Some("--trust-owner, or DLSTORE_TRUST_OWNER=1, if its owner and its group are trusted".into())
            }
            StoreError::Network { .. } => {
                Some("dlstore store init --network-file-system, if only this host uses it".into())
            }
            _ => None,
        };
    }
    match error.downcast_ref::<IngestError>()? {
        IngestError::Unknown(_) => Some("dlstore add --help lists what can be added".into()),
        _ => None,
    }
}
