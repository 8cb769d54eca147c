//! Users and groups: those that every image has, and those that definitions declare.
//!
//! The ones of every image stand in one table, [`EVERY`]: definitions are checked against it, owners become numbers
//! by it, and the fix-up `accounts` writes it down. nobody and nonroot have the numbers of Google's distroless, tty
//! and staff those of Debian, whose own file system refers to them.

use std::collections::HashMap;

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
    /// Finds the numbers of who runs the image, as engines do (`NAME`, `NAME:GROUP`, `UID` or `UID:GID`): a number without a group has the group of the account
    /// of that number, else 0. That is what a platform relies on that gives each project a user of its own.
    pub(crate) fn user_ids(&self, text: &str) -> Option<(u32, u32)> {
        Ids::of(self).find_user(text)
    }
}

/// The numbers of an image's users and groups, by name: for whoever asks for many.
pub(crate) struct Ids<'i> {
    /// Of each user the number, and that of its group.
    users: HashMap<&'i str, (u32, u32)>,
    groups: HashMap<&'i str, u32>,
}

impl<'i> Ids<'i> {
    /// Takes those of every image, then those that definitions declare; the first of a name counts.
    pub(crate) fn of(image: &'i Image) -> Self {
        let declared = || image.levels.iter().flat_map(|level| &level.accounts);
        let mut ids = Self { users: HashMap::new(), groups: HashMap::new() };
        let known = users().map(|user| (user.name, (user.id, user.id)));
        for (name, numbers) in known.chain(declared().map(|one| (one.name.as_str(), (one.uid, one.gid)))) {
            ids.users.entry(name).or_insert(numbers);
        }
        let known = EVERY.iter().map(|group| (group.name, group.id));
        for (name, number) in known.chain(declared().map(|one| (one.group.as_str(), one.gid))) {
            ids.groups.entry(name).or_insert(number);
        }
        ids
    }

    /// Finds what [`Image::user_ids`] does.
    fn find_user(&self, text: &str) -> Option<(u32, u32)> {
        match text.parse::<u32>() {
            Ok(uid) => Some((uid, self.group_of(uid).unwrap_or(0))),
            Err(_) => self.find(text),
        }
    }

    /// Gives the group of the account of a number; of several that of the first by name.
    fn group_of(&self, uid: u32) -> Option<u32> {
        let accounts = self.users.iter().filter(|(_, (known, _))| *known == uid);
        accounts.min_by_key(|(name, _)| **name).map(|(_, (_, gid))| *gid)
    }

    /// Finds the numbers of `NAME`, `NAME:GROUP`, `UID` or `UID:GID`; either side may be a number, which alone is that of a
    /// group too. `None` when no account has that name.
    pub(crate) fn find(&self, text: &str) -> Option<(u32, u32)> {
        let user = |text: &str| match text.parse() {
            Ok(uid) => Some((uid, uid)),
            Err(_) => self.users.get(text).copied(),
        };
        match text.split_once(':') {
            Some((name, group)) => {
                let gid = group.parse().ok().or_else(|| self.groups.get(group).copied());
                Some((user(name)?.0, gid?))
            }
            None => user(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_alone_runs_in_the_group_of_its_account_or_in_group_0() {
        let mut ids = Ids { users: HashMap::new(), groups: HashMap::from([("apps", 7)]) };
        ids.users.extend([("app", (1000, 7)), ("root", (0, 0)), ("zero", (1001, 0))]);
        for (text, numbers) in [
            ("1000", Some((1000, 7))),
            ("1001", Some((1001, 0))),
            ("1000650000", Some((1_000_650_000, 0))),
            ("1000650000:5", Some((1_000_650_000, 5))),
            ("app:apps", Some((1000, 7))),
            ("zero", Some((1001, 0))),
            ("nobody-here", None),
        ] {
            assert_eq!(ids.find_user(text), numbers, "{text}");
        }
        assert_eq!(ids.find("1000"), Some((1000, 1000)), "the owner of a file, as COPY --chown has it");
    }
}
