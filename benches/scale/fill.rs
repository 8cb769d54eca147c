//! Stores with as many packages and packs as asked for.
//!
//! Packages go through the program. Packs are put in by the store's interface: a pack for each pair of a tree
//! with one file and a tree of directories only. Directories of the second are in the first too, so that all pairs with one
//! first tree are the same bytes under keys of their own: one file of a few hundred bytes for a thousand packs,
//! and each is what its key says, whoever checks it. A root for each thousand keeps them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use dlstore_formats::layer::{Codec, PackInfo, pack_key, write_pack};
use dlstore_formats::package::fixture::DebBuilder;
use dlstore_kit::{Place, elf, many, program};
use dlstore_model::digest::Digest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::{Entry, Meta, Node, Tree};
use dlstore_store::{Access, Batch, NewPack, NewTree, ObjectRef, Store};

use crate::command::{measure, text, time};

/// Packs for each package, beside the one that adding it makes.
const PACKS: u32 = 10;
/// Packs that one root keeps: below 2 to the power of [`DIRECTORIES`].
const EACH: u32 = 1000;
/// Directories whose subsets tell packs apart.
const DIRECTORIES: u32 = 10;
/// Libraries that the image `lacking` lacks.
const LACKING: u32 = 10;

/// A filled store.
pub(crate) struct Filled {
    /// Where it is.
    pub(crate) place: Place,
    /// Packages that are in it from the beginning.
    pub(crate) packages: u32,
    /// Roots that keep packs.
    pub(crate) pack_roots: Vec<String>,
    next: Cell<u32>,
}

/// How long it took.
pub(crate) struct Filling {
    /// Writing packages, in seconds for all.
    pub(crate) written: f64,
    /// Adding packages, in seconds for all.
    pub(crate) added: f64,
    /// Peak of memory of that, in bytes.
    pub(crate) peak: u64,
    /// Publishing packs, in seconds for all.
    pub(crate) published: f64,
    /// Packages.
    pub(crate) packages: u32,
}

impl Filled {
    /// Makes and fills a store below a directory.
    pub(crate) fn new(directory: &Path, name: &str, packages: u32) -> anyhow::Result<(Self, Filling)> {
        eprintln!("filling the {name} store: {packages} packages, {} packs", packages * PACKS);
        let place = Place::at(program!(), &directory.join(name));
        let begun = Instant::now();
        many::write(&place.packages(), 0..packages)?;
        let written = begun.elapsed().as_secs_f64();
        let run = measure(&place, &["add", "-q", text(&place.packages())?])?;
        let begun = Instant::now();
        let pack_roots = publish_packs(&place.store(), packages * PACKS)?;
        let published = begun.elapsed().as_secs_f64();
        eprintln!("  written in {written:.1} s, added in {:.1} s, packs in {published:.1} s", run.seconds);

        let filled = Self { place, packages, pack_roots, next: Cell::new(packages) };
        filled.define()?;
        let filling = Filling { written, added: run.seconds, peak: run.peak, published, packages };
        Ok((filled, filling))
    }

    /// Writes a package that the store has not seen.
    pub(crate) fn new_package(&self) -> PathBuf {
        let number = self.next.replace(self.next.get() + 1);
        self.place.package(&format!("{}.deb", many::name(number)), &many::package(number))
    }

    /// The images of the rows, and the package that `lacking` is made of.
    fn define(&self) -> anyhow::Result<()> {
        let architectures = "schema = 1\narchitectures = [\"amd64\"]\nformat = \"deb\"\n";
        let three: Vec<_> = (0..3).map(|at| format!("\"{}\"", many::name(at * (self.packages - 1) / 2))).collect();
        self.place.image("three", &format!("{architectures}packages = [{}]\n", three.join(", ")));
        let providers = self.packages.div_ceil(many::LIBRARIES);
        // Spread over the whole store; in a tiny one some have no provider, which asks for no less work.
        let needed = (0..LACKING).map(|at| many::soname(at * providers.max(LACKING) / LACKING * many::LIBRARIES));
        let needed: Vec<String> = needed.collect();
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        let library = elf::library("amd64", "libneedy.so.1", &needed);
        let needy = DebBuilder::new("needy", "1.0-1", "amd64").file("usr/lib/libneedy.so.1", &library, 0o644);
        let path = self.place.package("needy.deb", &needy.build());
        time(&self.place, &["add", text(&path)?], 0)?;
        self.place.image("lacking", &format!("{architectures}packages = [\"needy\"]\n"));
        Ok(())
    }
}

fn path(text: &str) -> anyhow::Result<TreePath> {
    TreePath::new(text.as_bytes()).map_err(|error| anyhow::anyhow!("{text}: {error}"))
}

/// A tree of those directories whose bit is set, and of some files.
fn tree(directories: u32, files: &[(String, Vec<u8>)]) -> anyhow::Result<Tree> {
    let mut entries = Vec::new();
    for number in (0..DIRECTORIES).filter(|number| directories >> number & 1 == 1) {
        entries.push((path(&format!("directory-{number}"))?, Entry::new(Node::Directory, Meta::DIRECTORY)));
    }
    for (name, bytes) in files {
        let node = Node::File { content: Digest::of(bytes), size: bytes.len() as u64 };
        entries.push((path(name)?, Entry::new(node, Meta::FILE)));
    }
    Tree::new(entries).map_err(|error| anyhow::anyhow!("{error}"))
}

fn publish_packs(root: &Path, packs: u32) -> anyhow::Result<Vec<String>> {
    let store = Store::open(root, Access::Existing)?;
    let subsets = (0..EACH).map(|number| tree(number, &[])).collect::<anyhow::Result<Vec<_>>>()?;
    let subsets: Vec<NewTree> = subsets.iter().map(new_tree).collect();
    let mut roots = Vec::new();
    for number in 0..packs.div_ceil(EACH) {
        let lease = store.lease("scale")?;
        let file = (format!("file-{number}"), format!("{number}\n").into_bytes());
        let whole = tree(u32::MAX, std::slice::from_ref(&file))?;
        let staged = lease.stage_path();
        let contents = BTreeMap::from([(Digest::of(&file.1), file.1)]);
        let info: PackInfo = write_pack(&whole, &contents, Codec::Gzip, &mut File::create_new(&staged)?)?;
        let mut batch = Batch { trees: vec![new_tree(&whole)], ..Batch::default() };
        let count = EACH.min(packs - number * EACH) as usize;
        for subset in &subsets[..count] {
            batch.trees.push(NewTree { digest: subset.digest, row: Arc::clone(&subset.row) });
            let parts = vec![batch.trees[0].digest, subset.digest];
            let key = pack_key(Codec::Gzip, &parts);
            batch.packs.push(NewPack { key, parts, info: info.clone(), staged: staged.clone() });
        }
        let name = format!("scale/packs-{number:05}");
        batch.roots.push((name.clone(), batch.packs.iter().map(|pack| ObjectRef::Pack(pack.key)).collect()));
        roots.push(name);
        store.publish(&lease, batch)?;
        lease.release()?;
    }
    Ok(roots)
}

fn new_tree(tree: &Tree) -> NewTree {
    NewTree::new(tree)
}
