//! Where definitions are: in the project first, then in the program, or at a path.
//!
//! ```text
//! NAME, NAME:FLAVOR        <project>/images/NAME/image.toml
//!                          <project>/images/NAME.toml
//!                          built in
//! builtin:NAME[:FLAVOR]    built in, whatever the project calls so
//! PATH, PATH:FLAVOR        when it has a `/` or ends in `.toml`; a directory's is its image.toml
//! ```
//! The project is the nearest directory, from the current one upwards, that has `images/`, or the one that a person says.
//! What is found by walking upwards decides what names mean, so it must be the user's or root's: `images/`, the
//! definition's directory and the file, and what links there lead to. Otherwise whoever may write to `/tmp` would say what
//! everybody below means by `static`. In the current directory its owner counts as well: that is where the user went. What a
//! definition names (another definition, a file, a certificate) is beneath that directory; for a
//! definition outside any project, beneath its own directory. Definitions that are built in name nothing
//! on the host.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::error::DefinitionError;
use super::{Here, IMPLICIT_FLAVOR, parse, syntax};
use dlstore_fsx::place::own_user;
use dlstore_model::likeness::closest;

/// Name of the file in an image's directory.
const FILE: &str = "image.toml";
/// Name of the file in which a project says its name.
const PROJECT: &str = "dlstore.toml";
/// Name of the directory of a project's images.
const IMAGES: &str = "images";
/// Largest definition that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The images that every program has.
const BUILT_IN: [(&str, &str); 3] = [
    ("glibc-dynamic", include_str!("../../../images/glibc-dynamic/image.toml")),
    ("musl-dynamic", include_str!("../../../images/musl-dynamic/image.toml")),
    ("static", include_str!("../../../images/static/image.toml")),
];

/// A definition that was found and read, not parsed yet.
#[derive(Debug)]
pub(super) struct Source {
    /// The image's name.
    pub(super) name: String,
    /// How people are told of the file; no other definition has the same.
    pub(super) file: String,
    pub(super) text: Cow<'static, str>,
    /// It takes the name of another one that is built in.
    pub(super) hides: bool,
    /// Where it is on the host, unless it is built in.
    pub(super) home: Option<Home>,
}

impl Source {
    /// Says whether it is, word for word, what the program has under its name: built in, or a copy of that.
    pub(super) fn is_as_built_in(&self) -> bool {
        built_in(&self.name).is_some_and(|known| known.text == self.text)
    }
}

/// Where a definition is on the host; both absolute.
#[derive(Debug, Clone)]
pub(super) struct Home {
    /// The definition's directory.
    pub(super) directory: PathBuf,
    /// What it may name is beneath this directory.
    pub(super) root: PathBuf,
    /// Who may have written it; `None` when a person named the project or the file.
    owners: Option<Owners>,
}

/// Users who may own what is found without having been named.
#[derive(Debug, Clone, Copy)]
struct Owners([u32; 3]);

impl Owners {
    /// The user and root; in the current directory its owner too.
    fn of(root: &Path, current: &Path) -> Self {
        let user = own_user();
        let here = if root == current { current.metadata().map_or(user, |found| found.uid()) } else { user };
        Self([user, 0, here])
    }

    /// Checks whose something is, and if it is a link, whose that is.
    fn check(self, root: &Path, path: &Path) -> Result<(), DefinitionError> {
        let failed = |source| DefinitionError::Io { action: "find", path: path.to_owned(), source };
        for found in [path.symlink_metadata().map_err(failed)?, path.metadata().map_err(failed)?] {
            if !self.0.contains(&found.uid()) {
                let (path, project) = (path.to_owned(), root.to_owned());
                return Err(DefinitionError::Owner { path, project, owner: found.uid() });
            }
        }
        Ok(())
    }
}

/// The project that names are looked for in.
struct Project {
    root: PathBuf,
    owners: Option<Owners>,
}

impl Project {
    /// Finds it: the one that was said, else the nearest one upwards.
    fn find(here: &Here<'_>) -> Result<Option<Self>, DefinitionError> {
        if let Some(said) = here.project {
            let root = absolute(said)?;
            if !root.join(IMAGES).is_dir() {
                return Err(DefinitionError::Path { path: said.to_owned(), reason: "has no directory `images`" });
            }
            return Ok(Some(Self { root, owners: None }));
        }
        let current = absolute(here.current)?;
        let Some(root) = root_of(&current) else { return Ok(None) };
        let owners = Owners::of(root, &current);
        owners.check(root, &root.join(IMAGES))?;
        Ok(Some(Self { root: root.to_owned(), owners: Some(owners) }))
    }

    /// Finds the definition of a name.
    fn definition(&self, current: &Path, name: &str) -> Result<Option<Source>, DefinitionError> {
        let images = self.root.join(IMAGES);
        for file in [images.join(name).join(FILE), images.join(format!("{name}.toml"))] {
            if stands(&file)? {
                stays_beneath(&self.root, &file)?;
                let home = Home { directory: parent(&file), root: self.root.clone(), owners: self.owners };
                home.check(&home.directory)?;
                let mut source = at_path(current, &file, home)?;
                source.hides = built_in(name).is_some_and(|known| known.text != source.text);
                return Ok(Some(source));
            }
        }
        Ok(None)
    }
}

impl Home {
    /// Checks whose something is that was found.
    fn check(&self, path: &Path) -> Result<(), DefinitionError> {
        self.owners.map_or(Ok(()), |owners| owners.check(&self.root, path))
    }

    /// Joins what a definition names to its directory, without looking at the disk; `None` when that
    /// leads out of the root.
    pub(super) fn join(&self, named: &str) -> Option<PathBuf> {
        let mut parts: Vec<Component<'_>> = self.directory.strip_prefix(&self.root).ok()?.components().collect();
        for part in Path::new(named).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => drop(parts.pop()?),
                Component::Normal(_) => parts.push(part),
                Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        Some(self.root.join(parts.iter().collect::<PathBuf>()))
    }
}

/// Finds what a person named. Gives the flavor that was named.
pub(super) fn find(here: &Here<'_>, reference: &str) -> Result<(Source, Option<String>), DefinitionError> {
    if let Some(found) = of_program(reference) {
        return found;
    }
    let current = absolute(here.current)?;
    let (named, flavor) = syntax::split(reference);
    let source = if syntax::is_path(named) {
        let file = definition_file(absolute(&current.join(named))?);
        let directory = parent(&file);
        let said = here.project.and_then(|said| absolute(said).ok()).filter(|said| directory.starts_with(said));
        let is_ours = |root: &&Path| Owners::of(root, &current).check(root, &root.join(IMAGES)).is_ok();
        let root = said
            .or_else(|| root_of(&directory).filter(is_ours).map(Path::to_owned))
            .or_else(|| directory.starts_with(&current).then(|| current.clone()))
            .unwrap_or_else(|| directory.clone());
        at_path(&current, &file, Home { directory, root, owners: None })?
    } else {
        by_name(here, named)?
    };
    Ok((source, flavor.map(str::to_owned)))
}

/// What was found, and the flavor that was named.
type FoundWithFlavor = Result<(Source, Option<String>), DefinitionError>;

/// Finds what is named as built in; `None` when it is not.
fn of_program(reference: &str) -> Option<FoundWithFlavor> {
    let (named, flavor) = syntax::split(reference.strip_prefix(syntax::BUILT_IN)?);
    let found = built_in(named).ok_or_else(|| {
        let known = BUILT_IN.map(|(name, _)| name);
        let suggestion = closest(named, known).map(str::to_owned);
        DefinitionError::UnknownImage {
            name: reference.to_owned(),
            suggestion,
            known: known.map(str::to_owned).to_vec(),
        }
    });
    Some(found.map(|source| (source, flavor.map(str::to_owned))))
}

/// Says whether something is named as built in, under this name.
pub(super) fn is_built_in(reference: &str, name: &str) -> bool {
    reference.strip_prefix(syntax::BUILT_IN).is_some_and(|named| syntax::split(named).0 == name)
}

/// Finds what a definition extends; a path is from its directory and stays beneath its root.
pub(super) fn find_from(
    here: &Here<'_>,
    from: &Source,
    reference: &str,
) -> Result<(Source, Option<String>), DefinitionError> {
    if let Some(found) = of_program(reference) {
        return found;
    }
    let current = absolute(here.current)?;
    let (named, flavor) = syntax::split(reference);
    let source = if syntax::is_path(named) {
        let path = || PathBuf::from(named);
        let home = from.home.as_ref().ok_or_else(|| DefinitionError::Path {
            path: path(),
            reason: "is a path, but a built-in definition can extend only built-in ones",
        })?;
        let outside = || DefinitionError::Path { path: path(), reason: "leads out of the project" };
        let file = definition_file(home.join(named).ok_or_else(outside)?);
        stays_beneath(&home.root, &file)?;
        at_path(&current, &file, Home { directory: parent(&file), root: home.root.clone(), owners: home.owners })?
    } else if from.home.is_none() {
        built_in(named).ok_or_else(|| unknown(here, named))?
    } else {
        by_name(here, named)?
    };
    Ok((source, flavor.map(str::to_owned)))
}

/// Names the project of a definition: as `dlstore.toml` beside `images/` says, else by its path; `None` for a
/// definition that is built in.
pub(super) fn project(source: &Source) -> Result<Option<String>, DefinitionError> {
    let Some(home @ Home { root, .. }) = &source.home else { return Ok(None) };
    let file = root.join(PROJECT);
    let named = match home.check(&file).and_then(|()| read(&file)) {
        Ok(text) => parse::project(&text).map_err(|bad| bad.at(&file.to_string_lossy(), &text))?,
        Err(DefinitionError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(Some(named.unwrap_or_else(|| root.to_string_lossy().into_owned())))
}

/// Names of all images that can be composed from here with their flavors, the default first. An
/// image whose definition has mistakes has no flavors here.
pub(super) fn known(here: &Here<'_>) -> Vec<(String, Vec<String>)> {
    let built_in = BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), flavors(text)));
    let mut images: BTreeMap<String, Vec<String>> = built_in.collect();
    images.extend(in_project(here).into_iter().filter_map(|(name, flavors)| Some((name, flavors?))));
    images.into_iter().collect()
}

/// Names of the images that the project defines itself, as [`known`] gives them.
pub(super) fn of_project(here: &Here<'_>) -> Vec<(String, Vec<String>)> {
    // Whoever loads one that cannot be read hears what is wrong.
    in_project(here).into_iter().map(|(name, flavors)| (name, flavors.unwrap_or_default())).collect()
}

/// Names of the images that the project defines itself.
///
/// # Errors
/// When its directory of images belongs to somebody else.
pub(super) fn names(here: &Here<'_>) -> Result<Vec<String>, DefinitionError> {
    let Some(project) = Project::find(here)? else { return Ok(Vec::new()) };
    let mut names = names_in(&project.root);
    names.retain(|name| {
        let images = project.root.join(IMAGES);
        let files = [images.join(name).join(FILE), images.join(format!("{name}.toml"))];
        // What cannot be looked at is there: whoever loads it hears why.
        files.iter().any(|file| stands(file).unwrap_or(true))
    });
    names.sort();
    names.dedup();
    Ok(names)
}

/// What the project has in `images/` as definitions under names that no image can have, sorted. What begins with a dot is
/// nobody's definition.
pub(super) fn misnamed(here: &Here<'_>) -> Vec<(String, DefinitionError)> {
    let Some(project) = Project::find(here).ok().flatten() else { return Vec::new() };
    let images = project.root.join(IMAGES);
    let Ok(entries) = std::fs::read_dir(&images) else { return Vec::new() };
    let mut found: Vec<String> = entries
        .filter_map(|entry| {
            let file_name = entry.ok()?.file_name();
            let path = images.join(&file_name);
            let name = file_name.to_string_lossy();
            let stem = name.strip_suffix(".toml").filter(|_| !path.is_dir());
            let is_definition = stem.is_some() || path.is_dir() && stands(&path.join(FILE)).unwrap_or(true);
            let stem = stem.unwrap_or(&name);
            (is_definition && !stem.starts_with('.') && !syntax::is_image_name(stem)).then(|| stem.to_owned())
        })
        .collect();
    found.sort();
    found.into_iter().map(|name| (name.clone(), DefinitionError::Name { name, suggestion: None })).collect()
}

/// Says whether something has that name, were it a link that leads nowhere.
fn stands(file: &Path) -> Result<bool, DefinitionError> {
    match file.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(source) => Err(DefinitionError::Io { action: "read the definition", path: file.to_owned(), source }),
    }
}

/// The images of the project with their flavors; `None` for one that cannot be read, or must not be.
fn in_project(here: &Here<'_>) -> BTreeMap<String, Option<Vec<String>>> {
    let Some(project) = Project::find(here).ok().flatten() else { return BTreeMap::new() };
    let found = names_in(&project.root).into_iter().filter_map(|name| {
        let flavors = match project.definition(here.current, &name) {
            Ok(source) => Some(flavors(&source?.text)),
            Err(_) => None,
        };
        Some((name, flavors))
    });
    found.collect()
}

fn flavors(text: &str) -> Vec<String> {
    match parse::definition(text) {
        Ok(definition) if definition.flavors.is_empty() => vec![IMPLICIT_FLAVOR.to_owned()],
        Ok(definition) => definition.flavors.into_iter().map(|(name, _)| name).collect(),
        Err(_) => Vec::new(),
    }
}

/// Finds an image by its name.
fn by_name(here: &Here<'_>, name: &str) -> Result<Source, DefinitionError> {
    if !syntax::is_image_name(name) {
        let known = known(here);
        let suggestion = closest(name, known.iter().map(|(name, _)| name.as_str())).map(str::to_owned);
        return Err(DefinitionError::Name { name: name.to_owned(), suggestion });
    }
    if let Some(project) = Project::find(here)?
        && let Some(source) = project.definition(&absolute(here.current)?, name)?
    {
        return Ok(source);
    }
    built_in(name).ok_or_else(|| unknown(here, name))
}

fn built_in(name: &str) -> Option<Source> {
    let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
    let file = format!("built-in {IMAGES}/{name}/{FILE}");
    Some(Source { name: (*name).to_owned(), file, text: Cow::Borrowed(text), hides: false, home: None })
}

fn names_in(root: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join(IMAGES)) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names = names.map(|name| name.strip_suffix(".toml").map_or_else(|| name.clone(), str::to_owned));
    names.filter(|name| syntax::is_image_name(name)).collect()
}

fn unknown(here: &Here<'_>, name: &str) -> DefinitionError {
    let known: Vec<String> = known(here).into_iter().map(|(name, _)| name).collect();
    let suggestion = closest(name, known.iter().map(String::as_str)).map(str::to_owned);
    DefinitionError::UnknownImage { name: name.to_owned(), suggestion, known }
}

/// Reads the definition in a file.
fn at_path(current: &Path, file: &Path, home: Home) -> Result<Source, DefinitionError> {
    let unnamed = || DefinitionError::Path {
        path: file.to_owned(),
        reason: "does not name an image: its directory, or the file itself, must be named with lowercase letters, digits and `.-_`",
    };
    let named =
        if file.file_name().is_some_and(|name| name == FILE) { home.directory.file_name() } else { file.file_stem() };
    home.check(file)?;
    let text = read(file)?;
    let name = named.and_then(|name| name.to_str()).filter(|name| syntax::is_image_name(name)).ok_or_else(unnamed)?;
    let shown = file.strip_prefix(current).unwrap_or(file).to_string_lossy().into_owned();
    Ok(Source { name: name.to_owned(), file: shown, text: Cow::Owned(text), hides: false, home: Some(home) })
}

fn read(file: &Path) -> Result<String, DefinitionError> {
    let failed = |source| DefinitionError::Io { action: "read the definition", path: file.to_owned(), source };
    // A pipe that nobody writes to would make it wait for ever.
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(DefinitionError::Path { path: file.to_owned(), reason: "is not a regular file" });
    }
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    // One byte more than is allowed tells a file that is larger.
    opened.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(DefinitionError::Large { path: file.to_owned() });
    }
    // A definition is the same text whatever the version control made of its line ends; TOML leaves that to its readers.
    Ok(if text.contains("\r\n") { text.replace("\r\n", "\n") } else { text })
}

/// Checks with the disk that links do not lead a path out of a directory.
pub(super) fn stays_beneath(root: &Path, path: &Path) -> Result<PathBuf, DefinitionError> {
    let real = |path: &Path| {
        let failed = |source| DefinitionError::Io { action: "find", path: path.to_owned(), source };
        path.canonicalize().map_err(failed)
    };
    let found = real(path)?;
    if found.starts_with(real(root)?) {
        return Ok(found);
    }
    Err(DefinitionError::Path { path: path.to_owned(), reason: "leads out of the project through a link" })
}

/// Finds the nearest directory upwards that has `images/`.
fn root_of(directory: &Path) -> Option<&Path> {
    directory.ancestors().find(|above| above.join(IMAGES).is_dir())
}

/// Gives the definition's file when a directory is named.
fn definition_file(path: PathBuf) -> PathBuf {
    if path.is_dir() { path.join(FILE) } else { path }
}

fn parent(file: &Path) -> PathBuf {
    file.parent().unwrap_or(file).to_owned()
}

/// Makes a path absolute and free of `.` and `..`, so that what is beneath what can be told from their names. As for the
/// kernel, a `..` behind a link leads to what is above the link's target; all other links keep their names.
fn absolute(path: &Path) -> Result<PathBuf, DefinitionError> {
    let failed = |source| DefinitionError::Io { action: "find", path: path.to_owned(), source };
    let mut found = PathBuf::new();
    for part in std::path::absolute(path).map_err(failed)?.components() {
        found.push(part);
        if part == Component::ParentDir {
            found = found.canonicalize().map_err(failed)?;
        }
    }
    Ok(found)
}
