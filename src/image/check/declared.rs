//! What the packages of a root ask of each other: every dependency is met by a package that is there.
//!
//! A package meets a relation by its name and version, or by what it provides; of an apk a relation may also be a path.
//! Which architecture a relation names is looked at only where that is another one. What only a repository would know,
//! such as which package is installed if others are, is not looked at.

use std::collections::{HashMap, HashSet};

use super::problem::Edge;
use crate::rootfs::View;
use dlstore_formats::package::Format;
use dlstore_formats::package::declared::{Asked, Declared, Provided, declared};
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;
use dlstore_model::relation::Operator;
use dlstore_model::version::Version;

/// The versions in which a name is there, of one format.
#[derive(Default)]
struct Versions<'d> {
    /// Says whether the name is there at all, perhaps without a version.
    is_there: bool,
    /// In the format's order.
    sorted: Vec<&'d Version>,
}

impl<'d> Versions<'d> {
    fn add(&mut self, provided: &'d Provided) {
        self.is_there = true;
        self.sorted.extend(&provided.version);
    }

    /// Says whether one of them meets a relation: without looking at each where their order says it, for a package may
    /// provide tens of thousands, and ask for as many.
    fn meet(&self, format: Format, asked: &Asked) -> bool {
        let Some((operator, named)) = &asked.constraint else { return self.is_there };
        let holds = |version: &&Version| operator.holds(format, version, named);
        match operator {
            Operator::Earlier | Operator::EarlierOrEqual => self.sorted.first().is_some_and(holds),
            Operator::Later | Operator::LaterOrEqual => self.sorted.last().is_some_and(holds),
            Operator::Equal => self.sorted.binary_search_by(|version| version.compare(format, named)).is_ok(),
            Operator::Matches => self.sorted.iter().any(holds),
        }
    }
}

/// Gives the dependencies that nothing in the root meets, each with all names that would do.
pub(super) fn unmet(arch: Arch, view: &View<'_>) -> Vec<(Edge, Vec<String>)> {
    let controls = view.rootfs().packages().map(|(_, part, package)| (part.origin.to_string(), &package.control));
    let all: Vec<(String, Declared, Format)> =
        controls.map(|(origin, control)| (origin, declared(control), control.metadata.format)).collect();
    let mut first: HashMap<&str, &Provided> = HashMap::new();
    let mut there: HashMap<(Format, &str), Versions<'_>> = HashMap::new();
    for (_, declared, format) in &all {
        for provided in &declared.provides {
            first.entry(&provided.name).or_insert(provided);
            there.entry((*format, &provided.name)).or_default().add(provided);
        }
    }
    for ((format, _), versions) in &mut there {
        versions.sorted.sort_by(|one, other| one.compare(*format, other));
        versions.sorted.dedup();
    }
    let meets = |format: Format, asked: &Asked| {
        let is_here = asked.arch.as_deref().is_none_or(|of| ["any", "native", "all", arch.debian()].contains(&of));
        let by_path = || {
            let path = asked.name.strip_prefix('/').filter(|_| format == Format::Apk);
            path.and_then(|path| TreePath::new(path.as_bytes()).ok()).is_some_and(|path| view.follow(&path).is_some())
        };
        let found = there.get(&(format, asked.name.as_str()));
        is_here && (found.is_some_and(|found| found.meet(format, asked)) || by_path())
    };
    let mut unmet = Vec::new();
    for (origin, declared, format) in &all {
        let mut seen: HashSet<&str> = HashSet::new();
        for dependency in &declared.depends {
            if !seen.insert(&dependency.text) || dependency.any_of.iter().any(|asked| meets(*format, asked)) {
                continue;
            }
            let names: Vec<String> = dependency.any_of.iter().map(|asked| asked.name.clone()).collect();
            let has = names.iter().find_map(|name| first.get(name.as_str())).map(|provided| {
                let version = provided.version.as_ref().map(|version| format!(" {version}"));
                format!("{}{}", provided.name, version.unwrap_or_default())
            });
            let edge = Edge {
                package: declared.provides[0].name.clone(),
                origin: origin.clone(),
                text: dependency.text.clone(),
                any_of: dependency.any_of.clone(),
                has,
                provider: None,
            };
            unmet.push((edge, names));
        }
    }
    unmet
}
