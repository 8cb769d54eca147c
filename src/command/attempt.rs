//! Doing a command's work again when a collector was faster.
//!
//! The first attempt looks things up without holding them: nearly always nothing vanishes, and a hit
//! costs no write. When something did vanish, between being found and being used, the next attempt
//! holds a lease on whatever it finds and checks that its bytes exist. The lease lives until the work
//! has used what it found: outputs are written under it.

use super::context::Context;
use super::diagnose;
use super::error::Error;
use dlstore_image::compose::CachePolicy;
use dlstore_model::diagnose::Kind;
use dlstore_store::Store;
use dlstore_store::session::Session;

/// The second attempt holds what it finds, so a third is needed only when a package of the store went
/// between being chosen and being held.
const ATTEMPTS: usize = 4;

/// Does `work` in a session, which is finished afterwards.
pub(super) fn persistently<T>(
    context: &Context,
    store: &Store,
    note: &str,
    work: impl FnMut(&Session<'_>, CachePolicy) -> Result<T, Error>,
) -> Result<T, Error> {
    attempts(context, store, note, work, |session| Ok(session.finish()?))
}

/// Does `work` in a session, and forgets what it would have published.
pub(super) fn discarding<T>(
    context: &Context,
    store: &Store,
    note: &str,
    work: impl FnMut(&Session<'_>, CachePolicy) -> Result<T, Error>,
) -> Result<T, Error> {
    attempts(context, store, note, work, |session| {
        drop(session);
        Ok(())
    })
}

fn attempts<T>(
    context: &Context,
    store: &Store,
    note: &str,
    mut work: impl FnMut(&Session<'_>, CachePolicy) -> Result<T, Error>,
    end: impl Fn(Session<'_>) -> Result<(), Error>,
) -> Result<T, Error> {
    for attempt in 1.. {
        let (session, policy) = match attempt {
            1 => (Session::new(store, note), CachePolicy::Trust),
            _ => (Session::holding(store, note), CachePolicy::Verify),
        };
        tracing::debug!("attempt {attempt} of {note}");
        let outcome = work(&session, policy);
        for note in session.notes() {
            context.note(&note);
        }
        let outcome = outcome.and_then(|done| {
            end(session)?;
            Ok(done)
        });
        match outcome {
            Err(error) if attempt < ATTEMPTS && diagnose::kinds(&error).any(may_pass) => {}
            outcome => return outcome,
        }
    }
    unreachable!("the last attempt returns")
}

/// Says whether doing the work again can help.
pub(super) const fn may_pass(kind: Kind) -> bool {
    matches!(kind, Kind::Gone | Kind::Damaged)
}
