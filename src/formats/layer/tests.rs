//! Claims about layers as a whole: golden bytes, other readers, merging, damage.

mod random;

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Seek, Write};
use std::process::Command;

use proptest::prelude::*;

use super::*;
use dlstore_model::tree::{Entry, Meta, Node, Tree, Xattrs};

/// Contents in memory, by their digest.
#[derive(Default, Clone)]
struct Memory(HashMap<Digest, Vec<u8>>);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(digest, bytes)| (digest, bytes.len()))).finish()
    }
}

impl Contents for Memory {
    fn read_at(&self, _: &TreePath, content: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.get(content).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(bytes.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A tree in the making, with its contents.
#[derive(Default)]
struct Fixture {
    entries: BTreeMap<TreePath, Entry>,
    contents: Memory,
}

impl Fixture {
    fn add(&mut self, path: &[u8], node: Node, meta: Meta) -> &mut Entry {
        let path = TreePath::new(path).unwrap();
        for parent in path.ancestors() {
            self.entries.entry(parent).or_insert_with(|| Entry::new(Node::Directory, Meta::DIRECTORY));
        }
        self.entries.entry(path).insert_entry(Entry::new(node, meta)).into_mut()
    }

    fn file(&mut self, path: &[u8], bytes: Vec<u8>, meta: Meta) -> &mut Entry {
        let content = Digest::of(&bytes);
        let size = bytes.len() as u64;
        self.contents.0.insert(content, bytes);
        self.add(path, Node::File { content, size }, meta)
    }

    fn tree(&self) -> Tree {
        Tree::new(self.entries.clone().into_iter().collect()).unwrap()
    }
}

/// Bytes without a pattern that a compressor would find (a 64-bit linear congruential generator).
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Bytes that a compressor likes: numbered lines.
fn lines(length: usize) -> Vec<u8> {
    (0..).flat_map(|line: u32| format!("line {line} of {}\n", line / 7).into_bytes()).take(length).collect()
}

/// Every kind of entry, and every border of the tar rule and of the cut.
fn fixture() -> Fixture {
    let mut made = Fixture::default();
    let dated = Meta { mtime: 1_700_000_000, ..Meta::FILE };
    made.add(b"tmp", Node::Directory, Meta { mode: 0o1777, ..Meta::DIRECTORY });
    made.add(b"dev/null", Node::CharDevice { major: 1, minor: 3 }, Meta { mode: 0o666, ..dated });
    made.add(b"dev/loop0", Node::BlockDevice { major: 7, minor: 0 }, Meta { mode: 0o660, gid: 6, ..dated });
    made.add(b"run/pipe", Node::Fifo, Meta { mode: 0o600, ..dated });
    made.add(b"lib", Node::Symlink { target: b"usr/lib".to_vec() }, Meta::LINK);
    made.add(b"links/long", Node::Symlink { target: vec![b't'; 101] }, Meta::LINK);
    made.file(b"etc/empty", Vec::new(), dated);
    made.file(b"etc/name-\xc3\xa4", b"umlaut".to_vec(), dated);
    made.file(b"etc/name-\xff", b"not UTF-8".to_vec(), dated);
    made.file(b"etc/owned", b"far".to_vec(), Meta { uid: 3_000_000, gid: 2_097_151, ..dated });
    made.file(b"usr/bin/ping", b"#!".to_vec(), Meta { mode: 0o4755, mtime: (1 << 33) - 1, ..dated })
        .xattrs
        .insert(b"security.capability".to_vec(), vec![1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for length in [99, 100, 101] {
        made.file(&[b"n/", vec![b'f'; length - 2].as_slice()].concat(), vec![b'x'; length], dated);
        made.add(&[b"d/", vec![b'd'; length - 2].as_slice()].concat(), Node::Directory, Meta::DIRECTORY);
    }
    for (name, size) in [("less", (64 << 10) - 1), ("even", 64 << 10), ("cut", (4 << 20) + 1), ("block", 4 << 20)] {
        made.file(format!("usr/noise/{name}").as_bytes(), noise(size, size as u64), dated);
        made.file(format!("usr/lines/{name}").as_bytes(), lines(size), dated);
    }
    // Longer than a group of small files.
    for number in 0..20 {
        made.file(format!("usr/share/doc/{number}").as_bytes(), lines(40_000 + number), dated);
    }
    for (name, target) in [("etc/ping", "usr/bin/ping"), ("usr/zzz", "usr/noise/cut")] {
        let path = TreePath::new(target.as_bytes()).unwrap();
        // The bytewise first name is the file.
        if name < target {
            let file = made.entries.remove(&path).unwrap();
            made.entries.insert(TreePath::new(name.as_bytes()).unwrap(), file);
            made.add(target.as_bytes(), Node::HardLink { target: TreePath::new(name.as_bytes()).unwrap() }, dated);
        } else {
            made.add(name.as_bytes(), Node::HardLink { target: path }, dated);
        }
    }
    made
}

fn pack(tree: &Tree, contents: &Memory, codec: Codec) -> (Vec<u8>, PackInfo) {
    let mut out = Vec::new();
    let info = write_pack(tree, contents, codec, &mut out).unwrap();
    (out, info)
}

fn tar(tree: &Tree, contents: &Memory) -> Vec<u8> {
    let mut out = Vec::new();
    write_tar(tree, contents, &mut out).unwrap();
    out
}

fn stored(bytes: &[u8], info: &PackInfo) -> StoredPack {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    StoredPack { info: info.clone(), file }
}

fn decoded(bytes: &[u8], codec: Codec) -> Vec<u8> {
    let mut out = Vec::new();
    match codec {
        Codec::Gzip => {
            let mut member = flate2::bufread::GzDecoder::new(bytes);
            member.read_to_end(&mut out).unwrap();
            assert!(member.into_inner().is_empty(), "one member is all there is");
        }
        Codec::Zstd => {
            ::zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out).unwrap();
        }
    }
    out
}

fn directories(trees: &[Tree]) -> Tree {
    let all = trees.iter().flatten().filter(|item| item.1.is_directory());
    Tree::new(all.cloned().collect::<BTreeMap<_, _>>().into_iter().collect()).unwrap()
}

#[test]
fn the_bytes_of_a_layer_do_not_move() {
    const SENTENCE: &str = "bytes of layers changed: a changed tar needs a bump of TAR_RULE, \
                            a changed blob a bump of the codec's name; else caches hold other bytes under the same key";
    let made = fixture();
    let tree = made.tree();
    let raw = tar(&tree, &made.contents);
    for (codec, blob) in [
        (Codec::Gzip, "fc47d0cab999d1791133aafbad6bed462cc6dbdf576a00daaa257222181c037f"),
        (Codec::Zstd, "4076876f43e8b1d6b506a7acc82daa28f835dda285f4682bf938b2b4d38ff151"),
    ] {
        let (bytes, info) = pack(&tree, &made.contents, codec);
        assert_eq!(OciDigest::of(&bytes), info.blob);
        assert_eq!(OciDigest::of(&raw), info.diff_id);
        assert_eq!((bytes.len() as u64, raw.len() as u64), (info.size, info.raw_size));
        assert!(decoded(&bytes, codec) == raw, "{codec:?}");
        assert_eq!(PackInfo::decode(&info.encode()).as_ref(), Ok(&info));
        assert_eq!(
            (info.diff_id.to_hex().as_str(), info.blob.to_hex().as_str()),
            ("cefbb92184d74c0b79f25f569053b1098cff4e46b60f61475e545578312be0ee", blob),
            "{codec:?}: {SENTENCE}"
        );
    }
    assert_eq!(
        pack_key(Codec::Gzip, &[Digest::of(b"a"), Digest::of(b"b")]).to_hex(),
        "fb0d1e4504e79951d3ee6881cbd2739914e223174fcb41ad44539b0a36600ecf",
        "pack keys changed: every cache would be empty"
    );
}

#[test]
fn keys_differ_by_codec_parts_and_their_order() {
    let [a, b] = [Digest::of(b"a"), Digest::of(b"b")];
    let keys = [
        pack_key(Codec::Gzip, &[a]),
        pack_key(Codec::Zstd, &[a]),
        pack_key(Codec::Gzip, &[a, b]),
        pack_key(Codec::Gzip, &[b, a]),
        pack_key(Codec::Gzip, &[]),
    ];
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
}

#[test]
fn pieces_are_cut_where_the_page_says() {
    let made = fixture();
    let (_, info) = pack(&made.tree(), &made.contents, Codec::Gzip);
    let cut: Vec<_> = info.pieces.iter().map(|piece| (piece.kind, piece.raw)).collect();
    let full = 4 << 20;
    let even = 512 + (64 << 10);
    let body = PieceKind::Body;
    assert_eq!(
        cut,
        [
            (PieceKind::Directories, 14 * 512 + 2 * 3 * 512),
            // Small entries in groups of whole entries up to 512 KiB.
            (body, cut[1].1),
            (body, cut[2].1),
            // Large ones in path order: block, cut, even of lines and of noise.
            (body, full),
            (body, 512),
            (body, full),
            (body, 1024),
            (body, even),
            (body, full),
            (body, 512),
            (body, full),
            (body, 1024),
            (body, even),
            (body, 2 * 512),
            (PieceKind::End, 1024),
        ]
    );
    assert!(cut[1].1 <= 512 << 10 && cut[2].1 <= 512 << 10 && cut[1].1 + cut[2].1 > 512 << 10);
}

#[test]
fn other_programs_read_it() {
    let made = fixture();
    let tree = made.tree();
    let directory = tempfile::tempdir().unwrap();
    let run = |program: &str, arguments: &[&str]| -> Option<String> {
        let Ok(output) = Command::new(program).args(arguments).current_dir(directory.path()).output() else {
            println!("skipped: there is no {program}");
            return None;
        };
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    std::fs::write(directory.path().join("layer.tar"), tar(&tree, &made.contents)).unwrap();
    std::fs::write(directory.path().join("layer.tar.gz"), pack(&tree, &made.contents, Codec::Gzip).0).unwrap();
    run("gzip", &["-t", "layer.tar.gz"]);
    let listed =
        run("tar", &["--numeric-owner", "--utc", "--full-time", "--xattrs", "--xattrs-include=*", "-tvf", "layer.tar"]);
    if let Some(listed) = listed.filter(|_| gnu_tar()) {
        assert_eq!(listed.lines().count(), tree.len());
        for line in [
            "drwxrwxrwt 0/0               0 1970-01-01 00:00:00 tmp/",
            "crw-rw-rw- 0/0             1,3 2023-11-14 22:13:20 dev/null",
            "brw-rw---- 0/6             7,0 2023-11-14 22:13:20 dev/loop0",
            "prw------- 0/0               0 2023-11-14 22:13:20 run/pipe",
            "lrwxrwxrwx 0/0               0 1970-01-01 00:00:00 lib -> usr/lib",
            "-rw-r--r-- 3000000/2097151   3 2023-11-14 22:13:20 etc/owned",
            "-rwsr-xr-x* 0/0              2 2242-03-16 12:56:31 etc/ping",
            "hrw-r--r-- 0/0               0 2023-11-14 22:13:20 usr/bin/ping link to etc/ping",
        ] {
            let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(listed.lines().any(|one| squeezed(one) == squeezed(line)), "{line}\n{listed}");
        }
    }
    let script = "
import tarfile, zlib
data = open('layer.tar.gz', 'rb').read()
member = zlib.decompressobj(31)
raw = member.decompress(data)
assert member.eof and not member.unused_data and raw == open('layer.tar', 'rb').read()
for entry in tarfile.open('layer.tar'):
    print(entry.name, entry.type.decode(), entry.size, entry.uid, entry.mode, entry.mtime, sep='|')
    if entry.name == 'etc/ping':
        value = entry.pax_headers['SCHILY.xattr.security.capability']
        assert value.encode() == bytes([1, 0, 0, 2, 0, 0x20] + [0] * 14)
";
    if let Some(listed) = run("python3", &["-c", script]) {
        assert_eq!(listed.lines().count(), tree.len());
        assert!(listed.contains("etc/owned|0|3|3000000|420|1700000000\n"), "{listed}");
        assert!(listed.contains(&format!("n/{}|0|101|0|420|1700000000\n", "f".repeat(99))), "{listed}");
    }
}

fn gnu_tar() -> bool {
    let version = Command::new("tar").arg("--version").output();
    version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("GNU tar"))
}

#[test]
fn merged_packs_are_what_writing_them_at_once_would_be() {
    let made = fixture();
    let whole = made.tree();
    let (mut first, mut second) = (Fixture::default(), Fixture::default());
    second.file(b"opt/x", b"x".to_vec(), Meta::FILE);
    first.file(b"opt/y", lines(5 << 20), Meta::FILE);
    first.add(b"opt/z", Node::HardLink { target: TreePath::new(b"opt/y").unwrap() }, Meta::FILE);
    let mut contents = made.contents.clone();
    contents.0.extend(first.contents.0.clone());
    contents.0.extend(second.contents.0.clone());
    let trees = [first.tree(), whole, second.tree()];
    for codec in [Codec::Gzip, Codec::Zstd] {
        let merged: Vec<(Vec<u8>, PackInfo)> = [Codec::Gzip, Codec::Zstd]
            .into_iter()
            .map(|from| {
                let parts = trees.each_ref().map(|tree| {
                    let (bytes, info) = pack(tree, &contents, from);
                    stored(&bytes, &info)
                });
                let mut out = Vec::new();
                let info = merge_packs(&directories(&trees), &parts, codec, &mut out).unwrap();
                (out, info)
            })
            .collect();
        assert!(merged[0] == merged[1], "the codec of the parts does not matter");
        let (bytes, info) = &merged[0];
        assert_eq!((OciDigest::of(bytes), bytes.len() as u64), (info.blob, info.size));
        let raw = decoded(bytes, codec);
        assert_eq!((OciDigest::of(&raw), raw.len() as u64), (info.diff_id, info.raw_size));
        assert!(verify_pack(&trees, &stored(bytes, info)).unwrap());
        let mut others = trees.clone();
        others.swap(0, 2);
        assert!(!verify_pack(&others, &stored(bytes, info)).unwrap(), "the order of parts matters");
        assert!(!verify_pack(&trees[..2], &stored(bytes, info)).unwrap());
        // The joined tar is [directories][bodies in turn][end] of the single ones.
        let all = directories(&trees);
        let head = tar(&all, &contents);
        let mut joined = head[..head.len() - 1024].to_vec();
        for tree in &trees {
            let single = tar(tree, &contents);
            let own = tar(&directories(std::slice::from_ref(tree)), &contents).len() - 1024;
            joined.extend_from_slice(&single[own..single.len() - 1024]);
        }
        joined.extend_from_slice(&[0; 1024]);
        assert!(raw == joined);
    }
}

#[test]
fn content_that_is_not_the_trees_is_refused() {
    let made = fixture();
    let tree = made.tree();
    for victim in ["etc/owned", "usr/lines/cut", "usr/noise/even"] {
        let victim = TreePath::new(victim.as_bytes()).unwrap();
        let Some(Entry { node: Node::File { content, .. }, .. }) = tree.get(&victim) else { panic!("a file") };
        let mut contents = made.contents.clone();
        *contents.0.get_mut(content).unwrap().last_mut().unwrap() ^= 1;
        for codec in [Codec::Gzip, Codec::Zstd] {
            let outcome = write_pack(&tree, &contents, codec, &mut io::sink());
            assert!(matches!(outcome, Err(LayerError::Changed(path)) if path == victim));
        }
        assert!(
            matches!(write_tar(&tree, &contents, &mut io::sink()), Err(LayerError::Changed(path)) if path == victim)
        );
        contents.0.remove(content);
        let outcome = write_pack(&tree, &contents, Codec::Gzip, &mut io::sink());
        assert!(matches!(outcome, Err(LayerError::Content { path, .. }) if path == victim));
    }
}

#[test]
fn a_full_sink_is_an_error() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let made = fixture();
    for codec in [Codec::Gzip, Codec::Zstd] {
        assert!(matches!(write_pack(&made.tree(), &made.contents, codec, &mut Full), Err(LayerError::Write(_))));
    }
}

/// A small layer of which every byte can be damaged in turn.
fn small() -> (Tree, Memory) {
    let mut made = Fixture::default();
    made.file(b"a/one", lines(700), Meta::FILE);
    made.file(b"a/two", noise(70_000, 1)[..300].to_vec(), Meta::FILE);
    made.file(b"a/zeros", vec![0; 65_536], Meta::FILE);
    (made.tree(), made.contents)
}

#[test]
fn a_damaged_pack_is_never_accepted_and_never_merged_wrong() {
    let (tree, contents) = small();
    for codec in [Codec::Gzip, Codec::Zstd] {
        let (bytes, info) = pack(&tree, &contents, codec);
        assert!(verify_pack(std::slice::from_ref(&tree), &stored(&bytes, &info)).unwrap());
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            let bad = stored(&bad, &info);
            assert!(!verify_pack(std::slice::from_ref(&tree), &bad).unwrap(), "{codec:?} {at}");
            let mut out = Vec::new();
            match merge_packs(&tree, &[bad], codec, &mut out) {
                // Envelope, directories and end are not copied.
                Ok(merged) => assert!(merged == info && out == bytes, "{codec:?} {at}"),
                Err(LayerError::Damaged(blob)) => assert_eq!(blob, info.blob),
                Err(other) => panic!("{other}"),
            }
        }
        for bad in [&bytes[..bytes.len() - 1], &[&bytes[..], b"\0"].concat(), b""] {
            let bad = stored(bad, &info);
            assert!(!verify_pack(std::slice::from_ref(&tree), &bad).unwrap());
            let outcome = merge_packs(&tree, &[bad], codec, &mut io::sink());
            assert!(matches!(outcome, Err(LayerError::Damaged(_))));
        }
    }
}

#[test]
fn a_table_that_does_not_fit_is_damage() {
    let (tree, contents) = small();
    let changes: [fn(&mut PackInfo); 10] = [
        |info| info.blob = OciDigest::of(b""),
        |info| info.diff_id = OciDigest::of(b""),
        |info| info.pieces[1].crc32 ^= 1,
        |info| info.pieces[1].packed_crc32 ^= 1,
        |info| info.pieces[1].raw = u64::MAX,
        |info| (info.pieces[1].raw, info.pieces[2].raw) = (info.pieces[1].raw - 512, info.pieces[2].raw + 512),
        |info| info.pieces[1].kind = PieceKind::Directories,
        |info| (info.pieces[1].packed, info.pieces[2].packed) = (info.pieces[2].packed, info.pieces[1].packed),
        |info| info.pieces.clear(),
        |info| info.size = 3,
    ];
    for (number, change) in changes.iter().enumerate() {
        for codec in [Codec::Gzip, Codec::Zstd] {
            let (bytes, info) = pack(&tree, &contents, codec);
            let mut other = info.clone();
            change(&mut other);
            let expected = other == info;
            assert_eq!(
                verify_pack(std::slice::from_ref(&tree), &stored(&bytes, &other)).unwrap(),
                expected,
                "{number} {codec:?}"
            );
        }
    }
}

#[test]
fn a_pack_is_not_that_of_another_tree() {
    type Change = fn(&mut BTreeMap<TreePath, Entry>, TreePath);
    let (tree, contents) = small();
    let (bytes, info) = pack(&tree, &contents, Codec::Gzip);
    let path = |text: &str| TreePath::new(text.as_bytes()).unwrap();
    let changes: [Change; 4] = [
        |entries, path| entries.get_mut(&path).unwrap().meta.mode ^= 1,
        |entries, path| drop(entries.remove(&path)),
        |entries, path| {
            let Some(Entry { node: Node::File { content, .. }, .. }) = entries.get_mut(&path) else { panic!("a file") };
            *content = Digest::of(b"other");
        },
        |entries, path| {
            let Some(Entry { node: Node::File { size, .. }, .. }) = entries.get_mut(&path) else { panic!("a file") };
            *size += 1;
        },
    ];
    for victim in ["a/one", "a/zeros"] {
        for change in changes {
            let mut entries: BTreeMap<_, _> = tree.clone().into_entries().into_iter().collect();
            change(&mut entries, path(victim));
            let other = Tree::new(entries.into_iter().collect()).unwrap();
            assert!(!verify_pack(&[other], &stored(&bytes, &info)).unwrap(), "{victim}");
        }
    }
}

#[test]
fn the_empty_tree_is_two_zero_blocks() {
    let (empty, none) = (Tree::default(), Memory::default());
    assert_eq!(tar(&empty, &none), [0; 1024]);
    for codec in [Codec::Gzip, Codec::Zstd] {
        let (bytes, info) = pack(&empty, &none, codec);
        assert_eq!(decoded(&bytes, codec), [0; 1024]);
        assert!(verify_pack(&[], &stored(&bytes, &info)).unwrap());
        let mut merged = Vec::new();
        assert_eq!(merge_packs(&empty, &[], codec, &mut merged).unwrap(), info);
        assert_eq!(merged, bytes);
    }
}
