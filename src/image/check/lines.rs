//! What to write into a definition so that an image has what it is to run: a file with a mode, a directory for a user.
//!
//! A line that is pasted has to be one that composes. So a directory is named by where it really is, for no own path
//! leads through a link; none is named below a file, or where its user would not get to it; and what the definition lists
//! already is completed there, for a key stands once.

use super::problem::Line;
use super::way::{EXECUTE, ROOT, Refused, User, go, may};
use crate::definition::quote::{exact, pattern, quoted};
use crate::definition::{FileSpec, Image};
use crate::rootfs::{Origin, View};
use dlstore_model::path::TreePath;

/// Says so that an own file has a mode; what a directory brings has its mode from the host.
pub(super) fn mode(image: &Image, view: &View<'_>, file: &TreePath, mode: &str) -> Option<Line> {
    let part = &view.rootfs().parts()[view.rootfs().get(file)?.owner];
    let Origin::Definition(_) = part.origin else { return None };
    let spec = image.levels[part.level].files.iter().find(|spec| spec.path == *file)?;
    let key = format!("files.{}", quoted(&exact(&spec.path)?));
    Some(Line { text: format!("set mode = \"{mode}\" in {key}"), key })
}

/// Says so that a directory is there, and that `owner` may write to it.
pub(super) fn directory(
    image: &Image,
    view: &View<'_>,
    user: User,
    path: &TreePath,
    owner: Option<&str>,
) -> Option<Line> {
    let path = really(view, path)?;
    let is_open = |above: TreePath| view.entry(&above).is_none_or(|entry| may(user, entry.meta, EXECUTE));
    if !path.ancestors().all(is_open) {
        return None;
    }
    // Quoted as a pattern is: only a path that is text and can be typed.
    pattern(&path)?;
    let key = format!("files.{}", quoted(&format!("/{}/", std::str::from_utf8(path.as_bytes()).ok()?)));
    let is_it = |spec: &FileSpec| spec.path == path && spec.is_directory;
    let is_listed = image.levels.last().is_some_and(|level| level.files.iter().any(is_it));
    let text = match owner.map(quoted) {
        Some(owner) if is_listed => format!("set owner = {owner}, mode = \"0750\" in {key}"),
        Some(owner) => format!("{key} = {{ owner = {owner}, mode = \"0750\" }}"),
        None if is_listed => return None,
        None => format!("{key} = {{}}"),
    };
    Some(Line { key, text })
}

/// Gives where a directory is, or would be, when every link on the way is followed; `None` when a file is in its place or on
/// the way.
fn really(view: &View<'_>, path: &TreePath) -> Option<TreePath> {
    let mut above = path.clone();
    loop {
        match go(view, ROOT, above.as_bytes()) {
            Ok(there) => {
                let rest = path.as_bytes()[above.as_bytes().len()..].strip_prefix(b"/");
                let Some(there) = there else { return TreePath::new(rest?).ok() };
                if view.entry(&there).is_some_and(|entry| !entry.is_directory()) {
                    return None;
                }
                return rest.map_or(Some(there.clone()), |rest| there.join(rest).ok());
            }
            // A link that leads nowhere is there too.
            Err(Refused::Nowhere) if view.entry(&above).is_none() => match above.parent() {
                Some(parent) => above = parent,
                None => return Some(path.clone()),
            },
            Err(_) => return None,
        }
    }
}
