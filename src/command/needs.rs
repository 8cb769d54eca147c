//! What a program of one's own needs at run time, and which image has it.
//!
//! What the program names is read from its own headers. Where each library is, the store's facts and a
//! table of the built-in images say, and packages of the host, which are read and forgotten; nothing is run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::context::Context;
use super::error::{self, Error};
use super::request::{Source, note_unread};
use super::value::{self, Text};
use dlstore_formats::elf::{self, Elf};
use dlstore_formats::package::Format;
use dlstore_image::choice::{Unread, fits};
use dlstore_image::linker::provided::{Linkage, arch_of, has, images, linkage, loader_of, lowest, serves};
use dlstore_ingest::directory::read_file;
use dlstore_ingest::input::Input;
use dlstore_ingest::{Glance, IngestError, facts, glance, parallel};
use dlstore_model::arch::Arch;
use dlstore_model::diagnose::one_line;
use dlstore_model::escape;
use dlstore_model::package::Metadata;
use dlstore_model::path::TreePath;
use dlstore_store::Store;

/// What is looked at.
pub(crate) struct Settings {
    /// Programs, libraries, and directories of them.
    pub(crate) binaries: Vec<PathBuf>,
    /// Packages that libraries are looked for in, beside the store's.
    pub(crate) from: Vec<PathBuf>,
}

/// What programs need.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The programs, in the order in which they were named; those of a directory by path.
    pub(crate) programs: Vec<Program>,
    /// What could not be looked at.
    pub(crate) failed: Vec<Failed>,
    /// Whether packages beside those of the store were looked at.
    #[serde(skip)]
    pub(crate) is_from: bool,
}

/// What could not be looked at.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Failed {
    /// The file or directory.
    pub(crate) path: String,
    /// Why, with all causes.
    #[serde(serialize_with = "error::line")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) error: Error,
}

/// What a program needs.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Program {
    /// Its file.
    pub(crate) path: String,
    /// The architecture that it is made for; `null` when it is none of the eight.
    pub(crate) architecture: Option<Text<Arch>>,
    /// `static`, `glibc`, `musl` or `other loader`.
    pub(crate) linkage: &'static str,
    /// The loader that it names; `null` when it names none.
    pub(crate) loader: Option<String>,
    /// Images that have the loader.
    pub(crate) images: Vec<&'static str>,
    /// The oldest libraries that it runs on.
    pub(crate) oldest: Oldest,
    /// The libraries that it names.
    pub(crate) needs: Vec<Need>,
}

/// The oldest libraries that a program runs on.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Oldest {
    /// Version of glibc; `null` when it asks for none.
    pub(crate) glibc: Option<String>,
    /// File name of libstdc++; `null` when it asks for none.
    pub(crate) libstdcxx: Option<String>,
}

/// A library that a program names.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Need {
    /// The name that it asks for.
    pub(crate) library: String,
    /// Whether the images have it.
    pub(crate) in_image: bool,
    /// Packages of the store, or of `--from`, that have it, as `deb:NAME`.
    pub(crate) packages: Vec<String>,
}

/// Looks at programs, and at all that lie in directories; what cannot be looked at does not keep it from the others.
///
/// # Errors
/// When what `--from` names is not there.
pub(crate) fn run(context: &Context, settings: &Settings) -> Result<Report, Error> {
    let source = Source::of(&settings.from)?;
    let store = context.open_if_there().unwrap_or_else(|error| {
        context.note(&format!("cannot search the store for packages: {}", one_line(&error)));
        None
    });
    let is_from = matches!(source, Source::Files(_));
    let mut report = Report { programs: Vec::new(), failed: Vec::new(), is_from };
    let mut found: Vec<(PathBuf, Elf)> = Vec::new();
    for named in &settings.binaries {
        let is_directory = named.is_dir();
        let before = found.len() + report.failed.len();
        let files = if is_directory { files_below(named, &mut report.failed) } else { vec![named.clone()] };
        for path in files {
            match read(&path) {
                Ok(elf) => found.push((path, elf)),
                // A directory has texts and data too.
                Err(Error::NotElf(_)) if is_directory => {}
                Err(error) => report.failed.push(Failed { path: value::path(&path), error }),
            }
        }
        if found.len() + report.failed.len() == before {
            report.failed.push(Failed { path: value::path(named), error: Error::NoElf(named.clone()) });
        }
    }
    let files = match source {
        Source::Files(inputs) => glances(context, &inputs, &found),
        Source::Nowhere | Source::Store => Vec::new(),
    };
    let known = Known { store, files };
    report.programs = found.iter().map(|(path, elf)| program(&known, path, elf)).collect();
    Ok(report)
}

/// Where libraries are looked for beside the images.
struct Known {
    store: Option<Store>,
    /// Packages of the host.
    files: Vec<Glance>,
}

/// Reads those packages of the host that are for the machines of programs.
fn glances(context: &Context, inputs: &[Input], programs: &[(PathBuf, Elf)]) -> Vec<Glance> {
    let archs: BTreeSet<Arch> = programs.iter().filter_map(|(_, elf)| arch_of(elf)).collect();
    let is_asked = |metadata: &Metadata| {
        let fits = |arch| fits(&metadata.architecture.to_string(), metadata.format, arch);
        metadata.format != Format::Tar && archs.iter().copied().any(fits)
    };
    let (mut glances, mut unread) = (Vec::new(), Vec::new());
    for (input, outcome) in inputs.iter().zip(parallel::map(inputs, |input| glance(input, is_asked))) {
        match outcome {
            Ok(found) => glances.extend(found),
            Err(error) => unread.push(Unread { path: input.path.clone(), error }),
        }
    }
    note_unread(context, &unread);
    glances
}

/// Gives the files below a directory, by path; links are not followed. A directory that cannot be read is noted.
fn files_below(directory: &Path, unread: &mut Vec<Failed>) -> Vec<PathBuf> {
    let (mut files, mut waiting) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = waiting.pop() {
        let entries = std::fs::read_dir(&directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.unwrap_or_else(|source| {
            let error = Error::Ingest(IngestError::Read { path: directory.clone(), source });
            unread.push(Failed { path: value::path(&directory), error });
            Vec::new()
        });
        for entry in entries {
            // What is gone meanwhile is nothing.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> Result<Elf, Error> {
    read_file(path)?.elf.ok_or_else(|| Error::NotElf(path.to_owned()))
}

fn program(known: &Known, path: &Path, elf: &Elf) -> Program {
    let (arch, kind, oldest) = (arch_of(elf), linkage(elf), lowest(elf));
    let need = |name: &Vec<u8>| Need {
        library: escape::name(name),
        in_image: has(kind, name),
        packages: known.providers(elf, name),
    };
    Program {
        path: value::path(path),
        architecture: arch.map(Text),
        linkage: word(kind),
        loader: elf.interpreter.as_ref().map(|name| escape::name(name)),
        images: fitting(elf, arch, kind),
        oldest: Oldest {
            glibc: oldest.glibc,
            libstdcxx: oldest.libstdcxx.map(|number| format!("libstdc++.so.6.0.{number}")),
        },
        needs: elf.needed.iter().map(need).collect(),
    }
}

const fn word(linkage: Linkage) -> &'static str {
    match linkage {
        Linkage::Static => "static",
        Linkage::Glibc => "glibc",
        Linkage::Musl => "musl",
        Linkage::Other => "other loader",
    }
}

/// Images whose loader is the one that the program names.
fn fitting(elf: &Elf, arch: Option<Arch>, kind: Linkage) -> Vec<&'static str> {
    let names_it = |image: &&str| match (&elf.interpreter, arch.and_then(|arch| loader_of(image, arch))) {
        (Some(wanted), Some(loader)) => loader.as_bytes() == wanted.as_slice(),
        _ => true,
    };
    images(kind).iter().copied().filter(|image| arch.is_some() && names_it(image)).collect()
}

impl Known {
    /// Names the packages that have a library for the program's machine and libc.
    fn providers(&self, elf: &Elf, name: &[u8]) -> Vec<String> {
        let of_store = self.store.as_ref().and_then(|store| Some((store, store.packages_with(name).ok()?)));
        let of_store = of_store.into_iter().flat_map(|(store, records)| {
            let records = records.into_iter().filter(|record| record.format != Format::Tar);
            let records = records.filter(|record| {
                let data = record.fact(facts::ELF).and_then(|digest| store.fact(&digest).ok().flatten());
                data.and_then(|data| elf::decode_facts(&data).ok()).is_some_and(|files| serve(&files, elf, name))
            });
            records.map(|record| format!("{}:{}", record.format.name(), record.name))
        });
        let of_files = self.files.iter().filter(|glance| serve(&glance.elf, elf, name));
        let of_files = of_files.map(|glance| format!("{}:{}", glance.metadata.format.name(), glance.metadata.name));
        let found: BTreeSet<String> = of_store.chain(of_files).collect();
        found.into_iter().collect()
    }
}

/// Says whether one of a package's files is a library that the program's loader takes.
fn serve(files: &[(TreePath, Elf)], elf: &Elf, name: &[u8]) -> bool {
    files.iter().any(|(path, file)| {
        (file.soname.as_deref() == Some(name) || path.name() == name)
            && (file.machine, file.is_64) == (elf.machine, elf.is_64)
            && arch_of(elf).is_none_or(|arch| serves(linkage(elf), arch, path, file))
    })
}
