//! Where an image goes, as `--output` says it: `oci:DIR[:TAG]`, `oci-archive:FILE[:NAME]`,
//! `docker-archive:FILE[:NAME:TAG]`.
//!
//! The grammar is skopeo's, so that what is written can be read back under the same words: the path
//! ends at the first colon, all behind it is the name. A bare path is refused, because it does not
//! say which of the three is meant. An archive whose file is `-` goes to stdout.
//!
//! A layout holds any number of images, an archive one; [`Output::check`] decides before any
//! work is done. What an image is called ([`Names`]) may depend on what goes into it, and fills the rest in.
use std::path::{Path, PathBuf};

use super::name::{ImageName, NameError, RefName};
use dlstore_formats::layer::Codec;
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
        /// The file, or `-`.
        file: PathBuf,
        /// What `index.json` calls the image; at least one.
        names: Vec<RefName>,
    },
    /// What `docker load`, `podman load` and skopeo read.
    DockerArchive {
        /// The file, or `-`.
        file: PathBuf,
        /// What the image is called once it is loaded; at least one.
        names: Vec<ImageName>,
    },
}

/// What an image is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Of which definition it is: `static`, `acme/billing/static`.
    pub reference: String,
    /// What it is called where its digest is printed: its repository, else its name among others.
    pub printed: String,
    /// Its name among others: `static`, `static-debian`.
    pub short: String,
    /// Its full names, the first one first; at least one. Without a repository that is its own name.
    pub full: Vec<ImageName>,
}

/// How many tags an output gets for one image, when none is said with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    /// The first.
    First,
    /// All.
    All,
}

/// The file name that stands for stdout.
const STDOUT: &str = "-";

/// Says whether that is the name of an archive's file.
pub(super) fn is_stdout(file: &Path) -> bool {
    file.as_os_str() == STDOUT
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
    /// Two names of an image that have one tag, for a layout, which has tags only.
    #[error("output {output:?} would have one tag for {first} and {second}")]
    SameTag {
        /// The output.
        output: String,
        /// The first name.
        first: ImageName,
        /// The other one.
        second: ImageName,
    },
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
            Self::Bare(path) if path.is_empty() => "-o oci:out/image".to_owned(),
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
            Self::SameTag { .. } => "-o oci-archive:FILE, which holds full names".to_owned(),
            Self::Name { .. } | Self::SameName { .. } | Self::Store(_) | Self::NotAFile(_) => return None,
        };
        Some(Hint::new(text))
    }
}

/// Refuses to write into the store, and archives over pipes and devices.
///
/// # Errors
/// As said.
pub fn check_places(outputs: &[Output], store: &Path) -> Result<(), OutputError> {
    outputs.iter().try_for_each(|output| output.check_place(store))
}

impl Output {
    fn check_place(&self, store: &Path) -> Result<(), OutputError> {
        let path = match self {
            Self::Layout { dir, .. } => dir,
            Self::OciArchive { .. } | Self::DockerArchive { .. } if self.is_stdout() => return Ok(()),
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

    /// Says whether this goes to stdout.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        match self {
            Self::Layout { .. } => false,
            Self::OciArchive { file, .. } | Self::DockerArchive { file, .. } => is_stdout(file),
        }
    }

    /// Refuses images that cannot all be in this output.
    ///
    /// `images` are the short names of what is composed (`static`, `glibc-dynamic-nonroot`), of `asked` images that were
    /// asked for. A name in the output is for one image.
    ///
    /// # Errors
    /// When several images meet an archive or one tag, or two images have the same name.
    pub fn check(&self, images: &[&str], asked: usize, has_arch_tags: bool) -> Result<(), OutputError> {
        if asked > 1 && !matches!(self, Self::Layout { tag: None, .. }) {
            return Err(OutputError::Several { output: self.to_string(), count: asked });
        }
        let mut sorted = images.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(OutputError::SameName { output: self.to_string(), name: pair[0].to_owned() });
        }
        // The entries of architectures are named TAG-ARCH: another image of that name would take the name away.
        let of_other = |name: &str| {
            let owners =
                Arch::ALL.into_iter().filter_map(|arch| name.strip_suffix(arch.tag().as_str())?.strip_suffix('-'));
            owners.into_iter().any(|owner| images.contains(&owner))
        };
        if let Some(name) = images.iter().filter(|_| has_arch_tags).find(|name| of_other(name)) {
            return Err(OutputError::SameName { output: self.to_string(), name: (*name).to_owned() });
        }
        Ok(())
    }

    /// Refuses all names of an image where some would be dropped: a layout that has an entry for each tag.
    ///
    /// # Errors
    /// [`OutputError::SameTag`] for two names with one tag.
    pub fn check_all_tags(&self, names: &[ImageName]) -> Result<(), OutputError> {
        if !matches!(self, Self::Layout { tag: None, .. }) {
            return Ok(());
        }
        for (at, first) in names.iter().enumerate() {
            if let Some(second) = names[at + 1..].iter().find(|name| *name != first && name.tag() == first.tag()) {
                let (first, second) = (first.clone(), second.clone());
                return Err(OutputError::SameTag { output: self.to_string(), first, second });
            }
        }
        Ok(())
    }

    /// Gives the names that an image gets in this output, of `asked` images that were asked for. A layout has several by
    /// their short names, and a single one by its tags, as an archive has it by its full names; of which the first counts,
    /// unless all are wanted. `docker load` takes any number of names for one image, and is given all.
    #[must_use]
    pub fn targets(&self, names: &Names, asked: usize, tags: Tags) -> Vec<Target> {
        let most = if tags == Tags::All { usize::MAX } else { 1 };
        match self.clone() {
            Self::Layout { dir, tag: Some(tag) } => vec![Target::Layout { dir, tag }],
            Self::Layout { dir, tag: None } if asked > 1 => {
                vec![Target::Layout { dir, tag: RefName::of_short_name(&names.short) }]
            }
            Self::Layout { dir, tag: None } => layout_tags(&dir, names, most),
            Self::OciArchive { file, name: Some(name) } => vec![Target::OciArchive { file, names: vec![name] }],
            Self::OciArchive { file, name: None } => {
                vec![Target::OciArchive { file, names: names.full.iter().take(most).map(RefName::from).collect() }]
            }
            Self::DockerArchive { file, name: Some(name) } => {
                vec![Target::DockerArchive { file, names: vec![name] }]
            }
            Self::DockerArchive { file, name: None } => {
                vec![Target::DockerArchive { file, names: names.full.clone() }]
            }
        }
    }
}

/// Gives the tags that one image gets in a layout, at most `most`, each once.
fn layout_tags(dir: &Path, names: &Names, most: usize) -> Vec<Target> {
    let mut tags: Vec<RefName> = Vec::new();
    for tag in names.full.iter().map(RefName::of_tag) {
        if tags.len() < most && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags.into_iter().map(|tag| Target::Layout { dir: dir.to_owned(), tag }).collect()
}

impl Target {
    /// Says whether this goes to stdout.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        match self {
            Self::Layout { .. } => false,
            Self::OciArchive { file, .. } | Self::DockerArchive { file, .. } => is_stdout(file),
        }
    }
}

impl std::fmt::Display for Target {
    /// Writes the target as skopeo takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Layout { dir, tag } => write!(f, "oci:{}:{tag}", dir.display()),
            Self::OciArchive { file, names } => write!(f, "oci-archive:{}:{}", file.display(), names[0]),
            Self::DockerArchive { file, names } => write!(f, "docker-archive:{}:{}", file.display(), names[0]),
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
    use super::*;

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
            ("", "output \"\" needs a kind (oci:, oci-archive: or docker-archive:)", Some("-o oci:out/image")),
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

    fn names(short: &str, full: &[&str]) -> Names {
        let full = full.iter().map(|name| name.parse().unwrap()).collect();
        Names { reference: format!("{short}:debian"), printed: short.to_owned(), short: short.to_owned(), full }
    }

    #[test]
    fn an_output_gives_an_image_one_name_and_all_when_asked() {
        let named = names("static", &["static:1.2", "static:latest"]);
        let full = names("static", &["ghcr.io/acme/base:1.2", "ghcr.io/acme/base:latest"]);
        let of = |text: &str, names: &Names, asked, tags| {
            let targets = Output::parse(text).unwrap().targets(names, asked, tags);
            targets.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (text, names, asked, expected) in [
            ("oci:d", &named, 1, &["oci:d:1.2"][..]),
            ("oci:d", &full, 1, &["oci:d:1.2"]),
            ("oci:d", &full, 2, &["oci:d:static"]),
            ("oci:d:1", &named, 1, &["oci:d:1"]),
            ("oci-archive:f", &named, 1, &["oci-archive:f:static:1.2"]),
            ("oci-archive:f", &full, 1, &["oci-archive:f:ghcr.io/acme/base:1.2"]),
            ("oci-archive:f:1", &full, 1, &["oci-archive:f:1"]),
            ("docker-archive:f", &full, 1, &["docker-archive:f:ghcr.io/acme/base:1.2"]),
            ("docker-archive:f:a/b", &full, 1, &["docker-archive:f:a/b:latest"]),
        ] {
            assert_eq!(of(text, names, asked, Tags::First), expected, "{text}");
        }
        assert_eq!(of("oci:d", &full, 1, Tags::All), ["oci:d:1.2", "oci:d:latest"]);
        assert_eq!(of("oci:d:1", &full, 1, Tags::All), ["oci:d:1"]);
        let [Target::OciArchive { names, .. }] =
            &Output::parse("oci-archive:f").unwrap().targets(&full, 1, Tags::All)[..]
        else {
            panic!("an archive is one target");
        };
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn what_an_output_cannot_hold_is_refused() {
        let check = |text: &str, images: &[&str], has_arch_tags| {
            let outcome = Output::parse(text).unwrap().check(images, images.len(), has_arch_tags);
            outcome.map_err(|error| error.to_string())
        };
        for text in ["oci:d:1", "oci-archive:f", "docker-archive:f"] {
            let message = format!("output {text:?} holds one image, but 2 were requested");
            assert_eq!(check(text, &["a", "b"], false), Err(message));
        }
        let twice = |name: &str| Err(format!("output \"oci:d\" would contain two images named {name:?}"));
        assert_eq!(check("oci:d", &["a", "a"], false), twice("a"));
        assert_eq!(check("oci:d", &["a", "a-amd64"], false), Ok(()));
        assert_eq!(check("oci:d", &["a", "a-amd64"], true), twice("a-amd64"));
    }
}
