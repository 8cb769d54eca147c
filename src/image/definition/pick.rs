//! One flavor of a definition, picked: its words, its name, and where mistakes in it are shown.
//!
//! A definition without flavors has one all the same, which has no name in it. The first flavor is the default.
//! What is picked here is laid over its base (`overlay`) and put on top of what it extends (`merge`) by whoever
//! follows the chain.

use super::IMPLICIT_FLAVOR;
use super::error::{Bad, DefinitionError};
use super::locate::Source;
use super::parse::{Definition, Words};
use dlstore_model::likeness::closest;

/// One flavor of one definition, picked.
pub(super) struct Picked<'a> {
    pub(super) source: &'a Source,
    pub(super) base: &'a Words,
    pub(super) flavor: &'a Words,
    pub(super) name: &'a str,
    pub(super) is_default: bool,
    /// It is the only one, and has no name in the definition.
    is_implicit: bool,
}

impl Picked<'_> {
    /// Gives `NAME:FLAVOR`, or the name alone when there are no flavors.
    pub(super) fn level_name(&self) -> String {
        if self.is_implicit { self.source.name.clone() } else { format!("{}:{}", self.source.name, self.name) }
    }

    pub(super) fn error(&self, bad: Bad) -> DefinitionError {
        bad.at(&self.source.file, &self.source.text)
    }
}

/// Picks a flavor; the first one when none is named.
pub(super) fn pick<'a>(
    source: &'a Source,
    definition: &'a Definition,
    flavor: Option<&str>,
    nothing: &'a Words,
) -> Result<Picked<'a>, DefinitionError> {
    let base = &definition.base;
    if definition.flavors.is_empty() && flavor.is_none_or(|name| name == IMPLICIT_FLAVOR) {
        let name = IMPLICIT_FLAVOR;
        return Ok(Picked { source, base, flavor: nothing, name, is_default: true, is_implicit: true });
    }
    let at = match flavor {
        None => Some(0),
        Some(wanted) => definition.flavors.iter().position(|(name, _)| name == wanted),
    };
    if let Some((at, (name, flavor))) = at.and_then(|at| Some((at, definition.flavors.get(at)?))) {
        return Ok(Picked { source, base, flavor, name, is_default: at == 0, is_implicit: false });
    }
    let flavor = flavor.unwrap_or_default();
    let mut known: Vec<String> = definition.flavors.iter().map(|(name, _)| name.clone()).collect();
    if known.is_empty() {
        known.push(IMPLICIT_FLAVOR.to_owned());
    }
    Err(DefinitionError::UnknownFlavor {
        image: source.name.clone(),
        flavor: flavor.to_owned(),
        suggestion: closest(flavor, known.iter().map(String::as_str)).map(str::to_owned),
        known,
    })
}
