//! Where packages come from, as the user says it: nowhere, the store, or files and directories of the host.
//!
//! Of files the control parts are read first, so that only what an image wants is added. Files that have not changed
//! since the last run are not opened (`seen`). One that cannot be read is no error by itself, since no image may need
//! it; it is kept, so that the error about a missing package of its name can say so.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::ChoiceError;
use crate::definition::PackageRequirement;
use dlstore_formats::package::{Control, Format};
use dlstore_ingest::input::{self, Input, InputKind};
use dlstore_ingest::seen::{self, Identity, Seen};
use dlstore_ingest::{IngestError, Selection};
use dlstore_model::arch::Arch;
use dlstore_model::digest::OciDigest;
use dlstore_store::session::Session;
use dlstore_store::{PackageRecord, Store};

/// Where packages come from.
pub enum PackageSource {
    /// Nothing was said.
    Nothing,
    /// What the store holds.
    Store,
    /// Files of the host, by what they say of themselves.
    Files(Files),
}

/// Package files of the host.
pub struct Files {
    readable: Vec<PackageFile>,
    unread: Vec<Unread>,
    /// Hears of each file that was added, from whichever thread.
    taken: Option<Taken>,
}

/// Hears of a file that was added.
type Taken = Box<dyn Fn(&Path) + Send + Sync>;

/// A package file of a package source.
pub(super) struct PackageFile {
    pub(super) input: Input,
    pub(super) identity: Identity,
    /// What is known of the file; `None` for a directory.
    seen: Option<Seen>,
}

/// A file that could not be read, or is no package.
pub struct Unread {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: IngestError,
}

/// A package that a level wants on an architecture.
pub(crate) struct Requirement<'w> {
    /// The level.
    pub(crate) level: usize,
    /// The words of the definition.
    pub(crate) package: &'w PackageRequirement,
    /// The format of the image's packages.
    pub(crate) format: Format,
    /// The architecture.
    pub(crate) arch: Arch,
    /// The level's selection.
    pub(crate) selection: &'w Selection,
}

impl PackageSource {
    /// Looks at every package file and directory: what the store remembers of it, else its control part.
    ///
    /// # Errors
    /// When the store cannot be read. A file that is no package is not an error: see [`PackageSource::unread`].
    pub fn of_inputs(inputs: Vec<Input>, store: &Store) -> Result<Self, ChoiceError> {
        let mut files = Files { readable: Vec::with_capacity(inputs.len()), unread: Vec::new(), taken: None };
        let mut new: Vec<(usize, Input)> = Vec::new();
        let mut known: Vec<(usize, PackageFile)> = Vec::new();
        let format = |input: &Input| match input.kind {
            InputKind::Package(format) => Some(format),
            InputKind::Directory => None,
        };
        let package_files: Vec<(&Path, Format)> =
            inputs.iter().filter_map(|input| Some((input.path.as_path(), format(input)?))).collect();
        let mut seen = seen::find(store, &package_files)?.into_iter();
        for (at, input) in inputs.into_iter().enumerate() {
            match format(&input).and_then(|_| seen.next().flatten()) {
                Some(seen) => {
                    known.push((at, PackageFile { identity: seen.identity.clone(), input, seen: Some(seen) }));
                }
                None => new.push((at, input)),
            }
        }
        // Threads are started only when there is work for them: a hit must cost nothing.
        let peeked: Vec<_> = match new.len() {
            0 => Vec::new(),
            _ => new.into_par_iter().map(|(at, input)| (at, peek(&input).map_err(|error| (input, error)))).collect(),
        };
        for (at, peeked) in peeked {
            match peeked {
                Ok(file) => known.push((at, file)),
                Err((Input { path, .. }, error)) => files.unread.push(Unread { path, error }),
            }
        }
        known.sort_by_key(|(at, _)| *at);
        files.readable.extend(known.into_iter().map(|(_, file)| file));
        Ok(Self::Files(files))
    }

    /// Calls back for each file that is added, from whichever thread.
    #[must_use]
    pub fn when_taken(mut self, taken: impl Fn(&Path) + Send + Sync + 'static) -> Self {
        if let Self::Files(files) = &mut self {
            files.taken = Some(Box::new(taken));
        }
        self
    }

    /// Says that a file was added.
    pub(super) fn took(&self, path: &Path) {
        if let Self::Files(Files { taken: Some(taken), .. }) = self {
            taken(path);
        }
    }

    /// Remembers what was read of files, so that they are not read again: pending in the session.
    pub fn remember(&self, session: &Session<'_>) {
        self.files().iter().filter_map(|file| file.seen.as_ref()).for_each(|seen| seen.remember(session));
    }

    /// Gives the files that could not be read.
    #[must_use]
    pub fn unread(&self) -> &[Unread] {
        if let Self::Files(files) = self { &files.unread } else { &[] }
    }

    /// Gives the package files.
    pub(super) fn files(&self) -> &[PackageFile] {
        if let Self::Files(files) = self { &files.readable } else { &[] }
    }

    /// Reads what the packages of a format say of themselves, those of an architecture: for whoever looks for more than
    /// names. What cannot be read is left out.
    pub(crate) fn controls(&self, format: Format, arch: Arch) -> Vec<Control> {
        let of_format = self.files().par_iter().filter(|file| file.identity.format == format);
        let fitting = of_format.filter(|file| fits(&file.identity.architecture, format, arch));
        fitting.filter_map(|file| dlstore_ingest::peek_control(&file.input.path, format).ok()).collect()
    }
}

fn peek(input: &Input) -> Result<PackageFile, IngestError> {
    let input = input.clone();
    Ok(match input.kind {
        InputKind::Package(format) => {
            let seen = seen::peek(&input.path, format)?;
            PackageFile { identity: seen.identity.clone(), input, seen: Some(seen) }
        }
        InputKind::Directory => {
            let identity = Identity::from(&dlstore_ingest::directory_metadata_of(&input.path)?);
            PackageFile { identity, input, seen: None }
        }
    })
}

impl PackageFile {
    /// Gives the SHA-256 of a package file; `None` for a directory, and for what cannot be read.
    pub(super) fn sha256(&self, session: &Session<'_>) -> Option<OciDigest> {
        self.seen.as_ref()?.sha256(session, &self.input.path).ok()
    }

    /// Finds the package of the store that it is, if it is known to be that without reading it.
    pub(super) fn record(&self, session: &Session<'_>) -> Result<Option<PackageRecord>, ChoiceError> {
        let Some(seen) = &self.seen else { return Ok(None) };
        Ok(seen.record(session, &self.input.path)?)
    }

    /// Takes the package that it became.
    pub(super) fn became(&self, record: &PackageRecord) {
        if let Some(seen) = &self.seen {
            seen.became(record);
        }
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
#[must_use]
pub fn fits(architecture: &str, format: Format, arch: Arch) -> bool {
    match format {
        Format::Deb => architecture == "all" || architecture == arch.debian(),
        Format::Apk => architecture == "noarch" || architecture == arch.apk(),
        Format::Tar => true,
    }
}
