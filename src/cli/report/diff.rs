//! What is different, a line for each thing, and what it comes to in one line.
//!
//! ```text
//! arch     + s390x
//! config   ~ env.PATH  /bin -> /usr/bin
//! package  + zlib1g 1:1.3
//! file     ~ /etc/passwd  mode 0600 -> 0644, content
//! ```

use std::process::ExitCode;

use super::code;
use crate::cli::output::{Output, count, size};
use crate::command::diff::{Compared, File, Report, State};

pub(in crate::cli) fn print(
    out: &Output,
    report: &Report,
    as_json: bool,
    says_by_code: bool,
) -> anyhow::Result<ExitCode> {
    if as_json {
        out.json(report)?;
    } else {
        text(out, report)?;
    }
    Ok(code(says_by_code && !report.is_same))
}

fn text(out: &Output, report: &Report) -> anyhow::Result<()> {
    if report.is_same {
        return out.result("no differences");
    }
    for (sign, only) in [('-', &report.only_old), ('+', &report.only_new)] {
        only.iter().try_for_each(|name| out.result(&format!("arch     {sign} {name}")))?;
    }
    for one in &report.architectures {
        if report.architectures.len() > 1 {
            out.result(&format!("{}:", one.architecture))?;
        }
        for setting in &one.config {
            changed(out, "config", &setting.key, setting.old.as_deref(), setting.new.as_deref())?;
        }
        for package in &one.packages {
            changed(out, "package", &package.name, package.old.as_deref(), package.new.as_deref())?;
        }
        one.files.iter().try_for_each(|file| out.result(&format!("file     {}", line(file))))?;
        out.result(&summary(one))?;
    }
    Ok(())
}

fn changed(out: &Output, what: &str, name: &str, old: Option<&str>, new: Option<&str>) -> anyhow::Result<()> {
    let said = match (old, new) {
        (Some(old), Some(new)) => format!("~ {name}  {old} -> {new}"),
        (Some(old), None) => format!("- {name}  {old}"),
        (None, new) => format!("+ {name}  {}", new.unwrap_or_default()),
    };
    out.result(&format!("{what:<8} {said}"))
}

fn line(file: &File) -> String {
    match (&file.old, &file.new) {
        (Some(old), Some(new)) => {
            let said: Vec<String> = file.differs.iter().map(|what| difference(what, old, new)).collect();
            format!("~ {}  {}", file.path, said.join(", "))
        }
        (Some(_), None) => format!("- {}", file.path),
        _ => format!("+ {}", file.path),
    }
}

/// Says how something differs, where that fits a few words.
fn difference(what: &str, old: &State, new: &State) -> String {
    let text = |target: &Option<String>| target.clone().unwrap_or_default();
    let (old, new) = match what {
        "type" => (old.kind.to_owned(), new.kind.to_owned()),
        "mode" => (old.mode.clone(), new.mode.clone()),
        "owner" => (format!("{}:{}", old.uid, old.gid), format!("{}:{}", new.uid, new.gid)),
        "size" => (old.size.unwrap_or_default().to_string(), new.size.unwrap_or_default().to_string()),
        "target" => (text(&old.target), text(&new.target)),
        "time" => (old.mtime.to_string(), new.mtime.to_string()),
        _ => return what.to_owned(),
    };
    format!("{what} {old} -> {new}")
}

/// `3 files added, 1 removed, 2 changed; 1 package differs; 475 kB -> 480 kB (+5 kB)`.
fn summary(one: &Compared) -> String {
    let files = |is: fn(&File) -> bool| one.files.iter().filter(|file| is(file)).count();
    let added = files(|file| file.old.is_none());
    let removed = files(|file| file.new.is_none());
    let changed = one.files.len() - added - removed;
    let mut parts = vec![format!("{} added, {removed} removed, {changed} changed", count(added, "file"))];
    parts.extend(
        [(one.packages.len(), "package"), (one.config.len(), "setting")]
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, noun)| format!("{} changed", count(*number, noun))),
    );
    let (sign, by) = if one.new_size < one.old_size {
        ("-", one.old_size - one.new_size)
    } else {
        ("+", one.new_size - one.old_size)
    };
    parts.push(format!("{} -> {} ({sign}{})", size(one.old_size), size(one.new_size), size(by)));
    parts.join("; ")
}
