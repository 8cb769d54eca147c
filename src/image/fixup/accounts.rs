//! The fix-up `accounts`: `/etc/passwd`, `/etc/group`, home directories and `/tmp`.
//!
//! Every image has root, nobody (65534) and nonroot (65532), and the groups tty and staff that Debian's
//! own file system refers to. Where a package brings these files (Alpine's baselayout does), its lines
//! stay as they are and in their order, and what is missing is appended. A name that is there with
//! another number is an error: files of the image would belong to somebody else than they say.
//! `/etc/shadow` is never invented; where a package has one, new accounts get a locked line.
//!
//! The base is looked at line by line before a word of it is taken, for whoever ships it decides who may log in: every
//! line has its fields and no control character, no name is listed twice, nobody but root has the number 0, no password
//! is empty, and nothing asks other services (`+` and `-` of the compatibility mode).
//!
//! ```text
//! /root 0700   /home 0755   /home/nonroot 0700 of nonroot   /tmp 1777   each extra account's home 0700
//! ```
//! Reference: passwd(5), group(5), shadow(5).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::OfKey;
use super::inputs::Inputs;
use crate::definition::accounts::{EVERY, Known};
use crate::definition::{Account, KeyLine};
use crate::rootfs::Generated;
use crate::rootfs::generated::{fixed, plain};
use crate::rootfs::part::PackageView;
use dlstore_model::path::Shown;
use dlstore_model::tree::Meta;

const SHELL: &str = "/sbin/nologin";

/// The files that a package brings.
#[derive(Debug, Clone, Copy, Default)]
struct Base<'a> {
    /// `/etc/passwd`.
    passwd: Option<&'a [u8]>,
    /// `/etc/group`.
    group: Option<&'a [u8]>,
    /// `/etc/shadow` with its owner and mode, which are kept.
    shadow: Option<(&'a [u8], Meta)>,
}

/// Tells why the accounts cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AccountError {
    /// One name with two numbers.
    #[error(
        "{name} already has the number {present} in {file} and cannot have {wanted} too (see `accounts` and `accounts-from`)"
    )]
    Conflict {
        /// `/etc/passwd` or `/etc/group`.
        file: &'static str,
        /// The user or group.
        name: String,
        /// What a line says that is there already.
        present: String,
        /// What another line would say.
        wanted: u32,
    },
    /// A line of the base that must not be in an image.
    #[error("line {line} of {file} {problem}")]
    Line {
        /// `/etc/passwd`, `/etc/group` or `/etc/shadow`.
        file: &'static str,
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it: the rest of the sentence.
        problem: BadLine,
    },
    /// A base that is there and is no text that could be read.
    #[error("/{0} is not a regular file of at most 1 MiB")]
    Unreadable(String),
    /// A field that would break the line, or an empty name.
    #[error("account {name:?}: {value:?} is not allowed in /etc/passwd")]
    Field {
        /// The account.
        name: String,
        /// The bad text.
        value: String,
    },
}

impl OfKey for AccountError {
    fn key(&self, inputs: &Inputs<'_>) -> Option<KeyLine> {
        let declared = |name: &str| {
            let mut all =
                inputs.levels.iter().rev().flat_map(|level| level.accounts.iter().rev().map(move |one| (level, one)));
            let (level, account) = all.find(|(_, one)| one.name == name || one.group == name)?;
            level.key_lines.nearest(&["accounts", &account.name])
        };
        let base = || inputs.image.key_line(&["accounts-from"]);
        match self {
            Self::Conflict { name, .. } => declared(name).or_else(base),
            Self::Field { name, .. } => declared(name),
            Self::Line { .. } | Self::Unreadable(_) => base(),
        }
    }
}

/// What is wrong with a line of a base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadLine {
    /// CR, NUL, an escape: a person would be shown another text than a program reads.
    #[error("has a control character")]
    Control,
    /// Other users come from elsewhere.
    #[error("begins with {0:?}, which adds users from other services")]
    Compatibility(char),
    /// Too few or too many fields, or none in the first.
    #[error("does not have a name and {0} fields")]
    Fields(usize),
    /// A number that is written in another way, or none at all.
    #[error("has {0:?} where a number is expected")]
    Number(String),
    /// Another name for root.
    #[error("gives UID 0 to {0}, which only root may have")]
    Root(String),
    /// Root with another number.
    #[error("gives root a number other than 0")]
    NotRoot,
    /// Whoever knows the name can log in.
    #[error("gives {0} an empty password")]
    Password(String),
    /// Some programs take the first line of a name, some the last.
    #[error("repeats the name {0}")]
    Twice(String),
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    description: &'a str,
    home: String,
    shell: &'a str,
}

/// Makes the account files and the directories.
///
/// # Errors
/// When a name exists with another number, or when a field of an extra account has a colon, a line end
/// or a NUL in it.
fn accounts(base: Base<'_>, extra: &[Account], date: u64) -> Result<Generated, AccountError> {
    let mut users: Vec<User<'_>> = EVERY.iter().filter_map(user).collect();
    let mut groups: Vec<(&str, u32)> = EVERY.iter().map(|known| (known.name, known.id)).collect();
    let mut homes =
        BTreeMap::from([(fixed("home"), Meta::DIRECTORY), (fixed("tmp"), Meta { mode: 0o1777, ..Meta::DIRECTORY })]);
    let built_in = users.iter().filter(|user| user.home != "/nonexistent");
    homes.extend(built_in.map(|user| (fixed(&user.home[1..]), home_of(user.uid, user.gid))));
    for account in extra {
        let home = String::from_utf8(account.home.as_bytes().to_vec());
        let home = home.map_err(|_| bad(account, &Shown(account.home.as_bytes().to_vec()).to_string()))?;
        check(account, &home)?;
        users.push(User {
            name: &account.name,
            uid: account.uid,
            gid: account.gid,
            description: &account.description,
            home: format!("/{home}"),
            shell: &account.shell,
        });
        // Who is in the group of root is in that one: a second name for its number would be another group to some.
        if account.gid != 0 {
            groups.push((&account.group, account.gid));
        }
        // By convention this directory is never there.
        if home != "nonexistent" {
            homes.entry(account.home.clone()).or_insert_with(|| home_of(account.uid, account.gid));
        }
    }

    let mut passwd = Lines::new("/etc/passwd", base.passwd)?;
    for user in &users {
        let User { name, uid, gid, description, home, shell } = user;
        passwd.add(name, *uid, &format!("{name}:x:{uid}:{gid}:{description}:{home}:{shell}\n"))?;
    }
    let mut group = Lines::new("/etc/group", base.group)?;
    for (name, gid) in groups {
        group.add(name, gid, &format!("{name}:x:{gid}:\n"))?;
    }
    let mut generated = Generated::default();
    generated.file(fixed("etc/passwd"), plain(date), passwd.text);
    generated.file(fixed("etc/group"), plain(date), group.text);
    if let Some((text, meta)) = base.shadow {
        let mut shadow = Lines::new("/etc/shadow", Some(text))?;
        for user in &users {
            if !shadow.third.contains_key(user.name.as_bytes()) {
                // "!" is no hash, so no password fits; 0: may be changed at any time (shadow(5)).
                shadow.append(user.name, "", &format!("{}:!::0:::::\n", user.name));
            }
        }
        generated.file(fixed("etc/shadow"), Meta { mtime: date, ..meta }, shadow.text);
    }
    for (path, meta) in homes {
        generated.directory(path, meta);
    }
    Ok(generated)
}

fn user(known: &Known) -> Option<User<'static>> {
    let Known { name, id, home } = *known;
    Some(User { name, uid: id, gid: id, description: name, home: home?.to_owned(), shell: SHELL })
}

const fn home_of(uid: u32, gid: u32) -> Meta {
    Meta { mode: 0o700, uid, gid, mtime: 0 }
}

fn bad(account: &Account, value: &str) -> AccountError {
    AccountError::Field { name: account.name.clone(), value: value.to_owned() }
}

fn check(account: &Account, home: &str) -> Result<(), AccountError> {
    let Account { name, group, shell, description, .. } = account;
    for value in [name, group, shell, description, home] {
        if value.contains([':', '\n', '\r', '\0']) {
            return Err(bad(account, value));
        }
    }
    for value in [name, group] {
        if value.is_empty() || value.starts_with(['-', '+', '#']) || value.contains([' ', '\t', '/', ',']) {
            return Err(bad(account, value));
        }
    }
    Ok(())
}

/// Looks at one line of a base; `names` are those of the lines before.
fn look_at<'t>(file: &str, line: &'t [u8], names: &mut BTreeSet<&'t [u8]>) -> Result<(), BadLine> {
    let shown = |bytes: &[u8]| Shown(bytes.to_vec()).to_string();
    if line.iter().any(u8::is_ascii_control) {
        return Err(BadLine::Control);
    }
    if let Some(first) = line.first().filter(|first| b"+-".contains(first)) {
        return Err(BadLine::Compatibility(char::from(*first)));
    }
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    // passwd(5), group(5), shadow(5): how many fields, and which of them are numbers of users.
    let (count, numbers, user): (usize, &[usize], Option<usize>) = match file {
        "/etc/passwd" => (7, &[2, 3], Some(2)),
        "/etc/group" => (4, &[2], None),
        _ => (9, &[], None),
    };
    let name = fields[0];
    if fields.len() != count || name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
        return Err(BadLine::Fields(count));
    }
    for at in numbers {
        // Programs read "00", " 0" and "4294967296" as 0 too: a number is as we would write it.
        let text = std::str::from_utf8(fields[*at]).ok();
        let is_plain = text.is_some_and(|text| text.parse::<u32>().is_ok_and(|number| number.to_string() == text));
        if !is_plain {
            return Err(BadLine::Number(shown(fields[*at])));
        }
    }
    match user.map(|at| fields[at] == b"0") {
        Some(true) if name != b"root" => return Err(BadLine::Root(shown(name))),
        Some(false) if name == b"root" => return Err(BadLine::NotRoot),
        _ => {}
    }
    if fields[1].is_empty() {
        return Err(BadLine::Password(shown(name)));
    }
    if !names.insert(name) {
        return Err(BadLine::Twice(shown(name)));
    }
    Ok(())
}

/// One of the files: lines of fields between colons, the name first and the number third.
struct Lines {
    file: &'static str,
    text: Vec<u8>,
    /// The third field of each line by the first: definitions may declare thousands.
    third: HashMap<Vec<u8>, Vec<u8>>,
}

impl Lines {
    fn new(file: &'static str, base: Option<&[u8]>) -> Result<Self, AccountError> {
        let mut text = base.unwrap_or_default().to_vec();
        let (mut names, mut third) = (BTreeSet::new(), HashMap::new());
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            look_at(file, line, &mut names).map_err(|problem| AccountError::Line { file, line: at + 1, problem })?;
            let mut fields = line.split(|byte| *byte == b':').map(<[u8]>::to_vec);
            let name = fields.next().unwrap_or_default();
            third.insert(name, fields.nth(1).unwrap_or_default());
        }
        if text.last().is_some_and(|byte| *byte != b'\n') {
            text.push(b'\n');
        }
        Ok(Self { file, text, third })
    }

    /// Appends a line, unless one of that name and number is there.
    fn add(&mut self, name: &str, id: u32, line: &str) -> Result<(), AccountError> {
        let number = id.to_string();
        if let Some(present) = self.third.get(name.as_bytes()) {
            if present == number.as_bytes() {
                return Ok(());
            }
            let present = Shown(present.clone()).to_string();
            return Err(AccountError::Conflict { file: self.file, name: name.to_owned(), present, wanted: id });
        }
        self.append(name, &number, line);
        Ok(())
    }

    fn append(&mut self, name: &str, third: &str, line: &str) {
        self.text.extend_from_slice(line.as_bytes());
        self.third.insert(name.into(), third.into());
    }
}

/// Finds the text of a path in one package; `Err` when there is something else than a text.
fn text_of<'p>(package: &'p PackageView, path: &str) -> Result<Option<&'p [u8]>, AccountError> {
    let at = fixed(path);
    match package.texts.get(&at) {
        Some(text) => Ok(Some(text)),
        None if package.claims.iter().any(|claim| claim.path == at) => Err(AccountError::Unreadable(path.to_owned())),
        None => Ok(None),
    }
}

/// Makes them out of the files of the package that may ship them, and what definitions declare.
pub(super) fn run(inputs: &Inputs<'_>) -> Result<Generated, AccountError> {
    let extra: Vec<_> = inputs.levels.iter().flat_map(|level| level.accounts.iter().cloned()).collect();
    let mut packages = inputs.rootfs.packages();
    let named = packages.find(|(_, _, package)| Some(&*package.control.metadata.name) == inputs.shippers.accounts);
    let Some((_, part, package)) = named else { return accounts(Base::default(), &extra, 0) };
    let (passwd, group) = (text_of(package, "etc/passwd")?, text_of(package, "etc/group")?);
    let shadow = text_of(package, "etc/shadow")?;
    let shadow_path = fixed("etc/shadow");
    let shadow_meta = package.claims.iter().find(|claim| claim.path == shadow_path).map(|claim| claim.meta);
    let there = [("etc/passwd", passwd), ("etc/group", group), ("etc/shadow", shadow)];
    let there = there.into_iter().filter(|(_, text)| text.is_some()).map(|(path, _)| fixed(path)).collect::<Vec<_>>();
    let date = if there.is_empty() { 0 } else { package.record.date };
    let mut made = accounts(Base { passwd, group, shadow: shadow.zip(shadow_meta) }, &extra, date)?;
    let origin = part.origin.to_string();
    made.packages.extend(there.into_iter().map(|path| (path, BTreeSet::from([origin.clone()]))));
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::tests::{fingerprint, text};

    fn app() -> Account {
        Account {
            name: "app".into(),
            uid: 1000,
            gid: 1001,
            group: "apps".into(),
            home: fixed("var/lib/app"),
            shell: "/bin/sh".into(),
            description: "The App".into(),
        }
    }

    #[test]
    fn an_account_in_group_0_makes_no_second_group_0() {
        let made = accounts(Base::default(), &[Account { gid: 0, ..app() }], 7).unwrap();
        assert!(text(&made, "etc/passwd").contains("\napp:x:1000:0:The App:/var/lib/app:/bin/sh\n"));
        assert_eq!(text(&made, "etc/group"), text(&accounts(Base::default(), &[], 7).unwrap(), "etc/group"));
    }

    #[test]
    fn an_image_without_base_files_gets_the_built_in_accounts() {
        let made = accounts(Base::default(), &[], 7).unwrap();
        assert_eq!(
            text(&made, "etc/passwd"),
            "root:x:0:0:root:/root:/sbin/nologin\n\
             nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n\
             nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
        );
        assert_eq!(text(&made, "etc/group"), "root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n");
        assert!(made.bytes(&fixed("etc/shadow")).is_none());
    }

    #[test]
    fn lines_of_a_package_stay_in_their_order_and_what_is_missing_follows() {
        let shadow_meta = Meta { mode: 0o640, uid: 0, gid: 42, mtime: 0 };
        let base = Base {
            passwd: Some(b"root:x:0:0:root:/root:/bin/sh\nbin:x:1:1:bin:/bin:/sbin/nologin"),
            group: Some(b"nobody:x:65534:\nroot:x:0:root\n"),
            shadow: Some((b"root:*::0:::::\n", shadow_meta)),
        };
        let made = accounts(base, &[app()], 7).unwrap();
        let passwd = text(&made, "etc/passwd");
        assert!(passwd.starts_with("root:x:0:0:root:/root:/bin/sh\nbin:x:1:1:bin:/bin:/sbin/nologin\nnobody:x:"));
        assert!(passwd.ends_with("\napp:x:1000:1001:The App:/var/lib/app:/bin/sh\n"));
        assert!(text(&made, "etc/group").starts_with("nobody:x:65534:\nroot:x:0:root\ntty:x:5:\n"));
        assert!(text(&made, "etc/group").ends_with("\napps:x:1001:\n"));
        assert_eq!(text(&made, "etc/shadow"), "root:*::0:::::\nnobody:!::0:::::\nnonroot:!::0:::::\napp:!::0:::::\n");
        let meta = |path: &str| made.entries.iter().find(|(own, _)| *own == fixed(path)).unwrap().1.meta;
        assert_eq!(meta("etc/shadow"), Meta { mtime: 7, ..shadow_meta });
        assert_eq!(meta("var/lib/app"), Meta { mode: 0o700, uid: 1000, gid: 1001, mtime: 0 });
        assert_eq!(meta("tmp").mode, 0o1777);
    }

    #[test]
    fn a_base_is_looked_at_line_by_line() {
        let good = "root:x:0:0:root:/root:/bin/sh";
        for (line, problem) in [
            ("toor:x:0:0::/:/bin/sh", "line 2 of /etc/passwd gives UID 0 to toor, which only root may have"),
            ("toor:x:00:0::/:/bin/sh", "line 2 of /etc/passwd has \"00\" where a number is expected"),
            ("toor:x:4294967296:0::/:/bin/sh", "line 2 of /etc/passwd has \"4294967296\" where a number is expected"),
            ("toor:x: 0:0::/:/bin/sh", "line 2 of /etc/passwd has \" 0\" where a number is expected"),
            ("bin::1:1::/:/bin/sh", "line 2 of /etc/passwd gives bin an empty password"),
            ("+", "line 2 of /etc/passwd begins with '+', which adds users from other services"),
            ("-toor", "line 2 of /etc/passwd begins with '-', which adds users from other services"),
            ("root:x:0:0::/:/bin/sh", "line 2 of /etc/passwd repeats the name root"),
            ("bin:x:1:1::/:/bin/sh\r", "line 2 of /etc/passwd has a control character"),
            ("bin:x:1:1:a\0b:/:/bin/sh", "line 2 of /etc/passwd has a control character"),
            ("bin:x:1:1:/:/bin/sh", "line 2 of /etc/passwd does not have a name and 7 fields"),
            (":x:1:1::/:/bin/sh", "line 2 of /etc/passwd does not have a name and 7 fields"),
        ] {
            let text = format!("{good}\n{line}\n");
            let error = accounts(Base { passwd: Some(text.as_bytes()), ..Base::default() }, &[], 0).unwrap_err();
            assert_eq!(error.to_string(), problem);
        }
        let root = accounts(Base { passwd: Some(b"root:x:1:0::/:/bin/sh"), ..Base::default() }, &[], 0).unwrap_err();
        assert_eq!(root.to_string(), "line 1 of /etc/passwd gives root a number other than 0");
        for (group, problem) in [
            ("tty::5:", "line 1 of /etc/group gives tty an empty password"),
            ("tty:x:5", "line 1 of /etc/group does not have a name and 4 fields"),
            ("tty:x:5:\nbin:x:1:\ntty:x:6:", "line 3 of /etc/group repeats the name tty"),
        ] {
            let error = accounts(Base { group: Some(group.as_bytes()), ..Base::default() }, &[], 0).unwrap_err();
            assert_eq!(error.to_string(), problem);
        }
        let shadow = Base { shadow: Some((b"root:::0:::::\n", Meta::FILE)), ..Base::default() };
        let error = accounts(shadow, &[], 0).unwrap_err();
        assert_eq!(error.to_string(), "line 1 of /etc/shadow gives root an empty password");
    }

    #[test]
    fn a_name_with_two_numbers_is_an_error() {
        let base = Base { passwd: Some(b"nonroot:x:1:1::/:\n"), ..Base::default() };
        let error = accounts(base, &[], 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nonroot already has the number 1 in /etc/passwd and cannot have 65532 too (see `accounts` and `accounts-from`)"
        );
        let twice = [app(), Account { uid: 1002, ..app() }];
        assert!(matches!(accounts(Base::default(), &twice, 0), Err(AccountError::Conflict { .. })));
    }

    #[test]
    fn a_field_that_would_make_another_line_is_an_error() {
        for account in [
            Account { description: "a\nroot2:x:0:0::/:".into(), ..app() },
            Account { shell: "/bin/sh:".into(), ..app() },
            Account { name: String::new(), ..app() },
            Account { group: "+all".into(), ..app() },
        ] {
            assert!(matches!(accounts(Base::default(), &[account], 0), Err(AccountError::Field { .. })));
        }
    }

    #[test]
    fn the_bytes_do_not_move() {
        let made = accounts(Base::default(), &[app()], 7).unwrap();
        assert_eq!(
            fingerprint(&made),
            "05b1ead9b9f8266212dd14c0573bf0d13a0e5c19e63cbecbfa7638882ba64a9c",
            "raise the version in definition/fixup.rs when this changes"
        );
    }
}
