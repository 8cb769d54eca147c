//! Where an image goes, as `--output` says it: `oci:DIR[:TAG]`, `oci-archive:FILE[:NAME]`,
//! `docker-archive:FILE[:NAME:TAG]`.
//!
//! The grammar is skopeo's, so that what is written can be read back under the same words: the path
//! ends at the first colon, all behind it is the name. A bare path is refused, because it does not
//! say which of the three is meant.
//!
//! A layout holds any number of images, an archive one; [`Output::targets`] decides before any
//! work is done.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::layout::Written;
use super::name::{ImageName, NameError, RefName};
use super::{BlobSource, Documents, OciError, archive, layout};
use dlstore_formats::layer::Codec;
use dlstore_fsx::output::Placement;
use dlstore_model::arch::Arch;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_model::escape::Escaped;

/// Where an image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A layout in a directory.
    Layout {
        /// The directory.
        dir: PathBuf,
        /// The tag; without one, see [`Output::targets`].
        tag: Option<RefName>,
    },
    /// The layout of one image as a tar.
    OciArchive {
        /// The file.
        file: PathBuf,
        /// What `index.json` calls the image.
        name: Option<RefName>,
    },
    /// What `docker load`, `podman load` and skopeo read.
    DockerArchive {
        /// The file.
        file: PathBuf,
        /// What the image is called once it is loaded.
        name: Option<ImageName>,
    },
}

/// One image on its way to one place: an [`Output`] with its name decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A tag of a layout.
    Layout {
        /// The directory.
        dir: PathBuf,
        /// The tag.
        tag: RefName,
    },
    /// The layout of one image as a tar.
    OciArchive {
        /// The file.
        file: PathBuf,
        /// What `index.json` calls the image.
        name: RefName,
    },
    /// What `docker load`, `podman load` and skopeo read.
    DockerArchive {
        /// The file.
        file: PathBuf,
        /// What the image is called once it is loaded.
        name: ImageName,
    },
}

/// Tells why a text is no output, or why it cannot hold what it is to hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// A path without a word before it.
    #[error("output {0:?} needs a kind (oci:, oci-archive: or docker-archive:)")]
    Bare(String),
    /// A word that is none of the three.
    #[error("unknown kind of output {kind:?} in {text:?}; expected oci, oci-archive or docker-archive")]
    Unknown {
        /// The word.
        kind: String,
        /// The whole text.
        text: String,
    },
    /// A registry, which is pushed to.
    #[error("output {0:?} is a registry; compose cannot push")]
    Registry(String),
    /// Nothing behind the word.
    #[error("output {0:?} names no file or directory")]
    NoPath(String),
    /// A name that cannot be one.
    #[error("output {text:?} has an invalid name")]
    Name {
        /// The whole text.
        text: String,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// Several images for something that holds one.
    #[error("output {output:?} holds one image, but {count} were requested")]
    Several {
        /// The output.
        output: String,
        /// How many images there are.
        count: usize,
    },
    /// A place within the store: its files are nobody else's.
    #[error("output {} is inside the store", Escaped::path(.0))]
    Store(PathBuf),
    /// An archive in the place of what is no file.
    #[error("output {} exists and is not a regular file", Escaped::path(.0))]
    NotAFile(PathBuf),
    /// Layers compressed with zstd for what has no place for them: `docker-archive:FILE`, or `--load`.
    #[error("{0} does not support zstd layers")]
    Zstd(String),
    /// Two images that a layout would call the same.
    #[error("output {output:?} would contain two images named {name:?}")]
    SameName {
        /// The output.
        output: String,
        /// The name.
        name: String,
    },
}

impl Diagnose for OutputError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::Bare(path) if has_tar_suffix(path) => format!("-o oci-archive:{path}, or docker-archive:{path}"),
            Self::Bare(path) => format!("-o oci:{path}"),
            Self::Unknown { kind, text } => {
                let near = KINDS.iter().min_by_key(|known| strsim::damerau_levenshtein(known, kind))?;
                let rest = text.get(kind.len()..)?;
                (strsim::damerau_levenshtein(near, kind) <= 3).then(|| format!("-o {near}{rest}"))?
            }
            Self::Registry(_) => "compose into oci:DIR:TAG and copy that, for example with skopeo".to_owned(),
            Self::NoPath(text) => format!("-o {}:out/image", text.split(':').next()?),
            Self::Zstd(_) => "--compression gzip, or -o oci-archive:FILE".to_owned(),
            Self::Several { .. } => "-o oci:DIR, which holds any number of images by name".to_owned(),
            Self::Name { .. } | Self::SameName { .. } | Self::Store(_) | Self::NotAFile(_) => return None,
        };
        Some(Hint::new(text))
    }
}

/// Refuses to write into the store, and archives over pipes and devices. A layout is looked at once, however many images go
/// into it.
///
/// # Errors
/// As said.
pub fn check_places<'t>(targets: impl IntoIterator<Item = &'t Target>, store: &Path) -> Result<(), OutputError> {
    let mut layouts = BTreeSet::new();
    let is_new = |target: &&'t Target| match target {
        Target::Layout { dir, .. } => layouts.insert(dir),
        Target::OciArchive { .. } | Target::DockerArchive { .. } => true,
    };
    targets.into_iter().filter(is_new).try_for_each(|target| target.check_place(store))
}

impl Target {
    fn check_place(&self, store: &Path) -> Result<(), OutputError> {
        let path = match self {
            Self::Layout { dir, .. } => dir,
            Self::OciArchive { file, .. } | Self::DockerArchive { file, .. } => {
                if std::fs::metadata(file).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
                    return Err(OutputError::NotAFile(file.clone()));
                }
                file
            }
        };
        // What is not there yet lies where the first of its parents lies that is.
        let real =
            std::path::absolute(path).ok().and_then(|path| path.ancestors().find_map(|one| one.canonicalize().ok()));
        match (real, store.canonicalize()) {
            (Some(real), Ok(store)) if real.starts_with(&store) => Err(OutputError::Store(path.clone())),
            _ => Ok(()),
        }
    }
}

const KINDS: [&str; 3] = ["oci", "oci-archive", "docker-archive"];

fn has_tar_suffix(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".tar")
}

impl Output {
    /// Refuses layers that this kind of output has no place for, before any of them is made.
    ///
    /// # Errors
    /// [`OutputError::Zstd`] for a docker-archive.
    pub fn check_codec(&self, codec: Codec) -> Result<(), OutputError> {
        match (self, codec) {
            (Self::DockerArchive { .. }, Codec::Zstd) => Err(OutputError::Zstd(self.to_string())),
            _ => Ok(()),
        }
    }

    /// Reads what `--output` was given.
    ///
    /// # Errors
    /// When the kind is missing or unknown, the path is empty, or the name cannot be one.
    pub fn parse(text: &str) -> Result<Self, OutputError> {
        // A slash before the first colon: a path that has a colon in it.
        let Some((kind, rest)) = text.split_once(':').filter(|(kind, _)| !kind.contains('/')) else {
            return Err(match text {
                kind if KINDS.contains(&kind) => OutputError::NoPath(kind.to_owned()),
                path => OutputError::Bare(path.to_owned()),
            });
        };
        if matches!(kind, "registry" | "docker") {
            return Err(OutputError::Registry(text.to_owned()));
        }
        if !KINDS.contains(&kind) {
            return Err(OutputError::Unknown { kind: kind.to_owned(), text: text.to_owned() });
        }
        let (path, name) = rest.split_once(':').map_or((rest, None), |(path, name)| (path, Some(name)));
        if path.is_empty() {
            return Err(OutputError::NoPath(text.to_owned()));
        }
        let path = PathBuf::from(path);
        let wrong = |source| OutputError::Name { text: text.to_owned(), source };
        let reference = || name.map(str::parse::<RefName>).transpose().map_err(wrong);
        Ok(match kind {
            "oci" => Self::Layout { dir: path, tag: reference()? },
            "oci-archive" => Self::OciArchive { file: path, name: reference()? },
            _ => Self::DockerArchive { file: path, name: name.map(str::parse).transpose().map_err(wrong)? },
        })
    }

    /// Gives each image its name in this output, or says why they cannot all be in it.
    ///
    /// `images` are the short names of what is composed (`static`, `glibc-dynamic-nonroot`), of `asked` images that were
    /// asked for. A name in the output is for one image. Without one, an archive calls its image `IMAGE:latest`; a layout
    /// calls a single image `latest`, and several by their short names.
    ///
    /// # Errors
    /// When several images meet an archive or one tag, or two images have the same short name.
    pub fn targets(&self, images: &[&str], asked: usize) -> Result<Vec<Target>, OutputError> {
        if asked > 1 && !matches!(self, Self::Layout { tag: None, .. }) {
            return Err(OutputError::Several { output: self.to_string(), count: asked });
        }
        let mut sorted = images.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(OutputError::SameName { output: self.to_string(), name: pair[0].to_owned() });
        }
        // A layout names an image's manifests TAG-ARCH: another image of that name would take the name away.
        let of_other = |name: &str| {
            let owners =
                Arch::ALL.into_iter().filter_map(|arch| name.strip_suffix(arch.tag().as_str())?.strip_suffix('-'));
            owners.into_iter().any(|owner| images.contains(&owner))
        };
        if let Some(name) = images.iter().find(|name| of_other(name)) {
            return Err(OutputError::SameName { output: self.to_string(), name: (*name).to_owned() });
        }
        let name_of = |image: &str| if asked == 1 { "latest".to_owned() } else { image.to_owned() };
        images.iter().map(|image| self.target(&name_of(image), &format!("{image}:latest"))).collect()
    }

    /// Fills in the name where there is none.
    fn target(&self, tag: &str, full: &str) -> Result<Target, OutputError> {
        let wrong = |source| OutputError::Name { text: self.to_string(), source };
        let image = || full.parse::<ImageName>().map_err(wrong);
        Ok(match self.clone() {
            Self::Layout { dir, tag: Some(tag) } => Target::Layout { dir, tag },
            Self::Layout { dir, tag: None } => Target::Layout { dir, tag: tag.parse().map_err(wrong)? },
            Self::OciArchive { file, name: Some(name) } => Target::OciArchive { file, name },
            Self::OciArchive { file, name: None } => Target::OciArchive { file, name: RefName::from(&image()?) },
            Self::DockerArchive { file, name: Some(name) } => Target::DockerArchive { file, name },
            Self::DockerArchive { file, name: None } => Target::DockerArchive { file, name: image()? },
        })
    }
}

impl Target {
    /// Writes the image, whole or not at all. What an archive holds counts as copied.
    ///
    /// # Errors
    /// As `layout::write`, `archive::write_oci` and `archive::write_docker`.
    pub fn write(
        &self,
        documents: &Documents,
        source: &(dyn BlobSource + Sync),
        placement: Placement,
    ) -> Result<Written, OciError> {
        match self {
            Self::Layout { dir, tag } => {
                return layout::write(dir, &[layout::Image { tag, documents, source }], placement);
            }
            Self::OciArchive { file, name } => archive::write_oci(file, name, documents, source)?,
            Self::DockerArchive { file, name } => archive::write_docker(file, name, documents, source)?,
        }
        let (copied, documents) = (documents.layers().len(), documents.all().count());
        Ok(Written { copied, documents, ..Written::default() })
    }
}

/// An image and where it goes.
pub struct Delivery<'d> {
    /// Where.
    pub target: &'d Target,
    /// What it is.
    pub documents: &'d Documents,
    /// Where its layers are.
    pub source: &'d (dyn BlobSource + Sync),
}

/// Writes images: those that go into one layout at once, so that however many there are its `index.json` is read and
/// written one time.
///
/// # Errors
/// As [`Target::write`].
pub fn write_all(deliveries: &[Delivery<'_>], placement: Placement) -> Result<(), OciError> {
    let mut layouts: BTreeMap<&Path, Vec<layout::Image<'_>>> = BTreeMap::new();
    for Delivery { target, documents, source } in deliveries {
        match target {
            Target::Layout { dir, tag } => {
                layouts.entry(dir).or_default().push(layout::Image { tag, documents, source: *source });
            }
            target => {
                target.write(documents, *source, placement)?;
            }
        }
    }
    for (dir, images) in layouts {
        layout::write(dir, &images, placement)?;
    }
    Ok(())
}

impl std::fmt::Display for Target {
    /// Writes the target as skopeo takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Layout { dir, tag } => write!(f, "oci:{}:{tag}", dir.display()),
            Self::OciArchive { file, name } => write!(f, "oci-archive:{}:{name}", file.display()),
            Self::DockerArchive { file, name } => write!(f, "docker-archive:{}:{name}", file.display()),
        }
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, path, name) = match self {
            Self::Layout { dir, tag } => ("oci", dir, tag.as_ref().map(ToString::to_string)),
            Self::OciArchive { file, name } => ("oci-archive", file, name.as_ref().map(ToString::to_string)),
            Self::DockerArchive { file, name } => ("docker-archive", file, name.as_ref().map(ToString::to_string)),
        };
        write!(f, "{kind}:{}", path.display())?;
        name.map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

impl std::str::FromStr for Output {
    type Err = OutputError;

    fn from_str(text: &str) -> Result<Self, OutputError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::real;
    use super::*;
    use dlstore_model::arch::Arch;

    #[test]
    fn outputs_are_read_as_skopeo_reads_them_and_written_back() {
        let layout =
            |dir: &str, tag: Option<&str>| Output::Layout { dir: dir.into(), tag: tag.map(|t| t.parse().unwrap()) };
        let oci = |file: &str, name: Option<&str>| Output::OciArchive {
            file: file.into(),
            name: name.map(|n| n.parse().unwrap()),
        };
        let docker = |file: &str, name: Option<&str>| Output::DockerArchive {
            file: file.into(),
            name: name.map(|n| n.parse().unwrap()),
        };
        for (text, output) in [
            ("oci:out/x", layout("out/x", None)),
            ("oci:out/x:latest", layout("out/x", Some("latest"))),
            ("oci:/x:localhost/a:1", layout("/x", Some("localhost/a:1"))),
            ("oci-archive:a.tar", oci("a.tar", None)),
            ("oci-archive:a.tar:ghcr.io/a/b:1", oci("a.tar", Some("ghcr.io/a/b:1"))),
            ("docker-archive:/tmp/a.tar", docker("/tmp/a.tar", None)),
            ("docker-archive:a.tar:static:1", docker("a.tar", Some("static:1"))),
        ] {
            assert_eq!(Output::parse(text), Ok(output.clone()));
            assert_eq!(output.to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_to_type() {
        for (text, message, hint) in [
            ("out", "output \"out\" needs a kind (oci:, oci-archive: or docker-archive:)", Some("-o oci:out")),
            ("./a:b", "output \"./a:b\" needs a kind (oci:, oci-archive: or docker-archive:)", Some("-o oci:./a:b")),
            (
                "a.tar",
                "output \"a.tar\" needs a kind (oci:, oci-archive: or docker-archive:)",
                Some("-o oci-archive:a.tar, or docker-archive:a.tar"),
            ),
            ("oci", "output \"oci\" names no file or directory", Some("-o oci:out/image")),
            ("oci::x", "output \"oci::x\" names no file or directory", Some("-o oci:out/image")),
            (
                "oci-archiv:x.tar",
                "unknown kind of output \"oci-archiv\" in \"oci-archiv:x.tar\"; expected oci, oci-archive or docker-archive",
                Some("-o oci-archive:x.tar"),
            ),
            (
                "docker://a/b",
                "output \"docker://a/b\" is a registry; compose cannot push",
                Some("compose into oci:DIR:TAG and copy that, for example with skopeo"),
            ),
            ("oci:a:b c", "output \"oci:a:b c\" has an invalid name", None),
            ("docker-archive:a:A", "output \"docker-archive:a:A\" has an invalid name", None),
        ] {
            let error = Output::parse(text).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.hint().as_deref()), (message, hint));
        }
    }

    #[test]
    fn an_output_names_what_it_can_hold() {
        let targets = |text: &str, images: &[&str]| {
            let targets =
                Output::parse(text).unwrap().targets(images, images.len()).map_err(|error| error.to_string())?;
            Ok::<_, String>(targets.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        for (text, images, expected) in [
            ("oci:d", &["static"][..], &["oci:d:latest"][..]),
            ("oci:d", &["static", "glibc-dynamic"], &["oci:d:static", "oci:d:glibc-dynamic"]),
            ("oci:d:1", &["static"], &["oci:d:1"]),
            ("oci-archive:f", &["static"], &["oci-archive:f:static:latest"]),
            ("oci-archive:f:1", &["static"], &["oci-archive:f:1"]),
            ("docker-archive:f", &["static"], &["docker-archive:f:static:latest"]),
            ("docker-archive:f:a/b", &["static"], &["docker-archive:f:a/b:latest"]),
        ] {
            assert_eq!(targets(text, images), Ok(expected.iter().map(ToString::to_string).collect()));
        }
        for text in ["oci:d:1", "oci-archive:f", "docker-archive:f"] {
            let message = format!("output {text:?} holds one image, but 2 were requested");
            assert_eq!(targets(text, &["a", "b"]), Err(message));
        }
        assert_eq!(targets("oci:d", &["a", "a"]), Err("output \"oci:d\" would contain two images named \"a\"".into()));
    }

    #[test]
    fn a_target_is_written_and_only_a_layout_is_known_again() {
        let image = real(&[Arch::Amd64, Arch::Arm64]);
        let documents = image.documents();
        let dir = tempfile::tempdir().unwrap();
        for (kind, is_known) in [("oci", true), ("oci-archive", false), ("docker-archive", false)] {
            let output: Output = format!("{kind}:{}", dir.path().join(kind).display()).parse().unwrap();
            let [target] = &output.targets(&["static"], 1).unwrap()[..] else { panic!("{output}") };
            let written = target.write(&documents, &image, Placement::Link).unwrap();
            assert_eq!(written.linked + written.copied, 3);
            let again = target.write(&documents, &image, Placement::Link).unwrap();
            assert_eq!(again.kept == 3 && again.documents == 0, is_known, "an archive is written anew");
        }
    }
}
