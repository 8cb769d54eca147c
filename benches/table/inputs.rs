//! The packages on disk, and which of them an image needs.
//!
//! The directory of `.deb` files is `$DLSTORE_DEBS`, else `tests/cache/debs`, as `tests/fetch-debs` makes
//! it; that of `.apk` files is `$DLSTORE_APKS`, else the sample beside the repository. What an image
//! needs is asked of its definition, so that X is always of the same packages as the image. Each set
//! gets a directory of its own with links to its files: a goal speaks of the packages of an image, not
//! of whatever else lies beside them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use dlstore_formats::package::Format;
use dlstore_image::definition;
use dlstore_kit::workspace;
use dlstore_model::arch::Arch;

/// The packages of one image for all architectures.
pub(crate) struct Set {
    /// `static`, as rows and floors call it.
    pub(crate) name: &'static str,
    /// `static:debian`, as the command calls it.
    pub(crate) image: &'static str,
    /// The files, each once.
    pub(crate) files: Vec<PathBuf>,
    /// A directory with links to just these.
    pub(crate) directory: PathBuf,
}

/// All that is read from disk.
pub(crate) struct Inputs {
    /// Static, musl and glibc from Debian.
    pub(crate) debian: Vec<Set>,
    /// The image from Alpine.
    pub(crate) alpine: Set,
    /// Debian's C library for amd64.
    pub(crate) libc: PathBuf,
    /// Everything that lies in the directory of `.deb` files.
    pub(crate) all_debs: PathBuf,
    /// Everything that lies in the directory of `.apk` files.
    pub(crate) all_apks: PathBuf,
}

impl Inputs {
    /// Finds all packages; `directory` gets the directories of links.
    pub(crate) fn find(directory: &Path) -> anyhow::Result<Self> {
        let home = workspace::root();
        let debs = place("DLSTORE_DEBS", &home.join("tests/cache/debs"), "make it with tests/fetch-debs")?;
        let apks = place(
            "DLSTORE_APKS",
            &home.join("../shared/data/apk/alpine/v3.20"),
            "a directory with apks by architecture",
        )?;
        let set = |name, image, packages: &Path| -> anyhow::Result<Set> {
            let files = needed(image, packages)?;
            let own = directory.join("sets").join(name);
            fs::create_dir_all(&own)?;
            for (at, file) in files.iter().enumerate() {
                // Alpine's names do not tell the architecture: a number makes them different.
                let title = file.file_name().unwrap_or_default().to_string_lossy();
                std::os::unix::fs::symlink(file, own.join(format!("{at:02}-{title}")))?;
            }
            Ok(Set { name, image, files, directory: own })
        };
        let debian = vec![
            set("static", "static:debian", &debs)?,
            set("musl", "musl-dynamic:debian", &debs)?,
            set("glibc", "glibc-dynamic:debian", &debs)?,
        ];
        let alpine = set("apk", "musl-dynamic:alpine", &apks)?;
        let libc = file_of(&debs, "libc6", Format::Deb, Arch::Amd64)?;
        Ok(Self { debian, alpine, libc, all_debs: debs, all_apks: apks })
    }
}

fn place(variable: &str, usual: &Path, hint: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| usual.to_owned(), PathBuf::from);
    path.canonicalize().with_context(|| format!("no packages in {} ({variable}): {hint}", path.display()))
}

/// Gives the package files of an image for all its architectures, each once.
fn needed(reference: &str, packages: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let image = definition::load(&workspace::root(), reference)?;
    let format = image.format.with_context(|| format!("{reference} has no packages"))?;
    let mut files = BTreeSet::new();
    for arch in image.architectures {
        for level in &image.levels {
            let own = level.arch_packages.get(&arch).into_iter().flatten();
            for requirement in level.packages.iter().chain(own) {
                files.insert(file_of(packages, &requirement.name, format, arch)?);
            }
        }
    }
    Ok(files.into_iter().collect())
}

fn file_of(packages: &Path, name: &str, format: Format, arch: Arch) -> anyhow::Result<PathBuf> {
    let (directory, ends) = match format {
        Format::Deb => (packages.to_owned(), vec![format!("_{}.deb", arch.debian()), "_all.deb".to_owned()]),
        Format::Apk => (packages.join(arch.apk()), vec![".apk".to_owned()]),
        Format::Tar => bail!("{name} would be a tar, which has no name"),
    };
    let is_it = |file: &str| match format {
        Format::Deb => file.split('_').next() == Some(name) && ends.iter().any(|end| file.ends_with(end.as_str())),
        // NAME-VERSION-rN.apk
        _ => file.ends_with(&ends[0]) && file.rsplitn(3, '-').nth(2) == Some(name),
    };
    let mut found = Vec::new();
    for item in fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let item = item?;
        if item.file_name().to_str().is_some_and(is_it) {
            found.push(item.path());
        }
    }
    ensure!(found.len() == 1, "{} packages {name} for {arch} in {}", found.len(), directory.display());
    Ok(found.remove(0))
}

/// Gives the compressed data member of a `.deb` with its name (`deb(5)`, `ar(5)`).
pub(crate) fn data_member(file: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut rest = bytes.strip_prefix(b"!<arch>\n").context("not an archive")?;
    while let Some((header, behind)) = rest.split_at_checked(60) {
        let name = std::str::from_utf8(&header[..16])?.trim_end().trim_end_matches('/').to_owned();
        let size: usize = std::str::from_utf8(&header[48..58])?.trim_end().parse()?;
        let content = behind.get(..size).context("cut short")?;
        if name.starts_with("data.tar") {
            return Ok((name, content.to_vec()));
        }
        rest = behind.get(size + size % 2..).unwrap_or_default();
    }
    bail!("{} has no data member", file.display())
}
