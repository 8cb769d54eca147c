//! Where packages come from, as the user says it: nowhere, the store, or files and directories of the host.
//!
//! Of files the control parts are read first, so that only what an image wants is added. One that cannot be read is no
//! error by itself, since nobody may want it; it is kept beside the others for whoever misses a package of its name.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::ComposeError;
use crate::definition::PackageWish;
use dlstore_formats::package::{Control, Format};
use dlstore_ingest::input::{self, Input, InputKind};
use dlstore_ingest::{IngestError, Selection};
use dlstore_model::arch::Arch;
use dlstore_model::package::Metadata;

/// Where packages come from.
pub enum Shelf {
    /// Nothing was said.
    Nothing,
    /// What the store holds.
    Store,
    /// Files of the host, by what they say of themselves.
    Files(Files),
}

/// Package files of the host.
pub struct Files {
    items: Vec<Item>,
    unread: Vec<Unread>,
}

/// A package file on a shelf.
pub(super) struct Item {
    pub(super) input: Input,
    pub(super) metadata: Metadata,
}

/// A file that could not be read, or is no package.
pub struct Unread {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: IngestError,
}

/// A package that a level wants on an architecture.
pub(super) struct Wish<'w> {
    /// The level.
    pub(super) level: usize,
    /// The words of the definition.
    pub(super) package: &'w PackageWish,
    /// The format of the image's packages.
    pub(super) format: Format,
    /// The architecture.
    pub(super) arch: Arch,
    /// The level's selection.
    pub(super) selection: &'w Selection,
}

impl Shelf {
    /// Reads the control part of every package that the paths name.
    ///
    /// # Errors
    /// When a path cannot be read. A file that is no package is not an error: see [`Shelf::unread`].
    pub fn from_paths(paths: &[PathBuf]) -> Result<Self, ComposeError> {
        let inputs = input::collect(paths)?;
        let peeked: Vec<_> = inputs
            .into_par_iter()
            .map(|input| {
                let metadata = match input.kind {
                    InputKind::Package(format) => dlstore_ingest::peek(&input.path, format),
                    InputKind::Folder => dlstore_ingest::folder_metadata_of(&input.path),
                };
                (input, metadata)
            })
            .collect();
        let mut files = Files { items: Vec::new(), unread: Vec::new() };
        for (input, metadata) in peeked {
            match metadata {
                Ok(metadata) => files.items.push(Item { input, metadata }),
                Err(error) => files.unread.push(Unread { path: input.path, error }),
            }
        }
        Ok(Self::Files(files))
    }

    /// Gives the files that could not be read.
    #[must_use]
    pub fn unread(&self) -> &[Unread] {
        if let Self::Files(files) = self { &files.unread } else { &[] }
    }

    /// Gives the package files.
    pub(super) fn items(&self) -> &[Item] {
        if let Self::Files(files) = self { &files.items } else { &[] }
    }

    /// Reads what the packages of a format say of themselves, those of an architecture: for whoever looks for more than
    /// names. What cannot be read is left out.
    pub(super) fn controls(&self, format: Format, arch: Arch) -> Vec<Control> {
        let of_format = self.items().par_iter().filter(|item| item.metadata.format == format);
        let fitting = of_format.filter(|item| fits(&item.metadata.architecture, format, arch));
        fitting.filter_map(|item| dlstore_ingest::peek_control(&item.input.path, format).ok()).collect()
    }
}

impl Unread {
    /// Says whether its name is that of a package for an architecture: `NAME_VERSION_ARCH.deb`, `NAME-VERSION.apk` in a
    /// directory that may be called like an architecture, or just `NAME.deb`.
    pub(super) fn is_called(&self, name: &str, format: Format, arch: Arch) -> bool {
        let file_name = self.path.file_name().unwrap_or_default();
        let Some(stem) = file_name.to_str().and_then(|text| text.rsplit_once('.')).map(|(stem, _)| stem) else {
            return false;
        };
        if input::format_of(file_name) != Some(format) {
            return false;
        }
        let Some(rest) = stem.strip_prefix(name) else { return false };
        match format {
            Format::Deb => {
                let architecture = stem.splitn(3, '_').nth(2);
                (rest.is_empty() || rest.starts_with('_')) && architecture.is_none_or(|said| fits(said, format, arch))
            }
            Format::Apk => {
                let directory = self.path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
                let of_another = directory.and_then(Arch::from_apk).is_some_and(|said| said != arch);
                let is_version =
                    rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
                (rest.is_empty() || is_version) && !of_another
            }
            Format::Tar => rest.is_empty() || rest.starts_with(".tar"),
        }
    }
}

/// Says whether packages of an architecture are for one of ours.
pub(super) fn fits(architecture: &str, format: Format, arch: Arch) -> bool {
    match format {
        Format::Deb => architecture == "all" || architecture == arch.debian(),
        Format::Apk => architecture == "noarch" || architecture == arch.apk(),
        Format::Tar => true,
    }
}
