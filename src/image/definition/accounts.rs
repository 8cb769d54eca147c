//! Users and groups: those that every image has, and those that definitions declare.
//!
//! The ones of every image stand in one table, [`EVERY`]: definitions are checked against it, owners become numbers
//! by it, and the fix-up `accounts` writes it down. nobody and nonroot have the numbers of Google's distroless, tty
//! and staff those of Debian, whose own file system refers to them.

use super::Image;
use dlstore_model::path::TreePath;

/// A group of every image, and the user of that name where there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its number, as a group and as a user.
    pub(crate) id: u32,
    /// The user's home directory, an absolute path; `None` for what is a group alone.
    pub(crate) home: Option<&'static str>,
}

/// What every image has, in the order of its `/etc/group`.
pub(crate) const EVERY: [Known; 5] = [
    Known { name: "root", id: 0, home: Some("/root") },
    Known { name: "nobody", id: 65534, home: Some("/nonexistent") },
    Known { name: "tty", id: 5, home: None },
    Known { name: "staff", id: 50, home: None },
    Known { name: "nonroot", id: 65532, home: Some("/home/nonroot") },
];

/// Gives the users of every image.
pub(crate) fn users() -> impl Iterator<Item = Known> {
    EVERY.into_iter().filter(|known| known.home.is_some())
}

/// A line of `/etc/passwd`, and its group. No field holds `:` or a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Name of the user.
    pub name: String,
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Name of the group.
    pub group: String,
    /// Home directory.
    pub home: TreePath,
    /// Shell.
    pub shell: String,
    /// The GECOS field.
    pub description: String,
}

impl Image {
    /// Finds the numbers of `NAME`, `NAME:GROUP`, `UID` or `UID:GID`; either side may be a number. `None` when no
    /// account has that name.
    pub(crate) fn ids(&self, text: &str) -> Option<(u32, u32)> {
        if let Some((user, group)) = text.split_once(':') {
            return Some((self.ids(user)?.0, self.group_id(group)?));
        }
        if let Ok(uid) = text.parse() {
            return Some((uid, uid));
        }
        let declared =
            || self.declared().find(|account| account.name == text).map(|account| (account.uid, account.gid));
        users().find(|user| user.name == text).map(|user| (user.id, user.id)).or_else(declared)
    }

    fn group_id(&self, text: &str) -> Option<u32> {
        if let Ok(gid) = text.parse() {
            return Some(gid);
        }
        let declared = || self.declared().find(|account| account.group == text).map(|account| account.gid);
        EVERY.iter().find(|group| group.name == text).map(|group| group.id).or_else(declared)
    }

    fn declared(&self) -> impl Iterator<Item = &Account> {
        self.levels.iter().flat_map(|level| &level.accounts)
    }
}
