//! Checks on a united root: what it may hold, and that nothing is missing at run time.
//!
//! Content: setuid and setgid files, file capabilities, folders that everybody may write without the
//! sticky bit, and devices are errors unless the definition lists their paths.
//!
//! Run time: for every ELF file, its interpreter stands in the root and each `DT_NEEDED` is found
//! where its loader looks: `RUNPATH` with `$ORIGIN`, the configured folders, the built-in ones
//! (`ld.so(8)`; musl's `ldso/dynlink.c` documents its path file). Symbolic links lead somewhere. What
//! is missing is an error that names file and library, and the package known to have it. A waiver
//! `FROM -> TO: reason` of the definition accepts one such gap.
//!
//! What is looked at grows with what packages hold, not with the product of what they name: a folder is
//! looked up once for each file that searches it, a name only where something of that name stands.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::follow::Links;
use super::made;
use super::part::Part;
use super::root::Inputs;
use super::run;
use super::union::Union;
use super::{ComposeError, Shown};
use crate::definition::Level;
use dlstore_formats::elf::Elf;
use dlstore_model::arch::Arch;
use dlstore_model::escape::Escaped;
use dlstore_model::glob::{Pattern, PatternSet};
use dlstore_model::path::TreePath;
use dlstore_model::tree::Node;
use dlstore_store::session::Session;

/// Most run-path entries of one file, each counted once. Loaders have no limit and look through all of
/// them for every library; programs that are built from stores of packages have some dozens.
const MAX_RUN_PATH: usize = 256;

/// Checks what a root may hold; gives notes on what was allowed.
///
/// # Errors
/// When something privileged is not listed.
pub fn content(parts: &[Arc<Part>], union: &Union, levels: &[Level]) -> Result<Vec<String>, ComposeError> {
    let allowed = levels.iter().flat_map(|level| &level.privileged).filter_map(|text| Pattern::new(text).ok());
    let allowed = PatternSet::new(allowed.enumerate());
    let mut notes = Shown::default();
    for (path, slot) in union.iter() {
        let meta = slot.entry.meta;
        let what = match &slot.entry.node {
            Node::CharDevice { .. } | Node::BlockDevice { .. } | Node::Fifo => "a device or pipe",
            Node::Folder if meta.mode & 0o1002 == 0o002 => "a folder that everybody may write, without the sticky bit",
            Node::File { .. } | Node::HardLink { .. } if meta.mode & 0o4000 != 0 => "setuid",
            Node::File { .. } | Node::HardLink { .. } if meta.mode & 0o2000 != 0 => "setgid",
            _ if slot.entry.xattrs.contains_key(b"security.capability".as_slice()) => "a file with capabilities",
            _ => continue,
        };
        let origin = parts[slot.owner].origin_of(path).to_string();
        if allowed.first(path).is_none() {
            return Err(ComposeError::Privileged { path: path.clone(), origin, what });
        }
        notes.push(|| format!("{path} of {origin} is {what}, as the definition allows"));
    }
    Ok(notes.with_rest("are privileged, as the definition allows"))
}

/// Checks that nothing is missing at run time; gives notes on what was waived.
///
/// # Errors
/// When an interpreter, a library or the target of a link is missing.
pub fn needs(
    session: &Session<'_>,
    inputs: &Inputs<'_>,
    parts: &[Arc<Part>],
    union: &Union,
) -> Result<Vec<String>, ComposeError> {
    let waivers = Waivers::of(&inputs.image.levels);
    let mut notes = Shown::default();
    let mut missing: Shown<(TreePath, Vec<u8>)> = Shown::default();
    let mut take = |path: &TreePath, name: &[u8]| {
        if let Some(reason) = waivers.find(path, name, parts, union) {
            notes.push(|| format!("{path} -> {}: waived ({reason})", Escaped::bytes(name)));
        } else {
            missing.push(|| (path.clone(), name.to_vec()));
        }
    };
    let root = Libraries::new(inputs.arch, parts, union)?;
    for (path, elf) in &root.elf {
        for name in root.missing(path, elf)? {
            take(path, &name);
        }
    }
    for (path, target) in dangling(union, &root.links) {
        take(path, target);
    }
    if missing.is_empty() {
        return Ok(notes.with_rest("are waived"));
    }
    Err(ComposeError::Needs(missing.map(|(path, name)| {
        let origin = union.get(&path).map(|slot| parts[slot.owner].origin_of(&path).to_string());
        Gap { provider: provider(session, inputs, &name), origin: origin.unwrap_or_default(), path, name }
    })))
}

/// Something that is missing at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The file that needs it.
    pub path: TreePath,
    /// Who brought that file.
    pub origin: String,
    /// What is missing: an interpreter, a library, the target of a link.
    pub name: Vec<u8>,
    /// The package known to have it.
    pub provider: Option<String>,
}

/// The waivers of all levels in order, by what may be lacking.
struct Waivers<'w> {
    reasons: Vec<&'w str>,
    by_name: HashMap<&'w [u8], WhoMayLack<'w>>,
}

/// Numbers of waivers, by the file or the package that may lack something.
#[derive(Default)]
struct WhoMayLack<'w> {
    files: PatternSet,
    packages: HashMap<&'w str, usize>,
}

impl<'w> Waivers<'w> {
    fn of(levels: &'w [Level]) -> Self {
        let waivers = || levels.iter().flat_map(|level| &level.waivers).enumerate();
        let mut files: HashMap<&[u8], Vec<(usize, Pattern)>> = HashMap::new();
        let mut by_name: HashMap<&[u8], WhoMayLack<'_>> = HashMap::new();
        for (at, one) in waivers() {
            by_name.entry(one.to.as_bytes()).or_default().packages.entry(&one.from).or_insert(at);
            if let Ok(pattern) = Pattern::new(&one.from) {
                files.entry(one.to.as_bytes()).or_default().push((at, pattern));
            }
        }
        for (name, patterns) in files {
            by_name.entry(name).or_default().files = PatternSet::new(patterns);
        }
        Self { reasons: waivers().map(|(_, one)| one.reason.as_str()).collect(), by_name }
    }

    /// A waiver names the file (a pattern) or the package that has it, and what it may lack.
    fn find(&self, path: &TreePath, name: &[u8], parts: &[Arc<Part>], union: &Union) -> Option<&'w str> {
        let package = union
            .get(path)
            .and_then(|slot| parts[slot.owner].package.as_ref())
            .map(|package| &*package.control.metadata.name);
        let first = [name, b"*"].into_iter().filter_map(|name| self.by_name.get(name)).filter_map(|who| {
            let package = package.and_then(|package| who.packages.get(package).copied());
            who.files.first(path).into_iter().chain(package).min()
        });
        first.min().map(|at| self.reasons[at])
    }
}

/// Links that lead nowhere, but for those into folders that a runtime fills.
fn dangling<'u>(union: &'u Union, links: &Links<'u>) -> Vec<(&'u TreePath, &'u [u8])> {
    let mut found = Vec::new();
    for (path, slot) in union.iter() {
        let Node::Symlink { target } = &slot.entry.node else { continue };
        let leads = path.resolve_target(target);
        let to_runtime = leads.as_ref().is_some_and(|to| {
            [b"proc".as_slice(), b"dev", b"run", b"sys"].contains(&to.components().next().unwrap_or_default())
        });
        let to_root = leads.is_none();
        if !to_runtime && !to_root && links.follow(path).is_none() {
            found.push((path, target.as_slice()));
        }
    }
    found
}

/// The libraries of a root, as its loaders find them.
pub struct Libraries<'u> {
    union: &'u Union,
    links: Links<'u>,
    /// ELF files by where they stand.
    pub elf: BTreeMap<TreePath, &'u Elf>,
    /// Folders that have an entry of a name, for names that anything in the root has.
    holders: HashMap<&'u [u8], Vec<Option<TreePath>>>,
    glibc: Vec<TreePath>,
    musl: Vec<TreePath>,
    has_musl_loader: bool,
    has_musl_libc: bool,
    has_loader_configuration: bool,
}

impl<'u> Libraries<'u> {
    /// Collects them.
    ///
    /// # Errors
    /// When the loader's configuration asks for more than is looked at.
    pub fn new(arch: Arch, parts: &'u [Arc<Part>], union: &'u Union) -> Result<Self, ComposeError> {
        let elf = made::elf_files(parts, union);
        let triplet = arch.triplet();
        let mut glibc = run::loader_folders(arch, parts, union)?;
        for folder in [
            format!("lib/{triplet}"),
            format!("usr/lib/{triplet}"),
            "lib".into(),
            "usr/lib".into(),
            "lib64".into(),
            "usr/lib64".into(),
        ] {
            glibc.extend(TreePath::new(folder.as_bytes()));
        }
        let wanted: HashSet<&[u8]> = elf.values().flat_map(|elf| elf.needed.iter().map(Vec::as_slice)).collect();
        let mut holders: HashMap<&'u [u8], Vec<Option<TreePath>>> = HashMap::new();
        let mut has_musl_loader = false;
        for (path, _) in union.iter() {
            has_musl_loader |= path.name().starts_with(b"ld-musl-");
            if wanted.contains(path.name()) {
                holders.entry(path.name()).or_default().push(path.parent());
            }
        }
        let has_musl_libc = has_musl_loader || elf.keys().any(|at| at.name() == b"libc.so");
        let has_loader_configuration =
            TreePath::new(b"etc/ld.so.conf").is_ok_and(|configuration| union.get(&configuration).is_some());
        let musl = run::musl_folders(arch, union);
        let links = Links::new(union);
        Ok(Self { union, links, elf, holders, glibc, musl, has_musl_loader, has_musl_libc, has_loader_configuration })
    }

    /// Gives what an ELF file of this root needs and the root lacks.
    ///
    /// # Errors
    /// When the file has more run-path entries than are looked through.
    pub fn missing(&self, path: &TreePath, elf: &Elf) -> Result<Vec<Vec<u8>>, ComposeError> {
        let mut missing = Vec::new();
        if let Some(name) = elf.interpreter.as_deref() {
            let stands = TreePath::new(name.strip_prefix(b"/").unwrap_or(name))
                .ok()
                .and_then(|at| self.links.follow(&at))
                .is_some_and(|at| self.fits(&at, elf));
            if !stands {
                missing.push(name.to_vec());
            }
        }
        if elf.needed.is_empty() {
            return Ok(missing);
        }
        let is_musl = self.uses_musl(elf);
        let folders = self.searched(path, elf, if is_musl { &self.musl } else { &self.glibc })?;
        for name in &elf.needed {
            let is_there =
                if is_musl && is_musl_itself(name) { self.has_musl_libc } else { self.finds(elf, name, &folders) };
            if !is_there {
                missing.push(name.clone());
            }
        }
        Ok(missing)
    }

    /// The folders, links followed, that the loader of an ELF file looks through.
    fn searched(&self, path: &TreePath, elf: &Elf, loader: &[TreePath]) -> Result<HashSet<TreePath>, ComposeError> {
        let own: BTreeSet<&[u8]> = elf.search.iter().map(Vec::as_slice).collect();
        if own.len() > MAX_RUN_PATH {
            let (path, count) = (path.clone(), own.len());
            return Err(ComposeError::RunPath { path, count, most: MAX_RUN_PATH });
        }
        let own = own.into_iter().filter_map(|folder| expand(path, folder));
        Ok(own.chain(loader.iter().cloned()).filter_map(|folder| self.links.follow(&folder)).collect())
    }

    fn finds(&self, elf: &Elf, name: &[u8], folders: &HashSet<TreePath>) -> bool {
        if name.contains(&b'/') {
            let relative = name.strip_prefix(b"/").unwrap_or(name);
            return TreePath::new(relative).ok().and_then(|at| self.links.follow(&at)).is_some();
        }
        let is_it = |folder: &TreePath| {
            let at = folder.join(name).ok().and_then(|at| self.links.follow(&at));
            at.is_some_and(|at| self.fits(&at, elf))
        };
        let Some(holders) = self.holders.get(name) else { return false };
        if holders.len() < folders.len() {
            holders.iter().flatten().any(|folder| folders.contains(folder) && is_it(folder))
        } else {
            folders.iter().any(is_it)
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

    /// Says whether the file at `at` is for the same machine.
    fn fits(&self, at: &TreePath, elf: &Elf) -> bool {
        let file = match self.union.get(at).map(|slot| &slot.entry.node) {
            Some(Node::HardLink { target }) => target,
            _ => at,
        };
        self.elf.get(file).is_some_and(|library| library.machine == elf.machine && library.is_64 == elf.is_64)
    }
}

fn is_musl_itself(name: &[u8]) -> bool {
    name == b"libc.so" || name.starts_with(b"libc.musl-") || name.starts_with(b"ld-musl-")
}

fn expand(path: &TreePath, folder: &[u8]) -> Option<TreePath> {
    for variable in [b"$ORIGIN".as_slice(), b"${ORIGIN}"] {
        if let Some(rest) = folder.strip_prefix(variable) {
            let target = [b"./", rest].concat();
            return path.resolve_target(&target);
        }
    }
    TreePath::new(folder.strip_prefix(b"/")?).ok()
}

/// Finds the package that has a library, among those in the store.
fn provider(session: &Session<'_>, inputs: &Inputs<'_>, name: &[u8]) -> Option<String> {
    let base = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    let arch = inputs.arch;
    let known = session.store().packages_with(base).ok()?;
    known
        .into_iter()
        .filter(|record| Some(record.format) == inputs.image.format)
        .find(|record| [arch.debian(), arch.apk(), "all", "noarch"].contains(&record.architecture.as_str()))
        .map(|record| record.name)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::part::{Bytes, Origin, Reach};
    use super::*;
    use dlstore_model::tree::{Entry, Meta};

    fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).unwrap()
    }

    fn elf(needed: usize, search: Vec<Vec<u8>>) -> Elf {
        Elf {
            is_64: true,
            is_big_endian: false,
            machine: 62,
            kind: 3,
            flags: 0,
            soname: None,
            needed: (0..needed).map(|at| format!("lib{at}.so").into_bytes()).collect(),
            search,
            interpreter: None,
            requires: Vec::new(),
            defines: Vec::new(),
        }
    }

    /// Asks for what a program lacks, in a root with libraries, each in a folder of its own.
    fn missing(program: Elf, libraries: usize) -> Result<Vec<Vec<u8>>, ComposeError> {
        let mut files = vec![(path("usr/bin/program"), program)];
        files.extend((0..libraries).map(|at| (path(&format!("opt/{at}/lib{at}.so")), elf(0, Vec::new()))));
        let node = Node::File { content: dlstore_model::digest::Digest::of(b""), size: 0 };
        let mut entries: Vec<_> =
            files.iter().map(|(path, _)| (path.clone(), Entry::new(node.clone(), Meta::FILE))).collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let part = Part {
            origin: Origin::Embedded,
            origins: BTreeMap::new(),
            level: 0,
            reach: Reach::One,
            entries,
            elf: files,
            starts: BTreeMap::new(),
            bytes: Bytes::Memory(Arc::default()),
            package: None,
            content_size: 0,
        };
        let parts = [Arc::new(part)];
        let mut union = Union::default();
        union.add(&parts[0]).unwrap();
        let libraries = Libraries::new(Arch::Amd64, &parts, &union)?;
        libraries.missing(&path("usr/bin/program"), libraries.elf[&path("usr/bin/program")])
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
        assert_eq!(error, "/usr/bin/program has a run path of 100000 directories; at most 256 are looked through");
        let same: Vec<Vec<u8>> = (0..100_000).map(|_| b"/opt/0".to_vec()).collect();
        assert_eq!(missing(elf(1, same), 1).unwrap(), Vec::<Vec<u8>>::new(), "the same directory again is no other");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
