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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ComposeError;
use super::made;
use super::part::Part;
use super::root::Inputs;
use super::run;
use super::union::Union;
use crate::definition::Level;
use dlstore_formats::elf::Elf;
use dlstore_model::arch::Arch;
use dlstore_model::escape::Escaped;
use dlstore_model::glob::Pattern;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Node;
use dlstore_store::session::Session;

/// Longest chain of symbolic links that is followed, as Linux does.
const MAX_LINKS: usize = 40;

/// Checks what a root may hold; gives notes on what was allowed.
///
/// # Errors
/// When something privileged is not listed.
pub fn content(parts: &[Arc<Part>], union: &Union, levels: &[Level]) -> Result<Vec<String>, ComposeError> {
    let allowed: Vec<Pattern> =
        levels.iter().flat_map(|level| &level.privileged).filter_map(|text| Pattern::new(text).ok()).collect();
    let mut notes = Vec::new();
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
        if !allowed.iter().any(|pattern| pattern.matches(path)) {
            return Err(ComposeError::Privileged { path: path.clone(), origin, what });
        }
        notes.push(format!("{path} of {origin} is {what}, as the definition allows"));
    }
    Ok(notes)
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
    let mut notes = Vec::new();
    let mut gaps = Vec::new();
    let root = Libraries::new(inputs.arch, parts, union);
    for (path, elf) in &root.elf {
        for name in root.missing(path, elf) {
            gaps.push((path.clone(), name));
        }
    }
    for (path, target) in dangling(union) {
        gaps.push((path, target));
    }
    let mut missing = Vec::new();
    for (path, name) in gaps {
        if let Some(reason) = waivers.find(&path, &name, parts, union) {
            notes.push(format!("{path} -> {}: waived ({reason})", Escaped::bytes(&name)));
        } else {
            missing.push((path, name));
        }
    }
    if missing.is_empty() {
        return Ok(notes);
    }
    let lines = missing
        .into_iter()
        .map(|(path, name)| {
            let origin = union.get(&path).map(|slot| parts[slot.owner].origin_of(&path).to_string());
            Gap { provider: provider(session, inputs, &name), origin: origin.unwrap_or_default(), path, name }
        })
        .collect();
    Err(ComposeError::Needs(lines))
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

struct Waivers(Vec<(String, Option<Pattern>, String, String)>);

impl Waivers {
    fn of(levels: &[Level]) -> Self {
        let waivers = levels.iter().flat_map(|level| &level.waivers);
        Self(
            waivers
                .map(|one| (one.from.clone(), Pattern::new(&one.from).ok(), one.to.clone(), one.reason.clone()))
                .collect(),
        )
    }

    /// A waiver names the file (a pattern) or the package that has it, and what it may lack.
    fn find(&self, path: &TreePath, name: &[u8], parts: &[Arc<Part>], union: &Union) -> Option<&str> {
        let package = union
            .get(path)
            .and_then(|slot| parts[slot.owner].package.as_ref())
            .map(|package| &*package.control.metadata.name);
        self.0
            .iter()
            .find(|(from, pattern, to, _)| {
                (pattern.as_ref().is_some_and(|pattern| pattern.matches(path)) || package == Some(from.as_str()))
                    && (to.as_bytes() == name || to == "*")
            })
            .map(|(_, _, _, reason)| reason.as_str())
    }
}

/// Links that lead nowhere, but for those into folders that a runtime fills.
fn dangling(union: &Union) -> Vec<(TreePath, Vec<u8>)> {
    let mut found = Vec::new();
    for (path, slot) in union.iter() {
        let Node::Symlink { target } = &slot.entry.node else { continue };
        let leads = path.resolve_target(target);
        let to_runtime = leads.as_ref().is_some_and(|to| {
            [b"proc".as_slice(), b"dev", b"run", b"sys"].contains(&to.components().next().unwrap_or_default())
        });
        let to_root = leads.is_none();
        if !to_runtime && !to_root && follow(union, path).is_none() {
            found.push((path.clone(), target.clone()));
        }
    }
    found
}

/// Follows a path through the links of a root, as the kernel does.
#[must_use]
pub fn follow(union: &Union, path: &TreePath) -> Option<TreePath> {
    let mut at = path.clone();
    for _ in 0..MAX_LINKS {
        let step =
            at.ancestors().chain([at.clone()]).find_map(|prefix| match union.get(&prefix).map(|s| &s.entry.node) {
                Some(Node::Symlink { target }) => Some((prefix.clone(), target.clone())),
                _ => None,
            });
        let Some((link, target)) = step else {
            let known = union.get(&at).is_some() || union.below(&at).next().is_some();
            return known.then_some(at);
        };
        let to = link.resolve_target(&target);
        let rest = &at.as_bytes()[link.as_bytes().len()..];
        at = match (to, rest.strip_prefix(b"/")) {
            (Some(to), Some(rest)) => to.join(rest).ok()?,
            (Some(to), None) => to,
            (None, Some(rest)) => TreePath::new(rest).ok()?,
            (None, None) => return None,
        };
    }
    None
}

/// The libraries of a root, as its loaders find them.
pub struct Libraries<'u> {
    union: &'u Union,
    /// ELF files by where they stand.
    pub elf: BTreeMap<TreePath, &'u Elf>,
    glibc: Vec<TreePath>,
    musl: Vec<TreePath>,
}

impl<'u> Libraries<'u> {
    /// Collects them.
    #[must_use]
    pub fn new(arch: Arch, parts: &'u [Arc<Part>], union: &'u Union) -> Self {
        let elf = made::elf_files(parts, union);
        let triplet = arch.triplet();
        let mut glibc = run::loader_folders(arch, parts, union);
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
        Self { union, elf, glibc, musl: run::musl_folders(arch, union) }
    }

    /// Gives what an ELF file of this root needs and the root lacks.
    #[must_use]
    pub fn missing(&self, path: &TreePath, elf: &Elf) -> Vec<Vec<u8>> {
        let mut missing = Vec::new();
        let interpreter = elf.interpreter.as_deref();
        if let Some(name) = interpreter {
            let stands = TreePath::new(name.strip_prefix(b"/").unwrap_or(name))
                .ok()
                .and_then(|at| follow(self.union, &at))
                .is_some_and(|at| self.fits(&at, elf));
            if !stands {
                missing.push(name.to_vec());
            }
        }
        for name in &elf.needed {
            if !self.finds(path, elf, name) {
                missing.push(name.clone());
            }
        }
        missing
    }

    fn finds(&self, path: &TreePath, elf: &Elf, name: &[u8]) -> bool {
        if name.contains(&b'/') {
            let relative = name.strip_prefix(b"/").unwrap_or(name);
            return TreePath::new(relative).ok().and_then(|at| follow(self.union, &at)).is_some();
        }
        let own = elf.search.iter().filter_map(|folder| expand(path, folder));
        let is_musl = self.uses_musl(elf);
        let loader = if is_musl { &self.musl } else { &self.glibc };
        if is_musl && is_musl_itself(name) {
            return self.elf.keys().any(|at| at.name().starts_with(b"ld-musl-") || at.name() == b"libc.so")
                || !self.musl_loaders().is_empty();
        }
        own.chain(loader.iter().cloned()).any(|folder| {
            folder.join(name).ok().and_then(|at| follow(self.union, &at)).is_some_and(|at| self.fits(&at, elf))
        })
    }

    fn musl_loaders(&self) -> BTreeSet<TreePath> {
        self.union
            .iter()
            .filter(|(path, _)| path.name().starts_with(b"ld-musl-"))
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// A program says by its interpreter which loader runs it, a library by the libc that it names.
    fn uses_musl(&self, elf: &Elf) -> bool {
        match &elf.interpreter {
            Some(name) => name.windows(8).any(|part| part == b"ld-musl-"),
            None => {
                elf.needed.iter().any(|name| is_musl_itself(name))
                    || !elf.needed.iter().any(|name| name == b"libc.so.6")
                        && !self.musl_loaders().is_empty()
                        && TreePath::new(b"etc/ld.so.conf").is_ok_and(|at| self.union.get(&at).is_none())
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
