//! What is said about an image, turned into what is ready to compose.
//!
//! Settings that several use cases share are here, so that `files` and `tree` look at exactly the image that `compose`
//! would make of the same words.

use std::path::PathBuf;

use super::context::Context;
use super::error::Error;
use dlstore_formats::layer::Codec;
use dlstore_image::choice::{PackageSource, Unread};
use dlstore_image::compose::ComposeError;
use dlstore_image::definition::{self, Compression, DefinitionError, Here, Image, Layering};
use dlstore_ingest::input::{self, Input};
use dlstore_model::arch::{Arch, ParseArchError};
use dlstore_model::diagnose::one_line;
use dlstore_model::escape::Escaped;
use dlstore_model::shown::Shown;
use dlstore_store::Store;

/// Where definitions are looked for.
#[derive(Clone)]
pub(crate) struct Project {
    /// The current directory.
    pub(crate) current: PathBuf,
    /// The project, when a person named it.
    pub(crate) named: Option<PathBuf>,
}

impl Project {
    pub(super) fn here(&self) -> Here<'_> {
        Here { current: &self.current, project: self.named.as_deref() }
    }

    /// Says that a name which was taken for a package's is an image's as well.
    pub(super) fn note_image(&self, context: &Context, name: &str) {
        if self.has(name) {
            context.note(&format!("showing the package {name}; there is an image of that name too"));
        }
    }

    /// Says whether there is a definition of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        let none = |error: &DefinitionError| {
            matches!(error, DefinitionError::UnknownImage { .. } | DefinitionError::Name { .. })
        };
        !definition::load(self.here(), name).is_err_and(|error| none(&error))
    }

    /// Loads a definition, and says what people should know of where it was found.
    pub(super) fn load(&self, context: &Context, reference: &str) -> Result<Image, Error> {
        say(context, definition::load(self.here(), reference))
    }
}

/// Says what people should know of where a definition was found that was named.
fn say(context: &Context, loaded: Result<Image, DefinitionError>) -> Result<Image, Error> {
    let image = loaded.map_err(|error| match error {
        // Elsewhere it is a mistake in a file: what a definition extends, or how one of the project is called.
        DefinitionError::Name { .. } => Error::Misnamed(error),
        error => error.into(),
    })?;
    for note in &image.notes {
        context.note(note);
    }
    Ok(image)
}

/// From what and for which machines an image is made.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Where its definition is looked for.
    pub(crate) project: Project,
    /// `all`, `host` or a list of architectures; none: the host's.
    pub(crate) architectures: Option<String>,
    /// Where packages come from: paths, or the word `store` alone.
    pub(crate) from: Vec<PathBuf>,
    /// How layers are cut, where it is not left to the definition.
    pub(crate) layering: Option<Layering>,
    /// How they are compressed, where it is not left to the definition.
    pub(crate) compression: Option<Compression>,
}

/// An image that is ready to be composed.
pub(crate) struct Ready {
    pub(super) image: Image,
    pub(super) architectures: Vec<Arch>,
    pub(super) layering: Layering,
    pub(super) codec: Codec,
}

impl Ready {
    /// `static:embedded`; of a definition without flavors its name alone.
    pub(super) fn full_name(&self) -> &str {
        full_name(&self.image)
    }

    /// `static`, or with another flavor than the default `static-debian`.
    pub(super) fn short_name(&self) -> String {
        let image = &self.image;
        if image.is_default_flavor { image.name.clone() } else { format!("{}-{}", image.name, image.flavor) }
    }
}

impl Settings {
    /// Loads a definition and settles what is left open.
    pub(super) fn ready(&self, context: &Context, reference: &str) -> Result<Ready, Error> {
        self.settle(self.project.load(context, reference)?)
    }

    /// Loads definitions, side by side where there are many, and settles what is left open of each; outcomes come in the
    /// order of `references`, and what is to be said of one is said when it is asked for.
    pub(super) fn ready_all<'a>(
        &'a self,
        context: &'a Context,
        references: &[String],
    ) -> impl Iterator<Item = Result<Ready, Error>> + use<'a> {
        let loaded = definition::load_all(self.project.here(), references);
        loaded.into_iter().map(|loaded| self.settle(say(context, loaded)?))
    }

    fn settle(&self, image: Image) -> Result<Ready, Error> {
        let architectures = self.of_image(&image)?;
        let layering = self.layering.unwrap_or(image.layers);
        let codec = match self.compression.unwrap_or(image.compression) {
            Compression::Gzip => Codec::Gzip,
            Compression::Zstd => Codec::Zstd,
        };
        Ok(Ready { image, architectures, layering, codec })
    }

    fn of_image(&self, image: &Image) -> Result<Vec<Arch>, Error> {
        let wanted = named(self.architectures.as_deref().unwrap_or("host"), &image.architectures)?;
        match wanted.iter().find(|arch| !image.architectures.contains(arch)) {
            Some(arch) => {
                let offered = image.architectures.iter().map(ToString::to_string).collect::<Vec<_>>();
                Err(Error::NotFor { image: image.name.clone(), arch: *arch, offered: offered.join(",") })
            }
            None => Ok(wanted),
        }
    }

    /// Looks where packages come from, before there is a store.
    pub(super) fn source(&self) -> Result<Source, Error> {
        Source::of(&self.from)
    }
}

/// Where packages come from.
pub(super) enum Source {
    /// Nothing was said.
    Nowhere,
    /// The store.
    Store,
    /// Files and directories.
    Files(Vec<Input>),
}

impl Source {
    /// Reads what `--from` says.
    ///
    /// # Errors
    /// When a path is not there, or `store` stands beside others.
    pub(super) fn of(from: &[PathBuf]) -> Result<Self, Error> {
        let is_store = |path: &PathBuf| path.as_os_str() == "store";
        if from.is_empty() {
            return Ok(Self::Nowhere);
        }
        if from.iter().any(is_store) {
            if from.len() > 1 {
                let message = "--from store cannot be combined with paths; for a directory named store write ./store";
                return Err(Error::Usage(message.to_owned()));
            }
            return Ok(Self::Store);
        }
        Ok(Self::Files(input::collect(from)?))
    }

    /// Opens what packages come from; what the store remembers of files is not read again.
    pub(super) fn package_source(self, context: &Context, store: &Store) -> Result<PackageSource, Error> {
        let package_source = match self {
            Self::Nowhere => PackageSource::Nothing,
            Self::Store => PackageSource::Store,
            Self::Files(inputs) => PackageSource::of_inputs(inputs, store).map_err(ComposeError::from)?,
        };
        note_unread(context, package_source.unread());
        Ok(package_source)
    }
}

/// Says which files of `--from` could not be read.
pub(super) fn note_unread(context: &Context, unread: &[Unread]) {
    let mut notes = Shown::default();
    for Unread { path, error } in unread {
        notes.push(|| format!("{} is skipped: {}", Escaped::path(path), one_line(error)));
    }
    for note in notes.with_rest("are skipped") {
        context.note(&note);
    }
}

/// Reads which architectures are meant, of those that there are.
pub(super) fn named(text: &str, all: &[Arch]) -> Result<Vec<Arch>, Error> {
    let usage = |message: &str| Error::Usage(message.to_owned());
    let names: Vec<&str> = text.split([',', ' ']).filter(|name| !name.is_empty()).collect();
    let mut wanted = match names.as_slice() {
        ["all"] => all.to_vec(),
        ["host"] => {
            vec![Arch::host().ok_or_else(|| usage("this machine's architecture is not supported: use --arch"))?]
        }
        names => names.iter().map(|name| listed_arch(name)).collect::<Result<Vec<Arch>, _>>()?,
    };
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() { Err(usage("--arch needs at least one architecture")) } else { Ok(wanted) }
}

/// Words of `--arch` that stand for architectures and alone.
const ALONE: [&str; 2] = ["all", "host"];

/// Reads one name of a list of architectures.
fn listed_arch(name: &str) -> Result<Arch, Error> {
    if ALONE.contains(&name) {
        return Err(Error::Usage(format!("--arch takes either `{name}` or a list of architectures")));
    }
    name.parse().map_err(|error: ParseArchError| Error::Usage(error.beside(&ALONE)))
}

/// `static:embedded`; of a definition without flavors its name alone.
pub(super) fn full_name(image: &Image) -> &str {
    // The last level is the image's own definition.
    image.levels.last().map_or(&image.name, |level| &level.name)
}

/// Lists architectures for people.
pub(super) fn listed(architectures: &[Arch]) -> String {
    architectures.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
