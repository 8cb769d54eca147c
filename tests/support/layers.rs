//! Layers, read by a reader that is not the program's own: the crate `tar`.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use super::images::{Image, Set};

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File { size: u64, blake3: String },
    Link(String),
    HardLink(String),
    Other(u8),
}

/// An entry but for its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: u64,
    /// Extended attributes and whatever else a pax header says of the entry.
    pub(crate) extra: BTreeMap<String, Vec<u8>>,
}

/// Paths with a leading slash.
pub(crate) type Tree = BTreeMap<String, Item>;

/// Reads a tar in its order. Paths get a leading slash.
pub(crate) fn entries(tar: impl Read) -> Vec<(String, Item)> {
    let mut archive = tar::Archive::new(tar);
    let list = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = absolute(std::str::from_utf8(&entry.path_bytes()).unwrap());
        let target = |entry: &tar::Entry<'_, _>| {
            entry.link_name_bytes().map(|name| String::from_utf8(name.into_owned()).unwrap()).unwrap_or_default()
        };
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
        let header = entry.header();
        let (mode, uid, gid, mtime) =
            (header.mode().unwrap() & 0o7777, header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
        let kind = match header.entry_type() {
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Link(target(&entry)),
            tar::EntryType::Link => Kind::HardLink(absolute(&target(&entry))),
            tar::EntryType::Regular => {
                let mut hasher = blake3::Hasher::new();
                let mut size = 0;
                let mut buffer = vec![0; 1 << 16];
                loop {
                    let count = entry.read(&mut buffer).unwrap();
                    if count == 0 {
                        break;
                    }
                    size += count as u64;
                    hasher.update(&buffer[..count]);
                }
                Kind::File { size, blake3: hasher.finalize().to_hex().to_string() }
            }
            other => Kind::Other(other.as_byte()),
        };
        (path, Item { kind, mode, uid, gid, mtime, extra })
    });
    list.collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `./a/b/`, `a/b` and `/a/b` are `/a/b`.
pub(crate) fn absolute(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path).trim_matches('/');
    if path == "." { "/".to_owned() } else { format!("/{path}") }
}

/// Opens a compressed file by what its first bytes say.
pub(crate) fn decompressed(file: &Path) -> Box<dyn Read> {
    let mut magic = [0; 4];
    File::open(file).unwrap().read_exact(&mut magic).unwrap();
    let source = BufReader::new(File::open(file).unwrap());
    match magic {
        [0x1f, 0x8b, ..] => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(source))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(BufReader::new(zstd::Decoder::new(source).unwrap())),
        _ => Box::new(source),
    }
}

/// The entries of a layer in their order, read once.
pub(crate) fn layer(set: &Set, digest: &str) -> Arc<Vec<(String, Item)>> {
    type Known = HashMap<String, Arc<Vec<(String, Item)>>>;
    static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    if let Some(entries) = known.lock().unwrap().get(digest) {
        return Arc::clone(entries);
    }
    let entries = Arc::new(entries(decompressed(&set.blob(digest))));
    known.lock().unwrap().insert(digest.to_owned(), Arc::clone(&entries));
    entries
}

/// Puts layers over one another as a runtime does, and fails on what a base image must not do to its
/// users' runtimes: whiteouts, an entry without its directory, a directory that hides a link.
pub(crate) fn flatten(set: &Set, image: &Image, oci: &str) -> Tree {
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
pub(crate) fn assert_same(left: &Tree, right: &Tree, at: &str) {
    let all: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differing: Vec<String> = all
        .into_iter()
        .filter(|path| left.get(*path) != right.get(*path))
        .map(|path| format!("{path}\n  {:?}\n  {:?}", left.get(path), right.get(path)))
        .collect();
    let shown = differing.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(differing.is_empty(), "{at}: {} paths differ:\n{shown}", differing.len());
}
