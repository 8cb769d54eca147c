//! What it means that an image could not be composed, and the next thing to do.
//!
//! Hints name what to type or what to write into the definition. Where several things would help, the
//! one is named that is right most often.

use std::fmt::Write as _;

use super::ComposeError;
use super::choose::Place;
use crate::definition::quote::{exact, pattern, quoted};
use crate::rootfs::owned::Matter;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_model::path::TreePath;

impl Diagnose for ComposeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. }
            | Self::Tie { .. }
            | Self::Conflict { .. }
            | Self::Foreign { .. }
            | Self::Replaced { .. }
            | Self::TwoFixups { .. }
            | Self::Through { .. }
            | Self::Privileged { .. }
            | Self::Problems(_)
            | Self::RunPath { .. }
            | Self::Owner { .. }
            | Self::OwnPath(..)
            | Self::NoFolder(_)
            | Self::User(_)
            | Self::Entries(_)
            | Self::EntriesOfAll
            | Self::Fixup { .. } => Kind::Input,
            // A source may have been there when the package was chosen.
            Self::Gone(_) => Kind::Gone,
            Self::Facts(_) => Kind::Damaged,
            Self::Add { source, .. } | Self::Ingest(source) => source.kind(),
            Self::Definition(error) => error.kind(),
            // Packs are written into the store's stage; outputs have errors of their own.
            Self::Layer(error) => error.kind().of_the_store(),
            Self::Store(error) => error.kind(),
            Self::Oci(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::Missing { name, format, architecture, place, .. } => match place {
                Place::Nowhere => {
                    "say where packages come from: --from PATH (files and folders), or --from store".into()
                }
                Place::Store => format!("dlstore add {name}_*_{architecture}.{format}"),
                Place::Paths => format!("add {name} for {architecture} to the folders given with --from"),
            },
            Self::Tie { name, .. } => {
                format!("name one in the definition: packages = [{}]", quoted(&format!("{name}@sha256:...")))
            }
            Self::Entries(_) => {
                "leave out what the image does not need, such as exclude = [\"/usr/share/icons/**\"]".into()
            }
            Self::Conflict { path, .. } => {
                let path = quoted(&pattern(path)?);
                format!("say in the definition who wins: overrides = [{path}] leaves out the packages' own")
            }
            Self::Foreign { path, package, matter, may, .. } => foreign(path, package, *matter, may)?,
            Self::Replaced { path, package, .. } => {
                let text = quoted(&format!("{package}: {}", pattern(path)?));
                format!("if it should be, say so in the definition: overrides = [{text}]")
            }
            Self::Privileged { path, .. } => {
                format!("if the image needs it, list it in the definition: privileged = [{}]", quoted(&exact(path)?))
            }
            Self::Problems(problems) => problems.hint()?,
            Self::Gone(_) | Self::Facts(_) => "dlstore store verify --full".into(),
            Self::Add { source, .. } | Self::Ingest(source) => return source.hint(),
            Self::Definition(error) => return error.hint(),
            Self::Layer(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::Oci(error) => return error.hint(),
            Self::Through { .. }
            | Self::TwoFixups { .. }
            | Self::EntriesOfAll
            | Self::RunPath { .. }
            | Self::Owner { .. }
            | Self::OwnPath(..)
            | Self::NoFolder(_)
            | Self::User(_)
            | Self::Fixup { .. } => return None,
        };
        Some(Hint::new(text))
    }
}

/// What helps against a path that others may ship only: leaving it out, or naming the package.
fn foreign(path: &TreePath, package: &str, matter: Matter, may: &[String]) -> Option<String> {
    let mut text = format!("leave it out: overrides = [{}]", quoted(&pattern(path)?));
    match matter {
        Matter::Certificates => {
            let names: Vec<String> = may.iter().map(String::as_str).chain([package]).map(quoted).collect();
            let names = names.join(", ");
            let _ = write!(text, "; or, if its certificates are to be trusted, certificates-from = [{names}]");
        }
        Matter::Accounts if may.is_empty() => {
            let _ = write!(text, "; or, if its accounts are to be the image's, accounts-from = {}", quoted(package));
        }
        _ => {}
    }
    Some(text)
}
