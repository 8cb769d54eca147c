//! Fields of a package or an image, a line for each.
//!
//! What is not known is left out.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::cli::output::{Output, size};
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
    field(out, "user", image.user.as_deref().unwrap_or("root"))?;
    let one = |name: &str, value: &Option<String>| value.as_deref().map_or(Ok(()), |value| field(out, name, value));
    let list =
        |name: &str, values: &[String]| if values.is_empty() { Ok(()) } else { field(out, name, &values.join(" ")) };
    let map = |name: &str, values: &BTreeMap<String, String>| {
        values.iter().try_for_each(|(key, value)| field(out, name, &format!("{key}={value}")))
    };
    list("entrypoint", &image.entrypoint)?;
    list("cmd", &image.cmd)?;
    one("workdir", &image.workdir)?;
    one("stop signal", &image.stop_signal)?;
    list("ports", &image.ports)?;
    list("volumes", &image.volumes)?;
    map("env", &image.env)?;
    map("label", &image.labels)?;
    map("annotation", &image.annotations)?;
    one("repository", &image.repository)?;
    list("tags", &image.tags)?;
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

fn field(out: &Output, name: &str, value: &str) -> anyhow::Result<()> {
    out.result(&format!("{name:<16} {value}"))
}
