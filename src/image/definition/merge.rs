//! One definition's words on top of what it extends.
//!
//! Nothing of the content mixes: each definition of the chain stays a [`Level`] of its own, which is why
//! images share layers. Only the configuration comes down, and the upper one wins. What is wrong
//! between definitions is found here, and shown where the upper one says it: an architecture or a format
//! that what is extended does not have, a user or a package that nobody brings.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use toml::Spanned;

use super::error::{Bad, Lines, and_known, did_you_mean};
use super::key_lines::KeyLines;
use super::locate::Source;
use super::overlay::over;
use super::parse::{FileWords, Words};
use super::pick::Picked;
use super::{
    Account, CertificateSpec, Compression, FileSpec, Image, Layering, Level, PackageRequirement, accounts, tags,
};
use dlstore_formats::package::Format;
use dlstore_model::arch::Arch;
use dlstore_model::config::Config;

/// Annotations that speak of one image, not of those that are built on it.
const PERSONAL: [&str; 8] = [
    "org.opencontainers.image.title",
    "org.opencontainers.image.description",
    "org.opencontainers.image.documentation",
    "org.opencontainers.image.url",
    "org.opencontainers.image.source",
    "org.opencontainers.image.version",
    "org.opencontainers.image.revision",
    "org.opencontainers.image.licenses",
];

/// Builds an image: what is extended, and a definition's own words as one more level.
pub(super) fn build(picked: &Picked<'_>, words: Words, ancestor: Option<Image>) -> Result<Image, Bad> {
    let is_sibling = words.extends.as_ref().is_some_and(|named| named.get_ref().starts_with(':'));
    let mut image = ancestor.unwrap_or_else(|| Image {
        name: String::new(),
        flavor: String::new(),
        is_default_flavor: true,
        description: None,
        repository: None,
        project: None,
        architectures: Arch::ALL.to_vec(),
        format: None,
        levels: Vec::new(),
        config: Config::default(),
        annotations: BTreeMap::new(),
        tags: Vec::new(),
        layers: Layering::Grouped,
        compression: Compression::Gzip,
        notes: Vec::new(),
        env_of_flags: BTreeSet::new(),
    });
    if !is_sibling {
        image.annotations.retain(|key, _| !PERSONAL.contains(&key.as_str()));
    }
    image.name.clone_from(&picked.source.name);
    picked.name.clone_into(&mut image.flavor);
    image.is_default_flavor = picked.is_default;
    let own = |pick: fn(&Words) -> &Option<String>| pick(picked.flavor).clone().or_else(|| pick(picked.base).clone());
    image.description = own(|words| &words.description);
    image.repository = own(|words| &words.repository);
    image.project = own(|words| &words.project);
    set_architectures(&mut image, words.architectures.as_deref())?;
    set_format(&mut image, &words)?;
    check_paths(&words)?;
    check_accounts(&image, &words)?;
    check_owners(&image, &words)?;
    image.levels.push(level(picked, &words)?);
    check_named(&image, &words)?;
    let config = &mut image.config;
    config.env.extend(words.env);
    over(&mut config.user, words.user.map(Spanned::into_inner));
    over(&mut config.workdir, words.workdir);
    if words.entrypoint.is_some() {
        config.cmd.clear();
    }
    config.entrypoint = words.entrypoint.unwrap_or(std::mem::take(&mut config.entrypoint));
    config.cmd = words.cmd.unwrap_or(std::mem::take(&mut config.cmd));
    over(&mut config.stop_signal, words.stop_signal);
    config.labels.extend(words.labels);
    add_missing(&mut config.exposed_ports, words.ports);
    add_missing(&mut config.volumes, words.volumes);
    image.annotations.extend(words.annotations);
    image.layers = words.layers.unwrap_or(image.layers);
    image.compression = words.compression.unwrap_or(image.compression);
    image.tags = tags_of(picked, &image)?;
    Ok(image)
}

fn add_missing(list: &mut Vec<String>, more: Vec<String>) {
    let mut known: HashSet<String> = list.iter().cloned().collect();
    list.extend(more.into_iter().filter(|item| known.insert(item.clone())));
}

fn set_architectures(image: &mut Image, own: Option<&[Spanned<Arch>]>) -> Result<(), Bad> {
    let Some(own) = own else { return Ok(()) };
    for arch in own {
        if !image.architectures.contains(arch.get_ref()) {
            let above = image.architectures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let sentence = format!("the extended image does not support {}, only {above}", arch.get_ref());
            return Err(Bad::new(arch.span(), sentence));
        }
    }
    image.architectures = own.iter().map(|arch| *arch.get_ref()).collect();
    image.architectures.sort_unstable();
    Ok(())
}

fn set_format(image: &mut Image, words: &Words) -> Result<(), Bad> {
    if let Some(own) = &words.format {
        let has_packages = |level: &Level| !level.packages.is_empty() || !level.arch_packages.is_empty();
        if let Some(above) = image.format.filter(|above| above != own.get_ref())
            && image.levels.iter().any(has_packages)
        {
            let sentence = format!(
                "the extended image has packages in the format `{}`, and an image can have only one format",
                above.name()
            );
            return Err(Bad::new(own.span(), sentence));
        }
        image.format = Some(*own.get_ref());
    }
    let first = words.packages.first().or_else(|| words.arch_packages.values().flatten().next());
    match first {
        Some(first) if image.format.is_none() => {
            Err(Bad::new(first.span(), "packages need a `format`: `deb`, `apk` or `tar`"))
        }
        _ => Ok(()),
    }
}

/// Checks that no path is both a file and a link.
fn check_paths(words: &Words) -> Result<(), Bad> {
    let files: HashSet<_> = words.files.iter().map(|file| &file.get_ref().path).collect();
    for link in &words.links {
        let path = &link.get_ref().0;
        if files.contains(path) {
            return Err(Bad::new(link.span(), format!("{path} is in both `files` and `links`")));
        }
    }
    Ok(())
}

/// Checks that no account is declared twice, here, above or by every image.
fn check_accounts(image: &Image, words: &Words) -> Result<(), Bad> {
    let above = image.levels.iter().flat_map(|level| &level.accounts);
    let known = accounts::users().map(|user| (user.name, user.id));
    let (mut names, mut uids) = (HashSet::new(), HashMap::new());
    for (name, uid) in known.chain(above.map(|account| (account.name.as_str(), account.uid))) {
        names.insert(name);
        uids.entry(uid).or_insert(name);
    }
    for account in &words.accounts {
        let Account { name, uid, .. } = account.get_ref();
        if !names.insert(name) {
            return Err(Bad::new(account.span(), format!("user `{name}` already exists")));
        }
        if let Some(other) = uids.insert(*uid, name) {
            return Err(Bad::new(account.span(), format!("UID {uid} is already used by `{other}`")));
        }
    }
    Ok(())
}

/// Checks that users and groups are known. Only where nothing else than the accounts of definitions
/// can make any: an Alpine package, a tar and an own `/etc/passwd` bring more.
fn check_owners(image: &Image, words: &Words) -> Result<(), Bad> {
    let own_passwd = |path: &dlstore_model::path::TreePath| path.as_bytes() == b"etc/passwd";
    if matches!(image.format, Some(Format::Apk | Format::Tar))
        || image.levels.iter().flat_map(|level| &level.files).any(|file| own_passwd(&file.path))
        || words.files.iter().any(|file| own_passwd(&file.get_ref().path))
    {
        return Ok(());
    }
    let declared = || image.levels.iter().flat_map(|level| &level.accounts);
    let declared = || declared().chain(words.accounts.iter().map(Spanned::get_ref));
    let users: BTreeSet<&str> =
        accounts::users().map(|user| user.name).chain(declared().map(|account| account.name.as_str())).collect();
    let groups_only = accounts::EVERY.iter().filter(|known| known.home.is_none()).map(|known| known.name);
    let mut groups: BTreeSet<&str> = users.iter().copied().chain(groups_only).collect();
    groups.extend(declared().map(|account| account.group.as_str()));
    let owners = words.files.iter().filter_map(|file| file.get_ref().owner.as_ref());
    for owner in owners.chain(&words.user) {
        let (user, group) = owner.get_ref().split_once(':').unwrap_or((owner.get_ref(), "0"));
        for (name, known, what) in [(user, &users, "user"), (group, &groups, "group")] {
            if !name.starts_with(|first: char| first.is_ascii_digit()) && !known.contains(name) {
                let hint = and_known(&did_you_mean(name, known.iter().copied()), "`accounts` declares them");
                return Err(Bad::new(owner.span(), format!("there is no {what} `{name}`{hint}")));
            }
        }
    }
    Ok(())
}

/// Checks that the packages which accounts and certificates are taken from are packages of the image.
fn check_named(image: &Image, words: &Words) -> Result<(), Bad> {
    let known = packages(image);
    for name in words.certificates_from.iter().flatten().chain(&words.accounts_from) {
        if !known.contains(name.get_ref().as_str()) {
            return Err(Bad::new(name.span(), format!("the image has no package `{}`", name.get_ref())));
        }
    }
    Ok(())
}

/// Gives the names of all packages.
fn packages(image: &Image) -> HashSet<&str> {
    let levels = image.levels.iter();
    let all = levels.flat_map(|level| level.packages.iter().chain(level.arch_packages.values().flatten()));
    all.map(|requirement| requirement.name.as_str()).collect()
}

/// Makes a level out of a definition's own words.
fn level(picked: &Picked<'_>, words: &Words) -> Result<Level, Bad> {
    let bare_name = |name: &Spanned<String>| name.get_ref().clone();
    let lines = Lines::of(&picked.source.file, &picked.source.text);
    let bare = |requirements: &[Spanned<PackageRequirement>]| {
        requirements.iter().map(|requirement| located(&lines, requirement)).collect()
    };
    let kept = words.keep.iter().map(|pattern| (true, pattern.clone()));
    let certificates = words.certificates.iter().map(|written| {
        let path = own_file(picked.source, written)?.into();
        Ok(CertificateSpec { path, written: written.get_ref().clone() })
    });
    Ok(Level {
        name: picked.level_name(),
        root: picked.source.home.as_ref().filter(|_| !picked.source.is_as_built_in()).map(|home| home.root.clone()),
        embedded: words.embedded.unwrap_or(false),
        packages: bare(&words.packages),
        arch_packages: words.arch_packages.iter().map(|(arch, requirements)| (*arch, bare(requirements))).collect(),
        files: words.files.iter().map(|file| file_spec(picked.source, file.get_ref())).collect::<Result<_, _>>()?,
        links: words.links.iter().map(|link| link.get_ref().clone()).collect(),
        certificates: certificates.collect::<Result<_, _>>()?,
        selection: kept.chain(words.exclude.iter().cloned()).collect(),
        slim: words.slim.unwrap_or(true),
        waivers: words.waive.clone(),
        certificates_from: words.certificates_from.as_ref().map(|names| names.iter().map(bare_name).collect()),
        accounts: words.accounts.iter().map(|account| account.get_ref().clone()).collect(),
        accounts_from: words.accounts_from.as_ref().map(bare_name),
        skip: words.skip.clone(),
        overrides: words.overrides.clone(),
        privileged: words.privileged.clone(),
        os_release: words.os_release.clone(),
        key_lines: Arc::new(KeyLines::of(&lines, words.spans.clone())),
    })
}

fn located(lines: &Lines<'_>, requirement: &Spanned<PackageRequirement>) -> PackageRequirement {
    PackageRequirement { line: Some(lines.of_byte(requirement.span().start)), ..requirement.get_ref().clone() }
}

fn file_spec(source: &Source, words: &FileWords) -> Result<FileSpec, Bad> {
    Ok(FileSpec {
        path: words.path.clone(),
        source: words.source.as_ref().map(|path| own_file(source, path)).transpose()?,
        content: words.content.clone(),
        is_directory: words.is_directory,
        mode: words.mode,
        owner: words.owner.as_ref().map(|owner| owner.get_ref().clone()),
    })
}

/// Joins what a definition names on the host to the definition's directory.
fn own_file(source: &Source, named: &Spanned<String>) -> Result<String, Bad> {
    let Some(home) = &source.home else {
        return Err(Bad::new(named.span(), "a built-in definition cannot use files of the host"));
    };
    let joined =
        home.join(named.get_ref()).ok_or_else(|| Bad::new(named.span(), "the path leads out of the project"))?;
    let text = joined.into_os_string().into_string();
    text.map_err(|_| Bad::new(named.span(), "the definition is in a directory whose name is not UTF-8"))
}

/// Gives the tags: the base's, with the flavor behind them unless it is the default, then the
/// flavor's own as they are.
fn tags_of(picked: &Picked<'_>, image: &Image) -> Result<Vec<String>, Bad> {
    let mut all: Vec<String> = Vec::new();
    let (mut seen, known) = (HashSet::new(), packages(image));
    let of_base = picked.base.tags.iter().map(|tag| (tag, !picked.is_default));
    for (tag, has_suffix) in of_base.chain(picked.flavor.tags.iter().map(|tag| (tag, false))) {
        let named = tags::check(tag.get_ref()).map_err(|error| Bad::new(tag.span(), error.to_string()))?;
        for package in named {
            if !known.contains(package) {
                return Err(Bad::new(tag.span(), format!("the image has no package `{package}`")));
            }
        }
        let tag = if has_suffix { format!("{}-{}", tag.get_ref(), picked.name) } else { tag.get_ref().clone() };
        if seen.insert(tag.clone()) {
            all.push(tag);
        }
    }
    Ok(all)
}
