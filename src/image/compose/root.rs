//! One architecture's root: parts united, made content added, layers planned.
//!
//! ```text
//! levels ► packages, own files ► selection ► landed entries ─┐
//!                                                            ├► union ► fix-ups ► union ► checks
//! definition ────────────────────────────────────────────────┘                 │
//!                                      layers: lists of layer trees ◄──────────┘
//! ```
//!
//! Everything here is planning: no pack is made. The outcome is remembered under a key of all that
//! decides it, so an image whose label changed does not unite its trees again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ComposeError;
use super::bench::{Bench, PartKey};
use super::check;
use super::choose::Wish;
use super::layering::{self, PlannedLayer};
use super::notes::Note;
use super::own;
use crate::definition::{FIXUPS, Image, Layering, Level};
use crate::embedded;
use crate::fixup::dpkg_database::Md5sums;
use crate::fixup::made;
use crate::fixup::run;
use crate::rootfs::owned::{self, Voices};
use crate::rootfs::part::{Bytes, Origin, PackageView, Part, Reach};
use crate::rootfs::union::Union;
use dlstore_formats::layer::Codec;
use dlstore_formats::package::Format;
use dlstore_ingest::recall::{self, Facts};
use dlstore_ingest::repair::Lost;
use dlstore_ingest::select::layer_tree::{relink, resolve_owned};
use dlstore_ingest::select::merged_usr::MergedUsr;
use dlstore_ingest::select::{moved_files, select, select_owned};
use dlstore_ingest::{IngestError, Keeps, Selection};
use dlstore_model::arch::Arch;
use dlstore_model::digest::ActionKey;
use dlstore_model::generation::GENERATOR;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree};
use dlstore_store::session::Session;
use dlstore_store::{PackageRecord, StoreError};

/// A package of a root with the level that wants it.
pub struct Wanted {
    /// Index of the level.
    pub level: usize,
    /// The package.
    pub record: PackageRecord,
}

/// One path of a planned root, for people.
pub struct Listed {
    /// The path.
    pub path: TreePath,
    /// What stands there.
    pub entry: Entry,
    /// Who brought it.
    pub origin: String,
    /// The packages that a fix-up made it of.
    pub of: Vec<String>,
}

/// A planned root.
pub struct Root {
    /// Its parts in order, the made ones last.
    pub parts: Vec<Arc<Part>>,
    /// What stands where.
    pub union: Union,
    /// Its layers, lowest first.
    pub layers: Vec<PlannedLayer>,
    /// Newest date of what went in, in seconds.
    pub date: u64,
    /// What people should know.
    pub notes: Vec<Note>,
}

/// What a root is planned from.
pub struct Inputs<'i> {
    /// The definition.
    pub image: &'i Image,
    /// The architecture.
    pub arch: Arch,
    /// How layers are cut.
    pub layering: Layering,
    /// Their codec.
    pub codec: Codec,
    /// The selection of each level.
    pub selections: &'i [Selection],
    /// Its packages, by level and in the definition's order.
    pub wanted: &'i [Wanted],
    /// The definition's own files, by level.
    pub own: &'i [own::OwnFiles],
    /// What the roots of a command share while they are planned.
    pub bench: &'i Bench,
}

/// Lists the packages that an image wants on an architecture, each name once, by level. A package that
/// several levels name stands with the first of them; what a later one pins counts.
#[must_use]
pub fn wishes<'w>(image: &'w Image, arch: Arch, selections: &'w [Selection]) -> Vec<Wish<'w>> {
    let Some(format) = image.format else { return Vec::new() };
    let mut wishes: Vec<Wish<'w>> = Vec::new();
    for (level, one) in image.levels.iter().enumerate() {
        let here = one.arch_packages.get(&arch).into_iter().flatten();
        for package in one.packages.iter().chain(here) {
            match wishes.iter_mut().find(|known| known.package.name == package.name) {
                Some(known) if package.version.is_some() || package.sha256.is_some() => known.package = package,
                Some(_) => {}
                None => wishes.push(Wish { level, package, format, arch, selection: &selections[level] }),
            }
        }
    }
    wishes
}

/// Plans the root.
///
/// # Errors
/// When parts conflict, something is missing at run time, or content is not allowed.
pub fn plan(session: &Session<'_>, inputs: &Inputs<'_>) -> Result<Root, ComposeError> {
    let levels = &inputs.image.levels;
    let merged = merged_usr(session, inputs)?;
    let has = |name: &str| inputs.wanted.iter().any(|wanted| wanted.record.name == name);
    let voices = Voices::of(levels, inputs.image.format, has);
    let mut parts: Vec<Arc<Part>> = Vec::new();
    let mut union = Union::of(levels);
    let mut history = Vec::new();
    let mut certificates: Vec<(String, Vec<u8>)> = Vec::new();
    for (at, level) in levels.iter().enumerate() {
        if level.embedded {
            parts.push(inputs.bench.part(PartKey::Embedded(at), || Ok(embedded_part(at)))?);
            union.add(&parts[parts.len() - 1])?;
        }
        for wanted in inputs.wanted.iter().filter(|wanted| wanted.level == at) {
            let Selection { key, keeps } = &inputs.selections[at];
            let key = PartKey::Package(wanted.record.key(), *key, at, merged.clone());
            let part = inputs.bench.part(key, || package_part(session, wanted, &merged, keeps, level))?;
            if let Some(package) = &part.package {
                voices.check(&package.control.metadata.name, &part.origin, at, &package.claims)?;
            }
            union.add(&part)?;
            parts.push(part);
        }
        for part in own::parts(&inputs.own[at], at, level, &merged)? {
            parts.push(Arc::new(part));
            union.add(&parts[parts.len() - 1])?;
        }
        union.relink(&mut parts);
        certificates.extend(inputs.own[at].certificates.iter().cloned());
        let view = made::View {
            arch: inputs.arch,
            parts: &parts,
            union: &union,
            levels: &levels[..=at],
            certificates: &certificates,
            voices: &voices,
            bench: inputs.bench,
        };
        history.push(run::fixups(&view, &made::skipped(levels), inputs.image)?);
    }
    let makes_nothing = |name: &str| {
        let view = made::View {
            arch: inputs.arch,
            parts: &parts,
            union: &union,
            levels,
            certificates: &certificates,
            voices: &voices,
            bench: inputs.bench,
        };
        let others = FIXUPS.iter().copied().filter(|other| *other != name).collect();
        run::fixups(&view, &others, inputs.image).is_ok_and(|made| made.is_empty())
    };
    let useless = check::unused::of_fixups(levels, |name| !makes_nothing(name));
    for part in made::join(&history)? {
        parts.push(Arc::new(part));
        union.add(&parts[parts.len() - 1])?;
    }
    union.relink(&mut parts);
    union.check_paths(&parts)?;
    let mut checked = check::content(&parts, &union, levels)?;
    checked.extend(check::runs(inputs, &parts, &union)?);
    checked.extend(useless);
    let mut notes: Vec<Note> = union.take_notes().into_iter().map(Note::told).collect();
    notes.extend(checked.into_iter().map(Note::of_check));
    let date = date(inputs, levels);
    let layers = layering::plan(inputs, &parts, &union)?;
    Ok(Root { parts, union, layers, date, notes })
}

/// Says how many entries the packages and own files of a root have before anything is selected: about what it takes to
/// plan it.
#[must_use]
pub fn weight(inputs: &Inputs<'_>) -> u64 {
    let packages = inputs.wanted.iter().map(|wanted| wanted.record.entries).sum::<u64>();
    packages + inputs.own.iter().map(own::OwnFiles::entries).sum::<usize>() as u64
}

/// Gives the newest package date, or the date of the embedded data where that is all there is.
#[must_use]
pub fn date(inputs: &Inputs<'_>, levels: &[Level]) -> u64 {
    let packages = inputs.wanted.iter().map(|wanted| wanted.record.date).max().unwrap_or(0);
    if levels.iter().any(|level| level.embedded) { packages.max(embedded::DATE) } else { packages }
}

/// The usr-merge links of a root: those that packages ship, and those that the fix-up will make.
fn merged_usr(session: &Session<'_>, inputs: &Inputs<'_>) -> Result<MergedUsr, ComposeError> {
    let made = !made::skipped(&inputs.image.levels).contains("usr-merge");
    if inputs.image.format == Some(Format::Deb) && made {
        return Ok(MergedUsr::usual(Format::Deb, Some(inputs.arch)));
    }
    let trees = inputs
        .wanted
        .iter()
        .map(|wanted| recall(session, &wanted.record).map(|(_, tree)| tree))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(MergedUsr::of(trees.iter().map(AsRef::as_ref)))
}

/// Recalls tree and facts of a package; what is lost of them is made again from its source, now.
fn recall(session: &Session<'_>, record: &PackageRecord) -> Result<(Facts, Arc<Tree>), ComposeError> {
    if let (Some(facts), Some(tree)) = (recall::facts(session, record)?, session.tree(&record.tree)?) {
        return Ok((facts, tree));
    }
    let gone = || ComposeError::Gone(record.name.clone());
    if dlstore_ingest::remake(session, &Lost::record(record))? != *record {
        // Its key says that it must be the same.
        return Err(StoreError::Damaged(record.object()).into());
    }
    let facts = recall::facts(session, record)?.ok_or_else(gone)?;
    Ok((facts, session.tree(&record.tree)?.ok_or_else(gone)?))
}

fn package_part(
    session: &Session<'_>,
    wanted: &Wanted,
    merged: &MergedUsr,
    keeps: &Keeps,
    level: &Level,
) -> Result<Part, ComposeError> {
    let record = &wanted.record;
    let (Facts { control, elf, texts, starts, sha1s, .. }, whole) = recall(session, record)?;
    let package = &control.metadata;
    let data_only = package.architecture.is_independent() || package.format == Format::Apk && elf.is_empty();
    let land = |path: TreePath| merged.resolve_name(&path);
    let claims =
        whole.iter().filter_map(|(path, entry)| Some((path.clone(), owned::matter(&land(path.clone()), entry)?)));
    let claims = claims.collect();
    let metas = texts.keys().filter_map(|path| Some((merged.resolve_name(path), whole.get(path)?.meta))).collect();
    let selects = |path: &TreePath| keeps(path);
    let unmatched = check::unused::unmatched(level, &whole);
    // What is known of a file by a name that was not selected holds for the name that took its place.
    let (tree, moved) = if whole.iter().any(|(_, entry)| matches!(entry.node, Node::HardLink { .. })) {
        let tree = select(&whole, &selects).map_err(IngestError::Tree)?;
        let moved = moved_files(&whole, &tree);
        drop(whole);
        (tree, moved)
    } else {
        // A large tree is nobody else's, and is used up.
        let whole = Arc::try_unwrap(whole).unwrap_or_else(|shared| (*shared).clone());
        (select_owned(whole, &selects).map_err(IngestError::Tree)?, BTreeMap::new())
    };
    let name = |path: TreePath| land(moved.get(&path).cloned().unwrap_or(path));
    Ok(Part {
        origin: Origin::Package {
            format: package.format.name(),
            name: package.name.to_string(),
            version: package.version.to_string(),
            architecture: package.architecture.to_string(),
        },
        origins: BTreeMap::new(),
        level: wanted.level,
        reach: if data_only { Reach::All } else { Reach::One },
        content_size: tree.content_size(),
        entries: resolve_owned(tree, merged).map_err(IngestError::Tree)?,
        elf: elf.into_iter().map(|(path, elf)| (name(path), elf)).collect(),
        starts: starts.into_iter().map(|(path, start)| (name(path), start)).collect(),
        bytes: Bytes::Source(Box::new(record.clone()), Keeps::clone(keeps)),
        package: Some(PackageView {
            record: record.clone(),
            md5sums: control.members.get("md5sums").map(|text| Md5sums::new(text)),
            control,
            texts: texts.into_iter().map(|(path, text)| (land(path), text)).collect(),
            metas,
            sha1s: sha1s.into_iter().map(|(path, sum)| (land(path), sum)).collect(),
            claims,
            unmatched,
        }),
    })
}

fn embedded_part(level: usize) -> Part {
    let content = embedded::content();
    Part {
        origin: Origin::Embedded,
        origins: BTreeMap::new(),
        level,
        reach: Reach::All,
        content_size: content.contents.values().map(|bytes| bytes.len() as u64).sum(),
        entries: content.entries,
        elf: Vec::new(),
        starts: BTreeMap::new(),
        bytes: Bytes::Memory(Arc::new(content.contents)),
        package: None,
    }
}

/// Gives the key of a planned root: everything that decides its layers. The page is `store-schema/KEYS.md`.
#[must_use]
pub fn key(inputs: &Inputs<'_>) -> ActionKey {
    let mut key = run::key_of_versions("rootfs 5");
    key.number(u64::from(GENERATOR));
    key.text(&inputs.image.name).text(inputs.image.format.map_or("", Format::name));
    key.text(&inputs.arch.to_string()).text(inputs.codec.name()).number(inputs.layering as u64);
    key.list(inputs.image.levels.iter().enumerate(), |key, (at, level)| {
        key.text(&level.name).number(u64::from(level.embedded)).bytes(inputs.selections[at].key.as_bytes());
        let packages: Vec<_> = inputs.wanted.iter().filter(|wanted| wanted.level == at).collect();
        key.list(packages, |key, wanted| {
            key.bytes(wanted.record.key().as_bytes());
        });
        own::add_to_key(&inputs.own[at], key);
        level.add_to_key(key);
        // Whose words are looked at.
        key.number(u64::from(level.root.is_some()));
    });
    inputs.image.config.add_start_to_key(&mut key);
    key.finish()
}

impl Root {
    /// Lists every path of the root with its entry and who brought it. Folders that nobody lists but
    /// that hold something are there too, as the runtime will see them.
    #[must_use]
    pub fn files(&self) -> Vec<Listed> {
        let mut all: BTreeMap<TreePath, (Entry, String, Vec<String>)> = BTreeMap::new();
        for (path, slot) in self.union.iter() {
            let maker = self.parts[slot.owner].origin_of(path);
            let origin = maker.to_string();
            for parent in path.ancestors() {
                all.entry(parent)
                    .or_insert_with(|| (Entry::new(Node::Folder, Meta::FOLDER), origin.clone(), Vec::new()));
            }
            let mut entry = slot.entry.clone();
            if entry.is_folder() {
                entry.meta.mtime = 0;
            }
            let of = if let Origin::Fixup(_, packages) = maker { packages.clone() } else { Vec::new() };
            all.insert(path.clone(), (entry, origin, of));
        }
        // As in a layer, the first name of a file is the file.
        let mut entries: Vec<_> = all.iter_mut().map(|(path, (entry, ..))| (path.clone(), entry.clone())).collect();
        relink(&mut entries);
        let both = all.into_values().zip(entries);
        both.map(|((_, origin, of), (path, entry))| Listed { path, entry, origin, of }).collect()
    }
}
