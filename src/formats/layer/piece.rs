//! Pieces: where the raw tar is cut.
//!
//! A piece is a run of the raw tar that is compressed on its own, so that a merged layer can copy
//! it. The cut depends on the trees only:
//!
//! ```text
//! Directories   all directories                      one section
//! Body      small entries, per part          sections of whole entries, up to 512 KiB each
//! Body      each large file, per part        a section each
//! Body      hard links, per part             one section
//! End       two zero blocks                  one section
//! ```
//!
//! A section longer than 4 MiB is cut at every 4 MiB from its beginning. Sections are listed at
//! once, pieces only when they are asked for: memory does not grow with the size of files.

use std::collections::BTreeMap;
use std::ops::Range;

use super::rule::{BLOCK, Class, END, content_size, headers, padding};
use super::{Contents, LayerError, PieceKind};
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Tree};

/// Greatest raw length of a piece.
pub(super) const MAX_PIECE: u64 = 4 << 20;
/// Small entries are grouped up to this raw length.
pub(super) const GROUP: u64 = 512 << 10;

type Item = (TreePath, Entry);

/// All sections of a raw tar, in order.
pub(super) struct Plan<'a>(Vec<(PieceKind, Vec<&'a Item>)>);

impl<'a> Plan<'a> {
    /// Plans the raw tar of parts: the union of their directories, then their bodies in turn.
    ///
    /// A directory that several parts have is the first part's; in layer trees all say the same.
    pub(super) fn whole(parts: &'a [Tree]) -> Self {
        let mut directories: BTreeMap<&TreePath, &Item> = BTreeMap::new();
        for item in parts.iter().flatten().filter(|item| item.1.is_directory()) {
            directories.entry(&item.0).or_insert(item);
        }
        let mut plan = Self::directories(directories.into_values());
        for part in parts {
            plan.add_body(part);
        }
        plan
    }

    /// Plans the directories alone.
    pub(super) fn directories(directories: impl Iterator<Item = &'a Item>) -> Self {
        let directories: Vec<_> = directories.collect();
        Self(if directories.is_empty() { Vec::new() } else { vec![(PieceKind::Directories, directories)] })
    }

    fn add_body(&mut self, tree: &'a Tree) {
        let of = |class: Class| tree.iter().filter(move |item| Class::of(&item.1) == class);
        let mut group = Vec::new();
        let mut length = 0;
        for item in of(Class::Small) {
            let own = record_length(item);
            if length + own > GROUP && !group.is_empty() {
                self.0.push((PieceKind::Body, std::mem::take(&mut group)));
                length = 0;
            }
            group.push(item);
            length += own;
        }
        let large = of(Class::Large).map(|item| vec![item]);
        for section in std::iter::once(group).chain(large).chain([of(Class::HardLink).collect()]) {
            if !section.is_empty() {
                self.0.push((PieceKind::Body, section));
            }
        }
    }

    /// Cuts the sections into pieces, without the end.
    pub(super) fn pieces(self) -> impl Iterator<Item = Cut> + use<'a> {
        self.0.into_iter().flat_map(|(kind, items)| Section { kind, items: items.into_iter(), open: None })
    }
}

fn record_length(item: &Item) -> u64 {
    let size = content_size(&item.1);
    headers(&item.0, &item.1).len() as u64 + size + padding(size)
}

/// One piece before it is filled: its kind, its raw length and what stands in it.
pub(super) struct Cut {
    pub(super) kind: PieceKind,
    pub(super) raw: u64,
    pub(super) segments: Vec<Segment>,
}

/// A run of bytes inside a piece.
pub(super) enum Segment {
    /// Known bytes: headers and padding.
    Fixed(Vec<u8>),
    /// A part of a file's content, or all of it.
    Content(Part),
}

/// A part of a file's content.
pub(super) struct Part {
    pub(super) path: TreePath,
    pub(super) content: Digest,
    /// Length of the whole content.
    pub(super) size: u64,
    /// Where this part begins in the content.
    pub(super) offset: u64,
    /// Length of this part, at most [`MAX_PIECE`].
    pub(super) length: usize,
}

impl Part {
    /// Says whether this is all of the content.
    pub(super) const fn is_whole(&self) -> bool {
        self.offset == 0 && self.length as u64 == self.size
    }
}

impl Cut {
    /// Gives the end of every tar: two zero blocks.
    pub(super) fn end() -> Self {
        Self { kind: PieceKind::End, raw: END, segments: vec![Segment::Fixed(vec![0; END as usize])] }
    }

    /// Gives the segments and where each stands in the piece.
    pub(super) fn segments(&self) -> impl Iterator<Item = (&Segment, Range<usize>)> {
        let mut at = 0;
        self.segments.iter().map(move |segment| {
            let length = match segment {
                Segment::Fixed(bytes) => bytes.len(),
                Segment::Content(part) => part.length,
            };
            at += length;
            (segment, at - length..at)
        })
    }

    /// Writes the raw bytes. Contents that lie in the piece as a whole are checked.
    pub(super) fn fill(&self, contents: &dyn Contents) -> Result<Vec<u8>, LayerError> {
        let mut raw = vec![0; self.raw as usize];
        for (segment, range) in self.segments() {
            match segment {
                Segment::Fixed(bytes) => raw[range].copy_from_slice(bytes),
                Segment::Content(part) => {
                    let buffer = &mut raw[range];
                    contents
                        .read_at(&part.path, &part.content, part.offset, buffer)
                        .map_err(|source| LayerError::Content { path: part.path.clone(), source })?;
                    if part.is_whole() && Digest::of(buffer) != part.content {
                        return Err(LayerError::Changed(part.path.clone()));
                    }
                }
            }
        }
        Ok(raw)
    }

    /// Says whether `raw` is what [`Cut::fill`] would write, as far as one piece can tell: the
    /// content of files that several pieces share is left to [`SharedContent`].
    pub(super) fn matches(&self, raw: &[u8]) -> bool {
        raw.len() as u64 == self.raw
            && self.segments().all(|(segment, range)| match segment {
                Segment::Fixed(bytes) => raw[range] == **bytes,
                Segment::Content(part) => !part.is_whole() || Digest::of(&raw[range]) == part.content,
            })
    }
}

/// The parts of a piece whose content other pieces share, and where each stands in it.
pub(super) type Shared = Vec<(Part, Range<usize>)>;

impl Cut {
    /// Keeps what [`SharedContent`] needs once the piece is filled: its headers are in the raw bytes.
    pub(super) fn into_shared(self) -> Shared {
        let mut at = 0;
        let place = |segment: Segment| {
            let (part, length) = match segment {
                Segment::Fixed(bytes) => (None, bytes.len()),
                Segment::Content(part) => {
                    let length = part.length;
                    (Some(part).filter(|part| !part.is_whole()), length)
                }
            };
            at += length;
            part.map(|part| (part, at - length..at))
        };
        self.segments.into_iter().filter_map(place).collect()
    }
}

/// Checks the content of files that several pieces share; takes pieces in order.
#[derive(Default)]
pub(super) struct SharedContent(blake3::Hasher);

impl SharedContent {
    /// Takes the next piece. Gives the path of a file that ended here with other content.
    pub(super) fn take<'c>(&mut self, shared: &'c Shared, raw: &[u8]) -> Option<&'c TreePath> {
        for (part, range) in shared {
            if part.offset == 0 {
                self.0.reset();
            }
            self.0.update(&raw[range.clone()]);
            if part.offset + part.length as u64 == part.size && Digest::from_hasher(&self.0) != part.content {
                return Some(&part.path);
            }
        }
        None
    }
}

/// Cuts one section.
struct Section<'a> {
    kind: PieceKind,
    items: std::vec::IntoIter<&'a Item>,
    open: Option<Record<'a>>,
}

/// An entry's record, and how much of it earlier pieces have taken.
struct Record<'a> {
    item: &'a Item,
    headers: Vec<u8>,
    taken: u64,
}

impl Iterator for Section<'_> {
    type Item = Cut;

    fn next(&mut self) -> Option<Cut> {
        let mut cut = Cut { kind: self.kind, raw: 0, segments: Vec::new() };
        while cut.raw < MAX_PIECE {
            let record = self.open.take().or_else(|| {
                self.items.next().map(|item| Record { item, headers: headers(&item.0, &item.1), taken: 0 })
            });
            let Some(record) = record else { break };
            self.open = record.give(&mut cut);
        }
        (cut.raw > 0).then_some(cut)
    }
}

impl Record<'_> {
    /// Puts as much into the piece as there is room for, and gives back what is left.
    fn give(mut self, cut: &mut Cut) -> Option<Self> {
        let head = self.headers.len() as u64;
        let size = content_size(&self.item.1);
        let total = head + size + padding(size);
        let end = total.min(self.taken + (MAX_PIECE - cut.raw));
        let fixed = |from: u64, to: u64| to.min(head).saturating_sub(from) as usize;
        let length = fixed(self.taken, end);
        if length > 0 {
            let from = self.taken as usize;
            cut.segments.push(Segment::Fixed(self.headers[from..from + length].to_vec()));
        }
        if let dlstore_model::tree::Node::File { content, .. } = self.item.1.node {
            let offset = self.taken.max(head) - head;
            let until = end.clamp(head, head + size) - head;
            // Empty content is checked too, in the piece where the headers end.
            let empty = size == 0 && self.taken < head && end >= head;
            if until > offset || empty {
                let path = self.item.0.clone();
                let length = (until - offset) as usize;
                cut.segments.push(Segment::Content(Part { path, content, size, offset, length }));
            }
            let zeros = end.saturating_sub(self.taken.max(head + size)) as usize;
            if zeros > 0 {
                debug_assert!((zeros as u64) < BLOCK);
                cut.segments.push(Segment::Fixed(vec![0; zeros]));
            }
        }
        cut.raw += end - self.taken;
        self.taken = end;
        (end < total).then_some(self)
    }
}
