//! What would help an image that lacks something: packages of the store and of every `--from` that have it, and what
//! those depend on, so that one list is enough.
//!
//! It is looked for only when composing has failed. The store knows which packages have a library; a package file
//! says it in its control part: the `shlibs` of a `.deb` (`deb-shlibs(5)`), the `so:` names that an `.apk` provides. What
//! the image has already is never proposed: where a file of it is left out, that is said instead.

use std::collections::BTreeMap;

use super::ComposeError;
use super::gather::{Gathered, Resolved};
use crate::check::CheckError;
use crate::check::problem::{Edge, Gap, Problem};
use crate::choice::fits;
use crate::definition::Level;
use crate::linker::provided::{Linkage, serves};
use dlstore_formats::elf::Elf;
use dlstore_formats::package::declared::{Asked, Declared, declared};
use dlstore_formats::package::{Control, Format};
use dlstore_ingest::recall;
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;
use dlstore_model::version;
use dlstore_store::PackageRecord;
use dlstore_store::session::Session;

/// Most packages that are proposed for what others depend on: more is not an image that lacks something.
const MOST: usize = 200;

/// Says what would help.
pub(super) fn suggest(session: &Session<'_>, gathered: &Gathered<'_>, error: ComposeError) -> ComposeError {
    let ComposeError::Check(CheckError::Problems(mut problems)) = error else { return error };
    let (image, package_source) = (gathered.request.image, gathered.request.package_source);
    let levels = image.levels.iter().map(|level| level.name.clone()).collect();
    let Some(format) = image.format else {
        problems.know(Vec::new(), levels);
        return CheckError::Problems(problems).into();
    };
    let packages =
        |arch| gathered.platforms.iter().find(|platform| platform.arch == arch).map(|one| one.packages.as_slice());
    let mut known: BTreeMap<Arch, Known<'_>> = BTreeMap::new();
    let mut proposed: Vec<(Arch, String)> = Vec::new();
    for (arch, problem) in problems.each() {
        let known = known.entry(arch).or_insert_with(|| Known {
            session,
            format,
            arch,
            files: package_source
                .controls(format, arch)
                .into_iter()
                .map(|control| (declared(&control), control))
                .collect(),
            packages: packages(arch).unwrap_or_default(),
            levels: &image.levels,
        });
        match problem {
            Problem::Gap(Gap { name, why: None, provider, left_out, linkage, .. }) => {
                let base = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
                *left_out = known.left_out(base);
                if left_out.is_none() {
                    *provider = known.with_library(base, *linkage);
                }
                proposed.extend(provider.clone().map(|name| (arch, name)));
            }
            Problem::Edge(Edge { any_of, provider, .. }) => {
                *provider = any_of.iter().find_map(|asked| known.that_meets(asked));
                proposed.extend(provider.clone().map(|name| (arch, name)));
            }
            _ => {}
        }
    }
    let mut with: Vec<String> = Vec::new();
    for (arch, known) in &known {
        let first = proposed.iter().filter(|(of, _)| of == arch).map(|(_, name)| name.clone()).collect();
        with.extend(known.closure(first));
    }
    problems.know(with, levels);
    CheckError::Problems(problems).into()
}

/// What is known of packages for one architecture.
struct Known<'k> {
    session: &'k Session<'k>,
    format: Format,
    arch: Arch,
    /// Those of `--from`.
    files: Vec<(Declared, Control)>,
    packages: &'k [Resolved],
    levels: &'k [Level],
}

impl Known<'_> {
    fn is_in_image(&self, name: &str) -> bool {
        self.packages.iter().any(|package| package.record.name == name)
    }

    /// Finds a library among the files of the image's packages that a definition leaves out which can keep them.
    fn left_out(&self, library: &[u8]) -> Option<TreePath> {
        let mut own = self.packages.iter().filter(|package| self.levels[package.level].root.is_some());
        own.find_map(|package| {
            let chosen = self.levels[package.level].chosen().ok()?;
            let facts = recall::facts(self.session, &package.record).ok()??;
            let is_it = |(path, elf): &(TreePath, Elf)| {
                !chosen.selects(path) && (path.name() == library || elf.soname.as_deref() == Some(library))
            };
            facts.elf.into_iter().find(is_it).map(|(path, _)| path)
        })
    }

    /// Finds a package with a library that the image does not have, for whoever asks for it.
    fn with_library(&self, library: &[u8], linkage: Linkage) -> Option<String> {
        let of_store = self.session.store().packages_with(library).ok().into_iter().flatten();
        let of_store = of_store
            .filter(|record| record.format == self.format && fits(&record.architecture, self.format, self.arch))
            .filter(|record| self.serves(record, library, linkage))
            .map(|record| record.name);
        let of_files = self.files.iter().filter(|(declared, control)| {
            has_library(declared, control, library) && libc_of(declared).is_none_or(|of| !are_apart(linkage, of))
        });
        let mut names = of_store.chain(of_files.map(|(_, control)| control.metadata.name.to_string()));
        names.find(|name| !self.is_in_image(name))
    }

    /// Says whether the loader of whoever asks for a library takes the one of a package, and finds it.
    fn serves(&self, record: &PackageRecord, library: &[u8], linkage: Linkage) -> bool {
        let facts = recall::facts(self.session, record).ok().flatten();
        let is_it = |(path, elf): &(TreePath, Elf)| {
            (path.name() == library || elf.soname.as_deref() == Some(library)) && serves(linkage, self.arch, path, elf)
        };
        facts.is_some_and(|facts| facts.elf.iter().any(is_it))
    }

    /// Finds a package that meets a relation.
    fn that_meets(&self, asked: &Asked) -> Option<String> {
        let meets = |declared: &Declared| declared.provides.iter().any(|one| asked.is_met_by(self.format, one));
        let of_files = self.files.iter().filter(|(declared, _)| meets(declared));
        let mut names: Vec<String> = of_files.map(|(_, control)| control.metadata.name.to_string()).collect();
        // A real package goes before one that provides the name.
        names.sort_by_key(|name| *name != asked.name);
        names.extend(self.of_store(&asked.name).filter(&meets).map(|_| asked.name.clone()));
        if let Some(library) = asked.name.strip_prefix("so:") {
            names.extend(self.with_library(library.as_bytes(), Linkage::Other));
        }
        names.into_iter().find(|name| !self.is_in_image(name))
    }

    /// What a package of the store says of others, in its highest version.
    fn of_store(&self, name: &str) -> Option<Declared> {
        let candidates = self.session.candidates(self.format, name).ok()?;
        let records = candidates.into_iter().filter_map(|candidate| candidate.record);
        let fitting = records.filter(|record| fits(&record.architecture, self.format, self.arch));
        let highest = fitting.max_by(|a, b| version::compare(self.format, &a.version, &b.version))?;
        Some(declared(&recall::control(self.session, &highest).ok()??))
    }

    /// Gives what packages depend on and the image does not have, as far as it is known.
    fn closure(&self, first: Vec<String>) -> Vec<String> {
        let of_package = |package: &Resolved| Some(declared(&recall::control(self.session, &package.record).ok()??));
        let mut there: Vec<Declared> = self.packages.iter().filter_map(of_package).collect();
        let mut found: Vec<String> = Vec::new();
        let mut next = first;
        while let Some(name) = next.pop() {
            let of_files = self.files.iter().filter(|(_, control)| *control.metadata.name == name);
            let highest =
                of_files.max_by(|(_, a), (_, b)| a.metadata.version.compare(self.format, &b.metadata.version));
            let Some(package) = highest.map(|(declared, _)| declared.clone()).or_else(|| self.of_store(&name)) else {
                continue;
            };
            there.push(package.clone());
            for dependency in &package.depends {
                let meets = |asked: &Asked| {
                    there.iter().flat_map(|one| &one.provides).any(|one| asked.is_met_by(self.format, one))
                };
                if found.len() >= MOST || dependency.any_of.iter().any(meets) {
                    continue;
                }
                if let Some(name) = dependency.any_of.iter().find_map(|asked| self.that_meets(asked))
                    && !found.contains(&name)
                {
                    found.push(name.clone());
                    next.push(name);
                }
            }
        }
        found
    }
}

/// Gives the libc that a package is made for, where what it depends on says that.
fn libc_of(declared: &Declared) -> Option<Linkage> {
    declared.depends.iter().flat_map(|one| &one.any_of).find_map(|asked| match asked.name.as_str() {
        "libc6" | "libc6.1" | "glibc" | "so:libc.so.6" => Some(Linkage::Glibc),
        "musl" => Some(Linkage::Musl),
        name if name.starts_with("so:libc.musl-") => Some(Linkage::Musl),
        _ => None,
    })
}

/// Says whether one is for glibc and the other for musl.
const fn are_apart(a: Linkage, b: Linkage) -> bool {
    matches!((a, b), (Linkage::Glibc, Linkage::Musl) | (Linkage::Musl, Linkage::Glibc))
}

/// Says whether a package file declares a library.
fn has_library(declared: &Declared, control: &Control, library: &[u8]) -> bool {
    let Ok(library) = std::str::from_utf8(library) else { return false };
    let name = format!("so:{library}");
    if declared.provides.iter().any(|provided| provided.name == name) {
        return true;
    }
    let Some(text) = control.members.get("shlibs").and_then(|text| std::str::from_utf8(text).ok()) else {
        return false;
    };
    text.lines().any(|line| {
        // "libz 1 zlib1g (>= 1:1.1.4)", perhaps with "udeb:" or another type in front.
        let words = line.split_ascii_whitespace().skip_while(|word| word.ends_with(':')).collect::<Vec<_>>();
        let [name, version, ..] = words.as_slice() else { return false };
        library == format!("{name}.so.{version}") || library == format!("{name}-{version}.so")
    })
}
