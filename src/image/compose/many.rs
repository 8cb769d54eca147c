//! Many images in one command: what is worked on at once, so that memory has a bound.
//!
//! ```text
//! gather ×64 ─► begin: look-ups, side by side ─► runs, each as much as may be planned at once
//!                                                 run ─► bases, in turns ─► what images add to them, side by side
//!                                                     ─► what stands on none, as a whole: small ones side by side
//! ```
//!
//! What images extend counts once, however many extend it: a thousand small images on one base are planned as that
//! base and a thousand times a few files. Where bases are more than may be planned at once, they are planned and kept in
//! turns, and the images of the run stand on those of one turn after those of the other.

use std::collections::{BTreeSet, VecDeque};

use super::ComposeError;
use super::base::Bases;
use super::batches;
use super::gather::{Gathered, gather};
use super::image::{Begun, begin, finish};
use super::request::{AfterAnError, CachePolicy, Composed, Request};
use super::shared::Shared;
use super::side_by_side::each;
use crate::definition::Image;
use dlstore_ingest::Added;
use dlstore_model::digest::ActionKey;
use dlstore_store::session::Session;

/// Images whose packages and own files are read before the first of them is planned.
const AT_ONCE: usize = 64;

/// An image after its look-ups, or why it cannot be composed.
type Outcome<'r> = Result<Begun<'r>, ComposeError>;

/// Hears of each image that is composed, or cannot be when its turn has come, from whichever thread.
pub type Finished<'f> = &'f (dyn Fn(&Image) + Sync);

/// Composes images; everything new is pending in the session afterwards. Outcomes come in the order of the requests;
/// behind one that is an error the others are tried only if they are wanted anyway.
///
/// Packages are brought in image by image, each image's side by side. Then what images extend is planned, once for all of
/// them, and after it what they add, side by side; large ones are planned one after the other, so that however many there
/// are the memory they take has a bound.
pub fn compose_all(
    session: &Session<'_>,
    requests: &[Request<'_>],
    policy: CachePolicy,
    after: AfterAnError,
    finished: Finished<'_>,
) -> Vec<Result<Composed, ComposeError>> {
    let mut outcomes = compose_each(session, requests, policy, after, finished);
    attribute(session, &mut outcomes);
    if tracing::enabled!(tracing::Level::INFO) {
        say_layers(outcomes.iter().flatten());
    }
    outcomes
}

/// Gives each layer that was made to the first image that has it. Which thread came to it first, and whether it was made as
/// a layer or as a piece of another one, is chance.
fn attribute(session: &Session<'_>, outcomes: &mut [Result<Composed, ComposeError>]) {
    let mut seen = BTreeSet::new();
    for image in outcomes.iter_mut().flatten() {
        image.made =
            image.packs.values().filter(|pack| session.has_made(pack) && seen.insert(**pack)).copied().collect();
    }
}

/// Says what became of each layer to whoever listens: once, and in the order of the images, however many were composed
/// side by side.
fn say_layers<'c>(images: impl Iterator<Item = &'c Composed>) {
    let mut seen = BTreeSet::new();
    for image in images {
        let layers = image.documents.platforms.iter().flat_map(|platform| &platform.layers);
        for layer in layers.filter(|layer| seen.insert(layer.blob)) {
            let word = if image.packs.get(&layer.blob).is_some_and(|key| image.made.contains(key)) {
                "made"
            } else {
                "reused"
            };
            tracing::info!(size = layer.size, "{word} layer {} {}", &layer.blob.to_hex()[..12], layer.title);
        }
    }
}

fn compose_each(
    session: &Session<'_>,
    requests: &[Request<'_>],
    policy: CachePolicy,
    after: AfterAnError,
    finished: Finished<'_>,
) -> Vec<Result<Composed, ComposeError>> {
    let shared = Shared::default();
    let mut bases = Bases::default();
    let mut outcomes = Vec::with_capacity(requests.len());
    let mut left = requests.iter();
    while !left.as_slice().is_empty() {
        let mut group = Vec::new();
        let mut held = 0;
        while batches::fits(held)
            && group.len() < AT_ONCE
            && let Some(next) = left.next()
        {
            let gathered = gather(session, next, &shared, Added::say);
            held += gathered.as_ref().map_or(0, Gathered::held);
            group.push(gathered);
        }
        // What was brought in goes to the disk while it is planned with.
        session.begin_sync();
        let mut begun = VecDeque::from(each(group, |gathered| begin(session, gathered, policy)));
        while !begun.is_empty() {
            bases.make_room();
            let run = next_run(&mut begun, &bases);
            let stood = stand_all(session, run, &mut bases);
            finish_all(session, stood, finished, &mut outcomes);
            if after == AfterAnError::Stop && outcomes.iter().any(Result::is_err) {
                return outcomes;
            }
        }
    }
    outcomes
}

/// Takes the images that are planned next: as many as fit, what they extend counted once, and not what is here of it.
/// One alone may be larger, and those follow it that bring nothing new to plan.
fn next_run<'r>(begun: &mut VecDeque<Outcome<'r>>, bases: &Bases) -> Vec<Outcome<'r>> {
    let mut counted = BTreeSet::new();
    let mut sum = 0;
    let mut belongs = |image: &Outcome<'r>| {
        let more = weight(image, |base| base.is_none_or(|key| !bases.has(key) && counted.insert(*key)));
        let is_first = sum == 0;
        sum += more;
        is_first || more == 0 || batches::fits(sum)
    };
    let count = begun.iter().take_while(|image| belongs(image)).count();
    begun.drain(..count).collect()
}

/// Plans images on what they extend, as much of that at once as there is room for.
fn stand_all<'r>(session: &Session<'_>, mut run: Vec<Outcome<'r>>, bases: &mut Bases) -> Vec<Outcome<'r>> {
    while run.iter().flatten().any(|one| one.stands_on().next().is_some()) {
        bases.make_room();
        bases.prepare(session, run.iter().flatten().flat_map(Begun::stands_on));
        run = each(run, |one| one?.stand(session, bases));
    }
    run
}

/// Plans what is left of images as a whole, those side by side that fit. A thread of the pool must not wait for the turn
/// of a large rootfs.
fn finish_all(
    session: &Session<'_>,
    stood: Vec<Outcome<'_>>,
    finished: Finished<'_>,
    outcomes: &mut Vec<Result<Composed, ComposeError>>,
) {
    let finish = |one: Outcome<'_>| {
        let one = one?;
        let image = one.image();
        let composed = finish(session, one);
        finished(image);
        composed
    };
    let mut left = VecDeque::from(stood);
    while !left.is_empty() {
        let small = left.iter().position(|one| one.as_ref().is_ok_and(has_large)).unwrap_or(left.len());
        match fitting(left.iter().take(small)) {
            0 => outcomes.extend(left.pop_front().map(finish)),
            count => outcomes.extend(each(left.drain(..count).collect(), finish)),
        }
    }
}

/// Says how many of the first images may be planned at once.
fn fitting<'b, 'r: 'b>(images: impl IntoIterator<Item = &'b Outcome<'r>>) -> usize {
    let mut sum = 0;
    let fits = |image: &&'b Outcome<'r>| {
        sum += weight(image, |_| true);
        batches::fits(sum)
    };
    images.into_iter().take_while(fits).count()
}

/// Says how large what has to be planned of an image is; `counts` says whether what is planned on a base does, or as a
/// whole.
fn weight(image: &Outcome<'_>, mut counts: impl FnMut(Option<&ActionKey>) -> bool) -> u64 {
    // One that failed takes nothing more.
    let weights = image.iter().flat_map(Begun::weights);
    weights.filter(|(_, base)| counts(*base)).map(|(weight, _)| weight).sum()
}

fn has_large(image: &Begun<'_>) -> bool {
    image.weights().any(|(weight, _)| batches::is_large(weight))
}
