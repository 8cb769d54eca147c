//! One package, one image definition with all that it inherits, or one built image.
//!
//! A package of the store comes first, an image definition second; a built image is named by where it is. Facts that were taken when a package
//! was added are shown; nothing is decoded again.

pub(crate) mod made;
pub(crate) mod start;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use start::Start;

use crate::command::context::Context;
use crate::command::error::Error;
use crate::command::find::{find, neither};
use crate::command::package::Package;
use crate::command::request::{self, Project};
use crate::command::subject;
use crate::command::value::Text;
use dlstore_image::definition;
use dlstore_ingest::facts;
use dlstore_model::arch::Arch;
use dlstore_model::diagnose::one_line;
use dlstore_model::escape;
use dlstore_model::path::TreePath;
use dlstore_store::{PackageRecord, Store};

/// What is found of a word.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Report {
    /// Packages of the store.
    Packages(Packages),
    /// An image.
    Image(Box<Image>),
    /// A built image.
    Made(made::Image),
}

/// Packages of the store.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Packages {
    /// The packages.
    pub(crate) packages: Vec<Details>,
}

/// A package with what it has.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Details {
    #[serde(flatten)]
    pub(crate) package: Package,
    /// The source package; `null` when that is not known.
    pub(crate) origin: Option<String>,
    /// Names of the files in its control part, sorted.
    pub(crate) control_members: BTreeSet<String>,
    /// Shared libraries, by path.
    pub(crate) libraries: Vec<Library>,
}

/// A shared library of a package.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Library {
    /// Its path in the image.
    pub(crate) path: String,
    /// The name that programs ask for.
    pub(crate) soname: String,
}

/// An image with what it inherits.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Image {
    /// Its name.
    pub(crate) name: String,
    /// Its flavor; `default` when the definition has none.
    pub(crate) flavor: String,
    /// One line about it.
    pub(crate) description: Option<String>,
    /// Where it is pushed.
    pub(crate) repository: Option<String>,
    /// The architectures that it is made for.
    pub(crate) architectures: Vec<Text<Arch>>,
    /// What a container starts with.
    #[serde(flatten)]
    pub(crate) start: Start,
    /// Annotations by key.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Templates of its tags.
    pub(crate) tags: Vec<String>,
    /// What it extends, outermost first, itself last.
    pub(crate) levels: Vec<Level>,
}

/// A definition that an image is made of.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Level {
    /// Its name and flavor.
    pub(crate) name: String,
    /// Whether it has the data that is built into the program.
    pub(crate) embedded: bool,
    /// Names of its packages.
    pub(crate) packages: Vec<String>,
    /// Packages that it has on single architectures only, as `ARCH: NAME`.
    pub(crate) arch_packages: Vec<String>,
    /// Paths of its own files and directories.
    pub(crate) files: Vec<String>,
    /// Its own links, as `PATH -> TARGET`.
    pub(crate) links: Vec<String>,
    /// Files of its own certificates.
    pub(crate) certificates: Vec<String>,
    /// Names of the accounts that it adds.
    pub(crate) accounts: Vec<String>,
    /// What it does without, as `FROM -> TO: WHY`.
    pub(crate) waive: Vec<String>,
    /// Fix-ups that it does not want.
    pub(crate) skip: Vec<String>,
    /// Paths that may be replaced.
    pub(crate) overrides: Vec<String>,
}

/// Finds packages or an image; `arch` chooses among the platforms of a built one.
///
/// # Errors
/// When there is neither, or it cannot be read.
pub(crate) fn run(context: &Context, project: &Project, arch: Option<&str>, what: &str) -> Result<Report, Error> {
    if let Some(source) = subject::made(what)? {
        return Ok(Report::Made(made::show(context, &source, arch)?));
    }
    if let Some(arch) = arch {
        request::named(arch, &Arch::ALL)?;
        context.note("--arch is ignored: it applies only to built images");
    }
    // An image needs no store; a package of that name may be in it.
    let store = context.open_if_there().unwrap_or_else(|error| {
        context.note(&format!("cannot search the store for packages: {}", one_line(&error)));
        None
    });
    let found = store.as_ref().map_or(Ok(Vec::new()), |store| find(store, what))?;
    let Some(store) = store.as_ref().filter(|_| !found.is_empty()) else {
        let image = project.load(context, what);
        let image = image.map_err(|error| neither(store.as_ref(), what, error));
        return Ok(Report::Image(Box::new(Image::of(image?))));
    };
    project.note_image(context, what);
    let packages = found.iter().map(|record| details(store, record)).collect::<Result<Vec<_>, Error>>()?;
    Ok(Report::Packages(Packages { packages }))
}

fn details(store: &Store, record: &PackageRecord) -> Result<Details, Error> {
    let fact = |kind| match record.fact(kind) {
        Some(digest) => store.fact(&digest),
        None => Ok(None),
    };
    let control = fact(facts::CONTROL)?.and_then(|data| facts::decode_control(&data).ok());
    let others = fact(facts::MEMBERS)?.and_then(|data| facts::decode_control(&data).ok());
    let members = control.iter().chain(&others).flat_map(|control| control.members.keys());
    let elf = fact(facts::ELF)?.and_then(|data| dlstore_formats::elf::decode_facts(&data).ok());
    let libraries = elf.iter().flatten().filter_map(|(path, elf)| {
        let soname = escape::name(elf.soname.as_ref()?);
        Some(Library { path: format!("/{}", escape::name(path.as_bytes())), soname })
    });
    Ok(Details {
        package: Package::of(record.clone()),
        origin: control.as_ref().map(|control| control.metadata.origin.to_string()),
        control_members: members.map(|member| escape::name(member.as_bytes())).collect(),
        libraries: libraries.collect(),
    })
}

impl Image {
    fn of(image: definition::Image) -> Self {
        Self {
            name: image.name,
            flavor: image.flavor,
            description: image.description,
            repository: image.repository,
            architectures: image.architectures.into_iter().map(Text).collect(),
            start: image.config.into(),
            annotations: image.annotations,
            tags: image.tags,
            levels: image.levels.into_iter().map(Level::of).collect(),
        }
    }
}

impl Level {
    fn of(level: definition::Level) -> Self {
        let waivers = level.waivers.iter();
        let of_arches = level.arch_packages.iter().flat_map(|(arch, packages)| {
            packages.iter().map(move |requirement| format!("{arch}: {}", requirement.name))
        });
        let path = |path: &TreePath| format!("/{}", escape::name(path.as_bytes()));
        Self {
            waive: waivers.map(|one| format!("{} -> {}: {}", one.from, one.to, one.reason)).collect(),
            name: level.name,
            embedded: level.embedded,
            packages: level.packages.into_iter().map(|requirement| requirement.name).collect(),
            arch_packages: of_arches.collect(),
            files: level.files.iter().map(|file| path(&file.path)).collect(),
            links: level
                .links
                .iter()
                .map(|(at, target)| format!("{} -> {}", path(at), escape::name(target.as_bytes())))
                .collect(),
            certificates: level
                .certificates
                .iter()
                .map(|file| escape::name(file.path.as_os_str().as_encoded_bytes()))
                .collect(),
            accounts: level.accounts.into_iter().map(|account| account.name).collect(),
            skip: level.skip.iter().map(ToString::to_string).collect(),
            overrides: level.overrides,
        }
    }
}
