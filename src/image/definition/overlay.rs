//! A flavor's words laid over those of its base: single values override, lists append behind the
//! base's, tables merge and the flavor wins.
//!
//! A command belongs together: whoever says `entrypoint` without `cmd` drops the `cmd` from before, as
//! in a Dockerfile. A list of packages names each package once, so that a flavor can pin one that its
//! base only names.

use std::collections::{HashMap, HashSet};

use toml::Spanned;

use super::PackageRequirement;
use super::parse::Words;

/// Lays the words of a flavor over those of its base.
pub(super) fn laid_over(base: &Words, flavor: &Words) -> Words {
    let mut words = base.clone();
    let Words {
        description,
        repository,
        project,
        architectures,
        format,
        extends,
        embedded,
        packages,
        arch_packages,
        files,
        links,
        certificates,
        certificates_from,
        accounts,
        accounts_from,
        exclude,
        keep,
        slim,
        waive,
        skip,
        overrides,
        privileged,
        os_release,
        env,
        user,
        workdir,
        entrypoint,
        cmd,
        stop_signal,
        labels,
        annotations,
        ports,
        volumes,
        layers,
        compression,
        tags,
        spans,
    } = flavor.clone();
    over(&mut words.description, description);
    over(&mut words.repository, repository);
    over(&mut words.project, project);
    over(&mut words.architectures, architectures);
    over(&mut words.format, format);
    over(&mut words.extends, extends);
    over(&mut words.embedded, embedded);
    add_packages(&mut words.packages, packages);
    for (arch, requirements) in arch_packages {
        add_packages(words.arch_packages.entry(arch).or_default(), requirements);
    }
    // No path is in one of the lists twice.
    let own: HashSet<_> = files.iter().map(|file| file.get_ref().path.clone()).collect();
    words.files.retain(|before| !own.contains(&before.get_ref().path));
    words.files.extend(files);
    let own: HashSet<_> = links.iter().map(|link| link.get_ref().0.clone()).collect();
    words.links.retain(|before| !own.contains(&before.get_ref().0));
    words.links.extend(links);
    words.certificates.extend(certificates);
    over(&mut words.certificates_from, certificates_from);
    words.accounts.extend(accounts);
    over(&mut words.accounts_from, accounts_from);
    words.exclude.extend(exclude);
    words.keep.extend(keep);
    over(&mut words.slim, slim);
    words.waive.extend(waive);
    words.skip.extend(skip);
    words.overrides.extend(overrides);
    words.privileged.extend(privileged);
    words.os_release.extend(os_release);
    words.env.extend(env);
    over(&mut words.user, user);
    over(&mut words.workdir, workdir);
    command(&mut words.entrypoint, &mut words.cmd, entrypoint, cmd);
    over(&mut words.stop_signal, stop_signal);
    words.labels.extend(labels);
    words.annotations.extend(annotations);
    words.ports.extend(ports);
    words.volumes.extend(volumes);
    over(&mut words.layers, layers);
    over(&mut words.compression, compression);
    words.tags.extend(tags);
    words.spans.extend(spans);
    words
}

/// Overrides a value, if there is one of its own.
pub(super) fn over<T>(base: &mut Option<T>, own: Option<T>) {
    if own.is_some() {
        *base = own;
    }
}

/// Adds requirements; a later one for the same package replaces the earlier one where it stands.
fn add_packages(base: &mut Vec<Spanned<PackageRequirement>>, own: Vec<Spanned<PackageRequirement>>) {
    let known = base.iter().enumerate().map(|(at, before)| (before.get_ref().name.clone(), at));
    let mut known: HashMap<String, usize> = known.collect();
    for requirement in own {
        let at = *known.entry(requirement.get_ref().name.clone()).or_insert(base.len());
        match base.get_mut(at) {
            Some(before) => *before = requirement,
            None => base.push(requirement),
        }
    }
}

/// Overrides a command: an entrypoint without a cmd drops the cmd from before.
fn command<T>(entrypoint: &mut Option<T>, cmd: &mut Option<T>, own_entrypoint: Option<T>, own_cmd: Option<T>) {
    if own_entrypoint.is_some() {
        *entrypoint = own_entrypoint;
        *cmd = None;
    }
    over(cmd, own_cmd);
}
