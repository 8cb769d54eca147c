//! What keeps a root from being an image, in sentences: all of it in one error, and what to do about it.
//!
//! Architectures of one image mostly lack the same: a problem is said once, with those that have it where that
//! is not all of them.

use std::fmt::{self, Write as _};

use crate::definition;
use crate::definition::quote::{self, exact, pattern, quoted};
use crate::linker::provided::{self, Linkage};
use dlstore_formats::package::declared::Asked;
use dlstore_model::arch::Arch;
use dlstore_model::escape::Escaped;
use dlstore_model::path::TreePath;
use dlstore_model::shown::{MOST_SHOWN, with_commas};

/// Most things that are named which no known package has.
const MOST_NAMED: usize = 5;

/// Something that is wrong with a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Something privileged that the definition does not list.
    Privileged(Privileged),
    /// An ELF file for another machine.
    Machine(Foreign),
    /// Something is missing at run time.
    Gap(Gap),
    /// A library is there, and not in a version that will do.
    Version(SymbolVersion),
    /// What the definition says about running cannot be.
    RunKey(RunKey),
    /// A package that another one depends on is missing.
    Edge(Edge),
}

/// Something that gives whoever uses it more than their own rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privileged {
    /// The path.
    pub path: TreePath,
    /// Who brought it.
    pub origin: String,
    /// What it is.
    pub what: &'static str,
}

/// An ELF file for another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The file.
    pub path: TreePath,
    /// Who brought it.
    pub origin: String,
    /// For which machine it is.
    pub machine: String,
    /// The key below `files` that brought it and its `source`, as a definition would say them for each architecture,
    /// unless it does.
    pub source: Option<(String, String)>,
}

/// Something that is missing at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The file that needs it.
    pub path: TreePath,
    /// Who brought that file.
    pub origin: String,
    /// What is missing: an interpreter, a library, the target of a link.
    pub name: Vec<u8>,
    /// What is wrong with what is there under this name, as the rest of a sentence; `None` when nothing is there.
    pub why: Option<String>,
    /// Whose loader asks for it; [`Linkage::Other`] where that is not known, and of a link.
    pub linkage: Linkage,
    /// The package known to have it.
    pub provider: Option<String>,
    /// The file of a package of the image that would be it, and that is left out.
    pub left_out: Option<TreePath>,
    /// A library of that name where the loader does not look.
    pub elsewhere: Option<Elsewhere>,
}

/// A library that is in the image, and not where a loader looks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The library.
    pub path: TreePath,
    /// The image's `LD_LIBRARY_PATH`, empty when it has none; `None` when packages brought both the library and who needs it,
    /// so that it is theirs to say where it is.
    pub library_path: Option<String>,
}

impl Elsewhere {
    /// Gives its directory, if that can stand in an `LD_LIBRARY_PATH`.
    fn directory(&self) -> Option<String> {
        let directory = self.path.parent().map_or_else(|| "/".to_owned(), |parent| parent.to_string());
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b":;$\\".contains(&byte);
        directory.bytes().all(is_plain).then_some(directory)
    }
}

/// Versions of symbols that a file needs and no library of that name defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolVersion {
    /// The file that needs it.
    pub path: TreePath,
    /// Who brought that file.
    pub origin: String,
    /// The library.
    pub library: Vec<u8>,
    /// The version.
    pub version: Vec<u8>,
}

/// A key of the definition that says how the image runs, and why that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunKey {
    /// Where the definition says it.
    pub line: Option<definition::Line>,
    /// `entrypoint`, `cmd`, `workdir` or `volumes`.
    pub key: &'static str,
    /// What it says.
    pub word: String,
    /// What is wrong with that: the rest of the sentence.
    pub why: String,
    /// What to write, where that is known.
    pub hint: Option<Line>,
}

/// What to write into a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The key that it is about, as it is typed: `files."/data/"`.
    pub key: String,
    /// The line itself, or what to set in the one that is there.
    pub text: String,
}

/// A dependency of a package that nothing in the image meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The package's name.
    pub package: String,
    /// The same in full.
    pub origin: String,
    /// The dependency as the package writes it.
    pub text: String,
    /// What would meet it.
    pub any_of: Vec<Asked>,
    /// What the image has of that name, in a version that will not do.
    pub has: Option<String>,
    /// A package that is known and would meet it.
    pub provider: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Privileged(Privileged { path, origin, what }) => write!(f, "{path} of {origin} is {what}"),
            Self::Machine(Foreign { path, origin, machine, .. }) => {
                write!(f, "{path} of {origin} was built for {machine}")
            }
            Self::Gap(Gap { path, origin, name, why, provider, elsewhere, .. }) => {
                write!(f, "{path} of {origin} needs {}, which ", Escaped::bytes(name))?;
                match (why, elsewhere) {
                    (Some(why), _) => f.write_str(why)?,
                    (None, Some(at)) => write!(f, "is at {}, where its loader does not look", at.path)?,
                    (None, None) => f.write_str("is not in the image")?,
                }
                provider.as_ref().map_or(Ok(()), |provider| write!(f, " (package {provider} provides it)"))
            }
            Self::Version(SymbolVersion { path, origin, library, version }) => {
                let (library, version) = (Escaped::bytes(library), Escaped::bytes(version));
                write!(f, "{path} of {origin} needs {version} of {library}, which the image's copy does not define")
            }
            Self::RunKey(RunKey { line, key, word, why, .. }) => {
                line.as_ref().map_or(Ok(()), |line| write!(f, "{line}: "))?;
                write!(f, "{key} {}: {why}", Escaped::text(word))
            }
            Self::Edge(Edge { origin, text, has, provider, .. }) => {
                write!(f, "{origin} depends on {}, ", Escaped::text(text))?;
                match has {
                    Some(has) => write!(f, "but the image has {has}")?,
                    None => write!(f, "which is not in the image")?,
                }
                provider.as_ref().map_or(Ok(()), |provider| write!(f, " (package {provider} provides it)"))
            }
        }
    }
}

impl Gap {
    /// Says whether nothing is known that would fill it.
    fn is_open(&self) -> bool {
        self.why.is_none() && self.provider.is_none() && self.left_out.is_none() && self.elsewhere.is_none()
    }
}

impl Problem {
    /// Gives the waiver that accepts it, its reason left to whoever types it.
    fn waiver(&self) -> Option<String> {
        match self {
            // Nobody does without it: it is there.
            Self::Privileged(_) => None,
            Self::Machine(one) => quote::waiver(&one.path, format!("machine:{}", one.machine).as_bytes()),
            Self::Gap(one) => quote::waiver(&one.path, &one.name),
            Self::Version(one) => quote::waiver(&one.path, &one.version),
            Self::RunKey(one) => quote::waiver_of(one.key, &one.word),
            Self::Edge(one) => quote::waiver_of(&one.package, &one.any_of.first()?.name),
        }
    }

    /// Gives the package to add.
    fn provider(&self) -> Option<&str> {
        match self {
            Self::Gap(one) => one.provider.as_deref(),
            Self::Edge(one) => one.provider.as_deref(),
            _ => None,
        }
    }
}

/// All that is wrong with the roots of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The architectures that were looked at.
    archs: Vec<Arch>,
    /// At most [`MOST_SHOWN`], each with the architectures that have it.
    first: Vec<(Problem, Vec<Arch>)>,
    /// How many are left out.
    more: usize,
    /// What the packages to add depend on, to be added with them.
    with: Vec<String>,
    /// Names of the definition's levels.
    levels: Vec<String>,
}

impl Problems {
    /// Begins with none.
    #[must_use]
    pub fn of(arch: Arch) -> Self {
        Self { archs: vec![arch], first: Vec::new(), more: 0, with: Vec::new(), levels: Vec::new() }
    }

    /// Takes one more, which is made only if it is shown.
    pub fn push(&mut self, make: impl FnOnce() -> Problem) {
        if self.first.len() < MOST_SHOWN {
            let archs = self.archs.clone();
            self.first.push((make(), archs));
        } else {
            self.more += 1;
        }
    }

    /// Says whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Takes those of another architecture.
    pub(crate) fn join(&mut self, other: Self) {
        for (problem, archs) in other.first {
            if let Some((_, known)) = self.first.iter_mut().find(|(known, _)| *known == problem) {
                known.extend(archs);
            } else if self.first.len() < MOST_SHOWN {
                self.first.push((problem, archs));
            } else {
                self.more += 1;
            }
        }
        self.archs.extend(other.archs);
        self.more += other.more;
    }

    /// Says that an architecture was looked at and has none.
    pub(crate) fn spare(&mut self, arch: Arch) {
        self.archs.push(arch);
    }

    /// Gives each problem, with the first architecture that has it, to somebody who knows what would help.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = (Arch, &mut Problem)> {
        self.first.iter_mut().filter_map(|(problem, archs)| Some((*archs.first()?, problem)))
    }

    /// Says what to add with the packages that help, and what the image is made of already.
    pub(crate) fn know(&mut self, with: Vec<String>, levels: Vec<String>) {
        (self.with, self.levels) = (with, levels);
    }

    /// Gives the next thing to do: the packages to add, or the lines to write.
    pub(crate) fn hint(&self) -> Option<String> {
        let problems = || self.first.iter().map(|(problem, _)| problem);
        let mut hints: Vec<String> = Vec::new();
        // Lines to paste, each by itself.
        let mut lines: Vec<&Line> = Vec::new();
        let privileged = problems().filter_map(|problem| match problem {
            Problem::Privileged(Privileged { path, .. }) => exact(path).map(|path| quoted(&path)),
            _ => None,
        });
        let privileged: Vec<String> = privileged.collect();
        if !privileged.is_empty() {
            let what = if privileged.len() == 1 { "it, list it" } else { "them, list them" };
            let paths = privileged.join(", ");
            hints.push(format!("if the image needs {what} in the definition: privileged = [{paths}]"));
        }
        for problem in problems() {
            let hint = match problem {
                Problem::Machine(Foreign { source: Some((key, source)), .. }) => {
                    let (key, source) = (quoted(key), quoted(source));
                    Some(format!("use a separate file for each architecture: files.{key} = {{ source = {source} }}"))
                }
                Problem::RunKey(RunKey { hint: Some(line), .. }) => {
                    // Two that are about one directory: the later one says whose it is.
                    lines.retain(|known| known.key != line.key);
                    lines.push(line);
                    None
                }
                Problem::Gap(Gap { left_out: Some(path), .. }) => {
                    pattern(path).map(|path| format!("to keep the file that is left out: keep = [{}]", quoted(&path)))
                }
                _ => None,
            };
            hints.extend(hint.filter(|hint| !hints.contains(hint)));
        }
        hints.extend(self.library_path());
        let with = self.with.iter().map(String::as_str);
        let mut packages: Vec<String> = problems().filter_map(Problem::provider).chain(with).map(quoted).collect();
        packages.sort();
        packages.dedup();
        if !packages.is_empty() {
            hints.push(format!("add {} to packages", packages.join(", ")));
        }
        for (linkage, image) in [(Linkage::Glibc, "glibc-dynamic"), (Linkage::Musl, "musl-dynamic")] {
            let lacks = |problem: &Problem| matches!(problem, Problem::Gap(gap) if gap.is_open() && provided::has(linkage, base_name(&gap.name)));
            let extends_it = self.levels.iter().any(|level| level.split(':').next() == Some(image));
            if packages.is_empty() && !extends_it && problems().any(lacks) {
                hints.push(format!(
                    "extend the image that has it (extends = \"{image}\"), or link the program statically"
                ));
            }
        }
        if hints.is_empty() && lines.is_empty() {
            let waivers: Vec<String> = problems().filter_map(Problem::waiver).map(|text| quoted(&text)).collect();
            if !waivers.is_empty() {
                let what = if waivers.len() == 1 { "it" } else { "them" };
                let waivers = format!("give the reason in the definition: waive = [{}]", waivers.join(", "));
                hints.push(match self.to_provide() {
                    Some(get) => format!("{get}; or, if the image runs without {what}, {waivers}"),
                    None => format!("to do without {what}, {waivers}"),
                });
            }
        }
        let hints = (!hints.is_empty()).then(|| hints.join("; "));
        let all: Vec<&str> = hints.as_deref().into_iter().chain(lines.iter().map(|line| &*line.text)).collect();
        (!all.is_empty()).then(|| all.join("\n"))
    }

    /// Says where loaders are to look for libraries that are there, of which no package is known that has them elsewhere.
    fn library_path(&self) -> Option<String> {
        let mut parts: Vec<String> = Vec::new();
        for (problem, _) in &self.first {
            let Problem::Gap(Gap { elsewhere: Some(at), provider: None, left_out: None, .. }) = problem else {
                continue;
            };
            if let (Some(known), Some(directory)) = (&at.library_path, at.directory()) {
                let known = known.split(':').filter(|part| !part.is_empty()).map(str::to_owned);
                for part in known.chain([directory]) {
                    if !parts.contains(&part) {
                        parts.push(part);
                    }
                }
            }
        }
        (!parts.is_empty()).then(|| format!("set env.LD_LIBRARY_PATH = {}", quoted(&parts.join(":"))))
    }

    /// Says what is to be got, of which no package is known that has it.
    fn to_provide(&self) -> Option<String> {
        let edges = self.first.iter().filter_map(|(problem, _)| match problem {
            Problem::Edge(edge) => Some(Escaped::text(&edge.text).to_string()),
            _ => None,
        });
        // With the packages that others name come the libraries.
        let mut names: Vec<String> = edges.collect();
        if names.is_empty() {
            let gaps = self.first.iter().filter_map(|(problem, _)| match problem {
                Problem::Gap(gap) if gap.why.is_none() && gap.elsewhere.is_none() => {
                    let whose = if gap.linkage == Linkage::Musl { " for musl" } else { "" };
                    Some(format!("{}{whose}", Escaped::bytes(&gap.name)))
                }
                _ => None,
            });
            names.extend(gaps);
        }
        names.sort();
        names.dedup();
        let more = names.len().saturating_sub(MOST_NAMED);
        names.truncate(MOST_NAMED);
        let list = names.join(", ");
        Some(match names.as_slice() {
            [] => return None,
            [one] => format!("add the package that provides {one} to packages, and its file to --from"),
            _ if more > 0 => {
                let more = with_commas(more);
                format!("add the packages that provide {list} and {more} more to packages, and their files to --from")
            }
            _ => format!("add the packages that provide {list} to packages, and their files to --from"),
        })
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |archs: &[Arch]| archs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        for (at, (problem, archs)) in self.first.iter().enumerate() {
            if at > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{problem}")?;
            if matches!(problem, Problem::Machine(_)) {
                write!(f, ", but the image is for {}", list(archs))?;
            } else if archs.len() < self.archs.len() {
                write!(f, " (on {})", list(archs))?;
            }
        }
        if self.more > 0 {
            write!(f, "\nand {} more", with_commas(self.more))?;
        }
        Ok(())
    }
}

/// The last component of an interpreter's path, or a library's name.
fn base_name(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'/').next().unwrap_or(name)
}
