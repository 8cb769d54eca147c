//! Layers and other tars, read by a reader that is not the program's own: the crate `tar`.
//!
//! [`read`] gives everything that stands there; [`entries`] what a file system would have of it, with BLAKE3 in the place
//! of bytes. Layers of the built-in images are read once for a test binary.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, OnceLock};

use crate::images::{Image, Set};

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file with so many bytes, and their BLAKE3.
    File {
        /// In bytes.
        size: u64,
        /// As hexadecimal digits.
        blake3: String,
    },
    /// A symbolic link, and where it leads.
    Link(String),
    /// Another name of a file, and that with a leading slash.
    HardLink(String),
    /// Anything else, by its type in tar.
    Other(u8),
}

/// An entry but for its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Permissions and the three bits above them.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u64,
    /// Numeric group.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Extended attributes and whatever else a pax header says of the entry.
    pub extra: BTreeMap<String, Vec<u8>>,
}

/// Paths with a leading slash.
pub type Tree = BTreeMap<String, Item>;

/// What a tar says of a path, with the bytes that it has there.
#[derive(Debug, Clone)]
pub struct Member {
    /// The path as it stands there, with its slashes.
    pub path: Vec<u8>,
    /// Its header.
    pub header: tar::Header,
    /// Where a link of any kind leads; empty for all else.
    pub target: Vec<u8>,
    /// What pax headers say of it, but for path, target and size.
    pub extra: BTreeMap<String, Vec<u8>>,
    /// The bytes of a file.
    pub content: Vec<u8>,
}

/// Reads a tar in its order.
pub fn read(tar: impl Read, mut each: impl FnMut(Member)) {
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut extra = BTreeMap::new();
        if let Some(records) = entry.pax_extensions().unwrap() {
            for record in records {
                let record = record.unwrap();
                let key = record.key().unwrap();
                if !matches!(key, "path" | "linkpath" | "size") {
                    extra.insert(key.to_owned(), record.value_bytes().to_vec());
                }
            }
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        each(Member {
            path: entry.path_bytes().into_owned(),
            header: entry.header().clone(),
            target: entry.link_name_bytes().map(Cow::into_owned).unwrap_or_default(),
            extra,
            content,
        });
    }
}

/// Names and contents of a tar.
pub fn contents(tar: impl Read) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    read(tar, |member| _ = found.insert(String::from_utf8(member.path).unwrap(), member.content));
    found
}

/// Reads a tar as a list of items, in its order. Paths get a leading slash.
pub fn entries(tar: impl Read) -> Vec<(String, Item)> {
    let mut found = Vec::new();
    read(tar, |member| {
        let header = &member.header;
        let (mode, uid, gid, mtime) =
            (header.mode().unwrap() & 0o7777, header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
        let target = || String::from_utf8(member.target.clone()).unwrap();
        let kind = match header.entry_type() {
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Link(target()),
            tar::EntryType::Link => Kind::HardLink(absolute(&target())),
            tar::EntryType::Regular => Kind::File {
                size: member.content.len() as u64,
                blake3: blake3::hash(&member.content).to_hex().to_string(),
            },
            other => Kind::Other(other.as_byte()),
        };
        let path = absolute(std::str::from_utf8(&member.path).unwrap());
        found.push((path, Item { kind, mode, uid, gid, mtime, extra: member.extra }));
    });
    found
}

/// `./a/b/`, `a/b` and `/a/b` are `/a/b`.
pub fn absolute(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path).trim_matches('/');
    if path == "." { "/".to_owned() } else { format!("/{path}") }
}

/// How every zstd frame begins (RFC 8878, 3.1.1).
pub const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Decompresses by what the first bytes say. Of gzip it reads one member, as the readers do that stop after it.
pub fn decompressed<'s>(mut source: impl BufRead + 's) -> Box<dyn Read + 's> {
    let start = source.fill_buf().unwrap();
    if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::GzDecoder::new(source))
    } else if start.starts_with(&ZSTD) {
        Box::new(zstd::Decoder::with_buffer(source).unwrap())
    } else {
        Box::new(source)
    }
}

/// The entries of a layer in their order, read once.
pub fn layer(set: &Set, digest: &str) -> Arc<Vec<(String, Item)>> {
    type Known = HashMap<String, Arc<Vec<(String, Item)>>>;
    static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    if let Some(entries) = known.lock().unwrap().get(digest) {
        return Arc::clone(entries);
    }
    let file = BufReader::new(File::open(set.layout.file(digest)).unwrap());
    let entries = Arc::new(entries(BufReader::new(decompressed(file))));
    known.lock().unwrap().insert(digest.to_owned(), Arc::clone(&entries));
    entries
}

/// Puts layers over one another as a runtime does, and fails on what a base image must not do to its
/// users' runtimes: whiteouts, an entry without its directory, a directory that hides a link.
pub fn flatten(set: &Set, image: &Image, oci: &str) -> Tree {
    let mut tree = Tree::new();
    for layer_of in &image.platform(oci).layers {
        for (path, item) in layer(set, &layer_of.digest).iter() {
            let at = format!("{} on {oci}: {path} in layer {:?}", image.reference, layer_of.title);
            let (parent, name) = path.rsplit_once('/').unwrap();
            assert!(!name.starts_with(".wh."), "a whiteout: {at}");
            assert!(
                parent.is_empty() || tree.get(parent).is_some_and(|above| above.kind == Kind::Directory),
                "no directory above: {at}"
            );
            if let Some(below) = tree.get(path) {
                assert_eq!(below.kind == Kind::Directory, item.kind == Kind::Directory, "hides another kind: {at}");
                assert!(item.kind != Kind::Directory || below == item, "a directory changes: {at}");
            }
            tree.insert(path.clone(), item.clone());
        }
    }
    tree
}

/// Fails with the paths in which two trees differ.
pub fn assert_same(left: &Tree, right: &Tree, at: &str) {
    let all: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differing: Vec<String> = all
        .into_iter()
        .filter(|path| left.get(*path) != right.get(*path))
        .map(|path| format!("{path}\n  {:?}\n  {:?}", left.get(path), right.get(path)))
        .collect();
    let shown = differing.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(differing.is_empty(), "{at}: {} paths differ:\n{shown}", differing.len());
}
