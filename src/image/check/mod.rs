//! Checks on a rootfs: what it may hold, and that it runs.
//!
//! - `content`: setuid and setgid files, file capabilities, directories that everybody may write without the sticky bit,
//!   and devices are listed by the definition.
//! - Here: every program and library is for the architecture, also one that is cut; each library is found where its
//!   loader looks, with the versions of symbols that are asked of it.
//! - `links`: symbolic links lead somewhere.
//! - `start`, `env`, `reading`: what the image starts is there and can be run, and its libraries can be read.
//! - `lines`: what to write so that it is.
//! - `declared`: packages have what they depend on.
//!
//! All that is wrong is one error, of all architectures (`problem`). A waiver `FROM -> TO: reason` of the definition
//! accepts one such thing (`waivers`); what a definition says in vain is a warning (`unused`, `note`).

mod content;
mod declared;
mod env;
mod error;
mod lines;
mod links;
mod note;
pub mod problem;
mod reading;
mod start;
mod unused;
mod waivers;
mod way;

pub use error::CheckError;
pub(crate) use links::has_open_ends;
pub use note::{Note, Weight};
pub(crate) use start::{may_execute, may_look_elsewhere, search_path};
pub(crate) use unused::{of_fixups, with_line};

use std::collections::HashSet;

use self::problem::{Elsewhere, Foreign, Gap, Problem, Problems, SymbolVersion};
use self::waivers::Waivers;
use crate::definition::Image;
use crate::linker::libraries::{Libraries, Loader};
use crate::linker::loaded::{self, Lacking};
use crate::linker::machine;
use crate::linker::precedence::{self, Taken};
use crate::linker::provided::{Linkage, linkage};
use crate::rootfs::{Origin, Rootfs, RootfsError, View};
use dlstore_ingest::start::Start;
use dlstore_model::arch::Arch;
use dlstore_model::config::LIBRARY_PATH;
use dlstore_model::escape::Escaped;
use dlstore_model::path::TreePath;
use dlstore_model::shown::Shown;

/// Makes notes of what the definition accepts.
fn accepted(notes: Shown<String>, rest: &str) -> Vec<Note> {
    notes.with_rest(rest).into_iter().map(Note::accepted).collect()
}

/// Checks that a root holds what it may, and runs; gives notes on what was allowed and waived.
///
/// # Errors
/// When it does not: with all that is wrong.
pub(crate) fn root(image: &Image, arch: Arch, rootfs: &Rootfs) -> Result<Vec<Note>, CheckError> {
    let waivers = Waivers::of(&image.levels);
    let library_path = image.config.env.get(LIBRARY_PATH).map_or("", String::as_str);
    let (notes, problems) = (Shown::default(), Problems::of(arch));
    let mut found = Found { waivers: &waivers, rootfs, library_path, notes, problems };
    let allowed = content::check(rootfs, &image.levels, &mut found.problems);
    let view = View::new(rootfs);
    if let Some(Taken { by: (path, origin), own: (own, libc), package }) = precedence::taken(arch, &view)? {
        let winner = format!("{path} of {origin}");
        let reason = "the loader would find it first";
        return Err(RootfsError::Replaced { path: own, loser: libc, package, winner, reason }.into());
    }
    let libraries = Libraries::new(arch, &view, &image.config)
        .map_err(|error| CheckError::from(error).at(image.key_line(&["env", LIBRARY_PATH])))?;
    // What is said already of files that the image may start.
    let mut foreign: HashSet<TreePath> = HashSet::new();
    for (path, elf) in view.elf_files().iter().filter(|(_, elf)| !machine::runs_file(arch, elf)) {
        // One for another system is none for another architecture.
        let source = || foreign_source(image, rootfs, path).filter(|_| !machine::runs(arch, elf.header()));
        if found.foreign(path, &machine::name_of_file(elf), source) {
            foreign.insert((*path).clone());
        }
    }
    for (path, start) in view.starts() {
        // What is linked only, and what is read by debuggers, is no program: compilers bring those for other machines.
        if let Start::Elf { header: Some(header), is_damaged: true, .. } = start
            && !machine::runs(arch, *header)
            && found.foreign(path, &machine::name(*header), || foreign_source(image, rootfs, path))
        {
            foreign.insert((*path).clone());
        }
    }
    // Whoever accepts one for another machine knows what will load it, and from where.
    let mut lacking = Vec::new();
    for (path, elf) in view.elf_files().iter().filter(|(_, elf)| machine::runs_file(arch, elf)) {
        lacking.push(Lacking { path, elf, lacks: libraries.lacks(path, elf)? });
    }
    loaded::settle(&libraries, &mut lacking);
    for Lacking { path, elf, lacks } in lacking {
        if let Some(Loader { name, at, why }) = lacks.loader
            && !at.is_some_and(|at| foreign.contains(view.name_of_file(&at)))
        {
            found.gap(path, &name, why, linkage(elf), None);
        }
        for name in lacks.names {
            found.gap(path, &name, None, linkage(elf), Some(&|| libraries.anywhere(elf, &name)));
        }
        for (library, version) in lacks.versions {
            found.of_file(path, &version, |origin| {
                Problem::Version(SymbolVersion { path: path.clone(), origin, library, version: version.clone() })
            });
        }
    }
    for (path, target) in links::dangling(&view) {
        found.gap(path, target, None, Linkage::Other, None);
    }
    for one in start::problems(image, arch, &view, &libraries, &foreign)? {
        found.of_name(one.key, &[&one.word.clone()], one.key, Problem::RunKey(one));
    }
    for (edge, names) in declared::unmet(arch, &view) {
        // One that cannot be read has no name, and may still be waived as anything.
        let names = if names.is_empty() { vec![edge.text.clone()] } else { names };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        found.of_name(&edge.package.clone(), &names, &edge.origin.clone(), Problem::Edge(edge));
    }
    let Found { notes, problems, .. } = found;
    if !problems.is_empty() {
        return Err(CheckError::Problems(Box::new(problems)));
    }
    let mut notes = [allowed, accepted(notes, "are waived")].concat();
    notes.extend(unused::of_waivers(&image.levels, &waivers));
    notes.extend(unused::of_patterns(&image.levels, rootfs));
    Ok(notes)
}

/// What was found of a root so far.
struct Found<'f> {
    waivers: &'f Waivers<'f>,
    rootfs: &'f Rootfs,
    /// The image's `LD_LIBRARY_PATH`; empty when it has none.
    library_path: &'f str,
    notes: Shown<String>,
    problems: Problems,
}

impl Found<'_> {
    /// Takes a problem of a package or of a key, unless it is waived by one of the names that it may be called by.
    fn of_name(&mut self, who: &str, names: &[&str], shown: &str, problem: Problem) {
        let reasons =
            names.iter().filter_map(|name| Some((name, self.waivers.find(None, Some(who), name.as_bytes())?)));
        // All of them are asked, so that all have been used.
        match reasons.collect::<Vec<_>>().first() {
            Some((name, reason)) => {
                self.notes.push(|| format!("{shown} -> {}: waived ({reason})", Escaped::text(name)));
            }
            None => self.problems.push(|| problem),
        }
    }

    /// Takes a problem of a file, unless it is waived; says whether it is one.
    fn of_file(&mut self, path: &TreePath, name: &[u8], make: impl FnOnce(String) -> Problem) -> bool {
        let part = self.rootfs.get(path).map(|slot| &self.rootfs.parts()[slot.owner]);
        let package = part.and_then(|part| part.package.as_ref()).map(|package| &*package.control.metadata.name);
        if let Some(reason) = self.waivers.find(Some(path), package, name) {
            self.notes.push(|| format!("{path} -> {}: waived ({reason})", Escaped::bytes(name)));
            return false;
        }
        self.problems.push(|| make(part.map(|part| part.whose(path)).unwrap_or_default()));
        true
    }

    /// Takes a file for another machine, unless it is waived; says whether it is a problem.
    fn foreign(&mut self, path: &TreePath, name: &str, source: impl FnOnce() -> Option<(String, String)>) -> bool {
        self.of_file(path, format!("machine:{name}").as_bytes(), |origin| {
            Problem::Machine(Foreign { path: path.clone(), origin, machine: name.to_owned(), source: source() })
        })
    }

    /// Takes something that is missing, with who knows where else it is.
    fn gap(
        &mut self,
        path: &TreePath,
        name: &[u8],
        why: Option<String>,
        linkage: Linkage,
        anywhere: Option<&dyn Fn() -> Option<TreePath>>,
    ) {
        let (rootfs, library_path) = (self.rootfs, self.library_path);
        self.of_file(path, name, |origin| {
            let elsewhere = anywhere.and_then(|anywhere| anywhere()).map(|at| {
                let is_own = is_own(rootfs, path) || is_own(rootfs, &at);
                Elsewhere { path: at, library_path: is_own.then(|| library_path.to_owned()) }
            });
            let (path, name) = (path.clone(), name.to_vec());
            Problem::Gap(Gap { path, origin, name, why, linkage, provider: None, left_out: None, elsewhere })
        });
    }
}

/// Says whether a definition brings a file itself.
fn is_own(rootfs: &Rootfs, path: &TreePath) -> bool {
    rootfs.get(path).is_some_and(|slot| matches!(rootfs.parts()[slot.owner].origin, Origin::Definition(_)))
}

/// Gives the key and the `source` that a definition would say to have an own file for each architecture, unless it does.
fn foreign_source(image: &Image, rootfs: &Rootfs, path: &TreePath) -> Option<(String, String)> {
    let part = &rootfs.parts()[rootfs.get(path)?.owner];
    let Origin::Definition(_) = part.origin else { return None };
    let files = &image.levels[part.level].files;
    let spec = files.iter().find(|spec| spec.path == *path || path.is_below(&spec.path))?;
    let source = spec.source.as_ref().filter(|source| !source.contains("{arch}"))?;
    let slash = if spec.is_directory { "/" } else { "" };
    let name = source.trim_end_matches('/').rsplit('/').next()?;
    let key = std::str::from_utf8(spec.path.as_bytes()).ok()?;
    Some((format!("/{key}{slash}"), format!("build/{{arch}}/{name}{slash}")))
}
