//! The fix-up `dpkg-database`: which Debian packages an image holds, in the form that scanners read.
//!
//! ```text
//! /var/lib/dpkg/status.d/NAME            the control stanza
//! /var/lib/dpkg/status.d/NAME.md5sums    the md5sums member
//! ```
//! One file per package, as Google's distroless has them, instead of one `status`: a layer per package
//! then brings its own entry and no layer replaces another's. Names are used as they are (`libstdc++6`).
//!
//! From `md5sums`, lines go whose path another owner won (an os-release of the definition's is one), so
//! that `md5sum -c --ignore-missing` holds in the image. Lines of files that selection left out stay:
//! they say what the package was.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::inputs::{Inputs, Outcomes};
use crate::rootfs::generated::{fixed, plain};
use crate::rootfs::part::PackageView;
use crate::rootfs::{Generated, Part, Rootfs};
use dlstore_formats::package::Format;
use dlstore_model::path::TreePath;

/// What is known of one installed package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DpkgPackage<'a> {
    /// `Package` of its control stanza.
    name: &'a str,
    /// The `control` member, verbatim.
    control: &'a [u8],
    /// The `md5sums` member; a package may have none.
    md5sums: Option<&'a Md5sums>,
    /// Its date: what both files get.
    date: u64,
}

/// The `md5sums` member of a package: lines of 32 hex digits, two spaces, and a path without its leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Md5sums(Vec<u8>);

impl Md5sums {
    /// Takes the member as it is: what its lines say is read when it is asked for.
    fn new(text: &[u8]) -> Self {
        Self(text.to_vec())
    }

    /// Says whether a person would be shown another text than a program reads.
    fn has_control_characters(&self) -> bool {
        self.0.iter().any(|byte| byte.is_ascii_control() && !matches!(byte, b'\n' | b'\t'))
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
    }

    /// Gives the paths of all lines that have one.
    fn paths(&self) -> impl Iterator<Item = TreePath> {
        self.lines().filter_map(path_of)
    }

    /// Keeps the lines whose path the package still has.
    fn won(&self, lost: impl Fn(&TreePath) -> bool) -> Vec<u8> {
        let mut kept = Vec::with_capacity(self.0.len() + 1);
        for line in self.lines() {
            let path = path_of(line);
            if !path.as_ref().is_some_and(&lost) {
                kept.extend_from_slice(line);
                kept.push(b'\n');
            }
        }
        kept
    }
}

fn path_of(line: &[u8]) -> Option<TreePath> {
    TreePath::from_archive(line.get(34..)?).ok().flatten()
}

/// Tells why the database cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DpkgDatabaseError {
    /// A name that Debian would not allow (Policy, section 5.6.7).
    #[error("{0:?} is not a Debian package name")]
    Name(String),
    /// Two packages of one name.
    #[error("package {0} is listed twice")]
    Twice(String),
    /// A package whose entry would be taken for another one's file of sums.
    #[error("package {0}.md5sums cannot be in an image: its entry would be taken for the checksums of package {0}")]
    Sums(String),
    /// Sums that would show a person another text than a program reads.
    #[error("md5sums of package {0} contains a control character")]
    Control(String),
}

/// Makes the entries of all packages, in the given order. `lost` says whether a path of a package is
/// another owner's in the image.
///
/// # Errors
/// When a name is unusable or occurs twice, or sums cannot be shown.
fn dpkg_database(
    packages: &[DpkgPackage<'_>],
    lost: &dyn Fn(&str, &TreePath) -> bool,
) -> Result<Generated, DpkgDatabaseError> {
    let mut generated = Generated::default();
    let mut names = BTreeSet::new();
    for package in packages {
        let name = package.name;
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        let is_usable = !name.is_empty() && name.bytes().all(is_allowed) && name.as_bytes()[0].is_ascii_alphanumeric();
        let path = fixed("var/lib/dpkg/status.d").join(name.as_bytes()).ok().filter(|_| is_usable);
        let path = path.ok_or_else(|| DpkgDatabaseError::Name(name.to_owned()))?;
        // Scanners pass over such a file, and `aa` may be in another level.
        if let Some(other) = name.strip_suffix(".md5sums") {
            return Err(DpkgDatabaseError::Sums(other.to_owned()));
        }
        if !names.insert(name) {
            return Err(DpkgDatabaseError::Twice(name.to_owned()));
        }
        // One stanza ends with one line end: whoever joins these files puts the empty lines between.
        let mut control = package.control.trim_ascii_end().to_vec();
        control.push(b'\n');
        generated.file(path, plain(package.date), control);
        let sums = package.md5sums.map(|sums| sums.won(|path| lost(name, path))).unwrap_or_default();
        if !sums.is_empty() {
            if package.md5sums.is_some_and(Md5sums::has_control_characters) {
                return Err(DpkgDatabaseError::Control(name.to_owned()));
            }
            let path = fixed("var/lib/dpkg/status.d").join(format!("{name}.md5sums").as_bytes());
            let path = path.map_err(|_| DpkgDatabaseError::Name(name.to_owned()))?;
            generated.file(path, plain(package.date), sums);
        }
    }
    Ok(generated)
}

/// Lists the paths of which packages have sums and where nothing stands: something that comes to stand there takes the
/// line from the package.
pub(crate) fn left_out(rootfs: &Rootfs) -> Vec<TreePath> {
    let mut found = Vec::new();
    for (_, _, package) in rootfs.packages() {
        if let Some(text) = package.control.members.get("md5sums") {
            found.extend(Md5sums::new(text).paths().filter(|path| rootfs.get(path).is_none()));
        }
    }
    found
}

/// Makes what the packages of one level have in it; `before` is what other fix-ups made.
pub(super) fn run(inputs: &Inputs<'_>, level: usize, before: &Outcomes) -> Result<Generated, DpkgDatabaseError> {
    let is_of_level =
        |part: &Part, package: &PackageView| package.control.metadata.format == Format::Deb && part.level == level;
    let of_level: Vec<_> = inputs.rootfs.packages().filter(|(_, part, package)| is_of_level(part, package)).collect();
    let sums: Vec<Option<Md5sums>> = of_level
        .iter()
        .map(|(_, _, package)| package.control.members.get("md5sums").map(|text| Md5sums::new(text)))
        .collect();
    let mut members = Vec::new();
    let mut parts = BTreeMap::new();
    for ((at, _, package), sums) in of_level.iter().zip(&sums) {
        let Some(control) = package.control.members.get("control") else { continue };
        parts.insert(&*package.control.metadata.name, *at);
        members.push(DpkgPackage {
            name: &package.control.metadata.name,
            control,
            md5sums: sums.as_ref(),
            date: package.record.date,
        });
    }
    let made: HashSet<&TreePath> = before.values().flat_map(|made| made.entries.iter().map(|(path, _)| path)).collect();
    let lost = |name: &str, path: &TreePath| {
        made.contains(path) || inputs.rootfs.get(path).is_some_and(|slot| Some(&slot.owner) != parts.get(name))
    };
    let mut made = dpkg_database(&members, &lost)?;
    for (path, _) in &made.entries {
        let name = path.name();
        let name = name.strip_suffix(b".md5sums").unwrap_or(name);
        let part = parts.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, at)| &inputs.rootfs.parts()[*at]);
        let origin = part.map(|part| part.origin.to_string());
        made.packages.insert(path.clone(), origin.into_iter().collect());
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::tests::{fingerprint, text};

    const SUMS: &[u8] =
        b"ecd1614862073aabcf70ede1767d8dea  usr/lib/os-release\n95c10e3d86442e94a6e45d93a5365fea  usr/share/a b\n";

    fn leaked(text: &[u8]) -> &'static Md5sums {
        Box::leak(Box::new(Md5sums::new(text)))
    }

    fn package(name: &'static str) -> DpkgPackage<'static> {
        DpkgPackage { name, control: b"Package: libstdc++6\nVersion: 14\n\n", md5sums: Some(leaked(SUMS)), date: 9 }
    }

    #[test]
    fn lines_of_what_another_owner_won_are_dropped() {
        let made =
            dpkg_database(&[package("libstdc++6")], &|_, path| path.as_bytes() == b"usr/lib/os-release").unwrap();
        assert_eq!(text(&made, "var/lib/dpkg/status.d/libstdc++6"), "Package: libstdc++6\nVersion: 14\n");
        assert_eq!(
            text(&made, "var/lib/dpkg/status.d/libstdc++6.md5sums"),
            "95c10e3d86442e94a6e45d93a5365fea  usr/share/a b\n"
        );
        assert_eq!(
            fingerprint(&made),
            "7f69b18216660a28ef4e050aed4647a00fa1ed0dda715f6222970ee625ffb03f",
            "raise the version in definition/fixup.rs when this changes"
        );
    }

    #[test]
    fn a_package_without_sums_has_no_file_of_them() {
        let none = DpkgPackage { md5sums: None, ..package("base-files") };
        assert_eq!(dpkg_database(&[none], &|_, _| false).unwrap().entries.len(), 1);
        assert_eq!(dpkg_database(&[package("base-files")], &|_, _| true).unwrap().entries.len(), 1);
    }

    #[test]
    fn names_that_are_paths_or_occur_twice_are_errors() {
        for name in ["", "../../etc/passwd", "a/b", ".wh.x", "Upper", "-x"] {
            assert!(
                matches!(dpkg_database(&[package(name)], &|_, _| false), Err(DpkgDatabaseError::Name(_))),
                "{name}"
            );
        }
        let twice = [package("libc6"), package("libc6")];
        assert_eq!(dpkg_database(&twice, &|_, _| false), Err(DpkgDatabaseError::Twice("libc6".into())));
        assert!(dpkg_database(&[package("r")], &|_, _| false).is_ok(), "one letter is a name");
    }

    #[test]
    fn no_package_takes_the_place_of_anothers_sums() {
        let both = [package("ab"), package("ab.md5sums")];
        assert_eq!(dpkg_database(&both, &|_, _| false), Err(DpkgDatabaseError::Sums("ab".into())));
        let turned = [package("ab.md5sums"), package("ab")];
        assert_eq!(dpkg_database(&turned, &|_, _| false), Err(DpkgDatabaseError::Sums("ab".into())));
        let alone = [package("ab.md5sums")];
        assert_eq!(dpkg_database(&alone, &|_, _| false), Err(DpkgDatabaseError::Sums("ab".into())));
    }

    #[test]
    fn sums_with_control_characters_are_refused() {
        for text in [&b"0123  a\x1b[31m\n"[..], b"0123  a\0\n", b"0123  a\r\n"] {
            let package = DpkgPackage { md5sums: Some(leaked(text)), ..package("ab") };
            assert_eq!(dpkg_database(&[package], &|_, _| false), Err(DpkgDatabaseError::Control("ab".into())));
        }
    }

    /// `DLSTORE_DEBS` names a directory of `.deb` files.
    #[test]
    fn real_sums_hold_after_another_owner_won_a_path() {
        use std::process::Command;
        let Some(debs) = std::env::var_os("DLSTORE_DEBS") else {
            eprintln!("DLSTORE_DEBS is not set: nothing is proved on real packages");
            return;
        };
        let run = |command: &mut Command| {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let root = tempfile::tempdir().unwrap();
        let files = std::fs::read_dir(debs).unwrap().map(|entry| entry.unwrap().path());
        let wanted = ["base-files_", "libstdc++6_", "netbase_"];
        for deb in files {
            let name = deb.file_name().unwrap().to_str().unwrap().to_owned();
            let ours = name.ends_with("_amd64.deb") || name.ends_with("_all.deb");
            if !ours || !wanted.iter().any(|start| name.starts_with(start)) {
                continue;
            }
            run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(root.path()));
            let control = run(Command::new("dpkg-deb").arg("-f").arg(&deb));
            let sums = run(Command::new("dpkg-deb").arg("-I").arg(&deb).arg("md5sums"));
            let name = name.split('_').next().unwrap();
            let release = root.path().join("usr/lib/os-release");
            std::fs::create_dir_all(release.parent().unwrap()).unwrap();
            std::fs::write(release, "NAME=other\n").unwrap();
            let package = DpkgPackage { name, control: &control, md5sums: Some(leaked(&sums)), date: 0 };
            let made = dpkg_database(&[package], &|_, path| path.as_bytes() == b"usr/lib/os-release").unwrap();
            let sums = made.bytes(&fixed(&format!("var/lib/dpkg/status.d/{name}.md5sums"))).unwrap();
            std::fs::write(root.path().join("sums"), sums).unwrap();
            let check = ["-c", "--quiet", "--ignore-missing", "sums"];
            run(Command::new("md5sum").args(check).current_dir(root.path()));
        }
    }
}
