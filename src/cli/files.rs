//! `dlstore files`: every path of a package or an image, with mode, owner, size, content and origin.
//!
//! A package of the store is listed as it came; an image is planned and listed as its layers will be,
//! without making any of them. No path is without an origin.

use std::process::ExitCode;

use clap::Args;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Value, json};

use super::Global;
use super::attempt::persistently;
use super::output::{Output, table};
use super::request::FromArgs;
use super::show::find;
use dlstore_image::compose::{Listed, Request, rootfs_of};
use dlstore_model::escape::{self, Escaped};
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Node, Tree};
use dlstore_store::{Access, ObjectRef, Store, StoreError};

/// What `files` is told.
#[derive(Args)]
pub(super) struct FilesArgs {
    /// A package as `show` takes it, or an image as `compose` takes it
    pub(super) what: String,
    #[command(flatten)]
    pub(super) from: FromArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Entries under one heading.
pub(super) struct Listing {
    pub(super) heading: String,
    pub(super) entries: Vec<Listed>,
}

/// Listings as JSON, each entry made when it is written: an image may have more than a hundred thousand.
#[derive(serde::Serialize)]
struct Listings<'l> {
    listings: &'l [Listing],
    schema: u32,
}

impl Serialize for Listing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("files", &Described(&self.entries))?;
        map.serialize_entry("of", &self.heading)?;
        map.end()
    }
}

struct Described<'l>(&'l [Listed]);

impl Serialize for Described<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(describe))
    }
}

pub(super) fn run(global: &Global, out: &Output, arguments: &FilesArgs) -> anyhow::Result<ExitCode> {
    let listings = listings(global, out, &arguments.what, &arguments.from)?;
    if arguments.json {
        out.json_stream(&Listings { listings: &listings, schema: 1 })?;
        return Ok(ExitCode::SUCCESS);
    }
    for listing in &listings {
        if listings.len() > 1 {
            out.result(&format!("{}:", listing.heading))?;
        }
        let rows: Vec<Vec<String>> = listing
            .entries
            .iter()
            .map(|Listed { path, entry, origin, of }| {
                let meta = entry.meta;
                let size = if let Node::File { size, .. } = entry.node { size.to_string() } else { "-".into() };
                vec![
                    format!("{}{:04o}", letter(entry), meta.mode),
                    format!("{}:{}", meta.uid, meta.gid),
                    format!("{size:>9}"),
                    made_of(origin, of),
                    named(path, entry),
                ]
            })
            .collect();
        for line in table(&rows) {
            out.result(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Finds packages, or plans an image, and lists what is in each.
pub(super) fn listings(global: &Global, out: &Output, what: &str, from: &FromArgs) -> anyhow::Result<Vec<Listing>> {
    if let Some(store) = global.open_if_there()? {
        let found = find(&store, what)?;
        if !found.is_empty() {
            return found
                .iter()
                .map(|record| {
                    let origin =
                        format!("{}:{}={}/{}", record.format.name(), record.name, record.version, record.architecture);
                    let damaged = || StoreError::Damaged(ObjectRef::Tree(record.tree));
                    let tree: Tree = store.tree(&record.tree)?.ok_or_else(damaged)?;
                    let entries = tree.into_entries().into_iter().map(|(path, entry)| Listed {
                        path,
                        entry,
                        origin: origin.clone(),
                        of: Vec::new(),
                    });
                    Ok(Listing { heading: origin.clone(), entries: entries.collect() })
                })
                .collect();
        }
    }
    let ready = from.ready(out, what)?;
    let place = from.place()?;
    let store: Store = global.open(Access::Create)?;
    let shelf = place.shelf(out, &store)?;
    let request = Request {
        image: &ready.image,
        architectures: &ready.architectures,
        shelf: &shelf,
        layering: ready.layering,
        codec: ready.codec,
        date: None,
    };
    let roots = persistently(out, &store, "files", |session, _| Ok(rootfs_of(session, &request)?))?;
    Ok(roots
        .into_iter()
        .map(|(arch, entries)| Listing { heading: format!("{} for {arch}", ready.image.name), entries })
        .collect())
}

/// Names an origin, and the packages behind it: the first one, and how many more.
fn made_of(origin: &str, of: &[String]) -> String {
    match of {
        [] => origin.to_owned(),
        [one] => format!("{origin} of {one}"),
        [first, rest @ ..] => format!("{origin} of {first} and {} more", rest.len()),
    }
}

fn describe(Listed { path, entry, origin, of }: &Listed) -> Value {
    let meta = entry.meta;
    let mut value = json!({
        "path": text_of(path), "type": kind(entry), "mode": format!("{:04o}", meta.mode),
        "uid": meta.uid, "gid": meta.gid, "mtime": meta.mtime, "origin": origin,
    });
    if !of.is_empty() {
        value["made_of"] = json!(of);
    }
    match &entry.node {
        Node::File { content, size } => {
            value["size"] = json!(size);
            value["blake3"] = json!(content.to_hex());
        }
        Node::Symlink { target } => value["target"] = json!(escape::name(target)),
        Node::HardLink { target } => value["target"] = json!(text_of(target)),
        Node::CharDevice { major, minor } | Node::BlockDevice { major, minor } => {
            value["device"] = json!([major, minor]);
        }
        Node::Folder | Node::Fifo => {}
    }
    value
}

fn text_of(path: &TreePath) -> String {
    format!("/{}", escape::name(path.as_bytes()))
}

/// Gives the word for what an entry is.
const fn kind(entry: &Entry) -> &'static str {
    match entry.node {
        Node::Folder => "folder",
        Node::File { .. } => "file",
        Node::Symlink { .. } => "symlink",
        Node::HardLink { .. } => "hard link",
        Node::CharDevice { .. } => "character device",
        Node::BlockDevice { .. } => "block device",
        Node::Fifo => "fifo",
    }
}

const fn letter(entry: &Entry) -> char {
    match entry.node {
        Node::Folder => 'd',
        Node::File { .. } => '-',
        Node::Symlink { .. } => 'l',
        Node::HardLink { .. } => 'h',
        Node::CharDevice { .. } => 'c',
        Node::BlockDevice { .. } => 'b',
        Node::Fifo => 'p',
    }
}

fn named(path: &TreePath, entry: &Entry) -> String {
    match &entry.node {
        Node::Symlink { target } => format!("{path} -> {}", Escaped::whole(target)),
        Node::HardLink { target } => format!("{path} = {target}"),
        _ => path.to_string(),
    }
}
