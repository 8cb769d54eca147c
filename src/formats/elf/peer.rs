//! What is read here against what binutils' `readelf` reads, for every ELF file of real packages.
//!
//! `DLSTORE_DEBS` names a directory of `.deb` files; without it this says so and proves nothing.

use std::path::Path;
use std::process::Command;

use super::{Elf, SearchTag};

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What `readelf` says, in the form of [`shown`].
fn theirs(path: &Path) -> Vec<String> {
    let text = run(Command::new("readelf").env("LC_ALL", "C").arg("-hldVW").arg(path));
    let text = String::from_utf8_lossy(&text);
    let mut lines = Vec::new();
    let (mut library, mut defined) = (String::new(), false);
    for line in text.lines().map(str::trim) {
        // "0x0010: Version: 1  File: libc.so.6  Cnt: 2", "0x0020:   Name: GLIBC_2.2.5  Flags: none  Version: 3",
        // "000000: Rev: 1  Flags: BASE  Index: 1  Cnt: 1  Name: libm.so.6"
        let word = |after: &str| line.split_once(after).map(|(_, rest)| rest.split(' ').next().unwrap().to_owned());
        if line.starts_with("Version ") {
            defined = line.starts_with("Version definition");
        } else if let Some(name) = word("  File: ") {
            library = name;
        } else if let (Some(name), true) = (word("Name: "), line.starts_with('0')) {
            if defined && line.contains("Rev: ") {
                lines.push(format!("defines {name}"));
            } else if !defined && line.contains("Version: ") && !line.contains("WEAK") {
                lines.push(format!("requires {name} of {library}"));
            }
        }
        let bracket = || line.rsplit_once('[').and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
        if line.starts_with("Class:") || line.starts_with("Data:") {
            lines.push(line.split_whitespace().nth(if line.starts_with('C') { 1 } else { 3 }).unwrap().to_owned());
        } else if let Some(interpreter) = line.strip_prefix("[Requesting program interpreter: ") {
            lines.push(format!("interpreter {}", interpreter.trim_end_matches(']')));
        } else if line.contains("(NEEDED)") {
            lines.push(format!("needed {}", bracket()));
        } else if line.contains("(SONAME)") {
            lines.push(format!("soname {}", bracket()));
        } else if line.contains("(RUNPATH)") {
            lines.push(format!("runpath {}", bracket()));
        } else if line.contains("(RPATH)") {
            lines.push(format!("rpath {}", bracket()));
        } else if let Some(address) = line.strip_prefix("Entry point address:") {
            lines.push(format!("entry {}", address.trim() != "0x0"));
        } else if line.starts_with("Flags:") {
            let flags = line.split_whitespace().nth(1).unwrap().trim_end_matches(',');
            lines.push(format!("flags {flags}"));
        }
    }
    lines.sort();
    lines
}

fn shown(elf: &Elf) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut lines = vec![if elf.is_64 { "ELF64" } else { "ELF32" }.to_owned()];
    lines.push(if elf.is_big_endian { "big" } else { "little" }.to_owned());
    lines.push(format!("flags {:#x}", elf.flags));
    lines.push(format!("entry {}", elf.has_entry));
    lines.extend(elf.interpreter.iter().map(|path| format!("interpreter {}", text(path))));
    lines.extend(elf.needed.iter().map(|name| format!("needed {}", text(name))));
    lines.extend(elf.soname.iter().map(|name| format!("soname {}", text(name))));
    if !elf.search.is_empty() {
        let tag = if elf.search_by == SearchTag::RPath { "rpath" } else { "runpath" };
        lines.push(format!("{tag} {}", text(&elf.search.join(&b':'))));
    }
    for (library, versions) in &elf.requires {
        lines.extend(versions.iter().map(|version| format!("requires {} of {}", text(version), text(library))));
    }
    lines.extend(elf.defines.iter().map(|version| format!("defines {}", text(version))));
    lines.sort();
    lines
}

fn visit(directory: &Path, found: &mut usize) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kind = std::fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            visit(&path, found);
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.starts_with(b"\x7fELF") {
                // Objects of a linker (crt1.o) are no programs.
                let is_object = path.extension().is_some_and(|ending| ending == "o" || ending == "a");
                match Elf::parse(&bytes) {
                    Some(elf) => assert_eq!(shown(&elf), theirs(&path), "{}", path.display()),
                    None => assert!(is_object, "{} was not read", path.display()),
                }
                *found += 1;
            }
        }
    }
}

#[test]
fn every_file_reads_as_readelf_reads_it() {
    let Some(debs) = std::env::var_os("DLSTORE_DEBS") else {
        eprintln!("DLSTORE_DEBS is not set: nothing is proved against readelf");
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&debs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let wanted = ["libc-bin_", "libgcc-s1_", "libstdc++6_", "zlib1g_", "musl_", "busybox-static_", "libc6_"];
        if wanted.iter().any(|start| name.starts_with(start)) && path.extension().is_some_and(|ending| ending == "deb")
        {
            run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(scratch.path().join(&name)));
        }
    }
    // Converters differ in nothing but their tables.
    for entry in std::fs::read_dir(scratch.path()).unwrap() {
        for triplet in dlstore_model::arch::Arch::ALL.map(dlstore_model::arch::Arch::triplet) {
            let _ = std::fs::remove_dir_all(entry.as_ref().unwrap().path().join("usr/lib").join(triplet).join("gconv"));
        }
    }
    let mut found = 0;
    visit(scratch.path(), &mut found);
    assert!(found > 200, "{found}");
    eprintln!("{found} ELF files");
}
