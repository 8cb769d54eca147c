//! Packages that could not be chosen, in sentences: all of an image, or of several, in one error, and what to do.
//!
//! A package is said once, with the line of the definition that names it, the images that want it and the architectures
//! that lack it. What is there instead stands beside it: other versions, a name much like it, a file that could not be
//! read. The hint is made of the same: it names what would be enough, and nothing that is there already.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use crate::definition::PackageRequirement;
use crate::definition::quote::quoted;
use dlstore_formats::package::Format;
use dlstore_model::arch::Arch;
use dlstore_model::digest::OciDigest;
use dlstore_model::escape::Escaped;
use dlstore_model::shown::{MOST_SHOWN, with_commas};

/// Most images, and most versions, that are named beside a package.
const MOST_NAMED: usize = 3;
/// Most architectures that a hint names one by one.
const MOST_ARCHS: usize = 2;

/// Where packages were looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Searched {
    /// Nothing was said; `in_store` says that the store has all that is missing.
    Nowhere {
        /// Whether `--from store` would be enough.
        in_store: bool,
    },
    /// In the store.
    Store,
    /// Among the paths given.
    Paths,
}

/// Who wants a package, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The package as the definition names it.
    pub requirement: PackageRequirement,
    /// Its format.
    pub format: Format,
    /// The images, as `NAME:FLAVOR`.
    pub images: Vec<String>,
    /// The architectures for which it could not be chosen, at least one.
    pub archs: Vec<Arch>,
}

/// Why a package could not be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nothing of that name is there; perhaps something of a similar one.
    Nothing {
        /// That name.
        like: Option<Like>,
    },
    /// It is there, and not as it is requested: versions, the highest first, each with its architectures, and of those the
    /// highest that would fit all architectures that lack it.
    Others {
        /// What is there.
        versions: Vec<(String, Vec<String>)>,
        /// The one that would fit if the definition named no other.
        fitting: Option<String>,
    },
    /// A file that seems to be it could not be read.
    Unread {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// Whether it could not be opened or read at all, rather than being no whole package.
        is_closed: bool,
    },
    /// Alternatives are two equally good ones.
    Tie {
        /// Their version.
        version: String,
        /// One of them.
        first: Tied,
        /// The other.
        second: Tied,
    },
}

/// A name much like one that nothing has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Like {
    /// The name.
    pub name: String,
    /// Whether the image wants that package, too: then the word may be one too many, or mean what is not there.
    pub is_listed: bool,
}

/// One of two sources of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tied {
    /// What it is: a path, or a source of the store.
    pub shown: String,
    /// Its SHA-256, where that could be had.
    pub sha256: Option<OciDigest>,
    /// Whether it is for every architecture.
    pub is_for_all: bool,
}

/// A package that could not be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmetPackage {
    /// Who wants it.
    pub requested: Requested,
    /// Why there is none.
    pub reason: Reason,
}

/// Packages that could not be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// Where they were looked for.
    searched: Searched,
    /// In the order of images and definitions.
    packages: Vec<UnmetPackage>,
}

impl Unmet {
    /// Takes the packages of one image, at least one.
    #[must_use]
    pub const fn new(searched: Searched, packages: Vec<UnmetPackage>) -> Self {
        Self { searched, packages }
    }

    /// Takes what another image lacks: what both lack for the same architectures is said once.
    pub(crate) fn join(&mut self, other: Self) {
        if let (Searched::Nowhere { in_store }, Searched::Nowhere { in_store: too }) =
            (&mut self.searched, other.searched)
        {
            *in_store &= too;
        }
        for package in other.packages {
            let is_same = |known: &&mut UnmetPackage| {
                let Requested { requirement, format, images: _, archs } = &known.requested;
                let Requested { requirement: wanted, format: of, images: _, archs: lacking } = &package.requested;
                (requirement, format, archs, &known.reason) == (wanted, of, lacking, &package.reason)
            };
            match self.packages.iter_mut().find(is_same) {
                Some(known) => known.requested.images.extend(package.requested.images),
                None => self.packages.push(package),
            }
        }
    }

    fn shown(&self) -> &[UnmetPackage] {
        &self.packages[..self.packages.len().min(MOST_SHOWN)]
    }

    /// Gives the next thing to do.
    pub(crate) fn hint(&self) -> Option<String> {
        let mut hints: Vec<String> = Vec::new();
        // What to get, and for whom where that is said beside it.
        let mut files: Vec<(String, Vec<String>)> = Vec::new();
        let mut wanted = |whom: String, names: Vec<String>| match files.iter_mut().find(|(known, _)| *known == whom) {
            Some((_, known)) => names.into_iter().for_each(|name| {
                if !known.contains(&name) {
                    known.push(name);
                }
            }),
            None => files.push((whom, names)),
        };
        for UnmetPackage { requested, reason } in self.shown() {
            match reason {
                Reason::Tie { first, second, .. } => hints.extend(pins(requested, self.searched, first, second)),
                Reason::Unread { path, is_closed: true, .. } => {
                    hints.push(format!("make {} readable", Escaped::path(path)));
                }
                Reason::Unread { path, .. } => {
                    hints.push(format!("replace {} with an intact package", Escaped::path(path)));
                }
                // The sentence says what was meant.
                Reason::Nothing { like: Some(Like { is_listed: false, .. }) } => {}
                Reason::Nothing { .. } | Reason::Others { .. } => match self.searched {
                    Searched::Nowhere { .. } => {}
                    Searched::Store => wanted(String::new(), requested.files()),
                    Searched::Paths => wanted(format!(" for {}", requested.architectures()), vec![requested.called()]),
                },
            }
            if let Reason::Others { fitting: Some(version), .. } = reason
                && requested.requirement.sha256.is_none()
            {
                let there = quoted(&format!("{}={version}", requested.requirement.name));
                hints.push(format!(
                    "or ask for the version that exists: {there} instead of {}",
                    quoted(&requested.called_as_written())
                ));
            }
        }
        if !files.is_empty() {
            let of = |between: &str| {
                let each = files.iter().map(|(whom, names)| format!("{}{whom}", names.join(between)));
                each.collect::<Vec<_>>().join(" and ")
            };
            hints.insert(
                0,
                match self.searched {
                    Searched::Store => format!("dlstore add {}", of(" ")),
                    _ => format!("add {} to the directories given with --from", of(", ")),
                },
            );
            if let more @ 1.. = self.packages.len() - self.shown().len() {
                hints.push(format!("{} more are missing", with_commas(more)));
            }
        }
        match self.searched {
            Searched::Nowhere { in_store: true } => hints.push("use --from store, which has all of them".into()),
            Searched::Nowhere { in_store: false } => {
                hints.push("use --from PATH to say where packages are (files or directories)".into());
            }
            Searched::Store | Searched::Paths => {}
        }
        let mut seen: Vec<String> = Vec::new();
        for hint in hints {
            if !seen.contains(&hint) {
                seen.push(hint);
            }
        }
        (!seen.is_empty()).then(|| seen.join("; "))
    }
}

impl Requested {
    /// `libc6`, `libc6 2.41`.
    fn called(&self) -> String {
        let version = self.requirement.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        format!("{}{version}", self.requirement.name)
    }

    /// `libc6=2.41`: what the definition says, but for a digest.
    fn called_as_written(&self) -> String {
        let version = self.requirement.version.as_ref().map(|version| format!("={version}")).unwrap_or_default();
        format!("{}{version}", self.requirement.name)
    }

    /// `amd64`, `386, amd64, arm/v7` (as `--arch` takes them), or, of all eight, `every architecture`.
    fn architectures(&self) -> String {
        if self.archs.len() == Arch::ALL.len() {
            return "every architecture".into();
        }
        self.archs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// `demo, images/demo/image.toml:3`.
    fn whose(&self) -> String {
        let mut words = first_of(&self.images, "images");
        if let Some(line) = &self.requirement.line {
            let _ = write!(words, ", {line}");
        }
        words
    }

    /// Names of the files that it takes, as a shell finds them.
    fn files(&self) -> Vec<String> {
        let PackageRequirement { name, version, .. } = &self.requirement;
        // Files of packages leave an epoch out, or write it in two ways.
        let version = version.as_deref().map(|version| version.rsplit(':').next().unwrap_or(version));
        let one = |arch: &str| match self.format {
            Format::Deb => format!("{name}_{}_{arch}.deb", version.map_or("*".into(), |version| format!("*{version}"))),
            Format::Apk => format!("{name}-{}.apk", version.unwrap_or("[0-9]*")),
            Format::Tar => format!("{name}.tar*"),
        };
        if self.format != Format::Deb || self.archs.len() > MOST_ARCHS {
            return vec![one("*")];
        }
        self.archs.iter().map(|arch| one(name_of(*arch, self.format))).collect()
    }
}

/// What to write so that one of two is taken, and what to leave out otherwise.
fn pins(requested: &Requested, searched: Searched, first: &Tied, second: &Tied) -> Option<String> {
    let pin = |one: &Tied| {
        let word = quoted(&format!("{}@{}", requested.called_as_written(), one.sha256?));
        Some(format!("[{word}] ({})", one.shown))
    };
    // Files of one architecture are not those of the next.
    let keys: Vec<String> = if first.is_for_all && second.is_for_all {
        vec!["packages".into()]
    } else {
        requested.archs.iter().map(|arch| format!("arch.{}.packages", quoted(&arch.to_string()))).collect()
    };
    let pins = format!("pin one in the definition: {} = {} or {}", keys.join(" and "), pin(first)?, pin(second)?);
    Some(match searched {
        Searched::Paths => format!("{pins}; or leave one of the two out of --from"),
        _ => pins,
    })
}

/// Gives what packages of a format call an architecture.
pub(super) fn name_of(arch: Arch, format: Format) -> &'static str {
    match format {
        Format::Deb => arch.debian(),
        Format::Apk => arch.apk(),
        Format::Tar => "all",
    }
}

/// Names the first ones and counts the others.
fn first_of(names: &[String], what: &str) -> String {
    let mut words = names[..names.len().min(MOST_NAMED)].join(", ");
    if names.len() > MOST_NAMED {
        let _ = write!(words, " and {} more {what}", with_commas(names.len() - MOST_NAMED));
    }
    words
}

impl fmt::Display for UnmetPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requested, reason } = self;
        let (format, called) = (requested.format.name(), requested.called());
        let (architectures, whose) = (requested.architectures(), requested.whose());
        match reason {
            Reason::Unread { path, why, .. } => {
                let path = Escaped::path(path);
                return write!(
                    f,
                    "{path} could not be read: {why}; it may be the {format} package {called} for {architectures} ({whose})"
                );
            }
            Reason::Tie { version, first, second } => {
                let (name, first, second) = (&requested.requirement.name, &first.shown, &second.shown);
                return write!(
                    f,
                    "{name} {version} for {architectures} exists twice with different content: {first} and {second} ({whose})"
                );
            }
            Reason::Nothing { .. } | Reason::Others { .. } => {}
        }
        write!(f, "no {format} package {called} for {architectures}")?;
        if let Some(sha256) = &requested.requirement.sha256 {
            write!(f, " with {sha256}")?;
        }
        write!(f, " ({whose})")?;
        match reason {
            Reason::Nothing { like: Some(Like { name, is_listed: false }) } => write!(f, "; did you mean {name}?"),
            Reason::Nothing { like: Some(Like { name, is_listed: true }) } => {
                write!(f, "; did you mean {name}, which the image lists already?")
            }
            Reason::Others { versions, .. } => {
                let one = |(version, archs): &(String, Vec<String>)| format!("{version} ({})", archs.join(", "));
                let versions: Vec<String> = versions.iter().map(one).collect();
                write!(f, "; available: {}", first_of(&versions, "versions"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, package) in self.shown().iter().enumerate() {
            if at > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{package}")?;
        }
        match self.packages.len() - self.shown().len() {
            0 => Ok(()),
            more => write!(f, "\nand {} more", with_commas(more)),
        }
    }
}
