//! One pass over a package: its tree, its facts, and the content that a pack will need.
//!
//! Every file is hashed and looked at ([`Findings`]), and content that the selection wants goes to the
//! spool. What the selection leaves out costs its hash and nothing else.
//!
//! A hard link comes behind its file, so one pass cannot know that a file which nobody wants has a second
//! name that somebody wants. Where that is so the package is read once more, knowing it: this is rare,
//! and everything else costs one pass.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use super::IngestError;
use super::facts::{MAX_TEXT, Sha1s, Texts, is_text};
use super::findings::{Findings, XATTR_COST, limit};
use super::select::layer_tree::missing_directories;
use super::spool::Spool;
use super::start::{MAX_START, Starts};
use dlstore_formats::elf::{self, Elf};
use dlstore_formats::package::reader::{Held, PackageReader};
use dlstore_formats::package::{Control, Format, Header, Kind, Limits, PackageError};
use dlstore_model::digest::Digest;
use dlstore_model::path::{Shown, TreePath};
use dlstore_model::tree::{Entry, Node, Tree, Xattrs};

/// Files up to this size are read into memory as a whole; larger ones are streamed to the stage.
const WHOLE: u64 = 8 << 20;
/// Memory that the extended attributes of an entry cost beside their bytes, about.
const XATTRS_COST: usize = 600;
/// Memory that one of them costs beside its bytes, about.
const XATTR_EACH: usize = 64;

/// What one pass finds.
pub struct Decoded {
    /// Every entry of the package.
    pub tree: Tree,
    /// Its ELF files in path order, each under the first name of its hard-link group.
    pub elf: Vec<(TreePath, Elf)>,
    /// Its texts that fix-ups read.
    pub texts: Texts,
    /// How its scripts begin, and the ELF files that were not read, each under the first name of its hard-link group.
    pub starts: Starts,
    /// The SHA-1 of its files, as an apk states them.
    pub sha1s: Sha1s,
    /// What was left out or not understood, for people.
    pub notes: Vec<String>,
}

/// A package that was read to its end.
pub struct Package {
    /// What it says of itself.
    pub control: Control,
    /// What was found in it.
    pub decoded: Decoded,
    /// Shares of the process's memory, to be held as long as the package is in hand.
    pub held: Held,
}

/// Reads a package to its end; `open` opens it, once more if need be.
///
/// # Errors
/// When the package breaks a rule of its format or of trees, or the stage cannot be written.
pub fn decode<'a>(
    open: &dyn Fn() -> Result<PackageReader<'a>, IngestError>,
    wanted: &dyn Fn(&TreePath) -> bool,
    spool: &mut Spool,
) -> Result<Package, IngestError> {
    let mut known = Known::default();
    loop {
        match Pass::begin(open()?, known, wanted, spool)?.end(wanted, spool)? {
            Passed::Whole(package) => return Ok(*package),
            Passed::Again(asked) => known = asked,
        }
    }
}

/// What names of files ask of contents that came before them, found by a pass for the next one.
#[derive(Default)]
pub struct Known(BTreeMap<TreePath, Asked>);

/// A pass over a package that was begun: it is at its end, or the package is a large one.
pub struct Pass<'a> {
    reader: PackageReader<'a>,
    found: Found,
    ended: bool,
}

/// What came of a pass.
pub enum Passed {
    /// The package.
    Whole(Box<Package>),
    /// It has to be read once more. This pass holds nothing any longer: both would hold shares of the same memory.
    Again(Known),
}

impl<'a> Pass<'a> {
    /// Begins to read: to the end, or until the package has the turn of large ones.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn begin(
        reader: PackageReader<'a>,
        known: Known,
        wanted: &dyn Fn(&TreePath) -> bool,
        spool: &mut Spool,
    ) -> Result<Self, IngestError> {
        let mut pass = Self { reader, found: Found { known: known.0, ..Found::default() }, ended: false };
        while !pass.ended && !pass.is_large() {
            pass.step(wanted, spool)?;
        }
        Ok(pass)
    }

    /// Says whether the package is so large that it has the turn.
    #[must_use]
    pub const fn is_large(&self) -> bool {
        self.reader.is_large()
    }

    fn step(&mut self, wanted: &dyn Fn(&TreePath) -> bool, spool: &mut Spool) -> Result<(), IngestError> {
        let header = self.reader.next_entry()?;
        self.ended = header.is_none();
        header.map_or(Ok(()), |header| self.found.entry(&mut self.reader, header, wanted, spool))
    }

    /// Reads the rest.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn end(mut self, wanted: &dyn Fn(&TreePath) -> bool, spool: &mut Spool) -> Result<Passed, IngestError> {
        while !self.ended {
            self.step(wanted, spool)?;
        }
        spool.seen_all();
        let Self { reader, found, .. } = self;
        if !found.asked.is_empty() {
            return Ok(Passed::Again(Known(found.asked)));
        }
        let limits = *reader.limits();
        let (control, held) = reader.into_control();
        Ok(Passed::Whole(Box::new(Package { control, decoded: found.finish(&limits)?, held })))
    }
}

/// What a later name of a file asks of its content.
#[derive(Default, Clone, Copy)]
struct Asked {
    content: bool,
    text: bool,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    entries: Vec<(TreePath, Entry)>,
    findings: Findings,
    sha1s: Sha1s,
    xattr_cost: usize,
    /// What other names ask of files, from the pass before.
    known: BTreeMap<TreePath, Asked>,
    /// What this pass found to be asked too late.
    asked: BTreeMap<TreePath, Asked>,
}

impl Found {
    fn entry(
        &mut self,
        reader: &mut PackageReader<'_>,
        header: Header,
        wanted: &dyn Fn(&TreePath) -> bool,
        spool: &mut Spool,
    ) -> Result<(), IngestError> {
        let Header { path, kind, meta, size, xattrs, sha1 } = header;
        let xattrs = self.keep_xattrs(&path, xattrs)?;
        let sha1 = sha1.filter(|_| reader.control().metadata.format == Format::Apk);
        if let (Kind::File | Kind::Symlink(_), Some(sum)) = (&kind, sha1) {
            self.sha1s.insert(path.clone(), sum);
        }
        let node = match kind {
            Kind::File => {
                let asked = self.known.get(&path).copied().unwrap_or_default();
                let asked = Asked { content: asked.content || wanted(&path), ..asked };
                Node::File { content: self.file(reader, &path, size, asked, spool)?, size }
            }
            Kind::Directory => Node::Directory,
            Kind::Symlink(target) => Node::Symlink { target },
            Kind::HardLink(target) => {
                self.ask(&path, &target, wanted);
                Node::HardLink { target }
            }
            Kind::CharDevice(major, minor) => Node::CharDevice { major, minor },
            Kind::BlockDevice(major, minor) => Node::BlockDevice { major, minor },
            Kind::Fifo => Node::Fifo,
        };
        let entry = Entry { node, meta, xattrs };
        if wanted(&path) {
            spool.see(&path, &entry);
        }
        self.entries.push((path, entry));
        Ok(())
    }

    /// Remembers what a hard link asks of a file that was passed without it.
    fn ask(&mut self, link: &TreePath, file: &TreePath, wanted: &dyn Fn(&TreePath) -> bool) {
        let known = self.known.get(file).copied().unwrap_or_default();
        let content = !known.content && wanted(link) && !wanted(file);
        let text = !known.text && is_text(link) && !is_text(file);
        if content || text {
            let asked = self.asked.entry(file.clone()).or_default();
            asked.content |= content;
            asked.text |= text;
        }
    }

    /// Keeps what an image may carry (`security.capability` and `user.*`), notes what is dropped,
    /// and refuses what would change how a runtime stacks layers.
    fn keep_xattrs(&mut self, path: &TreePath, mut xattrs: Xattrs) -> Result<Xattrs, IngestError> {
        if let Some(name) = xattrs.keys().find(|name| is_overlay(name)) {
            let message = format!("{path} has the extended attribute {}, which steers overlays", Shown(name.clone()));
            return Err(PackageError::Content(message).into());
        }
        if let Some(name) = xattrs.keys().find(|name| name.contains(&b'=')) {
            let message = format!("{path} has the extended attribute {}, which no tar can carry", Shown(name.clone()));
            return Err(PackageError::Content(message).into());
        }
        let notes = &mut self.findings.notes;
        xattrs.retain(|name, _| {
            let keep = name == b"security.capability" || name.starts_with(b"user.");
            if !keep {
                notes.add(|| format!("{path}: the extended attribute {} was dropped", Shown(name.clone())));
            }
            keep
        });
        if xattrs.len() > 255 {
            return Err(PackageError::Content(format!("{path} has more than 255 extended attributes")).into());
        }
        self.hold_xattrs(&xattrs)?;
        Ok(xattrs)
    }

    /// Counts extended attributes that are kept, each time that they are.
    fn hold_xattrs(&mut self, xattrs: &Xattrs) -> Result<(), IngestError> {
        if xattrs.is_empty() {
            return Ok(());
        }
        let each = xattrs.iter().map(|(name, value)| name.len() + value.len() + XATTR_EACH);
        self.xattr_cost += XATTRS_COST + each.sum::<usize>();
        if self.xattr_cost > XATTR_COST {
            return Err(limit("the memory of the extended attributes that are kept", XATTR_COST as u64));
        }
        Ok(())
    }

    fn file(
        &mut self,
        reader: &mut PackageReader<'_>,
        path: &TreePath,
        size: u64,
        asked: Asked,
        spool: &mut Spool,
    ) -> Result<Digest, IngestError> {
        let mut start = [0; MAX_START];
        let got = read_full(reader, &mut start)?;
        let start = &start[..got];
        let is_text = (is_text(path) || asked.text) && size <= MAX_TEXT;
        if !(asked.content || is_text || start.starts_with(b"\x7fELF")) {
            let mut hasher = blake3::Hasher::new();
            hasher.update(start);
            copy(reader, |bytes| {
                hasher.update(bytes);
                Ok(())
            })?;
            self.findings.take(path, size, asked.text, &start)?;
            return Ok(Digest::from_hasher(&hasher));
        }
        let Some(room) = Some(size).filter(|size| *size <= WHOLE).and_then(|size| spool.room(size)) else {
            // Too large, or no room: an ELF file or a text is read from the stage, whether a pack wants it or not.
            let content = stream(reader, start, size, spool)?;
            self.findings.take(path, size, asked.text, &Spooled { spool, content, size })?;
            return Ok(content);
        };
        let mut bytes = Vec::new();
        bytes.reserve_exact(usize::try_from(size).unwrap_or(0).min(1 << 20).max(start.len()));
        bytes.extend_from_slice(start);
        copy(reader, |more| {
            bytes.extend_from_slice(more);
            Ok(())
        })?;
        let content = Digest::of(&bytes);
        self.findings.take(path, size, asked.text, &bytes.as_slice())?;
        if asked.content {
            spool.put(content, bytes, room);
        }
        Ok(content)
    }

    /// Makes the tree, with each hard-link group in its canonical form: the bytewise first name is the
    /// file, the others link to it, all with the file's metadata.
    fn finish(mut self, limits: &Limits) -> Result<Decoded, IngestError> {
        let mut entries = std::mem::take(&mut self.entries);
        // Entries of one path are equal or an error: their order says nothing.
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1) {
            return Err(PackageError::Content(format!("{} occurs twice, with differences", pair[0].0)).into());
        }
        entries.dedup_by(|next, known| next.0 == known.0);
        check_implied(&entries, limits)?;
        self.link_to_first(&mut entries, limits)?;
        let tree = Tree::new(entries).map_err(IngestError::Tree)?;
        let Findings { elf, texts, starts, notes, .. } = self.findings;
        let (elf, sha1s, notes) = (elf.into_iter().collect(), self.sha1s, notes.into_lines());
        Ok(Decoded { tree, elf, texts, starts, sha1s, notes })
    }

    fn link_to_first(&mut self, entries: &mut [(TreePath, Entry)], limits: &Limits) -> Result<(), IngestError> {
        let find = |entries: &[(TreePath, Entry)], path: &TreePath| {
            entries.binary_search_by(|(probe, _)| probe.cmp(path)).ok()
        };
        let mut groups: BTreeMap<TreePath, Vec<TreePath>> = BTreeMap::new();
        for (path, entry) in entries.iter() {
            if let Node::HardLink { target } = &entry.node {
                // The reader has resolved links to links.
                let is_file = find(entries, target).is_some_and(|at| matches!(entries[at].1.node, Node::File { .. }));
                if !is_file {
                    let message = format!("{path} is a hard link to what is not a file of the package");
                    return Err(PackageError::Content(message).into());
                }
                groups.entry(target.clone()).or_default().push(path.clone());
            }
        }
        let mut bytes = 0;
        for (file, mut names) in groups {
            let Some(at) = find(entries, &file) else { continue };
            let content = entries[at].1.clone();
            names.push(file.clone());
            names.sort();
            // Each of them has the first one's name in it now, however long that is.
            bytes += names[0].as_bytes().len() * names.len();
            if bytes > limits.path_bytes {
                return Err(limit("the length of what hard links lead to", limits.path_bytes as u64));
            }
            self.findings.rename(&file, &names)?;
            for name in &names[1..] {
                self.hold_xattrs(&content.xattrs)?;
                let node = Node::HardLink { target: names[0].clone() };
                if let Some(at) = find(entries, name) {
                    entries[at].1 = Entry { node, meta: content.meta, xattrs: content.xattrs.clone() };
                }
            }
            if let Some(at) = find(entries, &names[0]) {
                entries[at].1 = content;
            }
        }
        Ok(())
    }
}

/// Bounds the directories that paths go through and no entry describes: a layer has them all.
fn check_implied(entries: &[(TreePath, Entry)], limits: &Limits) -> Result<(), IngestError> {
    let (mut count, mut bytes) = (entries.len(), 0);
    missing_directories(entries, |path| {
        count += 1;
        bytes += path.as_bytes().len();
        count <= limits.entries && bytes <= limits.path_bytes
    });
    if count > limits.entries {
        return Err(limit("the number of entries and of directories that hold them", limits.entries as u64));
    }
    if bytes > limits.path_bytes {
        return Err(limit("the length of the paths of all directories that are not listed", limits.path_bytes as u64));
    }
    Ok(())
}

/// One file of a spool as the ELF reader sees it.
struct Spooled<'s> {
    spool: &'s Spool,
    content: Digest,
    size: u64,
}

impl elf::Source for Spooled<'_> {
    fn bytes(&self, offset: u64, size: u64) -> Option<Cow<'_, [u8]>> {
        if offset.checked_add(size)? > self.size {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(size).ok()?];
        self.spool.read_content(&self.content, offset, &mut bytes).ok()?;
        Some(Cow::Owned(bytes))
    }
}

fn is_overlay(name: &[u8]) -> bool {
    name.starts_with(b"trusted.") || name.windows(9).any(|part| part == b".overlay.")
}

/// Passes a file straight on to the stage, hashed.
fn stream(reader: &mut PackageReader<'_>, start: &[u8], size: u64, spool: &mut Spool) -> Result<Digest, IngestError> {
    spool.put_large(|out| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(start);
        out.write_all(start).map_err(IngestError::Stage)?;
        copy(reader, |bytes| {
            hasher.update(bytes);
            out.write_all(bytes)
        })?;
        Ok((Digest::from_hasher(&hasher), size))
    })
}

fn read_full(reader: &mut PackageReader<'_>, buffer: &mut [u8]) -> Result<usize, IngestError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn copy(reader: &mut PackageReader<'_>, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), IngestError> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(()),
            count => take(&buffer[..count]).map_err(IngestError::Stage)?,
        }
    }
}

#[cfg(test)]
mod tests;
