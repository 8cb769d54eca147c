//! What the packages of a root ask of each other: every dependency is met by a package that is there.
//!
//! A package meets a relation by its name and version, or by what it provides; of an apk a relation may also be a path.
//! Which architecture a relation names is looked at only where that is another one. What only a repository would know,
//! such as which package is installed if others are, is not looked at.

use std::collections::HashMap;

use super::problem::Edge;
use crate::rootfs::View;
use dlstore_formats::package::Format;
use dlstore_formats::package::declared::{Asked, Declared, Dependency, Provided, declared};
use dlstore_model::arch::Arch;
use dlstore_model::path::TreePath;

/// Gives the dependencies that nothing in the root meets, each with all names that would do.
pub(super) fn unmet(arch: Arch, view: &View<'_>) -> Vec<(Edge, Vec<String>)> {
    let controls = view.rootfs().packages().map(|(_, part, package)| (part.origin.to_string(), &package.control));
    let all: Vec<(String, Declared, Format)> =
        controls.map(|(origin, control)| (origin, declared(control), control.metadata.format)).collect();
    let mut there: HashMap<&str, Vec<(Format, &Provided)>> = HashMap::new();
    for (_, declared, format) in &all {
        for provided in &declared.provides {
            there.entry(&provided.name).or_default().push((*format, provided));
        }
    }
    let meets = |format: Format, asked: &Asked| {
        let is_here = asked.arch.as_deref().is_none_or(|of| ["any", "native", "all", arch.debian()].contains(&of));
        let by_path = || {
            let path = asked.name.strip_prefix('/').filter(|_| format == Format::Apk);
            path.and_then(|path| TreePath::new(path.as_bytes()).ok()).is_some_and(|path| view.follow(&path).is_some())
        };
        let found = there.get(asked.name.as_str());
        is_here
            && (found.is_some_and(|found| {
                found.iter().any(|(of, provided)| *of == format && asked.is_met_by(format, provided))
            }) || by_path())
    };
    let mut unmet = Vec::new();
    for (origin, declared, format) in &all {
        let mut seen: Vec<&Dependency> = Vec::new();
        for dependency in &declared.depends {
            if seen.contains(&dependency) || dependency.any_of.iter().any(|asked| meets(*format, asked)) {
                continue;
            }
            seen.push(dependency);
            let names: Vec<String> = dependency.any_of.iter().map(|asked| asked.name.clone()).collect();
            let has = names.iter().find_map(|name| there.get(name.as_str())?.first()).map(|(_, provided)| {
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
