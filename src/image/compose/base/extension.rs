//! What an image adds to its base, if that is only files that can change nothing the base decided.
//!
//! The last level may bring own files and say what is run, and nothing else. Where its files may stand is a list of
//! places where no fix-up and no loader looks, not of places where one does: whatever is not on it, the image is planned
//! as a whole. What is asked of the base itself (does nothing stand there, has it no open end?) is asked when that is
//! known, in [`super`].

use std::collections::HashSet;

use crate::definition::{Image, Layering, Level};
use crate::linker::machine;
use crate::rootfs::union::is_loader;
use crate::rootfs::{Part, own};
use dlstore_ingest::select::matter::matter;
use dlstore_ingest::select::merged_usr::MergedUsr;
use dlstore_ingest::start::Start;
use dlstore_model::config::{Config, LIBRARY_PATH};
use dlstore_model::digest::{ActionKey, KeyBuilder};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node};

use super::super::gather::{Gathered, Platform};
use super::super::key;
use crate::check;

/// What an image is on one architecture, if it only adds files: the base that it stands on, and the files.
pub(in crate::compose) struct Extension {
    /// Key of the base.
    pub(super) key: ActionKey,
    /// What the base is to run and to have: what the added files cannot change.
    pub(super) config: Config,
    /// The own files of the last level; `None` when there are none.
    pub(super) part: Option<Part>,
    /// The file of them that the image runs, and the directory of them in which it does.
    pub(super) reached: Vec<TreePath>,
    /// Directories that are searched for a command, and to which no link of the base may lead.
    pub(super) searched: Vec<TreePath>,
}

impl Extension {
    /// Gives the key of the base that it stands on.
    pub(in crate::compose) const fn base(&self) -> &ActionKey {
        &self.key
    }

    /// Takes an image apart; `None` when its last level does more than to add files.
    pub(in crate::compose) fn of(gathered: &Gathered<'_>, platform: &Platform) -> Option<Self> {
        let image = gathered.request.image;
        let (last, below) = image.levels.split_last().filter(|(_, below)| !below.is_empty())?;
        // A test holds this against planning the whole image.
        if dlstore_fsx::stop::number("DLSTORE_TEST_WHOLE").is_some() {
            return None;
        }
        if gathered.request.layering == Layering::Flat || !only_adds_files(last) {
            return None;
        }
        let own = &platform.own[below.len()];
        // No path of theirs goes through a link that merges `/usr`: those are looked for below.
        let mut parts = own::parts(own, below.len(), last, &MergedUsr::default()).ok()?;
        let part = parts.pop();
        if !parts.is_empty() {
            return None;
        }
        let mut config = image.config.clone();
        let (mut reached, mut searched) = (Vec::new(), Vec::new());
        if let Some(part) = &part {
            // Loaders look into directories of the definition's own, perhaps below the working directory.
            if config.env.contains_key(LIBRARY_PATH) {
                return None;
            }
            let waived = below.iter().flat_map(|level| &level.waivers).map(|waiver| waiver.to.as_bytes());
            let waived: HashSet<&[u8]> = waived.collect();
            let are_all_waived = waived.iter().any(|to| *to == b"*" || to.starts_with(b"/"));
            // The home of an account is made where nobody brings it.
            let homes: HashSet<&TreePath> =
                below.iter().flat_map(|level| &level.accounts).map(|one| &one.home).collect();
            let concerns_nobody = part.entries.iter().all(|(path, entry)| {
                let is_waived = are_all_waived || waived.contains(path.name());
                is_apart(path, entry) && !homes.contains(path) && !is_waived
            });
            // What is linked statically asks nothing of the base, and the base nothing of it.
            let is_read = part.starts.values().all(|start| matches!(start, Start::Script(_)));
            let is_alone = is_read
                && part.elf.iter().all(|(_, elf)| {
                    let asks = elf.interpreter.is_some() || elf.soname.is_some() || !elf.needed.is_empty();
                    !asks && machine::runs_file(platform.arch, elf)
                });
            if !concerns_nobody || !is_alone {
                return None;
            }
            match leave_to_files(image, part, &mut config, &mut reached) {
                Answer::Unclear => return None,
                Answer::ByTheBase { found_in } => searched = found_in,
                Answer::By(file) => reached.push(file),
            }
        }
        let mut key = KeyBuilder::new("base 2");
        key.bytes(key::of_levels(gathered, platform, below.len(), "", &config).as_bytes());
        Some(Self { key: key.finish(), config, part, reached, searched })
    }
}

/// Says whether a level brings files, and nothing that anything below it depends on.
fn only_adds_files(level: &Level) -> bool {
    let Level {
        name: _,
        root: _,
        embedded,
        packages,
        arch_packages,
        files: _,
        links,
        certificates,
        selection,
        slim: _,
        waivers,
        certificates_from,
        accounts,
        accounts_from,
        skip,
        overrides,
        privileged,
        os_release,
        key_lines: _,
    } = level;
    let brings_more = *embedded
        || !(packages.is_empty() && arch_packages.is_empty() && links.is_empty() && certificates.is_empty())
        || certificates_from.is_some()
        || accounts_from.is_some();
    let says_more = !(selection.is_empty() && waivers.is_empty() && accounts.is_empty() && skip.is_empty())
        || !(overrides.is_empty() && privileged.is_empty() && os_release.is_empty());
    !brings_more && !says_more
}

/// Directories of `/etc` that fix-ups read or make files in.
const OF_FIX_UPS: [&[u8]; 4] = [b"apk", b"ca-certificates", b"ld.so.conf.d", b"ssl"];

/// Directories at the top in which fix-ups make files, or that a runtime fills; and those whose names begin with `lib`.
const OF_SYSTEM: [&[u8]; 13] =
    [b"bin", b"boot", b"dev", b"etc", b"home", b"proc", b"root", b"run", b"sbin", b"sys", b"tmp", b"usr", b"var"];

/// Says whether an entry is a plain file or directory where no fix-up and no loader looks.
fn is_apart(path: &TreePath, entry: &Entry) -> bool {
    let is_plain = match entry.node {
        Node::File { .. } => entry.meta.mode & 0o7000 == 0,
        Node::Directory => entry.meta.mode & 0o1002 != 0o002,
        _ => false,
    };
    let names: Vec<&[u8]> = path.components().collect();
    let is_own_place = match names.as_slice() {
        [b"usr", b"local", name, ..] => !name.starts_with(b"lib"),
        [b"etc", _] => entry.is_directory(),
        [b"etc", name, ..] => !OF_FIX_UPS.contains(name),
        [name, ..] => !name.starts_with(b"lib") && !OF_SYSTEM.contains(name),
        [] => false,
    };
    let file = path.name();
    let is_loaders = is_loader(file) || file.starts_with(b"ld-musl-") || file.windows(3).any(|part| part == b".so");
    let is_loaders = is_loaders || names.contains(&b"glibc-hwcaps".as_slice());
    // A file of the same name is asked about, whatever stands there: a directory of a database is one too.
    let is_owned = matter(path, &Entry { node: Node::Symlink { target: Vec::new() }, ..entry.clone() }).is_some();
    is_plain && entry.xattrs.is_empty() && is_own_place && !is_loaders && !is_owned
}

/// Who answers for what an image starts.
enum Answer {
    /// The base: the files have no part in it, unless links lead from directories that are searched to them.
    ByTheBase {
        /// Those directories; none when nothing is searched.
        found_in: Vec<TreePath>,
    },
    /// One of the files, a program by itself.
    By(TreePath),
    /// That is not plain to see.
    Unclear,
}

/// Takes out of what an image runs what its own files answer for.
fn leave_to_files(image: &Image, part: &Part, config: &mut Config, reached: &mut Vec<TreePath>) -> Answer {
    let entry_of = |path: &TreePath| part.entries.iter().find(|(known, _)| known == path).map(|(_, entry)| entry);
    let is_executable = |entry: &Entry| !entry.is_directory() && entry.meta.mode & 0o111 != 0;
    let word = image.config.entrypoint.first().or(image.config.cmd.first());
    let mut answer = None;
    match word {
        Some(word) if word.starts_with('/') => {
            let Ok(path) = TreePath::from_absolute(word) else { return Answer::Unclear };
            if let Some(entry) = entry_of(&path) {
                let is_program = part.elf.iter().any(|(known, elf)| *known == path && elf.has_entry);
                if !is_executable(entry) || !is_program {
                    return Answer::Unclear;
                }
                config.entrypoint.clear();
                config.cmd.clear();
                answer = Some(Answer::By(path));
            }
        }
        // It is looked for below the working directory.
        Some(word) if word.contains('/') => return Answer::Unclear,
        _ => {}
    }
    let is_of_base = answer.is_none() && word.is_some();
    let mut found_in = Vec::new();
    // A script of the base may have its interpreter looked for by PATH too.
    let executables = part.entries.iter().filter(|(_, entry)| is_executable(entry));
    let beside: HashSet<TreePath> = executables.filter_map(|(path, _)| path.parent()).collect();
    if is_of_base && part.entries.iter().any(|(_, entry)| is_executable(entry)) {
        for directory in check::search_path(&image.config).split(':') {
            // One that is written in another way is looked through all the same.
            let Ok(directory) = TreePath::from_absolute(directory) else { return Answer::Unclear };
            if beside.contains(&directory) {
                return Answer::Unclear;
            }
            found_in.push(directory);
        }
    }
    if let Some(workdir) = image.config.workdir.as_ref().filter(|workdir| *workdir != "/") {
        let Ok(at) = TreePath::from_absolute(workdir) else { return Answer::Unclear };
        let is_inside = || part.entries.iter().any(|(path, _)| path.is_below(&at));
        if entry_of(&at).is_some_and(Entry::is_directory) || is_inside() {
            // What a script of the base runs may be looked for there.
            if is_of_base {
                return Answer::Unclear;
            }
            config.workdir = None;
            reached.push(at);
        }
    }
    answer.unwrap_or(Answer::ByTheBase { found_in })
}
