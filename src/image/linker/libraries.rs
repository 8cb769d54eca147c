//! Where the loaders of a root find libraries, and what they would not find.
//!
//! Each `DT_NEEDED` is looked for where its loader looks whoever loads the file: its own run path and what the environment
//! says (`run_path`), the configured directories, the built-in ones (`ld.so(8)`; musl's `ldso/dynlink.c` documents its path
//! file). What a file finds because of who loads it is looked at only when that fails (`loaded`). glibc's loader also
//! wants every version of symbols that a file requires of a library (`elf/dl-version.c`); musl's does not look at them.
//!
//! What is looked at grows with what packages hold, not with the product of what they name: a directory is
//! looked up once for each file that searches it, a name only where something of that name stands.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::run_path::{self, Environment, Way};
use super::{LinkerError, directories, machine};
use crate::rootfs::View;
use dlstore_formats::elf::Elf;
use dlstore_ingest::start::Start;
use dlstore_model::arch::Arch;
use dlstore_model::config::Config;
use dlstore_model::path::TreePath;

/// The libraries of a rootfs, as its loaders find them.
pub(crate) struct Libraries<'v> {
    pub(super) view: &'v View<'v>,
    /// Directories that have an entry of a name, for names that anything in the rootfs has.
    holders: HashMap<&'v [u8], BTreeSet<Option<TreePath>>>,
    environment: Environment,
    glibc: Vec<Way>,
    musl: Vec<Way>,
    has_musl_loader: bool,
    has_musl_libc: bool,
    has_loader_configuration: bool,
}

impl<'v> Libraries<'v> {
    /// Collects them, for processes with the environment of an image.
    ///
    /// # Errors
    /// When the loader's configuration, or the environment, asks for more than is looked at.
    pub(crate) fn new(arch: Arch, view: &'v View<'v>, config: &Config) -> Result<Self, LinkerError> {
        let elf = view.elf_files();
        let wanted: HashSet<&[u8]> = elf.values().flat_map(|elf| elf.needed.iter().map(Vec::as_slice)).collect();
        let mut holders: HashMap<&'v [u8], BTreeSet<Option<TreePath>>> = HashMap::new();
        let mut has_musl_loader = false;
        for (path, _) in view.rootfs().iter() {
            has_musl_loader |= path.name().starts_with(b"ld-musl-");
            if wanted.contains(path.name()) {
                holders.entry(path.name()).or_default().insert(path.parent());
            }
        }
        let ways = |directories: Vec<TreePath>| {
            let text = |directory: &TreePath| [b"/", directory.as_bytes()].concat();
            directories.iter().filter_map(|directory| Way::go(view, text(directory))).collect()
        };
        Ok(Self {
            view,
            holders,
            glibc: ways(directories::glibc(arch, view)?),
            musl: ways(directories::musl(arch, view)),
            environment: Environment::of(config, view)?,
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
        let directories = self.searched(path, elf, is_musl)?;
        // What is named again is looked for once.
        let mut named: HashSet<&[u8]> = HashSet::new();
        for name in elf.needed.iter().filter(|name| named.insert(name)) {
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

    /// The directories, links followed, that the loader of an ELF file looks through whoever loads the file.
    fn searched(&self, path: &TreePath, elf: &Elf, is_musl: bool) -> Result<HashSet<Option<TreePath>>, LinkerError> {
        let own = run_path::of_file(self.view, path, &run_path::origin(path), elf)?;
        let program = Some(path).filter(|_| elf.interpreter.is_some());
        let ways = own.into_iter().chain(self.of_environment(is_musl, path, program));
        Ok(ways.chain(self.of_loader(is_musl).iter().cloned()).map(|way| way.directory).collect())
    }

    /// Gives the directories that the environment has a loader look through for a file, or for what a program loads.
    pub(super) fn of_environment(&self, is_musl: bool, path: &TreePath, program: Option<&TreePath>) -> Vec<Way> {
        if self.view.entry(path).is_some_and(run_path::is_privileged) {
            return Vec::new();
        }
        self.environment.ways(self.view, is_musl, program)
    }

    /// Gives the directories where a loader looks at last.
    pub(super) fn of_loader(&self, is_musl: bool) -> &[Way] {
        if is_musl { &self.musl } else { &self.glibc }
    }

    /// Gives a library of this name that is for the machine of an ELF file, wherever that is; the first by path.
    pub(crate) fn anywhere(&self, elf: &Elf, name: &[u8]) -> Option<TreePath> {
        let found =
            self.holders.get(name)?.iter().find(|directory| self.library(elf, directory.as_ref(), name).is_some())?;
        join(found.as_ref(), name)
    }

    /// The libraries of a name that the loader may find.
    fn all(&self, elf: &Elf, name: &[u8], directories: &HashSet<Option<TreePath>>) -> Vec<&'v Elf> {
        let at = if name.contains(&b'/') {
            self.at(name).into_iter().collect()
        } else {
            self.holding(name, directories)
                .filter_map(|directory| self.library(elf, directory.as_ref(), name))
                .collect()
        };
        let at: Vec<TreePath> = at;
        at.iter().filter(|at| self.fits(at, elf)).filter_map(|at| self.view.elf(at)).collect()
    }

    fn finds(&self, elf: &Elf, name: &[u8], directories: &HashSet<Option<TreePath>>) -> bool {
        if name.contains(&b'/') {
            return self.at(name).is_some();
        }
        self.holding(name, directories).any(|directory| self.library(elf, directory.as_ref(), name).is_some())
    }

    /// The file that a name with a slash in it leads to: no loader looks for that.
    pub(super) fn at(&self, name: &[u8]) -> Option<TreePath> {
        TreePath::new(name.strip_prefix(b"/").unwrap_or(name)).ok().and_then(|at| self.view.follow(&at))
    }

    /// The file of a name in a directory, where that is a library for an ELF file.
    fn library(&self, elf: &Elf, directory: Option<&TreePath>, name: &[u8]) -> Option<TreePath> {
        let at = join(directory, name).and_then(|at| self.view.follow(&at))?;
        self.fits(&at, elf).then_some(at)
    }

    /// The same where a loader gets to the directory on a way.
    pub(super) fn on(&self, way: &Way, elf: &Elf, name: &[u8]) -> Option<TreePath> {
        self.library(elf, way.directory.as_ref(), name)
    }

    /// Gives the directories that have an entry of a name for which some ELF file asks.
    pub(super) fn holders(&self, name: &[u8]) -> Option<&BTreeSet<Option<TreePath>>> {
        self.holders.get(name)
    }

    /// The directories of these in which something of a name may stand, by the shorter of two lists, and in no order.
    fn holding<'d>(
        &'d self,
        name: &[u8],
        directories: &'d HashSet<Option<TreePath>>,
    ) -> Box<dyn Iterator<Item = &'d Option<TreePath>> + 'd> {
        match self.holders.get(name) {
            None => Box::new(std::iter::empty()),
            Some(holders) if holders.len() < directories.len() => {
                Box::new(holders.iter().filter(|directory| directories.contains(*directory)))
            }
            Some(_) => Box::new(directories.iter()),
        }
    }

    /// A program says by its interpreter which loader runs it, a library by the libc that it names.
    pub(super) fn uses_musl(&self, elf: &Elf) -> bool {
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

/// Says whether a name is that of musl, which is one file with its loader.
pub(super) fn is_musl_itself(name: &[u8]) -> bool {
    name == b"libc.so" || name.starts_with(b"libc.musl-") || name.starts_with(b"ld-musl-")
}

/// Gives a path in a directory; none is the root.
fn join(directory: Option<&TreePath>, name: &[u8]) -> Option<TreePath> {
    directory.map_or_else(|| TreePath::new(name).ok(), |directory| directory.join(name).ok())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::rootfs::part::tests::{bare, path};
    use crate::rootfs::{Part, Rootfs};
    use dlstore_formats::elf::{SearchTag, System};
    use dlstore_model::tree::{Entry, Meta, Node};

    /// A file for glibc that needs `lib0.so` and so on.
    pub(in super::super) fn elf(needed: usize, search: Vec<Vec<u8>>) -> Elf {
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
            search_by: SearchTag::RunPath,
            interpreter: None,
            requires: Vec::new(),
            defines: Vec::new(),
        }
    }

    /// Asks for what a program lacks, in a root with libraries, each in a directory of its own.
    fn missing(program: Elf, libraries: usize) -> Result<Vec<Vec<u8>>, LinkerError> {
        let rootfs = root(program, libraries);
        let view = View::new(&rootfs);
        let libraries = Libraries::new(Arch::Amd64, &view, &Config::default())?;
        let program = path("usr/bin/program");
        Ok(libraries.lacks(&program, view.elf(&program).unwrap())?.names)
    }

    /// A root with a program in `usr/bin` and libraries in directories of their own.
    fn root(program: Elf, libraries: usize) -> Rootfs {
        let mut files = vec![(path("usr/bin/program"), program)];
        files.extend((0..libraries).map(|at| (path(&format!("opt/{at}/lib{at}.so")), elf(0, Vec::new()))));
        root_of(files)
    }

    /// A root with some ELF files, in the order of their paths.
    pub(in super::super) fn root_of(files: Vec<(TreePath, Elf)>) -> Rootfs {
        let node = Node::File { content: dlstore_model::digest::Digest::of(b""), size: 0 };
        let entries = files.iter().map(|(path, _)| (path.clone(), Entry::new(node.clone(), Meta::FILE))).collect();
        let mut rootfs = Rootfs::default();
        rootfs.add(Arc::new(Part { elf: files, ..bare(entries) })).unwrap();
        rootfs
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
