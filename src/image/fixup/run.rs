//! The bridge to the fix-ups: their inputs out of parts, and who needs which.
//!
//! | fix-up | runs when | inputs |
//! |---|---|---|
//! | accounts | always | the account files of one package (`owned`), the definition's accounts |
//! | ca-bundle | there are certificates, or extra ones | a bundle or files of packages that may (`owned`), the definition's |
//! | os-release | there is none, or fields are given | the packages' own, the definition's fields |
//! | nsswitch | nobody ships one | nothing |
//! | ld-musl-path | Debian's musl is there | the architecture |
//! | usr-merge | the packages are Debian's | what exists |
//! | ld-so-cache | there is an ld.so.conf | ELF facts, configuration, libc-bin's version |
//! | dpkg-database, apk-database | packages of that format | control members, what each package owns |

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use super::made::{Outcomes, View, elf_files};
use crate::compose::ComposeError;
use crate::definition::{self, Image, Level};
use crate::embedded;
use crate::fixup::accounts::{self, AccountError, accounts};
use crate::fixup::apk_database::{self, ApkEntry, ApkEntryKind, ApkPackage, apk_database};
use crate::fixup::ca_bundle::{self, CertificateError, ca_bundle};
use crate::fixup::dpkg_database::{DpkgPackage, dpkg_database};
use crate::fixup::ld_musl_path::ld_musl_path;
use crate::fixup::ld_so_cache::{self, debian_generator, ld_so_cache};
use crate::fixup::nsswitch::nsswitch;
use crate::fixup::os_release::{self, os_release};
use crate::fixup::usr_merge::{is_loader, usr_merge};
use crate::fixup::{self, Generated};
use crate::rootfs::part::{Origin, PackageView, Part};
use crate::rootfs::union::{Union, is_file};
use dlstore_formats::layer::TAR_RULE;
use dlstore_formats::package::{Control, Format};
use dlstore_ingest::{Keeps, Selection};
use dlstore_model::arch::Arch;
use dlstore_model::digest::KeyBuilder;
use dlstore_model::glob::{Pattern, PatternSet};
use dlstore_model::package::Metadata;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node, Tree};

/// Starts a key with the versions of everything that makes content.
#[must_use]
pub fn key_of_versions(kind: &str) -> KeyBuilder {
    let mut key = KeyBuilder::new(kind);
    key.list(fixup::FIXUPS, |key, name| {
        key.text(name).number(u64::from(fixup::version(name).unwrap_or(0)));
    });
    key.number(u64::from(TAR_RULE)).number(u64::from(embedded::VERSION));
    key
}

/// Gives what a level keeps of its packages, and that as bytes for keys.
///
/// Paths in `overrides` are left out like any other, so a pack that was predicted with the same
/// definition fits.
#[must_use]
pub fn selection(level: &Level) -> Selection {
    let overrides = PatternSet::new(level.overrides.iter().filter_map(|text| Pattern::new(text).ok()).enumerate());
    let mut key = KeyBuilder::new("selection 2");
    key.list(&level.overrides, |key, text| {
        key.text(text);
    });
    let Ok(chosen) = level.chosen() else {
        return Selection { keeps: Arc::new(|_: &TreePath| true), key: key.finish() };
    };
    key.bytes(&chosen.key());
    let keeps: Keeps = Arc::new(move |path: &TreePath| overrides.first(path).is_none() && chosen.selects(path));
    Selection { keeps, key: key.finish() }
}

/// Selections by format and name of a package.
type ByPackage = HashMap<(Format, String), Selection>;

/// Gives the selection that the images known here want of a package, else the default one: what `add`
/// predicts with.
#[must_use]
pub fn default_selection(package: &Metadata) -> Selection {
    static KNOWN: LazyLock<(ByPackage, Selection)> = LazyLock::new(|| {
        let mut known = ByPackage::new();
        let here = std::env::current_dir().unwrap_or_default();
        for (name, flavors) in definition::known(&here) {
            for flavor in flavors {
                let Ok(image) = definition::load(&here, &format!("{name}:{flavor}")) else { continue };
                let Some(format) = image.format else { continue };
                for level in &image.levels {
                    for wish in level.packages.iter().chain(level.arch_packages.values().flatten()) {
                        known.entry((format, wish.name.clone())).or_insert_with(|| selection(level));
                    }
                }
            }
        }
        let plain = Level { slim: true, ..Level::default() };
        (known, selection(&plain))
    });
    let (known, plain) = &*KNOWN;
    known.get(&(package.format, package.name.to_string())).unwrap_or(plain).clone()
}

/// Runs every fix-up that a root needs, on what its levels bring so far.
///
/// # Errors
/// When a fix-up's inputs are bad.
pub fn fixups(
    view: &View<'_>,
    skipped: &std::collections::BTreeSet<&str>,
    image: &Image,
) -> Result<Outcomes, ComposeError> {
    let runner = Runner { view, image, packages: packages(view.parts) };
    let mut outcomes = Outcomes::new();
    let last = view.levels.len() - 1;
    for name in fixup::FIXUPS.iter().copied().filter(|name| !skipped.contains(name)) {
        let mut made = match name {
            "accounts" => runner.accounts()?,
            "ca-bundle" => runner.ca_bundle()?,
            "os-release" => runner.os_release()?,
            "nsswitch" => runner.nsswitch(),
            "ld-musl-path" => runner.ld_musl_path(),
            "usr-merge" => runner.usr_merge(),
            "ld-so-cache" => runner.ld_so_cache(outcomes.get(&("usr-merge", 0)))?,
            "apk-database" => runner.apk_database()?,
            "dpkg-database" => {
                for level in 0..=last {
                    let made = runner.dpkg_database(level, &outcomes)?;
                    if !made.entries.is_empty() {
                        outcomes.insert((name, level), made);
                    }
                }
                continue;
            }
            _ => continue,
        };
        if !made.entries.is_empty() {
            runner.name_owners(&mut made);
            outcomes.insert((name, 0), made);
        }
    }
    Ok(outcomes)
}

struct Runner<'r, 'v> {
    view: &'r View<'v>,
    image: &'r Image,
    packages: Vec<(usize, &'v Part, &'v PackageView)>,
}

fn packages(parts: &[Arc<Part>]) -> Vec<(usize, &Part, &PackageView)> {
    parts.iter().enumerate().filter_map(|(at, part)| Some((at, part.as_ref(), part.package.as_ref()?))).collect()
}

impl Runner<'_, '_> {
    /// Says of what packages the files are that something was made of.
    fn name_owners(&self, made: &mut Generated) {
        for (path, files) in std::mem::take(&mut made.sources) {
            let owners = files.iter().filter_map(|file| Some(&self.view.parts[self.view.union.get(file)?.owner]));
            let owners = owners.filter(|part| part.package.is_some()).map(|part| part.origin.to_string());
            made.packages.entry(path).or_default().extend(owners);
        }
    }

    /// Gives a package as it is named to people.
    fn origin_of(&self, package: &PackageView) -> String {
        let part = self.packages.iter().find(|(_, _, known)| std::ptr::eq(*known, package));
        part.map_or_else(String::new, |(_, part, _)| part.origin.to_string())
    }

    fn has(&self, path: &str) -> bool {
        self.view.union.get(&fixup::fixed(path)).is_some()
    }

    /// Finds the text of a path in the packages, whether or not their entry is in the image: the last
    /// one that has it wins, as it would when it is installed.
    fn text(&self, path: &str) -> Option<(&[u8], &PackageView)> {
        let path = fixup::fixed(path);
        self.packages.iter().rev().find_map(|(_, _, package)| Some((package.texts.get(&path)?.as_slice(), *package)))
    }

    /// Finds the text of a path in one package; `Err` when there is something else than a text.
    fn text_of<'p>(package: &'p PackageView, path: &str) -> Result<Option<(&'p [u8], &'p PackageView)>, AccountError> {
        let at = fixup::fixed(path);
        match package.texts.get(&at) {
            Some(text) => Ok(Some((text.as_slice(), package))),
            None if package.claims.iter().any(|(claimed, _)| *claimed == at) => {
                Err(AccountError::Unreadable(path.to_owned()))
            }
            None => Ok(None),
        }
    }

    fn accounts(&self) -> Result<Generated, ComposeError> {
        let named = |package: &&PackageView| Some(&*package.control.metadata.name) == self.view.voices.accounts;
        let base = self.packages.iter().map(|(_, _, package)| *package).find(named);
        let text = |path| match base {
            Some(package) => Self::text_of(package, path).map_err(|source| failed("accounts", source)),
            None => Ok(None),
        };
        let (passwd, group, shadow) = (text("etc/passwd")?, text("etc/group")?, text("etc/shadow")?);
        let date = [passwd, group, shadow].iter().flatten().map(|(_, package)| package.record.date).max().unwrap_or(0);
        let base_files = accounts::Base {
            passwd: passwd.map(|(text, _)| text),
            group: group.map(|(text, _)| text),
            shadow: shadow.and_then(|(text, package)| Some((text, *package.metas.get(&fixup::fixed("etc/shadow"))?))),
        };
        let extra: Vec<_> = self.view.levels.iter().flat_map(|level| level.accounts.iter().cloned()).collect();
        let mut made = accounts(base_files, &extra, date).map_err(|source| failed("accounts", source))?;
        for (path, text) in [("etc/passwd", passwd), ("etc/group", group), ("etc/shadow", shadow)] {
            if let Some((_, package)) = text {
                made.packages.insert(fixup::fixed(path), BTreeSet::from([self.origin_of(package)]));
            }
        }
        Ok(made)
    }

    fn ca_bundle(&self) -> Result<Generated, ComposeError> {
        let below = fixup::fixed("usr/share/ca-certificates");
        let bundle = fixup::fixed(ca_bundle::BUNDLE);
        let may = |package: &PackageView| self.view.voices.certificates.contains(&&*package.control.metadata.name);
        let packages: Vec<_> = self.packages.iter().filter(|(_, _, package)| may(package)).collect();
        // A bundle that a package ships and that stands in the image is only added to.
        let shipped = self.view.union.get(&bundle).map(|slot| slot.owner);
        let shipped = packages.iter().find(|(at, _, _)| shipped == Some(*at)).map(|(_, _, package)| *package);
        if let Some(package) = shipped {
            if self.view.certificates.is_empty() {
                return Ok(Generated::default());
            }
            let text = package.texts.get(&bundle).ok_or_else(|| failed("ca-bundle", CertificateError::unreadable()))?;
            let certificates = BTreeMap::from([(bundle, text.clone())]);
            let mut made = ca_bundle(&certificates, self.view.certificates, package.record.date)
                .map_err(|source| failed("ca-bundle", source))?;
            made.packages.insert(fixup::fixed(ca_bundle::BUNDLE), BTreeSet::from([self.origin_of(package)]));
            return Ok(made);
        }
        let mut certificates = BTreeMap::new();
        let (mut date, mut of) = (0, BTreeSet::new());
        let mut key = KeyBuilder::new("ca-bundle");
        for (_, _, package) in &packages {
            if package.texts.keys().any(|path| path.is_below(&below)) {
                key.bytes(package.record.key().as_bytes());
                of.insert(self.origin_of(package));
            }
        }
        for (name, pem) in self.view.certificates {
            key.bytes(name.as_bytes()).bytes(pem);
        }
        // The same for every architecture: checking 150 certificates is done once.
        let named = |mut made: Generated, of: BTreeSet<String>| {
            made.packages = BTreeMap::from([(fixup::fixed(ca_bundle::BUNDLE), of)]);
            made
        };
        if let (Some(known), true) = (self.view.bench.bundle(&key.finish()), self.view.certificates.is_empty()) {
            return Ok(named(known, of));
        }
        for (_, _, package) in &packages {
            for (path, text) in package.texts.iter().filter(|(path, _)| path.is_below(&below)) {
                certificates.insert(path.clone(), text.clone());
                date = date.max(package.record.date);
            }
        }
        let extra = self.view.certificates;
        if certificates.is_empty() && extra.is_empty() {
            return Ok(Generated::default());
        }
        if certificates.is_empty() {
            let left_out =
                packages.iter().rev().find_map(|(_, _, package)| Some((package.texts.get(&bundle)?, *package)));
            if let Some((text, package)) = left_out {
                certificates.insert(bundle, text.clone());
                date = package.record.date;
                of.insert(self.origin_of(package));
            } else if self.view.levels.iter().any(|level| level.embedded) {
                certificates.insert(bundle, embedded::certificates());
                date = embedded::DATE;
            }
        }
        let made = ca_bundle(&certificates, extra, date).map_err(|source| failed("ca-bundle", source))?;
        self.view.bench.remember_bundle(key.finish(), &made);
        Ok(named(made, of))
    }

    fn os_release(&self) -> Result<Generated, ComposeError> {
        let mut fields = BTreeMap::new();
        for level in self.view.levels {
            fields.extend(level.os_release.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        let own = self.text("usr/lib/os-release").or_else(|| self.text("etc/os-release"));
        let alpine = self.text("etc/alpine-release");
        let version;
        let (base, date) = match (own, alpine) {
            (Some((text, package)), _) => (os_release::Base::File(text), package.record.date),
            (None, Some((text, package))) => {
                version = String::from_utf8_lossy(text).trim().to_owned();
                (os_release::Base::AlpineRelease(&version), package.record.date)
            }
            // The lowest level names it, as a distribution's own file does: what extends an image keeps
            // that, and shares its layers.
            (None, None) => (os_release::Base::Image { name: self.lowest(), version: None }, 0),
        };
        let mut made = os_release(base, &fields, date).map_err(|source| failed("os-release", source))?;
        let package = own.or(alpine).map(|(_, package)| self.origin_of(package));
        made.made_of(&package.into_iter().collect());
        Ok(made)
    }

    /// The name of the lowest level's image, without its flavor.
    fn lowest(&self) -> &str {
        let name = self.view.levels.first().map_or(self.image.name.as_str(), |level| &level.name);
        name.split(':').next().unwrap_or(name)
    }

    fn nsswitch(&self) -> Generated {
        if self.has("etc/nsswitch.conf") { Generated::default() } else { nsswitch() }
    }

    fn ld_musl_path(&self) -> Generated {
        let is_debian = self.image.format == Some(Format::Deb);
        let has_loader = || self.view.union.iter().any(|(path, _)| path.name().starts_with(b"ld-musl-"));
        if is_debian && has_loader() { ld_musl_path(self.view.arch) } else { Generated::default() }
    }

    fn usr_merge(&self) -> Generated {
        if self.image.format != Some(Format::Deb) {
            return Generated::default();
        }
        let folders = [fixup::fixed("usr/lib"), fixup::fixed("usr/lib64")];
        let loaders: Vec<TreePath> = self
            .view
            .union
            .iter()
            .filter(|(path, slot)| !slot.entry.is_folder() && is_loader(path.name()))
            .filter(|(path, _)| path.parent().is_some_and(|parent| folders.contains(&parent)))
            .map(|(path, _)| path.clone())
            .collect();
        usr_merge(self.view.arch, &|path| self.view.union.get(path).is_some(), &loaders)
    }

    /// `links` are those of usr-merge, which ldconfig would find in the root.
    fn ld_so_cache(&self, links: Option<&Generated>) -> Result<Generated, ComposeError> {
        if !self.has("etc/ld.so.conf") {
            return Ok(Generated::default());
        }
        let libc_bin = self.packages.iter().find(|(_, _, package)| &*package.control.metadata.name == "libc-bin");
        let generator = libc_bin.map_or_else(
            || format!("dlstore {}", ld_so_cache::VERSION),
            |(_, _, package)| debian_generator(&package.control.metadata.version),
        );
        let date = self.packages.iter().map(|(_, _, package)| package.record.date).max().unwrap_or(0);
        with_loader_root(self.view.parts, self.view.union, links, |root| {
            ld_so_cache(self.view.arch, root, &generator, date).map_err(|source| failed("ld-so-cache", source))
        })
    }

    fn dpkg_database(&self, level: usize, outcomes: &Outcomes) -> Result<Generated, ComposeError> {
        let mut members = Vec::new();
        let mut parts = BTreeMap::new();
        for (at, part, package) in &self.packages {
            if package.control.metadata.format != Format::Deb || part.level != level {
                continue;
            }
            let Some(control) = package.control.members.get("control") else { continue };
            parts.insert(&*package.control.metadata.name, *at);
            members.push(DpkgPackage {
                name: &package.control.metadata.name,
                control,
                md5sums: package.md5sums.as_ref(),
                date: package.record.date,
            });
        }
        let made: HashSet<&TreePath> =
            outcomes.values().flat_map(|made| made.entries.iter().map(|(path, _)| path)).collect();
        let lost = |name: &str, path: &TreePath| {
            made.contains(path) || self.view.union.get(path).is_some_and(|slot| Some(&slot.owner) != parts.get(name))
        };
        let mut made = dpkg_database(&members, &lost).map_err(|source| failed("dpkg-database", source))?;
        for (path, _) in &made.entries {
            let name = path.name();
            let name = name.strip_suffix(b".md5sums").unwrap_or(name);
            let part = parts.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, at)| &self.view.parts[*at]);
            let origin = part.map(|part| part.origin.to_string());
            made.packages.insert(path.clone(), origin.into_iter().collect());
        }
        Ok(made)
    }

    fn apk_database(&self) -> Result<Generated, ComposeError> {
        let mut infos = Vec::new();
        for (at, part, package) in &self.packages {
            let Control { metadata, .. } = &package.control;
            if metadata.format != Format::Apk {
                continue;
            }
            let (Some(info), Some(identity)) = (apk_fields(&package.control), metadata.apk_identity) else {
                return Err(ComposeError::Facts(metadata.name.to_string()));
            };
            let entries: Vec<ApkEntry> = part
                .entries
                .iter()
                .filter(|(path, entry)| {
                    entry.is_folder() || self.view.union.get(path).is_some_and(|slot| slot.owner == *at)
                })
                .map(|(path, entry)| apk_entry(package, path, entry))
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
        let world: Vec<String> =
            self.view.levels.iter().flat_map(|level| level.packages.iter().map(|wish| wish.name.clone())).collect();
        let lib = self.view.union.get(&fixup::fixed("lib"));
        let place = match lib.map(|slot| &slot.entry.node) {
            Some(Node::Symlink { .. }) => apk_database::Place::UsrLib,
            _ => apk_database::Place::Lib,
        };
        let mut made = apk_database(self.view.arch, place, &packages, &world, date)
            .map_err(|source| failed("apk-database", source))?;
        let apks = self.packages.iter().filter(|(_, _, package)| package.control.metadata.format == Format::Apk);
        made.made_of(&apks.map(|(_, part, _)| part.origin.to_string()).collect());
        Ok(made)
    }
}

fn apk_entry(package: &PackageView, path: &TreePath, entry: &Entry) -> ApkEntry {
    let kind =
        if entry.is_folder() { ApkEntryKind::Folder } else { ApkEntryKind::File(package.sha1s.get(path).copied()) };
    ApkEntry { path: path.clone(), meta: entry.meta, kind }
}

/// Takes the fields of `.PKGINFO` apart, by key and value in their order.
fn apk_fields(control: &Control) -> Option<Vec<(String, String)>> {
    let text = String::from_utf8_lossy(control.members.get(".PKGINFO")?);
    let fields = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    Some(fields.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect())
}

fn failed(name: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> ComposeError {
    ComposeError::Fixup { name, source: Box::new(source) }
}

/// Shows a union to whoever looks at it as glibc's loader does.
fn with_loader_root<T>(
    parts: &[Arc<Part>],
    union: &Union,
    made: Option<&Generated>,
    look: impl FnOnce(&ld_so_cache::Root<'_>) -> T,
) -> T {
    let mut entries: Vec<(TreePath, Entry)> =
        union.iter().map(|(path, slot)| (path.clone(), slot.entry.clone())).collect();
    let made = made.into_iter().flat_map(|made| &made.entries);
    entries.extend(made.filter(|(path, _)| union.get(path).is_none()).cloned());
    // A root whose paths do not fit together is refused later, by name; here it has no libraries.
    let tree = Tree::new(entries).unwrap_or_default();
    let elf = elf_files(parts, union);
    let text = |path: &TreePath| {
        let slot = union.get(path).filter(|slot| is_file(slot.entry))?;
        let part = &parts[slot.owner];
        match (&part.package, &part.bytes) {
            (Some(package), _) => package.texts.get(path).cloned(),
            (None, bytes) => bytes.small_text(path, slot.entry),
        }
    };
    look(&ld_so_cache::Root { tree: &tree, elf: &|path| elf.get(path).copied(), text: &text })
}

/// Gives the folders where glibc's loader looks through its cache and by itself.
///
/// # Errors
/// When the loader's configuration asks for more than is looked at.
pub fn loader_folders(arch: Arch, parts: &[Arc<Part>], union: &Union) -> Result<Vec<TreePath>, ComposeError> {
    if union.get(&fixup::fixed("etc/ld.so.conf")).is_none() {
        return Ok(Vec::new());
    }
    let folders = with_loader_root(parts, union, None, |root| ld_so_cache::folders(arch, root))
        .map_err(|source| failed("ld-so-cache", source))?;
    let path = |folder: &Vec<u8>| TreePath::new(folder.strip_prefix(b"/").unwrap_or(folder)).ok();
    Ok(folders.iter().filter_map(path).collect())
}

/// Gives the folders where musl's loader looks: the path file's, else its own.
#[must_use]
pub fn musl_folders(arch: Arch, union: &Union) -> Vec<TreePath> {
    let triplet = arch.musl_triplet();
    let path_file = format!("etc/ld-musl-{}.path", arch.musl_debian());
    let mut folders = Vec::new();
    if union.get(&fixup::fixed(&path_file)).is_some() {
        folders.extend([format!("lib/{triplet}"), format!("usr/lib/{triplet}")]);
    }
    folders.extend(["lib", "usr/local/lib", "usr/lib"].map(str::to_owned));
    folders.iter().map(|folder| fixup::fixed(folder)).collect()
}

/// Says whether what a fix-up makes goes before what a package ships at the same path: where the
/// fix-up was given the package's own file and extends it.
#[must_use]
pub fn extends_packages(origin: &Origin) -> bool {
    matches!(origin, Origin::Fixup("os-release" | "ca-bundle", _))
}
