//! Fields of a package or an image, a line for each.
//!
//! What is not known is left out.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::cli::output::{Output, size};
use crate::command::show::made::{self, Platform};
use crate::command::show::start::Start;
use crate::command::show::{Details, Image, Level, Report};

pub(in crate::cli) fn print(out: &Output, report: &Report, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        out.json(report)?;
        return Ok(ExitCode::SUCCESS);
    }
    match report {
        Report::Packages(found) => {
            for (at, package) in found.packages.iter().enumerate() {
                if at > 0 {
                    out.result("")?;
                }
                details(out, package)?;
            }
        }
        Report::Image(found) => image(out, found)?,
        Report::Made(found) => made(out, found)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn details(out: &Output, details: &Details) -> anyhow::Result<()> {
    let Details { package, origin, control_members, libraries } = details;
    let members: Vec<&str> = control_members.iter().map(String::as_str).collect();
    let libraries: Vec<&str> = libraries.iter().map(|library| library.soname.as_str()).collect();
    for (name, value) in [
        ("name", package.name.to_string()),
        ("version", package.version.to_string()),
        ("architecture", package.architecture.to_string()),
        ("format", package.format.to_owned()),
        ("origin", origin.clone().unwrap_or_default()),
        ("tree", package.tree.to_string()),
        ("source", package.source.to_string()),
        ("source size", size(package.source_size)),
        ("content size", size(package.content_size)),
        ("entries", package.entries.to_string()),
        ("date", package.date.to_string()),
        ("control members", members.join(" ")),
        ("libraries", libraries.join(" ")),
    ] {
        if !value.is_empty() {
            field(out, name, &value)?;
        }
    }
    Ok(())
}

fn image(out: &Output, image: &Image) -> anyhow::Result<()> {
    field(out, "image", &image.name)?;
    field(out, "flavor", &image.flavor)?;
    if let Some(description) = &image.description {
        field(out, "description", description)?;
    }
    let architectures: Vec<String> = image.architectures.iter().map(ToString::to_string).collect();
    field(out, "architectures", &architectures.join(" "))?;
    start(out, &image.start)?;
    map(out, "annotation", &image.annotations)?;
    one(out, "repository", image.repository.as_deref())?;
    list(out, "tags", &image.tags)?;
    image.levels.iter().try_for_each(|one| level(out, one))
}

/// Prints what one definition of the chain brings.
fn level(out: &Output, level: &Level) -> anyhow::Result<()> {
    field(out, "level", &level.name)?;
    let list = |name: &str, values: &[String]| {
        if values.is_empty() { Ok(()) } else { field(out, &format!("  {name}"), &values.join(" ")) }
    };
    if level.embedded {
        field(out, "  embedded", "data built into the program")?;
    }
    list("packages", &level.packages)?;
    level.arch_packages.iter().try_for_each(|one| field(out, "  packages", one))?;
    list("files", &level.files)?;
    level.links.iter().try_for_each(|link| field(out, "  link", link))?;
    list("certificates", &level.certificates)?;
    list("accounts", &level.accounts)
}

fn start(out: &Output, start: &Start) -> anyhow::Result<()> {
    field(out, "user", start.user.as_deref().unwrap_or("root"))?;
    list(out, "entrypoint", &start.entrypoint)?;
    list(out, "cmd", &start.cmd)?;
    one(out, "workdir", start.workdir.as_deref())?;
    one(out, "stop signal", start.stop_signal.as_deref())?;
    list(out, "ports", &start.ports)?;
    list(out, "volumes", &start.volumes)?;
    map(out, "env", &start.env)?;
    map(out, "label", &start.labels)
}

/// Prints a built image, and what it is on each architecture that is shown.
fn made(out: &Output, image: &made::Image) -> anyhow::Result<()> {
    field(out, "image", &image.name)?;
    one(out, "digest", image.digest.map(|digest| digest.to_string()).as_deref())?;
    field(out, "architectures", &image.architectures.join(" "))?;
    image.platforms.iter().try_for_each(|one| platform(out, one))
}

fn platform(out: &Output, platform: &Platform) -> anyhow::Result<()> {
    field(out, "architecture", &platform.architecture)?;
    one(out, "manifest", platform.manifest.map(|digest| digest.to_string()).as_deref())?;
    field(out, "configuration", &platform.configuration.to_string())?;
    one(out, "created", platform.created.as_deref())?;
    start(out, &platform.start)?;
    map(out, "annotation", &platform.annotations)?;
    for layer in &platform.layers {
        let digest = layer.digest.or(layer.diff_id).map(|digest| digest.to_string()).unwrap_or_default();
        field(out, "layer", format!("{digest} {:>9}  {}", size(layer.size), layer.title).trim_end())?;
    }
    platform.packages.iter().try_for_each(|one| {
        field(out, "package", &format!("{}:{}={}/{}", one.format, one.name, one.version, one.architecture))
    })
}

fn one(out: &Output, name: &str, value: Option<&str>) -> anyhow::Result<()> {
    value.map_or(Ok(()), |value| field(out, name, value))
}

fn list(out: &Output, name: &str, values: &[String]) -> anyhow::Result<()> {
    if values.is_empty() { Ok(()) } else { field(out, name, &values.join(" ")) }
}

fn map(out: &Output, name: &str, values: &BTreeMap<String, String>) -> anyhow::Result<()> {
    values.iter().try_for_each(|(key, value)| field(out, name, &format!("{key}={value}")))
}

fn field(out: &Output, name: &str, value: &str) -> anyhow::Result<()> {
    out.result(&format!("{name:<16} {value}"))
}
