//! The small grammars of single values: each takes a text and gives what it means, or the sentence
//! that says what is wrong with it.
//!
//! What has passed here is never looked at again: names, ports, modes and versions are what they claim.

use std::path::Path;

use dlstore_model::arch::Arch;
use dlstore_model::digest::OciDigest;
use dlstore_oci::name::ImageName;

use super::{PackageRequirement, Waiver};

/// Reads `NAME[=VERSION][@sha256:HEX]`.
pub(super) fn package(text: &str) -> Result<PackageRequirement, String> {
    let (rest, sha256) = match text.split_once('@') {
        Some((rest, digest)) => {
            let digest =
                digest.parse::<OciDigest>().map_err(|_| "a pin must be `@sha256:` and 64 hex digits".to_owned())?;
            (rest, Some(digest))
        }
        None => (text, None),
    };
    let (name, version) = match rest.split_once('=') {
        Some((_, "")) => return Err("expected a version after `=`".into()),
        Some((name, version)) => (name, Some(version)),
        None => (rest, None),
    };
    if !is_package_name(name) {
        return Err("a package must be `NAME`, `NAME=VERSION` or `NAME@sha256:HEX`".into());
    }
    if let Some(version) = version
        && !version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-~:_".contains(&byte))
    {
        return Err("a version may contain only letters, digits and `.+-~:_`".into());
    }
    Ok(PackageRequirement { name: name.into(), version: version.map(Into::into), sha256, line: None })
}

/// Says whether deb or apk could have a package of that name.
pub(super) fn is_package_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte))
}

/// Takes `PATTERN` or `PACKAGE: PATTERN` apart: what packages ship and others may replace.
pub(super) fn overridden(text: &str) -> Result<(Option<&str>, &str), String> {
    match text.split_once(": ") {
        Some((package, pattern)) if !text.starts_with('/') => {
            let shape =
                || "an override must be `PATTERN` or `PACKAGE: PATTERN`, such as `libc6: /usr/lib/x`".to_owned();
            is_package_name(package).then_some((Some(package), pattern)).ok_or_else(shape)
        }
        _ => Ok((None, text)),
    }
}

/// Says whether an image or a flavor can have that name: a component of an OCI repository's name.
pub(super) fn is_image_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 128
        && name.bytes().next().is_some_and(plain)
        && name.bytes().next_back().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || b".-_".contains(&byte))
}

/// Reads `A -> B: reason`.
pub(super) fn waiver(text: &str) -> Result<Waiver, String> {
    let shape = || "a waiver must be `A -> B: reason`".to_owned();
    let (from, rest) = text.split_once("->").ok_or_else(shape)?;
    let (to, reason) = match rest.split_once(": ") {
        Some((to, reason)) => (to, reason.trim()),
        None => (rest.strip_suffix(':').unwrap_or(rest), ""),
    };
    let (from, to) = (from.trim(), to.trim());
    let named = |word: &str| !word.is_empty() && !word.contains(char::is_whitespace);
    if !named(from) || !named(to) {
        return Err(shape());
    }
    if reason.is_empty() {
        return Err(format!("the waiver has no reason: `{from} -> {to}: reason`"));
    }
    Ok(Waiver { from: from.into(), to: to.into(), reason: reason.into() })
}

/// Reads an octal mode of three or four digits: `755`, `0755`, `1777`.
pub(super) fn mode(text: &str) -> Result<u16, String> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = octal.then(|| u16::from_str_radix(text, 8).ok()).flatten();
    mode.ok_or_else(|| "a mode must be three or four octal digits, such as \"0755\"".into())
}

/// Checks `USER` or `USER:GROUP`, each a name or a number.
pub(super) fn owner(text: &str) -> Result<(), String> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let fits = |part: &str| is_account_name(part) || is_id(part);
    if fits(user) && group.is_none_or(fits) {
        return Ok(());
    }
    Err("a user must be `NAME`, `UID` or `UID:GID`".into())
}

/// Says whether this is a number that a user or group can have: `u32::MAX` means "none" to Linux.
fn is_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u32>().is_ok_and(|id| id != u32::MAX)
}

/// Says whether this can be an account's or a group's name (`useradd(8)`).
pub(super) fn is_account_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}

/// Checks a field of `/etc/passwd`.
pub(super) fn passwd_field(text: &str) -> Result<(), String> {
    if text.chars().any(|character| character == ':' || character.is_control()) {
        return Err("a field of /etc/passwd cannot contain `:` or control characters".into());
    }
    Ok(())
}

/// Reads `PORT[/PROTOCOL]`; gives it with its protocol.
pub(super) fn port(text: &str) -> Result<String, String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse::<u16>().ok()).flatten();
    match number {
        Some(number) if number > 0 && ["tcp", "udp", "sctp"].contains(&protocol) => Ok(format!("{number}/{protocol}")),
        _ => Err("a port must be `8080`, `8080/tcp`, `53/udp` or `9/sctp`, between 1 and 65535".into()),
    }
}

/// Checks an absolute path of the running image, which may be `/`.
pub(super) fn absolute(text: &str) -> Result<(), String> {
    let inner = text.strip_prefix('/').ok_or("the path must be absolute and begin with `/`")?;
    if inner.is_empty() {
        return Ok(());
    }
    dlstore_model::path::TreePath::from_absolute(text).map(drop).map_err(|error| error.to_string())
}

/// Checks the name of an environment variable.
pub(super) fn env_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains('=') || name.contains(char::is_control) {
        return Err("the name of a variable cannot be empty or contain `=` or control characters".into());
    }
    Ok(())
}

/// Checks the key of a label or an annotation: `org.example.key`.
pub(super) fn label_key(key: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let inner = |byte: u8| plain(byte) || b"._-/".contains(&byte);
    let ends = key.bytes().next().is_some_and(plain) && key.bytes().next_back().is_some_and(plain);
    if ends && key.bytes().all(inner) {
        return Ok(());
    }
    Err("a key may contain only letters, digits and `._-/`, such as \"org.example.key\"".into())
}

/// Checks a value that ends up in a file or a configuration: no NUL.
pub(super) fn no_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("a value cannot contain a NUL byte".into()) } else { Ok(()) }
}

/// Checks a text of the image's configuration: of control characters it has line breaks and tabs only.
/// NUL would end a variable or an argument early, the others would steer the terminal of whoever looks.
pub(super) fn plain_text(text: &str) -> Result<(), String> {
    match text.chars().find(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        Some(found) => {
            let number = u32::from(found);
            Err(format!(
                "the value contains the control character U+{number:04X}; only line breaks and tabs are allowed"
            ))
        }
        None => Ok(()),
    }
}

/// Checks `SIGTERM`, `SIGRTMIN+3` or a number.
pub(super) fn signal(text: &str) -> Result<(), String> {
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u8>().is_ok_and(|n| n <= 64);
    let known = text.strip_prefix("SIG").is_some_and(|name| {
        let (name, offset) = name.split_once(['+', '-']).map_or((name, None), |(name, offset)| (name, Some(offset)));
        match offset {
            Some(offset) => ["RTMIN", "RTMAX"].contains(&name) && number(offset),
            None => SIGNALS.contains(&name),
        }
    });
    if known || (number(text) && text != "0" && !text.is_empty()) {
        return Ok(());
    }
    Err("a signal must be a name such as `SIGTERM` or a number from 1 to 64".into())
}

/// Signals of Linux (`signal(7)`) that all architectures have.
const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "KILL", "PIPE", "POLL", "PROF", "PWR",
    "QUIT", "RTMAX", "RTMIN", "SEGV", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2",
    "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Checks the name of a field of os-release (`os-release(5)`).
pub(super) fn os_release_key(key: &str) -> Result<(), String> {
    let inner = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if key.starts_with(|first: char| first.is_ascii_uppercase()) && key.bytes().all(inner) {
        return Ok(());
    }
    Err("a field of os-release may contain only capital letters, digits and `_`, such as PRETTY_NAME".into())
}

/// Checks the name of a project: one line of at most 100 characters, not empty.
pub(super) fn project(text: &str) -> Result<(), String> {
    if text.trim().is_empty() || text.chars().count() > 100 {
        return Err("a project's name must have 1 to 100 characters".into());
    }
    one_line(text)
}

/// Checks the value of a field of os-release: one line.
pub(super) fn one_line(text: &str) -> Result<(), String> {
    if text.contains(char::is_control) {
        Err("the value must be one line without control characters".into())
    } else {
        Ok(())
    }
}

/// Checks `[HOST[:PORT]/]NAME[/NAME]...` without tag and digest (distribution specification, "name").
pub(super) fn repository(text: &str) -> Result<(), String> {
    let (host, path) = match text.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => ("localhost", text),
    };
    let (name, port) = host.split_once(':').map_or((host, "1"), |(name, port)| (name, port));
    let host_fits = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        && port.parse::<u16>().is_ok();
    let names = || path.split('/').all(is_image_name) && format!("{text}:tag").parse::<ImageName>().is_ok();
    if host_fits && text.len() <= 255 && names() {
        return Ok(());
    }
    Err("a repository must be a name such as `ghcr.io/acme/base`: lowercase letters, no tag, no digest".into())
}

/// Reads an architecture.
pub(super) fn arch(text: &str) -> Result<Arch, String> {
    text.parse::<Arch>().map_err(|error| error.to_string())
}

/// What stands before the name of an image that is built in, whatever the project calls so.
pub(super) const BUILT_IN: &str = "builtin:";

/// Splits the flavor off: what is behind the last colon, unless that is a part of a path.
pub(super) fn split(reference: &str) -> (&str, Option<&str>) {
    match reference.rsplit_once(':') {
        Some((named, flavor)) if !is_path(flavor) => (named, Some(flavor)),
        _ => (reference, None),
    }
}

/// Says whether this is a path and not a name.
pub(super) fn is_path(named: &str) -> bool {
    named.contains('/') || Path::new(named).extension().is_some_and(|extension| extension == "toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds a grammar against what it takes and what it does not.
    fn check<T, E>(grammar: impl Fn(&str) -> Result<T, E>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(grammar(text).is_ok(), "{text:?} is good");
        }
        for text in bad {
            assert!(grammar(text).is_err(), "{text:?} is bad");
        }
    }

    #[test]
    fn grammars_take_what_they_say_and_nothing_else() {
        check(mode, &["0755", "755", "1777", "0000"], &["", "75", "00755", "0788", "rwx", "+755", "0o755"]);
        check(
            owner,
            &["nonroot", "0", "65532:65532", "app:0", "_x:y"],
            &["", ":", "a:", ":1", "A", "1:2:3", "4294967295", "-1", "+1"],
        );
        check(port, &["80", "80/tcp", "53/udp", "65535"], &["", "0", "65536", "80/xyz", "80-90", "tcp", "+80", "80/"]);
        check(
            signal,
            &["SIGTERM", "SIGRTMIN+3", "15", "SIGRTMAX-1"],
            &["", "0", "65", "TERM", "SIGNOPE", "SIGTERM+1", "sigterm"],
        );
        check(label_key, &["a", "org.example/x-y_z"], &["", ".a", "a.", "a b", "ä", "a=b"]);
        check(plain_text, &["", "a\tb\n", "\u{e9}"], &["\0", "a\u{1b}[2J", "\r\n", "\u{7f}", "\u{9b}"]);
        check(env_name, &["PATH", "a.b"], &["", "A=B", "A\n"]);
        check(absolute, &["/", "/a/b"], &["", "a", "/a/../b", "//"]);
        check(os_release_key, &["ID", "PRETTY_NAME"], &["", "id", "_A", "1A"]);
        check(
            repository,
            &["static", "ghcr.io/acme/static", "localhost:5000/a", "acme/b"],
            &[
                "",
                "ghcr.io/",
                "ghcr.io/A",
                "a:tag",
                "ghcr.io/a:tag",
                "a@sha256:0",
                "https://ghcr.io/a",
                "a//b",
                "a..b",
                "ghcr.io/a.-b",
            ],
        );
        check(
            package,
            &["libc6", "libstdc++6", "libc6=2.41-12", "a=1:2.0~rc1+b1"],
            &["", "=1", "a=", "a b", "-a", "a@sha256:12", "a@md5:00", "a=1 2", "../a"],
        );
        check(
            waiver,
            &["a -> b: because", "/usr/bin/x -> libx.so.1: never called", "a->b: c: d"],
            &["", "a -> b", "a -> b:", "a -> b: ", "a: b", "-> b: c", "a ->: c", "a b -> c: d"],
        );
    }

    #[test]
    fn parts_are_where_they_are_meant_to_be() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let requirement = package(&format!("libc6=2.41-12@{digest}")).unwrap();
        assert_eq!((requirement.name.as_str(), requirement.version.as_deref()), ("libc6", Some("2.41-12")));
        assert_eq!(requirement.sha256.map(|digest| digest.to_string()), Some(digest));
        let reason = Waiver { from: "a".into(), to: "so:x:1".into(), reason: "b: c".into() };
        assert_eq!(waiver("a -> so:x:1: b: c"), Ok(reason));
        assert_eq!(port("080"), Ok("80/tcp".into()));
        assert_eq!(mode("1777"), Ok(0o1777));
    }
}
