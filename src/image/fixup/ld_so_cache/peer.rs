//! What is written here against what Debian's own `ldconfig` writes, on real packages of 8 architectures.
//!
//! `DLSTORE_DEBS` names a directory of trixie's `.deb` files; without it these tests say so and prove
//! nothing. `ldconfig` of amd64 and 386 runs on an amd64 host, that of the others under user-mode
//! emulation; `-r` needs root.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::read::Cache;
use super::*;
use crate::rootfs::Rootfs;
use crate::rootfs::part::tests::bare;
use crate::rootfs::part::{Bytes, Part};
use dlstore_formats::elf::Elf;
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node};

const PACKAGES: [&str; 6] = ["base-files", "libc6", "libc-bin", "libgcc-s1", "libstdc++6", "zlib1g"];

fn debs() -> Option<PathBuf> {
    let directory = std::env::var_os("DLSTORE_DEBS").map(PathBuf::from);
    if directory.is_none() {
        eprintln!("DLSTORE_DEBS is not set: nothing is proved against Debian's ldconfig");
    }
    directory
}

fn deb(directory: &Path, package: &str, arch: Arch) -> PathBuf {
    let (start, end) = (format!("{package}_"), format!("_{}.deb", arch.debian()));
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let name = names.into_iter().find(|name| name.starts_with(&start) && name.ends_with(&end));
    directory.join(name.unwrap_or_else(|| panic!("no {package} for {arch} in {}", directory.display())))
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Unpacks the packages, and adds what they do not show: a library that users brought, a compiler's
/// link, directories below `glibc-hwcaps`, a link to a directory, an include below another.
fn unpack(debs: &Path, arch: Arch, root: &Path) -> String {
    for package in PACKAGES {
        run(Command::new("dpkg-deb").arg("-x").arg(deb(debs, package, arch)).arg(root));
    }
    let lib = root.join("usr/lib").join(arch.triplet());
    let local = root.join("usr/local/lib");
    let link = |target: &str, path: PathBuf| std::os::unix::fs::symlink(target, path).unwrap();
    std::fs::create_dir_all(&local).unwrap();
    std::fs::copy(lib.join("libz.so.1.3.1"), local.join("libz.so.1.3.1")).unwrap();
    link("libz.so.1.3.1", local.join("libz.so.1"));
    link("libz.so.1.3.1", local.join("libz.so"));
    link("libz.so.1", lib.join("libz.so"));
    link("libc.so.6", lib.join("libother.so"));
    // Its soname is that of another file, and no link of that name is there.
    std::fs::copy(lib.join("libgcc_s.so.1"), local.join("libown.so.1.0")).unwrap();
    std::fs::copy(lib.join("libgcc_s.so.1"), local.join("libown.so.1.10")).unwrap();
    link("nothing", lib.join("libgone.so.1"));
    std::fs::write(lib.join("libtext.so"), "INPUT(-lz)\n").unwrap();
    std::fs::copy(lib.join("libz.so.1"), root.join("usr/lib/libz.so.1.dpkg-new")).unwrap();
    for (name, file) in [("v3", "libz.so.1.3.1"), ("v10", "libz.so.1"), ("a", "libstdc++.so.6")] {
        let directory = lib.join("glibc-hwcaps").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::copy(lib.join(file), directory.join(file)).unwrap();
    }
    link("libz.so.1.3.1", lib.join("glibc-hwcaps/v3/libz.so.1"));
    std::fs::create_dir(lib.join("glibc-hwcaps/empty")).unwrap();
    link("v3", lib.join("glibc-hwcaps/again"));
    std::fs::create_dir_all(root.join("opt/x/lib")).unwrap();
    std::fs::copy(lib.join("libgcc_s.so.1"), root.join("opt/x/lib/libgcc_s.so.1")).unwrap();
    link("x", root.join("opt/y"));
    std::fs::write(root.join("etc/ld.so.conf.d/zz.conf"), "  /opt/y/lib//  # y\nhwcap 0 x\n/opt/x/lib\n/gone\n")
        .unwrap();
    let control = run(Command::new("dpkg-deb").arg("-f").arg(deb(debs, "libc-bin", arch)).arg("Version"));
    String::from_utf8(control).unwrap().trim().to_owned()
}

#[derive(Default)]
struct Unpacked {
    entries: Vec<(TreePath, Entry)>,
    elves: Vec<(TreePath, Elf)>,
    texts: BTreeMap<Digest, Vec<u8>>,
}

fn read_root(root: &Path, directory: &Path, into: &mut Unpacked) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let own = TreePath::new(path.strip_prefix(root).unwrap().as_os_str().as_bytes()).unwrap();
        let kind = std::fs::symlink_metadata(&path).unwrap();
        if kind.is_symlink() {
            let target = std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec();
            into.entries.push((own, Entry::new(Node::Symlink { target }, Meta::LINK)));
        } else if kind.is_dir() {
            into.entries.push((own, Entry::new(Node::Directory, Meta::DIRECTORY)));
            read_root(root, &path, into);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let node = Node::File { content: Digest::of(&bytes), size: bytes.len() as u64 };
            into.entries.push((own.clone(), Entry::new(node, Meta::FILE)));
            into.elves.extend(Elf::parse(&bytes).map(|elf| (own.clone(), elf)));
            into.texts.insert(Digest::of(&bytes), bytes);
        }
    }
}

fn ours(arch: Arch, root: &Path, generator: &str) -> Vec<u8> {
    generated(arch, root, generator).bytes(&fixed("etc/ld.so.cache")).unwrap().to_vec()
}

/// Every symbolic link among entries.
fn links(entries: &[(TreePath, Entry)]) -> BTreeMap<TreePath, Vec<u8>> {
    let link = |(path, entry): &(TreePath, Entry)| match &entry.node {
        Node::Symlink { target } => Some((path.clone(), target.clone())),
        _ => None,
    };
    entries.iter().filter_map(link).collect()
}

fn generated(arch: Arch, root: &Path, generator: &str) -> Generated {
    let mut unpacked = Unpacked::default();
    read_root(root, root, &mut unpacked);
    let bytes = Bytes::Memory(Arc::new(unpacked.texts));
    let mut rootfs = Rootfs::default();
    rootfs.add(Arc::new(Part { elf: unpacked.elves, bytes, ..bare(unpacked.entries) })).unwrap();
    ld_so_cache(arch, &View::new(&rootfs), generator, 0).unwrap()
}

/// The user-mode emulator of an architecture that is not the host's.
fn emulator(arch: Arch) -> Option<&'static str> {
    Some(match arch {
        Arch::Amd64 | Arch::I386 => return None,
        Arch::ArmV6 | Arch::ArmV7 => "qemu-arm-static",
        Arch::Arm64 => "qemu-aarch64-static",
        Arch::Ppc64le => "qemu-ppc64le-static",
        Arch::Riscv64 => "qemu-riscv64-static",
        Arch::S390x => "qemu-s390x-static",
    })
}

/// A command that runs a program of this architecture here.
fn runner(arch: Arch, program: &Path) -> Command {
    let Some(emulator) = emulator(arch) else { return Command::new(program) };
    let mut command = Command::new(emulator);
    command.arg(program);
    command
}

#[test]
fn the_bytes_are_those_of_debians_ldconfig_on_all_architectures() {
    let Some(debs) = debs() else { return };
    let scratch = tempfile::tempdir().unwrap();
    for arch in Arch::ALL {
        let root = scratch.path().join(arch.tag());
        std::fs::create_dir(&root).unwrap();
        let version = unpack(&debs, arch, &root);
        let ldconfig = root.join("usr/sbin/ldconfig");
        std::fs::set_permissions(&ldconfig, std::fs::Permissions::from_mode(0o755)).unwrap();
        let ours = ours(arch, &root, &debian_generator(&version));
        run(runner(arch, &ldconfig).arg("-X").arg("-r").arg(&root));
        let theirs = std::fs::read(root.join("etc/ld.so.cache")).unwrap();
        let parsed = (Cache::parse(arch, &ours).unwrap(), Cache::parse(arch, &theirs).unwrap());
        assert_eq!(parsed.0, parsed.1, "{arch}");
        assert!(ours == theirs, "{arch}: same entries, other bytes");
        // Without -X it makes the links that are missing.
        let made = links(&generated(arch, &root, "").entries);
        let (mut before, mut after) = (Unpacked::default(), Unpacked::default());
        read_root(&root, &root, &mut before);
        run(runner(arch, &ldconfig).arg("-r").arg(&root));
        read_root(&root, &root, &mut after);
        let before = links(&before.entries);
        let mut new = links(&after.entries);
        new.retain(|path, _| !before.contains_key(path));
        assert_eq!(made, new, "{arch}");
        // What its own -p understands of ours.
        let file = root.join("ours");
        std::fs::write(&file, &ours).unwrap();
        let listed = run(runner(arch, &ldconfig).arg("-p").arg("-C").arg(&file));
        let listed = String::from_utf8(listed).unwrap();
        assert!(listed.starts_with(&format!("{} libs found", parsed.0.entries.len())), "{arch}: {listed}");
        assert!(listed.contains("Cache generated by: ldconfig (Debian GLIBC "), "{arch}: {listed}");
        let flags = parsed.0.entries[0].flags;
        let found = parsed.0.lookup(b"libz.so.1", flags);
        let path = format!("/lib/{}/libz.so.1", arch.triplet());
        assert!(found.iter().any(|entry| entry.path == path.as_bytes()), "{arch}: {found:?}");
    }
}

/// The real loaders find a library that lies in `/usr/local/lib` alone, and without the cache they do not.
#[test]
fn loaders_of_all_architectures_look_into_the_cache() {
    let Some(debs) = debs() else { return };
    let scratch = tempfile::tempdir().unwrap();
    for arch in Arch::ALL {
        let root = scratch.path().join(arch.tag());
        std::fs::create_dir(&root).unwrap();
        let version = unpack(&debs, arch, &root);
        let lib = root.join("usr/lib").join(arch.triplet());
        std::fs::remove_dir_all(root.join("opt/x")).unwrap();
        std::fs::rename(lib.join("libgcc_s.so.1"), root.join("usr/local/lib/libgcc_s.so.1")).unwrap();
        let cache = ours(arch, &root, &debian_generator(&version));
        let list = || {
            let mut command = Command::new("chroot");
            command.arg(&root);
            if let Some(emulator) = emulator(arch) {
                let program = ["/usr/bin", "/usr/local/bin"].map(|directory| Path::new(directory).join(emulator));
                std::fs::copy(program.iter().find(|path| path.exists()).unwrap(), root.join("emulator")).unwrap();
                command.arg("/emulator");
            }
            let library = format!("/usr/lib/{}/libstdc++.so.6", arch.triplet());
            let output = command.args([arch.glibc_loader(), "--list", &library]).output().unwrap();
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let before = list();
        assert!(
            before.contains("libgcc_s.so.1") && !before.contains("/usr/local/lib/libgcc_s.so.1"),
            "{arch}: {before}"
        );
        std::fs::write(root.join("etc/ld.so.cache"), cache).unwrap();
        let after = list();
        assert!(after.contains("libgcc_s.so.1 => /usr/local/lib/libgcc_s.so.1"), "{arch}: {after}");
    }
}

#[test]
fn libraries_of_other_machines_are_treated_as_debians_ldconfig_treats_them() {
    let Some(debs) = debs() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let mix = scratch.path().join("mix");
    std::fs::create_dir_all(mix.join("usr/lib")).unwrap();
    std::fs::create_dir_all(mix.join("etc")).unwrap();
    for arch in Arch::ALL {
        let root = scratch.path().join(arch.tag());
        for package in ["libc-bin", "zlib1g"] {
            run(Command::new("dpkg-deb").arg("-x").arg(deb(&debs, package, arch)).arg(&root));
        }
        let library = std::fs::read(root.join("usr/lib").join(arch.triplet()).join("libz.so.1.3.1")).unwrap();
        let at = library.windows(10).position(|window| window == b"libz.so.1\0").unwrap();
        // One variant for each meaning of the bits that carry the ABI: a soname of its own for each.
        for (index, flags) in
            [0_u32, 2, 4, 6, 8, 0x10, 0x20, 0x400, 0x0500_0000, 0x0500_0200, 0x0500_0400, 0x0500_0600, 0x0400_0400]
                .into_iter()
                .enumerate()
        {
            let mut variant = library.clone();
            let name = format!("S{:.4}{index:x}", arch.tag());
            variant[at..at + 9].copy_from_slice(&format!("{name:_<9}").into_bytes()[..9]);
            let field = if library[4] == 2 { 48 } else { 36 };
            let bytes = if library[5] == 2 { flags.to_be_bytes() } else { flags.to_le_bytes() };
            variant[field..field + 4].copy_from_slice(&bytes);
            std::fs::write(mix.join(format!("usr/lib/lib{}{index}.so", arch.tag())), variant).unwrap();
        }
    }
    for arch in Arch::ALL {
        let ours = ours(arch, &mix, &debian_generator("2.41-12+deb13u4"));
        let ldconfig = scratch.path().join(arch.tag()).join("usr/sbin/ldconfig");
        run(runner(arch, &ldconfig).arg("-X").arg("-r").arg(&mix));
        let theirs = std::fs::read(mix.join("etc/ld.so.cache")).unwrap();
        let list = |bytes: &[u8]| -> Vec<String> {
            let entries = Cache::parse(arch, bytes).unwrap().entries;
            entries.iter().map(|entry| format!("{} {:#x}", entry.path.escape_ascii(), entry.flags)).collect()
        };
        let (ours, theirs) = (list(&ours), list(&theirs));
        let differing: Vec<_> = ours.iter().filter(|line| !theirs.contains(line)).collect();
        assert_eq!(ours, theirs, "{arch}: {differing:?}");
        std::fs::remove_file(mix.join("etc/ld.so.cache")).unwrap();
    }
}
