//! What was typed about images, turned into what is ready to compose.
//!
//! Flags that several commands share are here, so that `files` and `tree` look at exactly the image
//! that `compose` would make of the same words.

use std::path::PathBuf;

use clap::Args;

use super::failure::{Usage, one_line};
use super::output::Output;
use dlstore_formats::layer::Codec;
use dlstore_image::compose::{Shelf, Unread};
use dlstore_image::definition::{self, Compression, Here, Image, Layering};
use dlstore_ingest::input::{self, Input};
use dlstore_model::arch::Arch;
use dlstore_model::escape::Escaped;
use dlstore_model::shown::Shown;
use dlstore_store::Store;

/// The flag that says where definitions are.
#[derive(Args)]
pub(super) struct ProjectArgs {
    /// The project: a directory with `images/`, whoever owns it (default: the nearest one, from the current directory
    /// upwards, if it belongs to you or root)
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
}

impl ProjectArgs {
    /// Loads a definition, and says what people should know of where it was found.
    pub(super) fn load(&self, out: &Output, reference: &str) -> anyhow::Result<Image> {
        let current = std::env::current_dir()?;
        let image = definition::load(Here { current: &current, project: self.project.as_deref() }, reference)?;
        for note in &image.notes {
            out.note(note);
        }
        Ok(image)
    }

    /// Gives the images that can be made, with their flavors.
    pub(super) fn known(&self) -> anyhow::Result<Vec<(String, Vec<String>)>> {
        let current = std::env::current_dir()?;
        Ok(definition::known(Here { current: &current, project: self.project.as_deref() }))
    }

    /// Gives the images that the project defines itself, with their flavors.
    pub(super) fn own(&self) -> anyhow::Result<Vec<(String, Vec<String>)>> {
        let current = std::env::current_dir()?;
        Ok(definition::of_project(Here { current: &current, project: self.project.as_deref() }))
    }
}

/// Flags that say from what and for which machines an image is made.
#[derive(Args)]
pub(super) struct FromArgs {
    #[command(flatten)]
    pub(super) project: ProjectArgs,
    /// Architectures: `all`, `host`, or a list such as amd64,arm64,arm/v7
    #[arg(long, value_name = "LIST", default_value = "host")]
    pub(super) arch: String,
    /// Where packages come from: files and folders, or the word `store`
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(super) from: Vec<PathBuf>,
    /// How layers are cut (changes the digest)
    #[arg(long, value_name = "KIND")]
    pub(super) layers: Option<LayersArg>,
    /// How layers are compressed (changes the digest)
    #[arg(long, value_name = "KIND")]
    pub(super) compression: Option<CompressionArg>,
}

/// `--layers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LayersArg {
    /// For each level of `extends`: what is the same on all architectures, and what is not
    Grouped,
    /// A layer for each package
    Package,
    /// One layer
    Flat,
}

/// `--compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum CompressionArg {
    /// Runs everywhere
    Gzip,
    /// A fifth smaller; needs podman, containerd or docker 23
    Zstd,
}

/// An image that is ready to be composed.
pub(super) struct Ready {
    pub(super) image: Image,
    pub(super) architectures: Vec<Arch>,
    pub(super) layering: Layering,
    pub(super) codec: Codec,
}

impl FromArgs {
    /// Loads a definition and settles what flags leave open.
    pub(super) fn ready(&self, out: &Output, reference: &str) -> anyhow::Result<Ready> {
        let image = self.project.load(out, reference)?;
        let architectures = architectures(&self.arch, &image)?;
        let layering = match self.layers {
            None => image.layers,
            Some(LayersArg::Grouped) => Layering::Grouped,
            Some(LayersArg::Package) => Layering::Package,
            Some(LayersArg::Flat) => Layering::Flat,
        };
        let compression = match self.compression {
            None => image.compression,
            Some(CompressionArg::Gzip) => Compression::Gzip,
            Some(CompressionArg::Zstd) => Compression::Zstd,
        };
        let codec = match compression {
            Compression::Gzip => Codec::Gzip,
            Compression::Zstd => Codec::Zstd,
        };
        Ok(Ready { image, architectures, layering, codec })
    }

    /// Looks where packages come from, before there is a store.
    pub(super) fn place(&self) -> anyhow::Result<Where> {
        let is_store = |path: &PathBuf| path.as_os_str() == "store";
        if self.from.is_empty() {
            return Ok(Where::Nowhere);
        }
        if self.from.iter().any(is_store) {
            if self.from.len() > 1 {
                let message = "--from store stands alone; a folder of that name is ./store".to_owned();
                return Err(Usage(message).into());
            }
            return Ok(Where::Store);
        }
        Ok(Where::Files(input::collect(&self.from)?))
    }
}

/// Where packages come from.
pub(super) enum Where {
    Nowhere,
    Store,
    Files(Vec<Input>),
}

impl Where {
    /// Opens the shelf that packages come from; what the store remembers of files is not read again.
    pub(super) fn shelf(self, out: &Output, store: &Store) -> anyhow::Result<Shelf> {
        let shelf = match self {
            Self::Nowhere => Shelf::Nothing,
            Self::Store => Shelf::Store,
            Self::Files(inputs) => Shelf::of_inputs(inputs, store)?,
        };
        let mut notes = Shown::default();
        for Unread { path, error } in shelf.unread() {
            notes.push(|| format!("{} is skipped: {}", Escaped::path(path), one_line(error)));
        }
        for note in notes.with_rest("are skipped") {
            out.note(&note);
        }
        Ok(shelf)
    }
}

fn architectures(text: &str, image: &Image) -> anyhow::Result<Vec<Arch>> {
    let offered = || image.architectures.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let wanted = match text {
        "all" => image.architectures.clone(),
        "host" => vec![
            Arch::host().ok_or_else(|| Usage("this machine is none of the eight architectures; say --arch".into()))?,
        ],
        list => {
            let names = list.split([',', ' ']).filter(|name| !name.is_empty());
            names.map(str::parse).collect::<Result<Vec<Arch>, _>>().map_err(|error| Usage(error.to_string()))?
        }
    };
    if let Some(arch) = wanted.iter().find(|arch| !image.architectures.contains(arch)) {
        return Err(Usage(format!("{} is not made for {arch}, but for {}", image.name, offered())).into());
    }
    let mut sorted = wanted;
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.is_empty() {
        return Err(Usage("--arch names no architecture".into()).into());
    }
    Ok(sorted)
}
