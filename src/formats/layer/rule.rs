//! The tar rule: which bytes stand for an entry, and in which order entries come.
//!
//! The raw tar of a layer is a function of its tree and of [`TAR_RULE`](super::TAR_RULE), nothing
//! else: no clock, no user, no library's habits. A header's fields are found by the names that the crate
//! `tar` has for them, but filled here: its own setters turn a number that does not fit into base-256 or cut
//! it, which is a broken invariant here, and write the checksum with seven digits. Every byte is described in
//! `store-schema/TAR-RULE.md`, so that a stranger could write them again. A changed byte here is a new rule:
//! bump `TAR_RULE`.
//!
//! An entry's *record* is its headers (a pax header with its records, if `ustar` cannot say it all,
//! then the `ustar` header), the content, and zeros up to a multiple of 512 bytes.
//!
//! Sources: POSIX.1-2017 `pax`, "ustar Interchange Format" and "pax Extended Header"
//! (<https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html>).

use std::collections::BTreeMap;

use tar::Header;

use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node};

/// Unit of everything in a tar.
pub(super) const BLOCK: u64 = 512;
/// Length of the two zero blocks at the end.
pub(super) const END: u64 = 2 * BLOCK;
/// Files of this size and above have pieces of their own and come after the small ones.
pub(super) const LARGE: u64 = 64 << 10;

/// Longest path or link target in a `ustar` header; there is no split into prefix and name.
const MAX_NAME: usize = 100;
/// Greatest value of the seven octal digits of owner, group and device numbers.
const MAX_SEVEN: u32 = 0o777_7777;
/// First size that the eleven octal digits cannot say: 8 GiB.
const HUGE: u64 = 1 << 33;
/// Name of every pax header entry; it is never unpacked under this name.
const PAX_NAME: &[u8] = b"././@PaxHeader";

/// Where an entry stands in the raw tar. The order of the variants is the order of the tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Directories, each before what it holds.
    Directory,
    /// Files below [`LARGE`], symbolic links, devices and pipes.
    Small,
    /// Files of [`LARGE`] and above.
    Large,
    /// Other names of files that came before.
    HardLink,
}

impl Class {
    /// Says where an entry stands. Within a class the order is that of the path bytes.
    pub(super) const fn of(entry: &Entry) -> Self {
        match entry.node {
            Node::Directory => Self::Directory,
            Node::File { size, .. } if size >= LARGE => Self::Large,
            Node::HardLink { .. } => Self::HardLink,
            Node::File { .. }
            | Node::Symlink { .. }
            | Node::CharDevice { .. }
            | Node::BlockDevice { .. }
            | Node::Fifo => Self::Small,
        }
    }
}

/// Gives the length of an entry's content in bytes: zero for all but regular files.
pub(super) const fn content_size(entry: &Entry) -> u64 {
    if let Node::File { size, .. } = entry.node { size } else { 0 }
}

/// Gives how many zeros follow content of `size` bytes.
pub(super) const fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK
}

/// Writes the headers of an entry: a whole number of blocks.
pub(super) fn headers(path: &TreePath, entry: &Entry) -> Vec<u8> {
    let mut name = path.as_bytes().to_vec();
    let (kind, target, device): (u8, &[u8], (u32, u32)) = match &entry.node {
        Node::File { .. } => (b'0', b"", (0, 0)),
        Node::HardLink { target } => (b'1', target.as_bytes(), (0, 0)),
        Node::Symlink { target } => (b'2', target, (0, 0)),
        Node::CharDevice { major, minor } => (b'3', b"", (*major, *minor)),
        Node::BlockDevice { major, minor } => (b'4', b"", (*major, *minor)),
        Node::Directory => {
            name.push(b'/');
            (b'5', b"", (0, 0))
        }
        Node::Fifo => (b'6', b"", (0, 0)),
    };
    let mut pax = Pax::default();
    let fields = Fields {
        mode: entry.meta.mode,
        uid: pax.small(b"uid", entry.meta.uid),
        gid: pax.small(b"gid", entry.meta.gid),
        size: pax.size(content_size(entry)),
        mtime: entry.meta.mtime,
        kind,
        target: pax.name(b"linkpath", target),
        major: pax.small(b"SCHILY.devmajor", device.0),
        minor: pax.small(b"SCHILY.devminor", device.1),
        name: pax.name(b"path", &name),
    };
    for (name, value) in &entry.xattrs {
        pax.0.insert([b"SCHILY.xattr.", name.as_slice()].concat(), value.clone());
    }
    let mut out = pax.entry();
    out.extend_from_slice(&fields.block());
    out
}

/// The fields of a `ustar` header that are not the same in all of them.
struct Fields<'a> {
    name: &'a [u8],
    mode: u16,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: u64,
    kind: u8,
    target: &'a [u8],
    major: u32,
    minor: u32,
}

impl Fields<'_> {
    fn block(&self) -> [u8; BLOCK as usize] {
        let mut header = Header::new_ustar();
        let fields = header.as_ustar_mut().expect("it was made as one");
        fields.name[..self.name.len()].copy_from_slice(self.name);
        octal(&mut fields.mode[..7], u64::from(self.mode));
        octal(&mut fields.uid[..7], u64::from(self.uid));
        octal(&mut fields.gid[..7], u64::from(self.gid));
        octal(&mut fields.size[..11], self.size);
        octal(&mut fields.mtime[..11], self.mtime);
        fields.typeflag = [self.kind];
        fields.linkname[..self.target.len()].copy_from_slice(self.target);
        octal(&mut fields.dev_major[..7], u64::from(self.major));
        octal(&mut fields.dev_minor[..7], u64::from(self.minor));
        // The sum counts its own field as blanks; six digits, NUL, blank.
        fields.cksum = [b' '; 8];
        let sum = header.as_bytes().iter().map(|byte| u64::from(*byte)).sum();
        let field = &mut header.as_old_mut().cksum;
        octal(&mut field[..6], sum);
        field[6] = 0;
        *header.as_bytes()
    }
}

/// Fills a field with octal digits, zeros in front; the byte behind it stays NUL.
fn octal(field: &mut [u8], mut value: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
    debug_assert_eq!(value, 0, "the caller says in pax what does not fit");
}

/// The records that `ustar` cannot say, by key.
#[derive(Default)]
struct Pax(BTreeMap<Vec<u8>, Vec<u8>>);

impl Pax {
    /// Gives what the field of seven digits holds: the value, or zero when a record holds it.
    fn small(&mut self, key: &[u8], value: u32) -> u32 {
        if value <= MAX_SEVEN {
            return value;
        }
        self.0.insert(key.to_vec(), value.to_string().into_bytes());
        0
    }

    /// Gives what the size field holds: the value, or zero when a record holds it.
    fn size(&mut self, value: u64) -> u64 {
        if value < HUGE {
            return value;
        }
        self.0.insert(b"size".to_vec(), value.to_string().into_bytes());
        0
    }

    /// Gives what a name field holds: the name, or its first 100 bytes when a record holds it.
    fn name<'a>(&mut self, key: &[u8], value: &'a [u8]) -> &'a [u8] {
        if value.len() > MAX_NAME {
            self.0.insert(key.to_vec(), value.to_vec());
        }
        &value[..value.len().min(MAX_NAME)]
    }

    /// Writes the pax header entry, or nothing when there are no records.
    fn entry(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let records: Vec<u8> = self.0.iter().flat_map(|(key, value)| record(key, value)).collect();
        let size = records.len() as u64;
        let header = Fields {
            name: PAX_NAME,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size,
            mtime: 0,
            kind: b'x',
            target: b"",
            major: 0,
            minor: 0,
        };
        let mut out = header.block().to_vec();
        out.extend_from_slice(&records);
        out.resize(out.len() + padding(size) as usize, 0);
        out
    }
}

/// Writes one pax record: its own length in decimal digits, blank, key, `=`, value, newline.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlstore_model::digest::Digest;
    use dlstore_model::tree::{Meta, Xattrs};

    fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).unwrap()
    }

    fn file(size: u64) -> Entry {
        Entry::new(Node::File { content: Digest::of(b""), size }, Meta::FILE)
    }

    #[test]
    fn a_plain_header_is_what_the_page_says() {
        let entry = Entry {
            node: Node::File { content: Digest::of(b""), size: 0o1234 },
            meta: Meta { mode: 0o4755, uid: 1, gid: 0o777_7777, mtime: (1 << 33) - 1 },
            xattrs: Xattrs::new(),
        };
        let mut expected = vec![0; 512];
        for (at, text) in [
            (0, "usr/bin/su"),
            (100, "0004755\0"),
            (108, "0000001\0"),
            (116, "7777777\0"),
            (124, "00000001234\0"),
            (136, "77777777777\0"),
            (148, "        "),
            (156, "0"),
            (257, "ustar\x0000"),
            (329, "0000000\0"),
            (337, "0000000\0"),
        ] {
            expected[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        let sum: u32 = expected.iter().map(|byte| u32::from(*byte)).sum();
        expected[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(headers(&path("usr/bin/su"), &entry), expected);
    }

    #[test]
    fn what_ustar_cannot_say_is_a_pax_record() {
        let owner = |uid, gid| Entry::new(Node::Fifo, Meta { mode: 0, uid, gid, mtime: 0 });
        let long = "n".repeat(101);
        let link = |target: &str| Entry::new(Node::Symlink { target: target.into() }, Meta::LINK);
        let device = Entry::new(Node::CharDevice { major: 1 << 21, minor: 9 }, Meta::FILE);
        let mut tagged = file(0);
        tagged.xattrs.insert(b"user.b".to_vec(), b"\n\0".to_vec());
        tagged.xattrs.insert(b"user.a".to_vec(), b"".to_vec());
        tagged.meta.uid = 3_000_000;
        let hard = Entry::new(Node::HardLink { target: path(&long) }, Meta::FILE);
        for (name, entry, records) in [
            ("a", file((8 << 30) - 1), String::new()),
            ("a", file(9 << 30), "19 size=9663676416\n".into()),
            ("a", owner(2_097_151, 2_097_151), String::new()),
            ("a", owner(2_097_152, 4_294_967_295), "18 gid=4294967295\n15 uid=2097152\n".into()),
            (&long[..100], file(0), String::new()),
            (&long, file(0), format!("111 path={long}\n")),
            (&long[..99], Entry::new(Node::Directory, Meta::DIRECTORY), String::new()),
            (&long[..100], Entry::new(Node::Directory, Meta::DIRECTORY), format!("111 path={}/\n", &long[..100])),
            ("a", link(&long[..100]), String::new()),
            ("a", link(&long), format!("115 linkpath={long}\n")),
            ("z", hard, format!("115 linkpath={long}\n")),
            ("a", device, "27 SCHILY.devmajor=2097152\n".into()),
            ("a", tagged, "24 SCHILY.xattr.user.a=\n26 SCHILY.xattr.user.b=\n\0\n15 uid=3000000\n".into()),
        ] {
            let written = headers(&path(name), &entry);
            if records.is_empty() {
                assert_eq!(written.len(), 512, "{name}");
                continue;
            }
            assert_eq!(&written[..17], b"././@PaxHeader\0\0\0");
            assert_eq!(&written[100..124], b"0000644\x000000000\x000000000\x00");
            assert_eq!(&written[124..148], format!("{:011o}\x0000000000000\0", records.len()).as_bytes());
            assert_eq!(written[156], b'x');
            assert_eq!(written.len(), 1024 + records.len().next_multiple_of(512), "{name}");
            assert_eq!(String::from_utf8_lossy(&written[512..512 + records.len()]), records);
        }
    }

    #[test]
    fn a_record_counts_the_digits_of_its_own_length() {
        assert_eq!(record(b"a", b"bcd"), b"8 a=bcd\n");
        assert_eq!(record(b"a", b"bcde"), b"9 a=bcde\n");
        assert_eq!(record(b"a", b"bcdef"), b"11 a=bcdef\n");
        assert_eq!(record(b"a", &[b'x'; 92]).len(), 98);
        assert_eq!(record(b"a", &[b'x'; 93]).len(), 99);
        assert_eq!(record(b"a", &[b'x'; 94]).len(), 101);
    }
}
