//! Two sides of one architecture, held against each other.
//!
//! Settings, packages and paths are each joined by their name: what only one side has was added or removed, what both have
//! differs or is not mentioned.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::side::Side;
use super::{Compared, File, Package, Setting, State};
use crate::command::files::{kind, text_of};
use dlstore_image::rootfs::Listed;
use dlstore_model::config::Config;
use dlstore_model::escape;
use dlstore_model::tree::{Entry, Node};

/// Compares two sides.
pub(super) fn compared(architecture: String, old: &Side, new: &Side) -> Compared {
    let size = |side: &Side| side.files.iter().map(|file| file.entry.content_size()).sum();
    let (old_size, new_size) = (size(old), size(new));
    let config = joined(settings(old, new), settings(new, old));
    let packages = |side: &Side| -> BTreeMap<String, String> {
        let of = |(name, versions): (&String, &BTreeSet<String>)| {
            (name.clone(), versions.iter().cloned().collect::<Vec<_>>().join(", "))
        };
        side.packages.iter().map(of).collect()
    };
    Compared {
        architecture,
        config: config.into_iter().map(|(key, old, new)| Setting { key, old, new }).collect(),
        packages: joined(packages(old), packages(new))
            .into_iter()
            .map(|(name, old, new)| Package { name, old, new })
            .collect(),
        files: files(&old.files, &new.files),
        old_size,
        new_size,
    }
}

/// Joins two maps, and gives what differs.
fn joined(
    old: BTreeMap<String, String>,
    mut new: BTreeMap<String, String>,
) -> Vec<(String, Option<String>, Option<String>)> {
    let mut all: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    for (key, value) in old {
        let other = new.remove(&key);
        all.insert(key, (Some(value), other));
    }
    all.extend(new.into_iter().map(|(key, value)| (key, (None, Some(value)))));
    all.into_iter().filter(|(_, (old, new))| old != new).map(|(key, (old, new))| (key, old, new)).collect()
}

/// Gives the settings of a side that the other could have as well.
fn settings(side: &Side, other: &Side) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let (Some(config), Some(_)) = (&side.config, &other.config) {
        of_config(config, &mut all);
        all.extend(side.others.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    if let (Some(annotations), Some(_)) = (&side.annotations, &other.annotations) {
        add(&mut all, "annotations", annotations);
    }
    if let (Some(created), Some(_)) = (&side.created, &other.created) {
        all.insert("created".to_owned(), created.clone());
    }
    all
}

fn add(all: &mut BTreeMap<String, String>, name: &str, map: &BTreeMap<String, String>) {
    all.extend(map.iter().map(|(key, value)| (format!("{name}.{key}"), value.clone())));
}

fn of_config(config: &Config, all: &mut BTreeMap<String, String>) {
    let Config { env, user, workdir, entrypoint, cmd, stop_signal, labels, exposed_ports, volumes } = config;
    add(all, "env", env);
    add(all, "labels", labels);
    let texts = [("user", user), ("workdir", workdir), ("stop_signal", stop_signal)];
    all.extend(texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?))));
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    let lists = [
        ("entrypoint", entrypoint.clone()),
        ("cmd", cmd.clone()),
        ("ports", sorted(exposed_ports)),
        ("volumes", sorted(volumes)),
    ];
    let words = |list: Vec<String>| list.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
    all.extend(lists.map(|(key, list)| (key.to_owned(), words(list))));
}

/// Writes a word so that two lists with other borders between their words are not the same text.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty() && !word.contains([' ', '"', '\\']);
    if is_plain { word.to_owned() } else { format!("{word:?}") }
}

/// Walks two sorted lists of paths side by side.
fn files(old: &[Listed], new: &[Listed]) -> Vec<File> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut found = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.path.cmp(&new.path),
        };
        let one = if order.is_le() { old.next() } else { None };
        let other = if order.is_ge() { new.next() } else { None };
        let differs = one.zip(other).map_or_else(Vec::new, |(one, other)| differing(&one.entry, &other.entry));
        let is_same = one.is_some() && other.is_some() && differs.is_empty();
        if let Some(Listed { path, .. }) = one.or(other).filter(|_| !is_same) {
            let state = |listed: Option<&Listed>| listed.map(|listed| State::of(&listed.entry));
            found.push(File { path: text_of(path), differs, old: state(one), new: state(other) });
        }
    }
}

/// Says in what two entries differ.
fn differing(old: &Entry, new: &Entry) -> Vec<&'static str> {
    let (one, other) = (State::of(old), State::of(new));
    let is_device = |node: &Node| matches!(node, Node::CharDevice { .. } | Node::BlockDevice { .. });
    let all = [
        ("type", one.kind != other.kind),
        ("mode", one.mode != other.mode),
        ("owner", (one.uid, one.gid) != (other.uid, other.gid)),
        ("size", one.size.zip(other.size).is_some_and(|(one, other)| one != other)),
        ("content", one.blake3.as_ref().zip(other.blake3.as_ref()).is_some_and(|(one, other)| one != other)),
        ("target", one.kind == other.kind && one.target != other.target),
        ("device", one.kind == other.kind && is_device(&old.node) && old.node != new.node),
        ("attributes", old.xattrs != new.xattrs),
        ("time", one.mtime != other.mtime),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
}

impl State {
    fn of(entry: &Entry) -> Self {
        let meta = entry.meta;
        let (size, blake3) = match &entry.node {
            Node::File { content, size } => (Some(*size), Some(content.to_hex())),
            _ => (None, None),
        };
        let target = match &entry.node {
            Node::Symlink { target } => Some(escape::name(target)),
            Node::HardLink { target } => Some(text_of(target)),
            _ => None,
        };
        let (mode, uid, gid, mtime) = (format!("{:04o}", meta.mode), meta.uid, meta.gid, meta.mtime);
        Self { kind: kind(entry), mode, uid, gid, mtime, size, blake3, target }
    }
}
