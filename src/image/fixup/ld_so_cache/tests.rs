//! The cache on made roots: order, links, configuration and bytes of all architectures, pinned.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::read::Cache;
use super::*;
use crate::fixup::tests::fingerprint;
use crate::rootfs::Rootfs;
use crate::rootfs::part::tests::bare;
use crate::rootfs::part::{Bytes, Part};
use dlstore_formats::elf::{Elf, System};
use dlstore_model::digest::Digest;
use dlstore_model::tree::{Entry, Meta, Node};

/// A rootfs made by hand: `path` a file, `path/` a directory, `path -> target` a link, `path = text` a text,
/// `path : soname` a library.
struct Hand(Rootfs);

fn hand(arch: Arch, lines: &[&str]) -> Hand {
    let (mut entries, mut elf, mut texts) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut file = |path: &str, text: &[u8]| {
        let content = Digest::of(text);
        texts.insert(content, text.to_vec());
        (fixed(path), Entry::new(Node::File { content, size: text.len() as u64 }, Meta::FILE))
    };
    for line in lines {
        if let Some((path, target)) = line.split_once(" -> ") {
            entries.push((fixed(path), Entry::new(Node::Symlink { target: target.into() }, Meta::LINK)));
        } else if let Some((path, text)) = line.split_once(" = ") {
            entries.push(file(path, text.replace('|', "\n").as_bytes()));
        } else if let Some((path, soname)) = line.split_once(" : ") {
            entries.push(file(path, b""));
            let (machine, flags) = match arch {
                Arch::Riscv64 => (243, 5),
                Arch::ArmV7 => (40, 0x0500_0400),
                Arch::ArmV6 => (40, 0x0500_0200),
                Arch::I386 => (3, 0),
                _ => (62, 0),
            };
            let is_64 = !matches!(arch, Arch::ArmV6 | Arch::ArmV7 | Arch::I386);
            let soname = Some(soname.as_bytes().to_vec()).filter(|name| !name.is_empty());
            let is_big_endian = machine::is_big_endian(arch);
            elf.push((
                fixed(path),
                Elf {
                    is_64,
                    is_big_endian,
                    machine,
                    kind: 3,
                    system: System::Linux,
                    has_entry: false,
                    flags,
                    soname,
                    needed: vec![],
                    search: vec![],
                    search_by: dlstore_formats::elf::SearchTag::RunPath,
                    interpreter: None,
                    requires: vec![],
                    defines: vec![],
                },
            ));
        } else if let Some(path) = line.strip_suffix('/') {
            entries.push((fixed(path), Entry::new(Node::Directory, Meta::DIRECTORY)));
        } else {
            entries.push(file(line, b""));
        }
    }
    let mut rootfs = Rootfs::default();
    rootfs.add(Arc::new(Part { elf, bytes: Bytes::Memory(Arc::new(texts)), ..bare(entries) })).unwrap();
    Hand(rootfs)
}

impl Hand {
    fn make(&self, arch: Arch) -> Generated {
        ld_so_cache(arch, &View::new(&self.0), "ldconfig (test) stable release version 2.41", 7).unwrap()
    }

    fn cache(&self, arch: Arch) -> Cache {
        Cache::parse(arch, self.make(arch).bytes(&fixed("etc/ld.so.cache")).unwrap()).unwrap()
    }
}

const LINES: &[&str] = &[
    "lib -> usr/lib",
    "etc/ld.so.conf = include /etc/ld.so.conf.d/*.conf",
    "etc/ld.so.conf.d/local.conf = # mine|/usr/local/lib/ # trailing",
    "etc/ld.so.conf.d/.hidden.conf = /opt/hidden",
    "etc/ld.so.conf.d/z.conf = /lib/T|/usr/lib/T|include more/*.x",
    "etc/ld.so.conf.d/more/a.x = /opt/lib",
    "usr/local/lib/libtop.so.2.1 : libtop.so.2",
    "opt/lib/libplain.so : ",
    "opt/hidden/libno.so : libno.so",
    "usr/lib/libx.so.10 : libx.so.10",
    "usr/lib/libx.so.9.9 : libx.so.9",
    "usr/lib/libx.so.9 -> libx.so.9.9",
    "usr/lib/libx.so -> libx.so.9",
    "usr/lib/libdangling.so.1 -> nowhere",
    "usr/lib/libscript.so",
    "usr/lib/glibc-hwcaps/power9/libx.so.9.9 : libx.so.9",
    "usr/lib/glibc-hwcaps/power9/libx.so.9 -> libx.so.9.9",
    "usr/lib/glibc-hwcaps/power10/libx.so.9 : libx.so.9",
    "usr/lib/glibc-hwcaps/empty/",
];

#[test]
fn the_cache_answers_as_a_loader_of_each_architecture_asks() {
    for arch in Arch::ALL {
        let lines: Vec<String> = LINES.iter().map(|line| line.replace("/T", &format!("/{}", arch.triplet()))).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let cache = hand(arch, &lines).cache(arch);
        let flags = cache.entries[0].flags;
        let paths = |name: &str| -> Vec<String> {
            let found = cache.lookup(name.as_bytes(), flags);
            found.iter().map(|entry| String::from_utf8(entry.path.clone()).unwrap()).collect()
        };
        let best = ["/lib/glibc-hwcaps/power10/libx.so.9", "/lib/glibc-hwcaps/power9/libx.so.9.9", "/lib/libx.so.9"];
        assert_eq!(paths("libx.so.9"), best);
        assert_eq!(paths("libx.so.10"), ["/lib/libx.so.10"]);
        assert_eq!(paths("libx.so"), ["/lib/libx.so"]);
        assert_eq!(paths("libtop.so.2"), ["/usr/local/lib/libtop.so.2"]);
        assert_eq!(paths("libplain.so"), ["/opt/lib/libplain.so"]);
        assert!(["libno.so", "libscript.so", "libdangling.so.1"].iter().all(|name| paths(name).is_empty()));
        assert_eq!(cache.entries.len(), 7);
    }
}

#[test]
fn a_cache_of_another_byte_order_is_not_used() {
    let bytes = hand(Arch::S390x, LINES).make(Arch::S390x).bytes(&fixed("etc/ld.so.cache")).unwrap().to_vec();
    assert!(Cache::parse(Arch::S390x, &bytes).is_some());
    assert_eq!(Cache::parse(Arch::Amd64, &bytes), None);
}

#[test]
fn a_cut_or_changed_cache_never_panics() {
    let bytes = hand(Arch::Amd64, LINES).make(Arch::Amd64).bytes(&fixed("etc/ld.so.cache")).unwrap().to_vec();
    for at in 0..bytes.len() {
        assert_eq!(Cache::parse(Arch::Amd64, &bytes[..at]), None);
        let mut changed = bytes.clone();
        changed[at] ^= 0xff;
        let _ = Cache::parse(Arch::Amd64, &changed).map(|cache| cache.lookup(b"libx.so.9", 0x303).len());
    }
}

#[test]
fn a_missing_link_to_a_library_is_made() {
    let generated = hand(Arch::Amd64, LINES).make(Arch::Amd64);
    let links: Vec<_> =
        generated.entries.iter().filter(|(_, entry)| matches!(entry.node, Node::Symlink { .. })).collect();
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].0, fixed("usr/local/lib/libtop.so.2"));
    assert_eq!(links[0].1.node, Node::Symlink { target: b"libtop.so.2.1".to_vec() });
}

#[test]
fn a_root_without_libraries_has_an_empty_cache_of_139_bytes() {
    let rootfs = Rootfs::default();
    let generated = ld_so_cache(Arch::Amd64, &View::new(&rootfs), &debian_generator("2.41-12+deb13u4"), 0).unwrap();
    assert_eq!(generated.bytes(&fixed("etc/ld.so.cache")).unwrap().len(), 139);
}

#[test]
fn loops_of_links_and_of_includes_end() {
    let lines =
        ["lib -> usr/lib", "usr/lib -> ../lib", "etc/ld.so.conf = include /etc/ld.so.conf /etc/ld.so.conf|/lib"];
    assert_eq!(hand(Arch::Amd64, &lines).cache(Arch::Amd64).entries, []);
}

fn asked_for(lines: &[String]) -> Result<Vec<Vec<u8>>, TooMuch> {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    configuration::directories(Arch::Amd64, &View::new(&hand(Arch::Amd64, &lines).0))
}

#[test]
fn patterns_through_links_in_a_circle_look_at_each_directory_once() {
    let mut lines: Vec<String> = (0..300).map(|at| format!("a/l{at} -> .")).collect();
    lines.extend((0..300).map(|at| format!("a/sub{at}/one.conf = /opt/{}", at % 9)));
    lines.extend((0..300).map(|at| format!("a/sub{at}/up -> ..")));
    lines.push("etc/ld.so.conf = include /a/*/*/*/*/*/*/*.conf".into());
    let begun = std::time::Instant::now();
    let found = asked_for(&lines).unwrap();
    assert_eq!(found.len(), 9 + 4);
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn what_a_configuration_may_ask_for_is_bounded() {
    let conf = |text: String| vec![format!("etc/ld.so.conf = {text}")];
    let join = |number: usize, line: &dyn Fn(usize) -> String| (0..number).map(line).collect::<Vec<_>>().join("|");
    let directory = |at: usize| format!("/opt/{at}");
    assert_eq!(asked_for(&conf(join(64, &directory))).unwrap().len(), 64 + 4);
    assert_eq!(asked_for(&conf(join(65, &directory))), Err(TooMuch::Directories(64)));
    // The same directory again is no other directory.
    assert_eq!(asked_for(&conf(join(50_000, &|at| directory(at % 64)))).unwrap().len(), 64 + 4);

    let files = |number: usize| {
        let mut lines = conf("include /etc/c/*".into());
        lines.extend((0..number).map(|at| format!("etc/c/{at} = /opt/one")));
        lines
    };
    assert_eq!(asked_for(&files(1023)).unwrap().len(), 1 + 4);
    assert_eq!(asked_for(&files(1024)), Err(TooMuch::Files(1024)));

    let nested = |depth: usize| {
        let mut lines = conf("include /etc/0".into());
        lines.extend((0..depth).map(|at| format!("etc/{at} = include {}|/opt/{at}", at + 1)));
        lines
    };
    assert_eq!(asked_for(&nested(16)).unwrap().len(), 16 + 4);
    assert_eq!(asked_for(&nested(17)), Err(TooMuch::Depth(16)));

    let begun = std::time::Instant::now();
    let mut many = conf(join(50_000, &|at| format!("include /a/*{at}*x")));
    many.extend((0..1000).map(|at| format!("a/some-file-with-a-name-{at}")));
    assert_eq!(asked_for(&many), Err(TooMuch::Steps));
    assert_eq!(asked_for(&conf(join(50_000, &|at| format!("include /etc/absent/{at}")))).unwrap().len(), 4);
    assert_eq!(asked_for(&conf(format!("include /{}", "a/".repeat(400_000)))).unwrap().len(), 4);
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn the_bytes_do_not_move() {
    let made = fingerprint(&hand(Arch::Amd64, LINES).make(Arch::Amd64));
    assert_eq!(
        made, "64d39aee38fbade1507500e889d4a0134281b7596206c471cbe347bddf1e8541",
        "raise the version in definition/fixup.rs when this changes"
    );
    let made = fingerprint(&hand(Arch::S390x, LINES).make(Arch::S390x));
    assert_eq!(
        made, "dff42220cb8bf45e1eb838dc81f928ea64f2c95311c142d08e67791f7bf9dd21",
        "raise the version in definition/fixup.rs when this changes"
    );
}
