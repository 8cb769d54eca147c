//! One pass over a package: its tree, its facts, and the content that a pack will need.
//!
//! Every file is hashed, ELF files are read for what they need, small texts that fix-ups read are
//! kept, and content that the selection wants goes to the spool. What the selection leaves out costs
//! its hash and nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::IngestError;
use super::facts::{MAX_TEXT, Sha1s, Texts, is_text};
use super::spool::Spool;
use dlstore_formats::elf::{self, Elf};
use dlstore_formats::package::reader::PackageReader;
use dlstore_formats::package::{Format, Header, Kind, PackageError};
use dlstore_model::digest::Digest;
use dlstore_model::path::{Shown, TreePath};
use dlstore_model::tree::{Entry, Meta, Node, Tree, Xattrs};

/// Files up to this size are read into memory as a whole; larger ones are streamed to the stage.
const WHOLE: u64 = 8 << 20;

/// What one pass finds.
pub struct Decoded {
    /// Every entry of the package.
    pub tree: Tree,
    /// Its ELF files in path order.
    pub elf: Vec<(TreePath, Elf)>,
    /// Its texts that fix-ups read.
    pub texts: Texts,
    /// The SHA-1 of its files, as an apk states them.
    pub sha1s: Sha1s,
    /// What was left out of the tree, for people: extended attributes that images do not carry.
    pub notes: Vec<String>,
}

/// Reads a package to its end.
///
/// # Errors
/// When the package breaks a rule of its format or of trees, or the stage cannot be written.
pub fn decode(
    reader: &mut PackageReader<'_>,
    wanted: &dyn Fn(&TreePath) -> bool,
    spool: &mut Spool,
) -> Result<Decoded, IngestError> {
    let format = reader.control().metadata.format;
    let mut found = Found::default();
    while let Some(header) = reader.next_entry()? {
        found.entry(reader, header, format, wanted, spool)?;
    }
    let tree = Tree::new(link_to_first(found.entries)?).map_err(IngestError::Tree)?;
    let mut elf: Vec<_> = found.elf.into_iter().collect();
    elf.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Decoded { tree, elf, texts: found.texts, sha1s: found.sha1s, notes: found.notes })
}

/// What was found so far.
#[derive(Default)]
struct Found {
    entries: BTreeMap<TreePath, Entry>,
    elf: BTreeMap<TreePath, Elf>,
    texts: Texts,
    sha1s: Sha1s,
    notes: Vec<String>,
}

impl Found {
    fn entry(
        &mut self,
        reader: &mut PackageReader<'_>,
        header: Header,
        format: Format,
        wanted: &dyn Fn(&TreePath) -> bool,
        spool: &mut Spool,
    ) -> Result<(), IngestError> {
        let Header { path, kind, meta, size, xattrs, sha1 } = header;
        let xattrs = self.keep_xattrs(&path, xattrs)?;
        let node = match kind {
            Kind::File => {
                let content = self.file(reader, &path, size, wanted(&path), spool)?;
                if let (Format::Apk, Some(sum)) = (format, sha1) {
                    self.sha1s.insert(path.clone(), sum);
                }
                Node::File { content, size }
            }
            Kind::Folder => Node::Folder,
            Kind::Symlink(target) => {
                if let (Format::Apk, Some(sum)) = (format, sha1) {
                    self.sha1s.insert(path.clone(), sum);
                }
                Node::Symlink { target }
            }
            Kind::HardLink(target) => Node::HardLink { target },
            Kind::CharDevice(major, minor) => Node::CharDevice { major, minor },
            Kind::BlockDevice(major, minor) => Node::BlockDevice { major, minor },
            Kind::Fifo => Node::Fifo,
        };
        let entry = Entry { node, meta, xattrs };
        match self.entries.get(&path) {
            Some(known) if *known == entry => Ok(()),
            Some(_) => Err(PackageError::Content(format!("{path} occurs twice, with differences")).into()),
            None => {
                self.entries.insert(path, entry);
                Ok(())
            }
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
        let notes = &mut self.notes;
        xattrs.retain(|name, _| {
            let keep = name == b"security.capability" || name.starts_with(b"user.");
            if !keep {
                notes.push(format!("{path}: the extended attribute {} was dropped", Shown(name.clone())));
            }
            keep
        });
        if xattrs.len() > 255 {
            return Err(PackageError::Content(format!("{path} has more than 255 extended attributes")).into());
        }
        Ok(xattrs)
    }

    fn file(
        &mut self,
        reader: &mut PackageReader<'_>,
        path: &TreePath,
        size: u64,
        wanted: bool,
        spool: &mut Spool,
    ) -> Result<Digest, IngestError> {
        let mut start = [0; 4];
        let got = read_full(reader, &mut start)?;
        let start = &start[..got];
        let is_elf = start == b"\x7fELF";
        let is_text = is_text(path) && size <= MAX_TEXT;
        if size > WHOLE {
            // A large ELF file is read from the stage, whether or not a pack wants it.
            let content = stream(reader, start, size, wanted || is_elf, spool)?;
            let found = is_elf.then(|| Elf::read(&Spooled { spool, content, size })).flatten();
            self.elf.extend(found.map(|elf| (path.clone(), elf)));
            return Ok(content);
        }
        if !(wanted || is_elf || is_text) {
            let mut hasher = blake3::Hasher::new();
            hasher.update(start);
            copy(reader, |bytes| {
                hasher.update(bytes);
                Ok(())
            })?;
            return Ok(Digest::from_hasher(&hasher));
        }
        let mut bytes = Vec::new();
        bytes.reserve_exact(usize::try_from(size).unwrap_or(0).min(1 << 20).max(start.len()));
        bytes.extend_from_slice(start);
        copy(reader, |more| {
            bytes.extend_from_slice(more);
            Ok(())
        })?;
        let content = Digest::of(&bytes);
        if is_elf && let Some(elf) = Elf::parse(&bytes) {
            self.elf.insert(path.clone(), elf);
        }
        if is_text {
            self.texts.insert(path.clone(), bytes.clone());
        }
        if wanted {
            spool.put(content, bytes).map_err(IngestError::Stage)?;
        }
        Ok(content)
    }
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

/// Passes a large file straight on, hashed, to the stage when it is wanted.
fn stream(
    reader: &mut PackageReader<'_>,
    start: &[u8],
    size: u64,
    wanted: bool,
    spool: &mut Spool,
) -> Result<Digest, IngestError> {
    let mut pass = |out: &mut dyn Write| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(start);
        out.write_all(start).map_err(IngestError::Stage)?;
        copy(reader, |bytes| {
            hasher.update(bytes);
            out.write_all(bytes)
        })?;
        Ok((Digest::from_hasher(&hasher), size))
    };
    if wanted { spool.put_large(pass) } else { pass(&mut io::sink()).map(|(content, _)| content) }
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

/// Gives each hard-link group its canonical form: the bytewise first name is the file, the others
/// link to it, all with the file's metadata.
fn link_to_first(entries: BTreeMap<TreePath, Entry>) -> Result<Vec<(TreePath, Entry)>, IngestError> {
    let mut groups: BTreeMap<TreePath, Vec<TreePath>> = BTreeMap::new();
    for (path, entry) in &entries {
        if let Node::HardLink { .. } = entry.node {
            let file = final_target(&entries, path)?;
            groups.entry(file).or_default().push(path.clone());
        }
    }
    let mut entries = entries;
    for (file, mut names) in groups {
        names.push(file.clone());
        names.sort();
        let content = entries.get(&file).cloned().expect("final_target found it");
        let first = names.remove(0);
        let meta: Meta = content.meta;
        let xattrs = content.xattrs.clone();
        for name in names {
            let node = Node::HardLink { target: first.clone() };
            entries.insert(name, Entry { node, meta, xattrs: xattrs.clone() });
        }
        entries.insert(first, content);
    }
    Ok(entries.into_iter().collect())
}

fn final_target(entries: &BTreeMap<TreePath, Entry>, link: &TreePath) -> Result<TreePath, IngestError> {
    let mut at = link;
    // A chain cannot be longer than the package; a circle of links never reaches a file.
    for _ in 0..=entries.len() {
        match entries.get(at).map(|entry| &entry.node) {
            Some(Node::HardLink { target }) => at = target,
            Some(Node::File { .. }) => return Ok(at.clone()),
            _ => break,
        }
    }
    Err(PackageError::Content(format!("{link} is a hard link to what is not a file of the package")).into())
}
