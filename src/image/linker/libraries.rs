//! Where the loaders of a root find libraries, and what they would not find.
//!
//! Each `DT_NEEDED` is looked for where its loader looks: `RUNPATH` with `$ORIGIN`, the configured directories, the
//! built-in ones (`ld.so(8)`; musl's `ldso/dynlink.c` documents its path file). glibc's loader also wants every
//! version of symbols that a file requires of a library (`elf/dl-version.c`); musl's does not look at them.
//!
//! What is looked at grows with what packages hold, not with the product of what they name: a directory is
//! looked up once for each file that searches it, a name only where something of that name stands.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{LinkerError, directories, machine};
use crate::rootfs::View;
use crate::rootfs::view::Found;
use dlstore_formats::elf::Elf;
use dlstore_ingest::start::Start;
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;

/// Most run-path entries of one file, each counted once. Loaders have no limit and look through all of
/// them for every library; programs that are built from stores of packages have some dozens.
const MAX_RUN_PATH: usize = 256;

/// The libraries of a rootfs, as its loaders find them.
pub(crate) struct Libraries<'v> {
    view: &'v View<'v>,
    /// Directories that have an entry of a name, for names that anything in the rootfs has.
    holders: HashMap<&'v [u8], Vec<Option<TreePath>>>,
    glibc: Vec<TreePath>,
    musl: Vec<TreePath>,
    has_musl_loader: bool,
    has_musl_libc: bool,
    has_loader_configuration: bool,
}

impl<'v> Libraries<'v> {
    /// Collects them.
    ///
    /// # Errors
    /// When the loader's configuration asks for more than is looked at.
    pub(crate) fn new(arch: Arch, view: &'v View<'v>) -> Result<Self, LinkerError> {
        let elf = view.elf_files();
        let wanted: HashSet<&[u8]> = elf.values().flat_map(|elf| elf.needed.iter().map(Vec::as_slice)).collect();
        let mut holders: HashMap<&'v [u8], Vec<Option<TreePath>>> = HashMap::new();
        let mut has_musl_loader = false;
        for (path, _) in view.rootfs().iter() {
            has_musl_loader |= path.name().starts_with(b"ld-musl-");
            if wanted.contains(path.name()) {
                holders.entry(path.name()).or_default().push(path.parent());
            }
        }
        Ok(Self {
            view,
            holders,
            glibc: directories::glibc(arch, view)?,
            musl: directories::musl(arch, view),
            has_musl_loader,
            has_musl_libc: has_musl_loader || elf.keys().any(|at| at.name() == b"libc.so"),
            has_loader_configuration: directories::has_configuration(view),
        })
    }

    /// Gives what an ELF file of this root needs and the root lacks.
    ///
    /// # Errors
    /// When the file has more run-path entries than are looked through.
    pub(crate) fn lacks(&self, path: &TreePath, elf: &Elf) -> Result<Lacks, LinkerError> {
        let mut lacks = Lacks::default();
        if let Some(name) = elf.interpreter.as_deref() {
            let at = TreePath::new(name.strip_prefix(b"/").unwrap_or(name)).ok().and_then(|at| self.view.follow(&at));
            let why = at.as_ref().map(|at| self.why_not_loaded(at, elf));
            if why != Some(None) {
                lacks.loader = Some(Loader { name: name.to_vec(), at, why: why.flatten() });
            }
        }
        if elf.needed.is_empty() {
            return Ok(lacks);
        }
        let is_musl = self.uses_musl(elf);
        let directories = self.searched(path, elf, if is_musl { &self.musl } else { &self.glibc })?;
        for name in &elf.needed {
            let is_there =
                if is_musl && is_musl_itself(name) { self.has_musl_libc } else { self.finds(elf, name, &directories) };
            if !is_there {
                lacks.names.push(name.clone());
            }
        }
        if !is_musl {
            for (library, versions) in &elf.requires {
                let found = self.all(elf, library, &directories);
                // Nothing to compare with: it is missing as a whole, or says nothing of versions.
                if found.iter().any(|library| library.defines.is_empty()) {
                    continue;
                }
                let defined: HashSet<&[u8]> =
                    found.iter().flat_map(|one| one.defines.iter().map(Vec::as_slice)).collect();
                if !found.is_empty() {
                    let missing = versions.iter().filter(|version| !defined.contains(version.as_slice()));
                    lacks.versions.extend(missing.map(|version| (library.clone(), version.clone())));
                }
            }
        }
        Ok(lacks)
    }

    /// Gives the libraries that an ELF file of this root names and its loader finds, each with the paths where one stands
    /// that the loader would take: as the loader spells them, in no order.
    ///
    /// # Errors
    /// When the file has more run-path entries than are looked through.
    pub(crate) fn found<'e>(&self, path: &TreePath, elf: &'e Elf) -> Result<Vec<Places<'e>>, LinkerError> {
        let is_musl = self.uses_musl(elf);
        let mut spelled: HashMap<TreePath, BTreeSet<Vec<u8>>> = HashMap::new();
        for directory in run_path(path, elf)? {
            if let Some((real, text)) = spell(path, directory).and_then(|text| Some((self.real(&text)?, text))) {
                spelled.entry(real).or_default().insert(text);
            }
        }
        for directory in if is_musl { &self.musl } else { &self.glibc } {
            if let Some(real) = self.view.follow(directory) {
                spelled.entry(real).or_default().insert([b"/", directory.as_bytes()].concat());
            }
        }
        let names = elf.needed.iter().filter(|name| !(is_musl && is_musl_itself(name)));
        let found = names.map(|name| {
            if name.contains(&b'/') {
                return (name.as_slice(), vec![[b"/", name.strip_prefix(b"/").unwrap_or(name)].concat()]);
            }
            let holders = self.holders.get(name.as_slice()).into_iter().flatten().flatten();
            let holders = holders.filter(|directory| {
                let at = directory.join(name).ok().and_then(|at| self.view.follow(&at));
                at.is_some_and(|at| self.fits(&at, elf))
            });
            let directories = holders.filter_map(|directory| spelled.get(directory)).flatten();
            (name.as_slice(), directories.map(|directory| [directory.as_slice(), b"/", name].concat()).collect())
        });
        Ok(found.collect())
    }

    /// Says why the file at `at` is no loader for an ELF file, as what follows its name; `None` when it is one.
    fn why_not_loaded(&self, at: &TreePath, elf: &Elf) -> Option<String> {
        let Some(loader) = self.view.elf(at) else {
            return Some(match self.view.starts().get(self.view.name_of_file(at)) {
                Some(Start::Elf { why, .. }) => format!("cannot be loaded: {why}"),
                _ => "is not an ELF file".to_owned(),
            });
        };
        if self.fits(at, elf) {
            return (!loader.has_entry).then(|| "cannot be loaded: it has no entry point".to_owned());
        }
        let (own, other) = (machine::name_of_file(elf), machine::name_of_file(loader));
        let is_same = own == other;
        Some(if is_same {
            "passes floating-point numbers differently".to_owned()
        } else {
            format!("was built for {other}")
        })
    }

    /// Follows a directory as a loader spells it.
    fn real(&self, directory: &[u8]) -> Option<TreePath> {
        match self.view.resolve(directory) {
            Some(Found::Directory(directory)) => directory,
            _ => None,
        }
    }

    /// The directories, links followed, that the loader of an ELF file looks through.
    fn searched(&self, path: &TreePath, elf: &Elf, loader: &[TreePath]) -> Result<HashSet<TreePath>, LinkerError> {
        let own = run_path(path, elf)?.into_iter().filter_map(|directory| expand(path, directory));
        Ok(own.chain(loader.iter().cloned()).filter_map(|directory| self.view.follow(&directory)).collect())
    }

    /// The libraries of a name that the loader may find.
    fn all(&self, elf: &Elf, name: &[u8], directories: &HashSet<TreePath>) -> Vec<&'v Elf> {
        let named = if name.contains(&b'/') {
            vec![TreePath::new(name.strip_prefix(b"/").unwrap_or(name)).ok()]
        } else {
            let holders = self.holders.get(name).into_iter().flatten().flatten();
            holders
                .filter(|directory| directories.contains(*directory))
                .map(|directory| directory.join(name).ok())
                .collect()
        };
        let at = named.into_iter().flatten().filter_map(|at| self.view.follow(&at));
        at.filter(|at| self.fits(at, elf)).filter_map(|at| self.view.elf(&at)).collect()
    }

    fn finds(&self, elf: &Elf, name: &[u8], directories: &HashSet<TreePath>) -> bool {
        if name.contains(&b'/') {
            let relative = name.strip_prefix(b"/").unwrap_or(name);
            return TreePath::new(relative).ok().and_then(|at| self.view.follow(&at)).is_some();
        }
        let is_it = |directory: &TreePath| {
            let at = directory.join(name).ok().and_then(|at| self.view.follow(&at));
            at.is_some_and(|at| self.fits(&at, elf))
        };
        let Some(holders) = self.holders.get(name) else { return false };
        if holders.len() < directories.len() {
            holders.iter().flatten().any(|directory| directories.contains(directory) && is_it(directory))
        } else {
            directories.iter().any(is_it)
        }
    }

    /// A program says by its interpreter which loader runs it, a library by the libc that it names.
    fn uses_musl(&self, elf: &Elf) -> bool {
        match &elf.interpreter {
            Some(name) => name.windows(8).any(|part| part == b"ld-musl-"),
            None => {
                elf.needed.iter().any(|name| is_musl_itself(name))
                    || self.has_musl_loader
                        && !self.has_loader_configuration
                        && !elf.needed.iter().any(|name| name == b"libc.so.6")
            }
        }
    }

    /// Says whether the file at `at` is for the same machine, and on ARM calls functions alike: with floating-point
    /// numbers in their own registers, or not.
    fn fits(&self, at: &TreePath, elf: &Elf) -> bool {
        const ARM: u16 = 40;
        const FLOAT: u32 = 0x600;
        self.view.elf(at).is_some_and(|library| {
            let (a, b) = (library.flags & FLOAT, elf.flags & FLOAT);
            let floats_alike = elf.machine != ARM || a == 0 || b == 0 || a == b;
            let is_alike = (library.machine, library.is_64, library.system) == (elf.machine, elf.is_64, elf.system);
            is_alike && floats_alike
        })
    }
}

/// What an ELF file needs and a root lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lacks {
    /// Its interpreter, that is its loader.
    pub(crate) loader: Option<Loader>,
    /// Libraries.
    pub(crate) names: Vec<Vec<u8>>,
    /// Versions of symbols, each with the library that is there and does not define it.
    pub(crate) versions: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A library by its name, and the paths where one stands.
pub(crate) type Places<'e> = (&'e [u8], Vec<Vec<u8>>);

/// A loader that does not load whoever names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Loader {
    /// What the program calls it.
    pub(crate) name: Vec<u8>,
    /// The file that is there under this name.
    pub(crate) at: Option<TreePath>,
    /// Why that is no loader for the program: the rest of a sentence.
    pub(crate) why: Option<String>,
}

fn is_musl_itself(name: &[u8]) -> bool {
    name == b"libc.so" || name.starts_with(b"libc.musl-") || name.starts_with(b"ld-musl-")
}

/// Gives the entries of a file's run path, each once.
fn run_path<'e>(path: &TreePath, elf: &'e Elf) -> Result<BTreeSet<&'e [u8]>, LinkerError> {
    let own: BTreeSet<&[u8]> = elf.search.iter().map(Vec::as_slice).collect();
    if own.len() > MAX_RUN_PATH {
        let (path, count) = (path.clone(), own.len());
        return Err(LinkerError::RunPath { path, count, most: MAX_RUN_PATH });
    }
    Ok(own)
}

/// Spells a directory of a run path as its loader does: from the file's own directory, nothing followed.
fn spell(path: &TreePath, directory: &[u8]) -> Option<Vec<u8>> {
    let origin = path.parent().map_or_else(Vec::new, |origin| [b"/", origin.as_bytes()].concat());
    let rest = [b"$ORIGIN".as_slice(), b"${ORIGIN}"].into_iter().find_map(|variable| directory.strip_prefix(variable));
    match rest {
        Some(rest) => Some([origin.as_slice(), rest].concat()),
        None => directory.starts_with(b"/").then(|| directory.to_vec()),
    }
}

fn expand(path: &TreePath, directory: &[u8]) -> Option<TreePath> {
    for variable in [b"$ORIGIN".as_slice(), b"${ORIGIN}"] {
        if let Some(rest) = directory.strip_prefix(variable) {
            let target = [b"./", rest].concat();
            return path.resolve_target(&target);
        }
    }
    TreePath::new(directory.strip_prefix(b"/")?).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::rootfs::part::tests::{bare, path};
    use crate::rootfs::{Part, Rootfs};
    use dlstore_formats::elf::System;
    use dlstore_model::tree::{Entry, Meta, Node};

    fn elf(needed: usize, search: Vec<Vec<u8>>) -> Elf {
        Elf {
            is_64: true,
            is_big_endian: false,
            machine: 62,
            kind: 3,
            system: System::Linux,
            has_entry: false,
            flags: 0,
            soname: None,
            needed: (0..needed).map(|at| format!("lib{at}.so").into_bytes()).collect(),
            search,
            interpreter: None,
            requires: Vec::new(),
            defines: Vec::new(),
        }
    }

    /// Asks for what a program lacks, in a root with libraries, each in a directory of its own.
    fn missing(program: Elf, libraries: usize) -> Result<Vec<Vec<u8>>, LinkerError> {
        let mut files = vec![(path("usr/bin/program"), program)];
        files.extend((0..libraries).map(|at| (path(&format!("opt/{at}/lib{at}.so")), elf(0, Vec::new()))));
        let node = Node::File { content: dlstore_model::digest::Digest::of(b""), size: 0 };
        let entries = files.iter().map(|(path, _)| (path.clone(), Entry::new(node.clone(), Meta::FILE))).collect();
        let mut rootfs = Rootfs::default();
        rootfs.add(Arc::new(Part { elf: files, ..bare(entries) })).unwrap();
        let view = View::new(&rootfs);
        let libraries = Libraries::new(Arch::Amd64, &view)?;
        let program = path("usr/bin/program");
        Ok(libraries.lacks(&program, view.elf(&program).unwrap())?.names)
    }

    #[test]
    fn five_thousand_libraries_in_a_run_path_as_long_as_it_may_be_are_looked_up_at_once() {
        let search = (0..256).map(|at| format!("$ORIGIN/../../opt/{at}").into_bytes()).collect();
        let begun = Instant::now();
        let lacks = missing(elf(5000, search), 300).unwrap();
        assert_eq!(lacks.len(), 5000 - 256);
        assert_eq!(lacks[0], b"lib256.so");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_run_path_of_a_hundred_thousand_entries_is_an_error_that_counts_them() {
        let search = |number: usize| (0..number).map(|at| format!("/opt/{at}").into_bytes()).collect();
        let begun = Instant::now();
        let error = missing(elf(5000, search(100_000)), 1).unwrap_err().to_string();
        assert_eq!(error, "/usr/bin/program has a run path of 100000 directories; at most 256 are searched");
        let same: Vec<Vec<u8>> = (0..100_000).map(|_| b"/opt/0".to_vec()).collect();
        assert_eq!(missing(elf(1, same), 1).unwrap(), Vec::<Vec<u8>>::new(), "the same directory again is no other");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
