//! Packages of the store as rows, and images that can be made.
//!
//! Where there are none, what to type is said instead.

use std::process::ExitCode;

use crate::cli::output::{Output, count, size};
use crate::command::list::{Images, Packages, is_pattern};
use dlstore_model::diagnose::{Diagnose as _, one_line};

pub(in crate::cli) fn packages(
    out: &Output,
    report: &Packages,
    name: Option<&str>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if report.damaged > 0 {
        let number = count(report.damaged, "package");
        out.note(&format!("{number} cannot be listed (run `dlstore store verify --full` for details)"));
    }
    if let Some(lacks) = &report.lacks {
        out.warn(&one_line(lacks));
        if let Some(hint) = lacks.hint() {
            out.error("hint:", &hint);
        }
    }
    if as_json {
        out.json(report)?;
        return Ok(ExitCode::SUCCESS);
    }
    out.table(&report.packages, |package| {
        [
            package.format.to_owned(),
            package.name.to_string(),
            package.version.to_string(),
            package.architecture.to_string(),
            package.tree.to_string()[..12].to_owned(),
            size(package.content_size),
        ]
    })?;
    if report.packages.is_empty() {
        out.say(&match name {
            Some(name) if !is_pattern(name) => {
                let like = report.like.as_ref().map(|like| format!(" (did you mean {like}?)")).unwrap_or_default();
                format!("no package is named {name}{like}; `dlstore list '*{name}*'` lists names that contain it")
            }
            Some(name) => format!("no package has a name like {name}"),
            None => "no packages; `dlstore add PATH...` adds some".to_owned(),
        });
    }
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn images(out: &Output, report: &Images, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        out.json(report)?;
    } else {
        for image in &report.images {
            out.result(&format!("{}  {}", image.name, image.flavors.join(" ")))?;
        }
    }
    for one in &report.unreadable {
        out.warn(&format!("{} cannot be read: {}", one.name, one.error));
    }
    Ok(ExitCode::SUCCESS)
}
