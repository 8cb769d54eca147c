//! What composing would make, before any of it is made: `compose --dry-run`.
//!
//! Nothing is published: no package is registered, no pack is kept, no output is written. Packages of files that are
//! new are read to know what is in them, and forgotten.

use serde::Serialize;

use super::report::Failed;
use super::{Settings, check_codec, read_all, requests, sorted};
use crate::command::attempt::discarding;
use crate::command::context::Context;
use crate::command::error::Error;
use dlstore_image::compose::{ComponentPlan, ComposePlan, LayerPlan, PackState, PlatformPlan, Reach, plan_all};
use dlstore_store::Access;

/// What composing would make.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The images, in the order in which they were asked for.
    pub(crate) images: Vec<Image>,
    /// Images that cannot be planned; empty without `--keep-going`.
    pub(crate) failed: Vec<Failed>,
}

/// The plan of an image.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Image {
    /// As it was asked for.
    pub(crate) reference: String,
    /// Its architectures.
    pub(crate) platforms: Vec<Platform>,
    /// What people should know.
    pub(crate) notes: Vec<String>,
}

/// The plan of one architecture.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Platform {
    /// The architecture, as `--arch` takes it.
    pub(crate) architecture: String,
    /// Its layers, lowest first.
    pub(crate) layers: Vec<Layer>,
}

/// The plan of a layer.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Layer {
    /// What it holds, for people.
    pub(crate) title: String,
    /// Whether the store has it, so that it need not be made.
    pub(crate) is_known: bool,
    /// What it is made of, in order.
    pub(crate) components: Vec<Component>,
}

/// What a package, a definition, the built-in data or a fix-up brings to a layer.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Component {
    /// Who brings it: `deb:libc6=2.41-12/amd64`, `definition:app`, `embedded`, `fixup:accounts`.
    pub(crate) origin: String,
    /// Whether it is the same on all architectures.
    pub(crate) is_shared: bool,
    /// Files, other names of one file not counted.
    pub(crate) files: u64,
    /// Bytes of those.
    pub(crate) bytes: u64,
}

/// Plans images.
///
/// # Errors
/// When an image cannot be planned and the others are not wanted without it.
pub(crate) fn run(context: &Context, settings: &Settings) -> Result<Report, Error> {
    let (ready, unread) = read_all(context, settings)?;
    ready.iter().try_for_each(|(_, ready)| check_codec(settings, ready.codec))?;
    let source = settings.image.source()?;
    let store = context.open(Access::Create)?;
    let package_source = source.package_source(context, &store)?;
    let (planned, failed) = discarding(context, &store, "compose --dry-run", |session, policy| {
        let requests = requests(settings, &ready, &package_source);
        let planned = plan_all(session, &requests, settings.after);
        sorted(session, &requests, &ready, planned, settings.after, policy)
    })?;
    let images = planned.into_iter().map(|(at, plan)| image(&ready[at].0, plan)).collect();
    Ok(Report { images, failed: unread.into_iter().chain(failed).collect() })
}

fn image(reference: &str, plan: ComposePlan) -> Image {
    Image {
        reference: reference.to_owned(),
        platforms: plan.platforms.into_iter().map(platform).collect(),
        notes: plan.notes.into_iter().map(|note| note.text).collect(),
    }
}

fn platform(plan: PlatformPlan) -> Platform {
    Platform { architecture: plan.architecture.to_string(), layers: plan.layers.into_iter().map(layer).collect() }
}

fn layer(plan: LayerPlan) -> Layer {
    Layer {
        title: plan.title,
        is_known: plan.state == PackState::Here,
        components: plan.components.into_iter().map(component).collect(),
    }
}

fn component(plan: ComponentPlan) -> Component {
    let is_shared = plan.reach == Reach::All;
    Component { origin: plan.origin, is_shared, files: plan.files as u64, bytes: plan.bytes }
}
