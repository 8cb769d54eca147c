//! The fix-up `apk-database`: which Alpine packages an image holds, as apk-tools 2.14 writes it.
//!
//! ```text
//! lib/apk/db/installed      a stanza per package in install order: the index record, then
//!                           F: directory, M: its owner and mode, R: file, a: owner and mode, Z: checksum
//! lib/apk/db/scripts.tar    1,024 zero bytes: no script ever runs
//! lib/apk/db/triggers       empty, for the same reason
//! etc/apk/world             what was asked for, sorted, a line each
//! etc/apk/arch              the architecture
//! ```
//! Where the directory lies is the caller's choice, see [`Place`]. Owners and modes are written where they
//! are not the default (0755 and 0644 of root), and are those of the entries given: so the database
//! agrees with the layer. Directories come in the order of their components, which is the order of Alpine's
//! archives, each with its files by name.
//!
//! `installed`, `world` and `arch` equal those of the real `apk add --no-scripts` byte for byte, and
//! `scripts.tar` and `triggers` too where no package has a script. Left out of what it makes, with
//! reasons:
//! - scripts and triggers: none runs in an image, and there is no shell for one;
//! - `lib/apk/db/lock` 0600: a lock of nobody; apk makes it when it writes;
//! - `dev/`, `proc/` and device nodes: the runtime mounts them, and images refuse devices;
//! - `var/cache/apk`, `var/cache/misc`: caches of a program that is not there;
//! - `tmp` 1777 comes from the accounts.
//!
//! Reference: apk-tools 2.14, `src/database.c` (`apk_db_write_fdb`), `src/package.c`
//! (`apk_pkg_write_index_header`).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::FixupError;
use super::inputs::Inputs;
use crate::definition::Fixup;
use crate::rootfs::Generated;
use crate::rootfs::generated::{fixed, plain};
use crate::rootfs::part::PackageView;
use dlstore_formats::package::{Control, Format};
use dlstore_ingest::select::matter::merges_usr;
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta};

/// Where the database lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `/lib/apk/db`, where apk 2.14 has it: for a root whose `/lib` is a directory.
    Lib,
    /// `/usr/lib/apk/db`, and `/lib/apk` as a link to it.
    UsrLibWithLink,
    /// `/usr/lib/apk/db` alone: for a root whose `/lib` is a link to `usr/lib`.
    UsrLib,
}

/// One installed package.
#[derive(Debug, Clone, Copy)]
struct ApkPackage<'a> {
    /// Fields of its `.PKGINFO` in their order, repeated ones repeated.
    info: &'a [(String, String)],
    /// SHA-1 of the raw control member: the package's identity.
    identity: [u8; 20],
    /// Size of the `.apk` file in bytes.
    size: u64,
    /// What it owns in the image.
    entries: &'a [ApkEntry],
}

/// One entry of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ApkEntry {
    /// Its path.
    path: TreePath,
    /// Its owner and mode; the date does not count.
    meta: Meta,
    /// What it is.
    kind: ApkEntryKind,
}

/// What the database says of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ApkEntryKind {
    /// A directory.
    Directory,
    /// Anything else, with the SHA-1 of its content, or of its target for a symbolic link.
    File(Option<[u8; 20]>),
}

/// Tells why the database cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApkDatabaseError {
    /// A package without a field that every package has.
    #[error("a package has no {0} in its .PKGINFO")]
    Missing(&'static str),
    /// A text that would make another line, or show another one than a program reads.
    #[error("{0:?} contains a control character")]
    Control(String),
}

/// Makes the database of packages in the order of their installation. `world` is what was asked for.
///
/// # Errors
/// When a package has no name or version, or when a text or a path contains a control character.
fn apk_database(
    arch: Arch,
    place: Place,
    packages: &[ApkPackage<'_>],
    world: &[String],
    date: u64,
) -> Result<Generated, ApkDatabaseError> {
    let mut installed = Vec::new();
    for package in packages {
        stanza(&mut installed, package)?;
    }
    let mut world: Vec<&str> = world.iter().map(String::as_str).collect();
    world.sort_unstable();
    world.dedup();
    let mut lines = Vec::new();
    for name in world {
        line(&mut lines, "", name)?;
    }
    let directory = match place {
        Place::Lib => "lib/apk/db",
        Place::UsrLib | Place::UsrLibWithLink => "usr/lib/apk/db",
    };
    let below = |name: &str| fixed(&format!("{directory}/{name}"));
    let mut generated = Generated::default();
    generated.file(below("installed"), plain(date), installed);
    generated.file(below("scripts.tar"), plain(date), vec![0; 1024]);
    generated.file(below("triggers"), plain(date), Vec::new());
    generated.file(fixed("etc/apk/world"), plain(date), lines);
    generated.file(fixed("etc/apk/arch"), plain(date), format!("{}\n", arch.apk()).into_bytes());
    if place == Place::UsrLibWithLink {
        generated.link(fixed("lib/apk"), b"../usr/lib/apk", date);
    }
    Ok(generated)
}

fn stanza(out: &mut Vec<u8>, package: &ApkPackage<'_>) -> Result<(), ApkDatabaseError> {
    let all = |key: &str| {
        let values = package.info.iter().filter(|(own, _)| own == key).map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().join(" ")
    };
    // A later value replaces an earlier one where a field has only one.
    let one = |key: &str| package.info.iter().rev().find(|(own, _)| own == key).map_or("", |(_, value)| value.as_str());
    for key in ["pkgname", "pkgver"] {
        if one(key).is_empty() {
            return Err(ApkDatabaseError::Missing(key));
        }
    }
    line(out, "C:", &checksum(&package.identity))?;
    line(out, "P:", one("pkgname"))?;
    line(out, "V:", one("pkgver"))?;
    optional(out, "A:", one("arch"))?;
    line(out, "S:", &package.size.to_string())?;
    line(out, "I:", if one("size").is_empty() { "0" } else { one("size") })?;
    line(out, "T:", one("pkgdesc"))?;
    line(out, "U:", one("url"))?;
    line(out, "L:", one("license"))?;
    optional(out, "o:", one("origin"))?;
    optional(out, "m:", one("maintainer"))?;
    optional(out, "t:", one("builddate"))?;
    optional(out, "c:", one("commit"))?;
    optional(out, "k:", one("provider_priority"))?;
    optional(out, "D:", &all("depend"))?;
    optional(out, "p:", &all("provides"))?;
    optional(out, "i:", &all("install_if"))?;
    optional(out, "r:", &all("replaces"))?;
    optional(out, "q:", one("replaces_priority"))?;
    entries(out, package.entries)?;
    out.push(b'\n');
    Ok(())
}

/// A directory of a package: its own owner and mode when it has an entry, and its files by name.
#[derive(Default)]
struct Directory<'a> {
    meta: Option<Meta>,
    files: BTreeMap<&'a [u8], (Meta, Option<[u8; 20]>)>,
}

fn entries(out: &mut Vec<u8>, entries: &[ApkEntry]) -> Result<(), ApkDatabaseError> {
    // By components: "a/b" comes before "a-b", as in an archive that is written directory by directory.
    let mut directories: BTreeMap<Vec<&[u8]>, Directory<'_>> = BTreeMap::new();
    for entry in entries {
        let mut components: Vec<&[u8]> = entry.path.components().collect();
        match entry.kind {
            ApkEntryKind::Directory => directories.entry(components).or_default().meta = Some(entry.meta),
            ApkEntryKind::File(checksum) => {
                let Some(name) = components.pop() else { continue };
                directories.entry(components).or_default().files.insert(name, (entry.meta, checksum));
            }
        }
    }
    for (path, directory) in directories {
        bytes_line(out, "F:", &path.join(&b'/'))?;
        if let Some(meta) = directory.meta {
            access(out, "M:", meta, 0o755);
        }
        for (name, (meta, sum)) in directory.files {
            bytes_line(out, "R:", name)?;
            access(out, "a:", meta, 0o644);
            if let Some(sum) = sum {
                line(out, "Z:", &checksum(&sum))?;
            }
        }
    }
    Ok(())
}

/// Writes owner and mode where they are not the default.
fn access(out: &mut Vec<u8>, key: &str, meta: Meta, default: u16) {
    if (meta.uid, meta.gid, meta.mode) != (0, 0, default) {
        out.extend_from_slice(format!("{key}{}:{}:{:o}\n", meta.uid, meta.gid, meta.mode).as_bytes());
    }
}

fn checksum(sha1: &[u8; 20]) -> String {
    format!("Q1{}", STANDARD.encode(sha1))
}

fn optional(out: &mut Vec<u8>, key: &str, value: &str) -> Result<(), ApkDatabaseError> {
    if value.is_empty() { Ok(()) } else { line(out, key, value) }
}

fn line(out: &mut Vec<u8>, key: &str, value: &str) -> Result<(), ApkDatabaseError> {
    bytes_line(out, key, value.as_bytes())
}

fn bytes_line(out: &mut Vec<u8>, key: &str, value: &[u8]) -> Result<(), ApkDatabaseError> {
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(ApkDatabaseError::Control(String::from_utf8_lossy(value).into_owned()));
    }
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
    Ok(())
}

/// Makes it where there are apk packages.
pub(super) fn run(inputs: &Inputs<'_>) -> Result<Generated, FixupError> {
    let mut infos = Vec::new();
    let apks: Vec<_> =
        inputs.rootfs.packages().filter(|(_, _, package)| package.control.metadata.format == Format::Apk).collect();
    for (at, part, package) in &apks {
        let metadata = &package.control.metadata;
        let (Some(info), Some(identity)) = (fields(&package.control), metadata.apk_identity) else {
            return Err(FixupError::Facts(metadata.name.to_string()));
        };
        let entries: Vec<ApkEntry> = part
            .entries
            .iter()
            .filter(|(path, entry)| {
                entry.is_directory() || inputs.rootfs.get(path).is_some_and(|slot| slot.owner == *at)
            })
            .map(|(path, entry)| entry_of(package, path, entry))
            .collect();
        infos.push((info, identity, package.record.source_size, entries, package.record.date));
    }
    if infos.is_empty() {
        return Ok(Generated::default());
    }
    let date = infos.iter().map(|info| info.4).max().unwrap_or(0);
    let packages: Vec<ApkPackage<'_>> = infos
        .iter()
        .map(|(info, identity, size, entries, _)| ApkPackage { info, identity: *identity, size: *size, entries })
        .collect();
    // Nothing comes that nobody asked for.
    let world: Vec<String> = apks.iter().map(|(_, _, package)| package.control.metadata.name.to_string()).collect();
    // Through a link that leads elsewhere nothing is made: that path is in the way, and said to be.
    let lib = fixed("lib");
    let is_merged = inputs.rootfs.get(&lib).is_some_and(|slot| merges_usr(&lib, slot.entry));
    let place = if is_merged { Place::UsrLib } else { Place::Lib };
    let mut made = apk_database(inputs.arch, place, &packages, &world, date)
        .map_err(|error| FixupError::of(Fixup::ApkDatabase)(error.into()))?;
    made.made_of(&apks.iter().map(|(_, part, _)| part.origin.to_string()).collect());
    Ok(made)
}

fn entry_of(package: &PackageView, path: &TreePath, entry: &Entry) -> ApkEntry {
    let kind = if entry.is_directory() {
        ApkEntryKind::Directory
    } else {
        ApkEntryKind::File(package.sha1s.get(path).copied())
    };
    ApkEntry { path: path.clone(), meta: entry.meta, kind }
}

/// Takes the fields of `.PKGINFO` apart, by key and value in their order.
fn fields(control: &Control) -> Option<Vec<(String, String)>> {
    let text = String::from_utf8_lossy(control.members.get(".PKGINFO")?);
    let fields = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    Some(fields.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect())
}

#[cfg(test)]
mod peer;
#[cfg(test)]
mod tests;
