//! What programs need, some lines for each.
//!
//! Where a library is in no image, the packages of the store and of `--from` that have it are named.

use std::path::Path;
use std::process::ExitCode;

use super::code;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::command::needs::{Program, Report};

pub(in crate::cli) fn print(
    out: &Output,
    report: &Report,
    as_json: bool,
    store: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    if as_json {
        out.json(report)?;
    } else {
        report.programs.iter().try_for_each(|one| program(out, one, report.is_from))?;
    }
    for one in &report.failed {
        let _ = exit::report(out, &one.error, store, "");
    }
    Ok(code(!report.failed.is_empty()))
}

fn program(out: &Output, program: &Program, is_from: bool) -> anyhow::Result<()> {
    let nowhere = if is_from {
        "not in any built-in image, package of the store or package of --from"
    } else {
        "not in any built-in image or any package of the store (--from PATH looks in other packages)"
    };
    let machine =
        program.architecture.as_ref().map_or_else(|| "unsupported architecture".to_owned(), ToString::to_string);
    out.result(&format!("{}: {machine}, {}", program.path, program.linkage))?;
    if let Some(loader) = &program.loader {
        out.result(&format!("  loader  {loader}"))?;
    }
    for need in &program.needs {
        let place = match (need.in_image, need.packages.as_slice()) {
            (true, _) => "in the image".to_owned(),
            (false, []) => nowhere.to_owned(),
            (false, packages) => format!("add package {}", packages.join(" or ")),
        };
        out.result(&format!("  needs   {:<24} {place}", need.library))?;
    }
    let glibc = program.oldest.glibc.as_ref().map(|version| format!("glibc {version}"));
    for library in glibc.iter().chain(&program.oldest.libstdcxx) {
        out.result(&format!("  runs on {library} or newer"))?;
    }
    let images = if program.images.is_empty() { "none".to_owned() } else { program.images.join(" ") };
    let is_complete = program.needs.iter().all(|need| need.in_image);
    let also = if is_complete || program.images.is_empty() { "" } else { ", once the missing libraries are added" };
    out.result(&format!("  image   {images}{also}"))
}
