//! From the words of definitions to one image: a flavor onto its base, a definition onto what it
//! extends.
//!
//! Two different things happen. **Within a definition** a flavor's words are laid over the base's:
//! single values override, lists append behind the base's, tables merge and the flavor wins. **Between
//! definitions** nothing of the content mixes: each one of the chain stays a [`Level`] of its own, which
//! is why layers are shared between images; only the configuration comes down, and the child wins. A
//! flavor that extends another one of its own definition brings only its own words: the base is in
//! that one already.
//!
//! A command belongs together: whoever says `entrypoint` without `cmd` drops the `cmd` from before, as
//! in a Dockerfile.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;

use super::error::{Bad, DefinitionError, Place, and_known, closest, did_you_mean};
use super::locate::{self, Source};
use super::parse::{self, Definition, FileWords, Words};
use super::{
    Account, Compression, Config, FileSpec, IMPLICIT_FLAVOR, Image, Layering, Level, MAX_DEPTH, PackageWish, tags,
};
use crate::arch::Arch;
use crate::package::Format;

/// Users that every image has without declaring them, and their numbers.
const USERS: [(&str, u32); 3] = [("root", 0), ("nobody", 65534), ("nonroot", 65532)];
/// Groups that every image has besides those of [`USERS`].
const GROUPS: [&str; 2] = ["tty", "staff"];

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

/// Finds, reads and merges an image.
pub(super) fn load(project: &Path, reference: &str) -> Result<Image, DefinitionError> {
    let (source, flavor) = locate::find(project, reference)?;
    let mut image = Loader { project, chain: Vec::new() }.definition(&source, flavor.as_deref())?;
    let mut annotate = |key: &str, value: &str| {
        image.annotations.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    };
    annotate("org.opencontainers.image.title", &image.name);
    if let Some(description) = &image.description {
        annotate("org.opencontainers.image.description", description);
    }
    Ok(image)
}

/// One run along a chain of `extends`.
struct Loader<'a> {
    project: &'a Path,
    /// File and flavor of what is being read, outermost first, and their names for people.
    chain: Vec<((String, String), String)>,
}

/// One flavor of one definition, picked.
struct Picked<'a> {
    source: &'a Source,
    base: &'a Words,
    flavor: &'a Words,
    name: &'a str,
    is_default: bool,
    /// It is the only one, and has no name in the definition.
    is_implicit: bool,
}

impl Picked<'_> {
    fn level_name(&self) -> String {
        match self.is_implicit {
            true => self.source.name.clone(),
            false => format!("{}:{}", self.source.name, self.name),
        }
    }

    fn error(&self, bad: Bad) -> DefinitionError {
        bad.at(&self.source.file, &self.source.text)
    }
}

impl Loader<'_> {
    fn definition(&mut self, source: &Source, flavor: Option<&str>) -> Result<Image, DefinitionError> {
        let definition = parse::definition(&source.text).map_err(|bad| bad.at(&source.file, &source.text))?;
        self.flavor(source, &definition, flavor)
    }

    fn flavor(
        &mut self,
        source: &Source,
        definition: &Definition,
        flavor: Option<&str>,
    ) -> Result<Image, DefinitionError> {
        let nothing = Words::default();
        let picked = pick(source, definition, flavor, &nothing)?;
        let (key, name) = ((source.file.clone(), picked.name.to_owned()), picked.level_name());
        let is_cycle = self.chain.iter().any(|(before, _)| *before == key);
        self.chain.push((key, name));
        let names = || self.chain.iter().map(|(_, name)| name.clone()).collect();
        if is_cycle {
            return Err(DefinitionError::Cycle { chain: names() });
        }
        if self.chain.len() > MAX_DEPTH + 1 {
            return Err(DefinitionError::Depth { chain: names() });
        }
        let brings_only_own = picked.flavor.extends.as_ref().is_some_and(|named| named.get_ref().starts_with(':'));
        let words = if brings_only_own { picked.flavor.clone() } else { laid_over(picked.base, picked.flavor) };
        let ancestor = match &words.extends {
            None => None,
            Some(named) => Some(self.ancestor(source, definition, named)?),
        };
        self.chain.pop();
        build(&picked, words, ancestor).map_err(|bad| picked.error(bad))
    }

    fn ancestor(
        &mut self,
        source: &Source,
        definition: &Definition,
        named: &Spanned<String>,
    ) -> Result<Image, DefinitionError> {
        let reference = named.get_ref();
        let found = match reference.strip_prefix(':') {
            Some(flavor) => self.flavor(source, definition, Some(flavor)),
            None => locate::find_from(self.project, source, reference)
                .and_then(|(above, flavor)| self.definition(&above, flavor.as_deref())),
        };
        found.map_err(|error| match error {
            // These name their own place, or the whole chain.
            DefinitionError::Word { .. }
            | DefinitionError::Extends { .. }
            | DefinitionError::Cycle { .. }
            | DefinitionError::Depth { .. } => error,
            _ => DefinitionError::Extends {
                place: Box::new(Place::new(&source.file, &source.text, named.span())),
                reference: reference.clone(),
                source: Box::new(error),
            },
        })
    }
}

/// Picks a flavor; the first one when none is named.
fn pick<'a>(
    source: &'a Source,
    definition: &'a Definition,
    flavor: Option<&str>,
    nothing: &'a Words,
) -> Result<Picked<'a>, DefinitionError> {
    let base = &definition.base;
    if definition.flavors.is_empty() && flavor.is_none_or(|name| name == IMPLICIT_FLAVOR) {
        let name = IMPLICIT_FLAVOR;
        return Ok(Picked { source, base, flavor: nothing, name, is_default: true, is_implicit: true });
    }
    let at = match flavor {
        None => Some(0),
        Some(wanted) => definition.flavors.iter().position(|(name, _)| name == wanted),
    };
    match at.and_then(|at| Some((at, definition.flavors.get(at)?))) {
        Some((at, (name, flavor))) => {
            Ok(Picked { source, base, flavor, name, is_default: at == 0, is_implicit: false })
        }
        None => {
            let flavor = flavor.unwrap_or_default();
            let mut known: Vec<String> = definition.flavors.iter().map(|(name, _)| name.clone()).collect();
            if known.is_empty() {
                known.push(IMPLICIT_FLAVOR.to_owned());
            }
            Err(DefinitionError::UnknownFlavor {
                image: source.name.clone(),
                flavor: flavor.to_owned(),
                suggestion: closest(flavor, known.iter().map(String::as_str)).map(str::to_owned),
                known,
            })
        }
    }
}

/// Lays the words of a flavor over those of its base.
fn laid_over(base: &Words, flavor: &Words) -> Words {
    let mut words = base.clone();
    let Words {
        description,
        repository,
        architectures,
        format,
        extends,
        embedded,
        packages,
        arch_packages,
        files,
        links,
        certificates,
        accounts,
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
    } = flavor.clone();
    over(&mut words.description, description);
    over(&mut words.repository, repository);
    over(&mut words.architectures, architectures);
    over(&mut words.format, format);
    over(&mut words.extends, extends);
    over(&mut words.embedded, embedded);
    add_packages(&mut words.packages, packages);
    for (arch, wishes) in arch_packages {
        add_packages(words.arch_packages.entry(arch).or_default(), wishes);
    }
    for file in files {
        words.files.retain(|before| before.get_ref().path != file.get_ref().path);
        words.files.push(file);
    }
    for link in links {
        words.links.retain(|before| before.get_ref().0 != link.get_ref().0);
        words.links.push(link);
    }
    words.certificates.extend(certificates);
    words.accounts.extend(accounts);
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
    words
}

fn over<T>(base: &mut Option<T>, own: Option<T>) {
    if own.is_some() {
        *base = own;
    }
}

/// Adds wishes; a later one for the same package replaces the earlier one where it stands.
fn add_packages(base: &mut Vec<Spanned<PackageWish>>, own: Vec<Spanned<PackageWish>>) {
    for wish in own {
        match base.iter_mut().find(|before| before.get_ref().name == wish.get_ref().name) {
            Some(before) => *before = wish,
            None => base.push(wish),
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

/// Builds an image: what is extended, and a definition's own words as one more level.
fn build(picked: &Picked<'_>, words: Words, ancestor: Option<Image>) -> Result<Image, Bad> {
    let is_sibling = words.extends.as_ref().is_some_and(|named| named.get_ref().starts_with(':'));
    let mut image = ancestor.unwrap_or_else(|| Image {
        name: String::new(),
        flavor: String::new(),
        is_default_flavor: true,
        description: None,
        repository: None,
        architectures: Arch::ALL.to_vec(),
        format: None,
        levels: Vec::new(),
        config: Config::default(),
        annotations: BTreeMap::new(),
        tags: Vec::new(),
        layers: Layering::Grouped,
        compression: Compression::Gzip,
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
    set_architectures(&mut image, words.architectures.as_deref())?;
    set_format(&mut image, &words)?;
    check_paths(&words)?;
    check_accounts(&image, &words)?;
    check_owners(&image, &words)?;
    image.levels.push(level(picked, &words)?);
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
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

fn set_architectures(image: &mut Image, own: Option<&[Spanned<Arch>]>) -> Result<(), Bad> {
    let Some(own) = own else { return Ok(()) };
    for arch in own {
        if !image.architectures.contains(arch.get_ref()) {
            let above = image.architectures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let sentence = format!("what is extended is not for {}, only for {above}", arch.get_ref());
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
            let sentence = format!("what is extended has packages in the format `{}`: an image has one", above.name());
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
    for link in &words.links {
        let path = &link.get_ref().0;
        if words.files.iter().any(|file| file.get_ref().path == *path) {
            return Err(Bad::new(link.span(), format!("{path} is in `files` and in `links`")));
        }
    }
    Ok(())
}

/// Checks that no account is declared twice, here, above or by every image.
fn check_accounts(image: &Image, words: &Words) -> Result<(), Bad> {
    let above = image.levels.iter().flat_map(|level| &level.accounts);
    let mut seen: Vec<(&str, u32)> = USERS.to_vec();
    seen.extend(above.map(|account| (account.name.as_str(), account.uid)));
    for account in &words.accounts {
        let Account { name, uid, .. } = account.get_ref();
        if seen.iter().any(|(other, _)| other == name) {
            return Err(Bad::new(account.span(), format!("there is a user `{name}` already")));
        }
        if let Some((other, _)) = seen.iter().find(|(_, other)| other == uid) {
            return Err(Bad::new(account.span(), format!("{uid} is the user `{other}` already")));
        }
        seen.push((name, *uid));
    }
    Ok(())
}

/// Checks that users and groups are known. Only where nothing else than the accounts of definitions
/// can make any: an Alpine package, a tar and an own `/etc/passwd` bring more.
fn check_owners(image: &Image, words: &Words) -> Result<(), Bad> {
    let own_passwd = |path: &crate::path::TreePath| path.as_bytes() == b"etc/passwd";
    if matches!(image.format, Some(Format::Apk | Format::Tar))
        || image.levels.iter().flat_map(|level| &level.files).any(|file| own_passwd(&file.path))
        || words.files.iter().any(|file| own_passwd(&file.get_ref().path))
    {
        return Ok(());
    }
    let declared = || image.levels.iter().flat_map(|level| &level.accounts);
    let declared = || declared().chain(words.accounts.iter().map(Spanned::get_ref));
    let users: Vec<&str> =
        USERS.iter().map(|(name, _)| *name).chain(declared().map(|account| account.name.as_str())).collect();
    let mut groups: Vec<&str> = users.iter().copied().chain(GROUPS).collect();
    groups.extend(declared().map(|account| account.group.as_str()));
    let owners = words.files.iter().filter_map(|file| file.get_ref().owner.as_ref());
    for owner in owners.chain(&words.user) {
        let (user, group) = owner.get_ref().split_once(':').unwrap_or((owner.get_ref(), "0"));
        for (name, known, what) in [(user, &users, "user"), (group, &groups, "group")] {
            if !name.starts_with(|first: char| first.is_ascii_digit()) && !known.contains(&name) {
                let hint = and_known(&did_you_mean(name, known.iter().copied()), "`accounts` declares them");
                return Err(Bad::new(owner.span(), format!("there is no {what} `{name}`{hint}")));
            }
        }
    }
    Ok(())
}

/// Makes a level out of a definition's own words.
fn level(picked: &Picked<'_>, words: &Words) -> Result<Level, Bad> {
    let bare = |wishes: &[Spanned<PackageWish>]| wishes.iter().map(|wish| wish.get_ref().clone()).collect::<Vec<_>>();
    let kept = words.keep.iter().map(|pattern| (true, pattern.clone()));
    let certificates = words.certificates.iter().map(|path| own_file(picked.source, path).map(Into::into));
    Ok(Level {
        name: picked.level_name(),
        root: picked.source.home.as_ref().map(|home| home.root.clone()),
        embedded: words.embedded.unwrap_or(false),
        packages: bare(&words.packages),
        arch_packages: words.arch_packages.iter().map(|(arch, wishes)| (*arch, bare(wishes))).collect(),
        files: words.files.iter().map(|file| file_spec(picked.source, file.get_ref())).collect::<Result<_, _>>()?,
        links: words.links.iter().map(|link| link.get_ref().clone()).collect(),
        certificates: certificates.collect::<Result<_, _>>()?,
        selection: kept.chain(words.exclude.iter().cloned()).collect(),
        slim: words.slim.unwrap_or(true),
        waivers: words.waive.clone(),
        accounts: words.accounts.iter().map(|account| account.get_ref().clone()).collect(),
        skip: words.skip.clone(),
        overrides: words.overrides.clone(),
        privileged: words.privileged.clone(),
        os_release: words.os_release.clone(),
    })
}

fn file_spec(source: &Source, words: &FileWords) -> Result<FileSpec, Bad> {
    Ok(FileSpec {
        path: words.path.clone(),
        source: words.source.as_ref().map(|path| own_file(source, path)).transpose()?,
        content: words.content.clone(),
        is_folder: words.is_folder,
        mode: words.mode,
        owner: words.owner.as_ref().map(|owner| owner.get_ref().clone()),
    })
}

/// Joins what a definition names on the host to the definition's folder.
fn own_file(source: &Source, named: &Spanned<String>) -> Result<String, Bad> {
    let Some(home) = &source.home else {
        return Err(Bad::new(named.span(), "a built-in definition names no files of the host"));
    };
    let joined =
        home.join(named.get_ref()).ok_or_else(|| Bad::new(named.span(), "the path leads out of the project"))?;
    let text = joined.into_os_string().into_string();
    text.map_err(|_| Bad::new(named.span(), "the definition lies in a folder whose name is not UTF-8"))
}

/// Gives the tags: the base's, with the flavor behind them unless it is the default, then the
/// flavor's own as they are.
fn tags_of(picked: &Picked<'_>, image: &Image) -> Result<Vec<String>, Bad> {
    let mut all: Vec<String> = Vec::new();
    let of_base = picked.base.tags.iter().map(|tag| (tag, !picked.is_default));
    for (tag, has_suffix) in of_base.chain(picked.flavor.tags.iter().map(|tag| (tag, false))) {
        let named = tags::check(tag.get_ref()).map_err(|error| Bad::new(tag.span(), error.to_string()))?;
        for package in named {
            let wishes = |level: &Level| {
                level.packages.iter().chain(level.arch_packages.values().flatten()).any(|wish| wish.name == package)
            };
            if !image.levels.iter().any(wishes) {
                return Err(Bad::new(tag.span(), format!("the image has no package `{package}`")));
            }
        }
        let tag = if has_suffix { format!("{}-{}", tag.get_ref(), picked.name) } else { tag.get_ref().clone() };
        if !all.contains(&tag) {
            all.push(tag);
        }
    }
    Ok(all)
}
