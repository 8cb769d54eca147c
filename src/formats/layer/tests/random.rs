//! Random layer trees: packing and decoding give the same tar, merging gives the same pack.

use super::*;

fn metas() -> impl Strategy<Value = Meta> {
    (
        0..0o10000_u16,
        prop_oneof![0..9_u32, any::<u32>()],
        0..5_u32,
        prop_oneof![Just(0), 0..dlstore_model::tree::MAX_MTIME],
    )
        .prop_map(|(mode, uid, gid, mtime)| Meta { mode, uid, gid, mtime })
}

/// Layer trees with their contents.
fn layers() -> impl Strategy<Value = (Tree, Memory)> {
    let content = prop_oneof![
        20 => (0..3000_usize).prop_map(lines),
        4 => (0..90_000_usize, any::<u64>()).prop_map(|(length, seed)| noise(length, seed)),
        1 => (4_190_000..4_200_000_usize).prop_map(lines),
    ];
    let name = prop_oneof![4 => "[ab.-]{1,3}", 1 => "[ä-ü]{1,60}"]
        .prop_filter("a name", |name| name != "." && name != ".." && !name.starts_with(".wh."));
    let path = proptest::collection::vec(name, 1..5).prop_map(|names| names.join("/").into_bytes());
    let xattrs = proptest::collection::btree_map(
        "user[.][a-z]{1,5}".prop_map(String::into_bytes),
        proptest::collection::vec(11_u8.., 0..30),
        0..2,
    );
    // The tar crate misreads records with a newline in them.
    let target = proptest::collection::vec(11_u8.., 1..130);
    let entry = (path, content, target, 0_u8..7, metas(), xattrs, any::<(u32, u32)>());
    proptest::collection::vec(entry, 0..24).prop_map(|made| {
        let mut fixture = Fixture::default();
        for (path, bytes, target, kind, meta, xattrs, (major, minor)) in made {
            let path = TreePath::new(&path).unwrap();
            let blocked =
                path.ancestors().any(|parent| fixture.entries.get(&parent).is_some_and(|e| !e.is_directory()));
            if blocked || fixture.entries.contains_key(&path) {
                continue;
            }
            let first = fixture.entries.iter().find(|(_, entry)| matches!(entry.node, Node::File { .. }));
            let node = match kind {
                0 => Node::Symlink { target },
                1 => Node::Fifo,
                2 => Node::CharDevice { major, minor },
                3 => match first {
                    Some((first, _)) if *first < path => Node::HardLink { target: first.clone() },
                    _ => Node::Directory,
                },
                _ => {
                    fixture.file(path.as_bytes(), bytes, meta).xattrs = xattrs;
                    continue;
                }
            };
            fixture.add(path.as_bytes(), node, meta).xattrs = xattrs;
        }
        (fixture.tree(), fixture.contents)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn packs_hold_the_plain_tar_and_do_not_depend_on_threads(layers in proptest::collection::vec(layers(), 1..4)) {
        let mut contents = Memory::default();
        let mut trees = Vec::new();
        for (tree, own) in layers {
            contents.0.extend(own.0);
            trees.push(tree);
        }
        for codec in [Codec::Gzip, Codec::Zstd] {
            let mut parts = Vec::new();
            for tree in &trees {
                let (bytes, info) = pack(tree, &contents, codec);
                prop_assert!(decoded(&bytes, codec) == tar(tree, &contents));
                let own = [stored(&bytes, &info)];
                prop_assert!(verify_pack(std::slice::from_ref(tree), &own[0]).unwrap());
                let mut again = Vec::new();
                let merged = merge_packs(&directories(std::slice::from_ref(tree)), &own, codec, &mut again).unwrap();
                prop_assert!(merged == info && again == bytes, "merging one pack gives it back");
                parts.extend(own);
            }
            let union: BTreeMap<_, _> = trees.iter().rev().flatten().filter(|item| item.1.is_directory()).cloned().collect();
            let union = Tree::new(union.into_iter().collect()).unwrap();
            let outcomes: Vec<_> = [1, 2, 5]
                .into_iter()
                .map(|threads| {
                    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                        let mut out = Vec::new();
                        let info = merge_packs(&union, &parts, codec, &mut out).unwrap();
                        (pack(&trees[0], &contents, codec), out, info)
                    })
                })
                .collect();
            prop_assert!(outcomes[0] == outcomes[1] && outcomes[0] == outcomes[2]);
            let (_, bytes, info) = &outcomes[0];
            prop_assert!(verify_pack(&trees, &stored(bytes, info)).unwrap());
        }
    }

    #[test]
    fn the_tar_crate_reads_the_same_entries((tree, contents) in layers()) {
        let raw = tar(&tree, &contents);
        let mut archive = ::tar::Archive::new(raw.as_slice());
        let mut seen = 0;
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let read = entry.path_bytes().into_owned();
            let path = TreePath::from_archive(&read).unwrap().unwrap();
            let expected = tree.get(&path).unwrap();
            prop_assert_eq!(read.ends_with(b"/"), expected.is_directory());
            prop_assert_eq!(entry.header().mtime().unwrap(), expected.meta.mtime);
            prop_assert_eq!(entry.header().mode().unwrap(), u32::from(expected.meta.mode));
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            match &expected.node {
                Node::File { content, .. } => prop_assert_eq!(Digest::of(&bytes), *content),
                Node::Symlink { target } => prop_assert_eq!(&entry.link_name_bytes().unwrap()[..], &target[..]),
                Node::HardLink { target } => {
                    prop_assert_eq!(&entry.link_name_bytes().unwrap()[..], target.as_bytes());
                }
                _ => prop_assert!(bytes.is_empty()),
            }
            seen += 1;
        }
        prop_assert_eq!(seen, tree.len());
    }
}

#[test]
fn an_entry_with_very_large_attributes_is_cut_too() {
    let mut made = Fixture::default();
    let entry = made.file(b"a", b"abc".to_vec(), Meta::FILE);
    entry.xattrs = (0..90).map(|at| (format!("user.{at}").into_bytes(), noise(60_000, at))).collect::<Xattrs>();
    let tree = made.tree();
    for codec in [Codec::Gzip, Codec::Zstd] {
        let (bytes, info) = pack(&tree, &made.contents, codec);
        assert_eq!(info.pieces.len(), 3);
        assert!(decoded(&bytes, codec) == tar(&tree, &made.contents));
        assert!(verify_pack(std::slice::from_ref(&tree), &stored(&bytes, &info)).unwrap());
    }
}
