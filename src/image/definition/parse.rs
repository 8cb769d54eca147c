//! From a text to the words of a definition: every key read, every value checked, nothing merged.
//!
//! What is wrong with a text by itself is found here and shown at its place. What depends on other
//! definitions (a format that an ancestor does not have, a user that nobody declares) is found in
//! `merge`, which is why values that can be wrong there keep their places.

use std::collections::{BTreeMap, HashSet};

use toml::Spanned;
use toml::de::{DeString, DeTable};

use super::error::{Bad, and_known, did_you_mean};
use super::key_lines::Spans;
use super::value::{self, Value};
use super::{Account, Compression, Fixup, Layering, PackageRequirement, Waiver, syntax, tags};
use dlstore_formats::package::Format;
use dlstore_model::arch::Arch;
use dlstore_model::escape::Escaped;
use dlstore_model::glob::{MOST_WILD, Pattern};
use dlstore_model::path::{PathError, TreePath};

/// The one version of the language that this program reads.
const SCHEMA: &str = "1";

/// Keys of a definition, and of a flavor; `schema` and `flavors` come on top of a definition.
pub(super) const KEYS: &[&str] = &[
    "description",
    "repository",
    "project",
    "architectures",
    "format",
    "extends",
    "embedded",
    "packages",
    "arch",
    "files",
    "links",
    "certificates",
    "certificates-from",
    "accounts",
    "accounts-from",
    "exclude",
    "keep",
    "slim",
    "waive",
    "skip",
    "overrides",
    "privileged",
    "os-release",
    "env",
    "user",
    "workdir",
    "entrypoint",
    "cmd",
    "stop-signal",
    "labels",
    "annotations",
    "ports",
    "volumes",
    "layers",
    "compression",
    "tags",
];
/// Keys of one file or directory.
pub(super) const FILE_KEYS: &[&str] = &["source", "content", "mode", "owner"];
/// Keys of one architecture.
pub(super) const ARCH_KEYS: &[&str] = &["packages"];
/// Keys of one account.
pub(super) const ACCOUNT_KEYS: &[&str] = &["name", "uid", "gid", "group", "home", "shell", "description"];

/// What one definition says: its own words, and those of each flavor in the order of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Definition {
    pub(super) base: Words,
    pub(super) flavors: Vec<(String, Words)>,
}

impl Definition {
    /// Gives what its flavors extend.
    pub(super) fn extends(&self) -> impl Iterator<Item = &str> {
        let all = std::iter::once(&self.base).chain(self.flavors.iter().map(|(_, words)| words));
        all.filter_map(|words| words.extends.as_ref()).map(|named| named.get_ref().as_str())
    }
}

/// What can be said in a definition or in a flavor of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    pub(super) description: Option<String>,
    pub(super) repository: Option<String>,
    pub(super) project: Option<String>,
    pub(super) architectures: Option<Vec<Spanned<Arch>>>,
    pub(super) format: Option<Spanned<Format>>,
    pub(super) extends: Option<Spanned<String>>,
    pub(super) embedded: Option<bool>,
    pub(super) packages: Vec<Spanned<PackageRequirement>>,
    pub(super) arch_packages: BTreeMap<Arch, Vec<Spanned<PackageRequirement>>>,
    pub(super) files: Vec<Spanned<FileWords>>,
    pub(super) links: Vec<Spanned<(TreePath, String)>>,
    pub(super) certificates: Vec<Spanned<String>>,
    pub(super) certificates_from: Option<Vec<Spanned<String>>>,
    pub(super) accounts: Vec<Spanned<Account>>,
    pub(super) accounts_from: Option<Spanned<String>>,
    pub(super) exclude: Vec<(bool, String)>,
    pub(super) keep: Vec<String>,
    pub(super) slim: Option<bool>,
    pub(super) waive: Vec<Waiver>,
    pub(super) skip: Vec<Fixup>,
    pub(super) overrides: Vec<String>,
    pub(super) privileged: Vec<String>,
    pub(super) os_release: BTreeMap<String, String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) workdir: Option<String>,
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) cmd: Option<Vec<String>>,
    pub(super) stop_signal: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) ports: Vec<String>,
    pub(super) volumes: Vec<String>,
    pub(super) layers: Option<Layering>,
    pub(super) compression: Option<Compression>,
    pub(super) tags: Vec<Spanned<String>>,
    /// Where all of it stands.
    pub(super) spans: Spans,
}

/// One file or directory as it is written; its place is that of its path.
#[derive(Debug, Clone)]
pub(super) struct FileWords {
    pub(super) path: TreePath,
    pub(super) is_directory: bool,
    pub(super) source: Option<Spanned<String>>,
    pub(super) content: Option<String>,
    pub(super) mode: Option<u16>,
    pub(super) owner: Option<Spanned<String>>,
}

/// Reads a definition.
pub(super) fn definition(text: &str) -> Result<Definition, Bad> {
    let document = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        if let Some(digits) = mode_at(text, span.start) {
            return Bad::new(span, mode_sentence(digits));
        }
        let sentence = error.message().lines().collect::<Vec<_>>().join(", ");
        Bad::new(span, format!("invalid TOML: {sentence}"))
    })?;
    let document = document.get_ref();
    schema(document)?;
    let mut read = Definition::default();
    for (key, value) in document {
        match key.get_ref().as_ref() {
            "schema" => {}
            "flavors" => read.flavors = flavors(value)?,
            _ => read.base.read(key, value, true)?,
        }
    }
    Ok(read)
}

/// Gives the digits of a mode that is written as a number with a zero in front, which TOML has not: `mode = 0644`.
fn mode_at(text: &str, at: usize) -> Option<&str> {
    let line = text.get(..at)?.matches('\n').count();
    let (_, value) = text.lines().nth(line)?.rsplit_once("mode")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    Some(&value[..end]).filter(|digits| digits.len() > 1 && digits.starts_with('0'))
}

/// Says how a mode is written that stands there as a number.
fn mode_sentence(digits: &str) -> String {
    let mode = format!("{digits:0>4}");
    let mode = if syntax::mode(&mode).is_ok() { &mode } else { "0755" };
    format!("a mode must be a string such as \"{mode}\": TOML would read a number as decimal")
}

/// Checks the version of the language.
fn schema(document: &DeTable<'_>) -> Result<(), Bad> {
    let Some(value) = document.get("schema") else {
        return Err(Bad::new(0..0, "a definition must begin with `schema = 1`"));
    };
    match value.get_ref().as_integer() {
        Some(number) if number.as_str() == SCHEMA => Ok(()),
        Some(_) => Err(Bad::new(value.span(), "this program reads only `schema = 1`")),
        None => Err(Bad::new(value.span(), "`schema` must be the integer 1")),
    }
}

/// Reads `dlstore.toml`: what a project says of itself. Its one word is its name.
pub(super) fn project(text: &str) -> Result<Option<String>, Bad> {
    let document = DeTable::parse(text).map_err(|error| {
        let sentence = error.message().lines().collect::<Vec<_>>().join(", ");
        Bad::new(error.span().unwrap_or(0..0), format!("invalid TOML: {sentence}"))
    })?;
    let mut name = None;
    schema(document.get_ref())?;
    for (key, value) in document.get_ref() {
        match key.get_ref().as_ref() {
            "schema" => {}
            "project" => name = Some(value::checked(value, syntax::project)?.into_inner()),
            unknown => return Err(value::unknown_key(unknown, key.span(), &["schema", "project"])),
        }
    }
    Ok(name)
}

/// Most flavors of a definition: each is an image, which is read with all that it extends.
const MOST_FLAVORS: usize = 256;

fn flavors(value: &Value<'_>) -> Result<Vec<(String, Words)>, Bad> {
    let table = value::table(value)?;
    if let Some((name, _)) = table.iter().nth(MOST_FLAVORS) {
        return Err(Bad::new(name.span(), format!("a definition has at most {MOST_FLAVORS} flavors")));
    }
    let mut flavors = Vec::with_capacity(table.len());
    for (name, value) in table {
        if !syntax::is_image_name(name.get_ref()) {
            return Err(Bad::new(name.span(), "a flavor's name may contain only lowercase letters, digits and `.-_`"));
        }
        let mut words = Words::default();
        for (key, value) in value::table(value)? {
            words.read(key, value, false)?;
        }
        flavors.push((name.get_ref().to_string(), words));
    }
    Ok(flavors)
}

impl Words {
    /// Reads one key.
    fn read(&mut self, key: &Spanned<DeString<'_>>, value: &Value<'_>, is_top: bool) -> Result<(), Bad> {
        use value::{all, all_checked, checked, flag, map, parsed};
        // Each list may have so many patterns with wildcards.
        let wild = std::cell::Cell::new(0);
        let counted = |pattern: &Pattern| {
            wild.set(wild.get() + usize::from(!pattern.is_literal()));
            let most = wild.get() <= MOST_WILD;
            most.then_some(()).ok_or_else(|| format!("a list has at most {MOST_WILD} patterns with wildcards"))
        };
        let pattern = |text: &str| counted(&Pattern::new(text).map_err(|error| error.to_string())?);
        match key.get_ref().as_ref() {
            "description" => self.description = Some(checked(value, syntax::one_line)?.into_inner()),
            "repository" => self.repository = Some(checked(value, syntax::repository)?.into_inner()),
            "project" => self.project = Some(checked(value, syntax::project)?.into_inner()),
            "architectures" => self.architectures = Some(architectures(value)?),
            "format" => self.format = Some(parsed(value, format)?),
            "extends" => self.extends = Some(checked(value, reference)?),
            "embedded" => self.embedded = Some(flag(value)?),
            "packages" => self.packages = packages(value)?,
            "arch" => self.arch_packages = arch_packages(value)?,
            "files" => self.files = files(value)?,
            "links" => self.links = links(value)?,
            "certificates" => self.certificates = all(value, |text| source(text, "").map(|()| text.to_owned()))?,
            "certificates-from" => self.certificates_from = Some(all(value, package_name)?),
            "accounts" => self.accounts = accounts(value)?,
            "accounts-from" => self.accounts_from = Some(parsed(value, package_name)?),
            "exclude" => {
                let rules = all(value, |text| {
                    let (keeps, text) = text.strip_prefix('!').map_or((false, text), |text| (true, text));
                    pattern(text).map(|()| (keeps, text.to_owned()))
                })?;
                self.exclude = rules.into_iter().map(Spanned::into_inner).collect();
            }
            "keep" => self.keep = all_checked(value, pattern)?,
            "slim" => self.slim = Some(flag(value)?),
            "waive" => {
                let waivers = all(value, |text| {
                    let waiver = syntax::waiver(text)?;
                    Pattern::new(&waiver.from).as_ref().map_or(Ok(()), counted)?;
                    Ok(waiver)
                })?;
                self.waive = waivers.into_iter().map(Spanned::into_inner).collect();
            }
            "skip" => self.skip = value::all(value, fixup)?.into_iter().map(Spanned::into_inner).collect(),
            "overrides" => self.overrides = all_checked(value, |text| pattern(syntax::overridden(text)?.1))?,
            "privileged" => self.privileged = all_checked(value, below_root)?,
            "os-release" => self.os_release = map(value, syntax::os_release_key, syntax::one_line)?,
            "env" => self.env = map(value, syntax::env_name, syntax::plain_text)?,
            "user" => self.user = Some(checked(value, syntax::owner)?),
            "workdir" => self.workdir = Some(checked(value, syntax::absolute)?.into_inner()),
            "entrypoint" => {
                let words = all_checked(value, syntax::plain_text)?;
                if words.first().is_some_and(String::is_empty) {
                    return Err(Bad::new(
                        value.span(),
                        "the first word of an entrypoint is the program and cannot be empty",
                    ));
                }
                self.entrypoint = Some(words);
            }
            "cmd" => self.cmd = Some(all_checked(value, syntax::plain_text)?),
            "stop-signal" => self.stop_signal = Some(checked(value, syntax::signal)?.into_inner()),
            "labels" => self.labels = map(value, syntax::label_key, syntax::plain_text)?,
            "annotations" => self.annotations = map(value, syntax::label_key, syntax::plain_text)?,
            "ports" => self.ports = all(value, syntax::port)?.into_iter().map(Spanned::into_inner).collect(),
            "volumes" => self.volumes = all_checked(value, below_root)?,
            "layers" => self.layers = Some(parsed(value, layering)?.into_inner()),
            "compression" => self.compression = Some(parsed(value, compression)?.into_inner()),
            "tags" => self.tags = all(value, tag)?,
            "schema" => return Err(Bad::new(key.span(), "`schema` may be set only once, at the top of a definition")),
            "flavors" => return Err(Bad::new(key.span(), "a flavor cannot have flavors")),
            unknown => {
                let mut known = KEYS.to_vec();
                known.extend(if is_top { &["schema", "flavors"][..] } else { &[] });
                return Err(value::unknown_key(unknown, key.span(), &known));
            }
        }
        self.spans.add(key.get_ref(), key.span().start, value);
        Ok(())
    }
}

fn architectures(value: &Value<'_>) -> Result<Vec<Spanned<Arch>>, Bad> {
    let archs = value::all(value, syntax::arch)?;
    if archs.is_empty() {
        return Err(Bad::new(value.span(), "an image needs at least one architecture"));
    }
    for (at, arch) in archs.iter().enumerate() {
        if archs[..at].iter().any(|before| before.get_ref() == arch.get_ref()) {
            return Err(Bad::new(arch.span(), format!("{} is listed twice", arch.get_ref())));
        }
    }
    Ok(archs)
}

fn packages(value: &Value<'_>) -> Result<Vec<Spanned<PackageRequirement>>, Bad> {
    let requirements = value::all(value, syntax::package)?;
    let mut seen = HashSet::new();
    for requirement in &requirements {
        if !seen.insert(&requirement.get_ref().name) {
            return Err(Bad::new(
                requirement.span(),
                format!("the package `{}` is listed twice", requirement.get_ref().name),
            ));
        }
    }
    Ok(requirements)
}

fn arch_packages(value: &Value<'_>) -> Result<BTreeMap<Arch, Vec<Spanned<PackageRequirement>>>, Bad> {
    let mut read = BTreeMap::new();
    for (name, value) in value::table(value)? {
        let arch = syntax::arch(name.get_ref()).map_err(|sentence| Bad::new(name.span(), sentence))?;
        let mut requirements = Vec::new();
        for (key, value) in value::table(value)? {
            match key.get_ref().as_ref() {
                "packages" => requirements = packages(value)?,
                unknown => return Err(value::unknown_key(unknown, key.span(), ARCH_KEYS)),
            }
        }
        if read.insert(arch, requirements).is_some() {
            return Err(Bad::new(name.span(), format!("{arch} is listed twice")));
        }
    }
    Ok(read)
}

fn files(value: &Value<'_>) -> Result<Vec<Spanned<FileWords>>, Bad> {
    let mut read: Vec<Spanned<FileWords>> = Vec::new();
    let mut seen = HashSet::new();
    for (key, value) in value::table(value)? {
        let file = file(key, value)?;
        if !seen.insert(file.path.clone()) {
            return Err(Bad::new(key.span(), format!("{} is listed twice", file.path)));
        }
        read.push(Spanned::new(key.span(), file));
    }
    Ok(read)
}

fn file(key: &Spanned<DeString<'_>>, value: &Value<'_>) -> Result<FileWords, Bad> {
    let path = tree_path(key)?;
    let is_directory = key.get_ref().ends_with('/');
    let mut file = FileWords { path, is_directory, source: None, content: None, mode: None, owner: None };
    for (key, value) in value::table(value)? {
        match key.get_ref().as_ref() {
            "source" => file.source = Some(value::checked(value, |text| source(text, "arch"))?),
            "content" => file.content = Some(value::text(value)?.to_owned()),
            "mode" if value.get_ref().is_integer() => {
                let digits = value.get_ref().as_integer().map(toml::de::DeInteger::as_str).unwrap_or_default();
                return Err(Bad::new(value.span(), mode_sentence(digits)));
            }
            "mode" => file.mode = Some(value::parsed(value, syntax::mode)?.into_inner()),
            "owner" => file.owner = Some(value::checked(value, syntax::owner)?),
            unknown => return Err(value::unknown_key(unknown, key.span(), FILE_KEYS)),
        }
    }
    let sentence = match (&file.source, &file.content) {
        (Some(_), Some(_)) => "a file can have `source` or `content`, not both",
        (None, Some(_)) if is_directory => {
            "a directory cannot have `content`; the path of a file does not end with `/`"
        }
        (None, None) if !is_directory => {
            "a file needs `source` or `content`; the path of an empty directory ends with `/`"
        }
        _ => return Ok(file),
    };
    Err(Bad::new(key.span(), sentence))
}

fn links(value: &Value<'_>) -> Result<Vec<Spanned<(TreePath, String)>>, Bad> {
    let mut read: Vec<Spanned<(TreePath, String)>> = Vec::new();
    let mut seen = HashSet::new();
    for (key, value) in value::table(value)? {
        let path = tree_path(key)?;
        if key.get_ref().ends_with('/') {
            return Err(Bad::new(key.span(), "the path of a link cannot end with `/`"));
        }
        let target = value::checked(value, |text| match text {
            "" => Err("the target of a link cannot be empty".into()),
            _ if text.len() >= dlstore_model::path::MAX_PATH => Err("the target is too long".into()),
            _ => syntax::no_nul(text),
        })?;
        if !seen.insert(path.clone()) {
            return Err(Bad::new(key.span(), format!("{path} is listed twice")));
        }
        read.push(Spanned::new(key.span(), (path, target.into_inner())));
    }
    Ok(read)
}

fn accounts(value: &Value<'_>) -> Result<Vec<Spanned<Account>>, Bad> {
    value::list(value)?.iter().map(|item| Ok(Spanned::new(item.span(), account(item)?))).collect()
}

fn account(item: &Value<'_>) -> Result<Account, Bad> {
    let (mut name, mut uid, mut gid, mut group, mut home) = (None, None, None, None, None);
    let (mut shell, mut description) = ("/sbin/nologin".to_owned(), String::new());
    let account_name = |text: &str| {
        let sentence = || "an account name may contain only lowercase letters, digits and `_-`, at most 32".to_owned();
        syntax::is_account_name(text).then(|| text.to_owned()).ok_or_else(sentence)
    };
    for (key, value) in value::table(item)? {
        match key.get_ref().as_ref() {
            "name" => name = Some(value::parsed(value, account_name)?.into_inner()),
            "group" => group = Some(value::parsed(value, account_name)?.into_inner()),
            "uid" => uid = Some(value::id(value)?),
            "gid" => gid = Some(value::id(value)?),
            "home" => {
                let path = |text: &str| TreePath::from_absolute(text).map_err(|error| path_sentence(text, &error));
                value::checked(value, syntax::passwd_field)?;
                home = Some(value::parsed(value, path)?.into_inner());
            }
            "shell" => {
                value::checked(value, syntax::passwd_field)?;
                shell = value::checked(value, syntax::absolute)?.into_inner();
            }
            "description" => description = value::checked(value, syntax::passwd_field)?.into_inner(),
            unknown => return Err(value::unknown_key(unknown, key.span(), ACCOUNT_KEYS)),
        }
    }
    let (Some(name), Some(uid)) = (name, uid) else {
        return Err(Bad::new(item.span(), "an account needs `name` and `uid`"));
    };
    let home = match home {
        Some(home) => home,
        None => TreePath::from_absolute(&format!("/home/{name}"))
            .map_err(|error| Bad::new(item.span(), error.to_string()))?,
    };
    let gid = gid.unwrap_or(uid);
    if gid == 0 && group.as_deref().is_some_and(|group| group != "root") {
        return Err(Bad::new(item.span(), "group 0 is called `root`: leave out `group`"));
    }
    // Who has number 0 is in the group that everybody calls so.
    let group = group.unwrap_or_else(|| if gid == 0 { "root".to_owned() } else { name.clone() });
    Ok(Account { name, uid, gid, group, home, shell, description })
}

/// Reads a key that is a path in the image.
fn tree_path(key: &Spanned<DeString<'_>>) -> Result<TreePath, Bad> {
    let text = key.get_ref().as_ref();
    TreePath::from_absolute(text).map_err(|error| Bad::new(key.span(), path_sentence(text, &error)))
}

fn path_sentence(text: &str, error: &PathError) -> String {
    match error {
        _ if !text.starts_with('/') => "a path in the image must begin with `/`".into(),
        PathError::Parent(_) => "a path in the image cannot have `..` in it".into(),
        error => error.to_string(),
    }
}

/// Checks a list's path in the image.
fn below_root(text: &str) -> Result<(), String> {
    TreePath::from_absolute(text).map(drop).map_err(|error| path_sentence(text, &error))
}

/// Checks a path on the host: relative, and without placeholders but the one that is allowed.
fn source(text: &str, placeholder: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("the path is empty".into());
    }
    if text.starts_with('/') {
        return Err("a source must be relative to the definition's directory".into());
    }
    let rest = if placeholder.is_empty() { text.to_owned() } else { text.replace(&format!("{{{placeholder}}}"), "") };
    if rest.contains(['{', '}']) {
        return Err(match placeholder {
            "" => "placeholders are not allowed here".into(),
            known => format!("the only placeholder allowed here is `{{{known}}}`"),
        });
    }
    // Its last part may become a name in the image.
    match text.chars().find(|character| character.is_control()) {
        Some(found) => Err(format!("the path contains the control character U+{:04X}", u32::from(found))),
        None => Ok(()),
    }
}

/// Checks what `extends` names: `NAME[:FLAVOR]`, `builtin:NAME[:FLAVOR]`, `:FLAVOR`, or a path.
fn reference(text: &str) -> Result<(), String> {
    let of_program = text.strip_prefix(syntax::BUILT_IN);
    let (named, flavor) = syntax::split(of_program.unwrap_or(text));
    if of_program.is_some() && !syntax::is_image_name(named) {
        return Err("`builtin:` needs the name of an image: `builtin:NAME` or `builtin:NAME:FLAVOR`".into());
    }
    let fits = match named {
        _ if text.starts_with('/') => return Err("the path must be relative to the definition's directory".into()),
        "" => flavor.is_some(),
        _ => syntax::is_path(named) || syntax::is_image_name(named),
    };
    if fits && flavor.is_none_or(syntax::is_image_name) {
        return syntax::no_nul(text);
    }
    Err("`extends` must be `NAME`, `NAME:FLAVOR`, `:FLAVOR`, or a path to a definition".into())
}

fn format(text: &str) -> Result<Format, String> {
    Format::from_name(text).ok_or_else(|| "the format must be `deb`, `apk` or `tar`".into())
}

fn layering(text: &str) -> Result<Layering, String> {
    match text {
        "grouped" => Ok(Layering::Grouped),
        "package" => Ok(Layering::Package),
        "flat" => Ok(Layering::Flat),
        _ => Err("layers must be `grouped`, `package` or `flat`".into()),
    }
}

fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        _ => Err("the compression must be `gzip` or `zstd`".into()),
    }
}

fn package_name(text: &str) -> Result<String, String> {
    let fits = syntax::is_package_name(text);
    fits.then(|| text.to_owned()).ok_or_else(|| "expected the name of a package, without a version".into())
}

fn fixup(text: &str) -> Result<Fixup, String> {
    Fixup::from_name(text).ok_or_else(|| {
        let names = Fixup::names();
        let known = format!("known fix-ups: {}", names.join(", "));
        let hint = and_known(&did_you_mean(text, names), &known);
        format!("unknown fix-up `{}`{hint}", Escaped::text(text))
    })
}

fn tag(text: &str) -> Result<String, String> {
    tags::check(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}
