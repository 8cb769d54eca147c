//! Along the chain of `extends`, from what a person named to the last ancestor and back.
//!
//! Each definition is read, one flavor of it picked, and what it extends is made into an image before
//! its own words are put on top. The chain is watched: a flavor that comes twice is a cycle, which is
//! named, and there are at most [`MAX_DEPTH`] steps.
//!
//! A flavor that extends another one of its own definition brings only its own words: the base is in
//! that one already.

use toml::Spanned;

use super::error::{DefinitionError, Place};
use super::locate::{self, Source};
use super::merge::build;
use super::overlay::laid_over;
use super::parse::{self, Definition, Words};
use super::pick::pick;
use super::{Here, Image, MAX_DEPTH};

/// Finds, reads and merges an image.
pub(super) fn load(here: &Here<'_>, reference: &str) -> Result<Image, DefinitionError> {
    let (source, flavor) = locate::find(here, reference)?;
    let mut loader = Loader { here, chain: Vec::new(), notes: Vec::new() };
    let mut image = loader.definition(&source, flavor.as_deref())?;
    image.notes = loader.notes;
    if image.project.is_none() {
        image.project = locate::project(&source)?;
    }
    let mut annotate = |key: &str, value: &str| {
        image.annotations.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    };
    annotate("org.opencontainers.image.title", &image.name);
    if let Some(description) = &image.description {
        annotate("org.opencontainers.image.description", description);
    }
    Ok(image)
}

/// One run along a chain of `extends`.
struct Loader<'a> {
    here: &'a Here<'a>,
    /// What people should know.
    notes: Vec<String>,
    /// File and flavor of what is being read, outermost first, and their names for people.
    chain: Vec<((String, String), String)>,
}

impl Loader<'_> {
    fn definition(&mut self, source: &Source, flavor: Option<&str>) -> Result<Image, DefinitionError> {
        let definition = parse::definition(&source.text).map_err(|bad| bad.at(&source.file, &source.text))?;
        // Who stands on the built-in one means to take its name.
        let stands_on_it = definition.extends().any(|named| locate::is_built_in(named, &source.name));
        if source.hides && !stands_on_it {
            let note = format!("`{}` is {}, which hides the built-in image of that name", source.name, source.file);
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.flavor(source, &definition, flavor)
    }

    fn flavor(
        &mut self,
        source: &Source,
        definition: &Definition,
        flavor: Option<&str>,
    ) -> Result<Image, DefinitionError> {
        let nothing = Words::default();
        let picked = pick(source, definition, flavor, &nothing)?;
        let (key, name) = ((source.file.clone(), picked.name.to_owned()), picked.level_name());
        let is_cycle = self.chain.iter().any(|(before, _)| *before == key);
        self.chain.push((key, name));
        let names = || self.chain.iter().map(|(_, name)| name.clone()).collect();
        if is_cycle {
            return Err(DefinitionError::Cycle { chain: names() });
        }
        if self.chain.len() > MAX_DEPTH + 1 {
            return Err(DefinitionError::Depth { chain: names() });
        }
        let brings_only_own = picked.flavor.extends.as_ref().is_some_and(|named| named.get_ref().starts_with(':'));
        let words = if brings_only_own { picked.flavor.clone() } else { laid_over(picked.base, picked.flavor) };
        let ancestor = match &words.extends {
            None => None,
            Some(above) => Some(self.ancestor(source, definition, above)?),
        };
        self.chain.pop();
        build(&picked, words, ancestor).map_err(|bad| picked.error(bad))
    }

    fn ancestor(
        &mut self,
        source: &Source,
        definition: &Definition,
        named: &Spanned<String>,
    ) -> Result<Image, DefinitionError> {
        let reference = named.get_ref();
        let found = match reference.strip_prefix(':') {
            Some(flavor) => self.flavor(source, definition, Some(flavor)),
            None => locate::find_from(self.here, source, reference)
                .and_then(|(above, flavor)| self.definition(&above, flavor.as_deref())),
        };
        found.map_err(|error| match error {
            // These name their own place.
            DefinitionError::Word { .. } | DefinitionError::Extends { .. } => error,
            _ => DefinitionError::Extends {
                place: Box::new(Place::new(&source.file, &source.text, named.span())),
                reference: reference.clone(),
                source: Box::new(error),
            },
        })
    }
}
