//! `dlstore show`: one package, or one image definition with all that it inherits.
//!
//! A package of the store comes first, an image definition second. Facts that were taken when a package
//! was added are shown; nothing is decoded again.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::Global;
use super::failure::one_line;
use super::list::called;
use super::output::{Output, size};
use super::request::ProjectArgs;
use dlstore_image::definition::Image;
use dlstore_ingest::facts;
use dlstore_model::digest::OciDigest;
use dlstore_model::escape;
use dlstore_store::{PackageRecord, Store};

/// What `show` is told.
#[derive(Args)]
pub(super) struct ShowArgs {
    /// NAME, NAME=VERSION or NAME=VERSION/ARCH of a package (in NAME, * stands for any characters and ? for any
    /// one), a tree or source digest (12 digits or more), or an image as `compose` takes it
    what: String,
    #[command(flatten)]
    project: ProjectArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &Global, out: &Output, arguments: &ShowArgs) -> anyhow::Result<ExitCode> {
    let packages = match global.open_if_there() {
        Ok(Some(store)) => {
            let found = find(&store, &arguments.what)?;
            found.into_iter().map(|record| describe(&store, &record)).collect::<anyhow::Result<Vec<_>>>()?
        }
        Ok(None) => Vec::new(),
        // An image needs no store; a package of that name may be in it.
        Err(error) => {
            out.note(&format!("packages are not looked for: {}", one_line(error.as_ref())));
            Vec::new()
        }
    };
    if packages.is_empty() {
        let image = arguments.project.load(out, &arguments.what)?;
        return show_image(out, &image, arguments.json);
    }
    if arguments.json {
        out.json(json!({"packages": packages}))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (at, package) in packages.iter().enumerate() {
        if at > 0 {
            out.result("")?;
        }
        print_fields(out, package)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Finds packages by name, `NAME=VERSION[/ARCH]`, or the beginning of a digest.
pub(super) fn find(store: &Store, what: &str) -> anyhow::Result<Vec<PackageRecord>> {
    let (what, arch) = what.rsplit_once('/').map_or((what, None), |(what, arch)| (what, Some(arch)));
    let (name, version) = what.split_once('=').map_or((what, None), |(name, version)| (name, Some(version)));
    let mut found: Vec<PackageRecord> = called(store, name)?.packages;
    found.retain(|record| {
        version.is_none_or(|version| record.version == version) && arch.is_none_or(|arch| record.architecture == arch)
    });
    if let Some((first, last)) = digests_beginning(what.strip_prefix("sha256:").unwrap_or(what)) {
        for record in store.packages_between(&first, &last)?.packages {
            if !found.contains(&record) {
                found.push(record);
            }
        }
    }
    Ok(found)
}

/// Gives the first and the last digest that begin with some digits, of which it takes twelve.
fn digests_beginning(digits: &str) -> Option<([u8; 32], [u8; 32])> {
    if digits.len() < 12 || !digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')) {
        return None;
    }
    let filled =
        |with: &str| OciDigest::from_hex(&format!("{digits}{}", with.repeat(64_usize.checked_sub(digits.len())?))).ok();
    Some((*filled("0")?.as_bytes(), *filled("f")?.as_bytes()))
}

fn describe(store: &Store, record: &PackageRecord) -> anyhow::Result<Value> {
    let fact = |kind| match record.fact(kind) {
        Some(digest) => store.fact(&digest),
        None => Ok(None),
    };
    let control = fact(facts::CONTROL)?.and_then(|data| facts::decode_control(&data).ok());
    let others = fact(facts::MEMBERS)?.and_then(|data| facts::decode_control(&data).ok());
    let members: std::collections::BTreeSet<String> = control
        .iter()
        .chain(&others)
        .flat_map(|control| control.members.keys().map(|member| escape::name(member.as_bytes())))
        .collect();
    let elf = fact(facts::ELF)?.and_then(|data| dlstore_formats::elf::decode_facts(&data).ok());
    let libraries: Vec<Value> = elf
        .iter()
        .flatten()
        .filter_map(|(path, elf)| {
            let soname = escape::name(elf.soname.as_ref()?);
            Some(json!({"path": format!("/{}", escape::name(path.as_bytes())), "soname": soname}))
        })
        .collect();
    Ok(json!({
        "format": record.format.name(), "name": record.name, "version": record.version,
        "architecture": record.architecture,
        "origin": control.as_ref().map(|control| control.metadata.origin.to_string()),
        "tree": record.tree.to_hex(), "source": record.source.to_string(),
        "source_size": record.source_size, "content_size": record.content_size,
        "entries": record.entries, "date": record.date,
        "control_members": members, "libraries": libraries,
    }))
}

fn print_fields(out: &Output, value: &Value) -> anyhow::Result<()> {
    let Value::Object(map) = value else { return Ok(()) };
    for key in [
        "name",
        "version",
        "architecture",
        "format",
        "origin",
        "tree",
        "source",
        "source_size",
        "content_size",
        "entries",
        "date",
        "control_members",
        "libraries",
    ] {
        let text = match map.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if key.ends_with("_size") => size(number.as_u64().unwrap_or(0)),
            Some(Value::Array(items)) if items.is_empty() => continue,
            Some(Value::Array(items)) => items.iter().map(item).collect::<Vec<_>>().join(" "),
            Some(other) => other.to_string(),
        };
        out.result(&format!("{:<16} {text}", key.replace('_', " ")))?;
    }
    Ok(())
}

fn item(value: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    value.get("soname").map_or_else(|| text(value), text)
}

fn show_image(out: &Output, image: &Image, as_json: bool) -> anyhow::Result<ExitCode> {
    let levels: Vec<Value> = image
        .levels
        .iter()
        .map(|level| {
            let packages: Vec<_> = level.packages.iter().map(|wish| wish.name.clone()).collect();
            let waivers: Vec<_> =
                level.waivers.iter().map(|one| format!("{} -> {}: {}", one.from, one.to, one.reason)).collect();
            json!({
                "name": level.name, "embedded": level.embedded, "packages": packages,
                "waive": waivers, "skip": level.skip, "overrides": level.overrides,
            })
        })
        .collect();
    let architectures: Vec<_> = image.architectures.iter().map(ToString::to_string).collect();
    let value = json!({
        "name": image.name, "flavor": image.flavor, "description": image.description,
        "repository": image.repository, "architectures": architectures,
        "user": image.config.user, "env": image.config.env, "tags": image.tags, "levels": levels,
    });
    if as_json {
        out.json(value)?;
        return Ok(ExitCode::SUCCESS);
    }
    out.result(&format!("{:<16} {}", "image", image.name))?;
    out.result(&format!("{:<16} {}", "flavor", image.flavor))?;
    if let Some(description) = &image.description {
        out.result(&format!("{:<16} {description}", "description"))?;
    }
    out.result(&format!("{:<16} {}", "architectures", architectures.join(" ")))?;
    out.result(&format!("{:<16} {}", "user", image.config.user.as_deref().unwrap_or("root")))?;
    for level in &image.levels {
        let packages: Vec<_> = level.packages.iter().map(|wish| wish.name.as_str()).collect();
        let what = if level.embedded { "data built into the program".to_owned() } else { packages.join(" ") };
        out.result(&format!("{:<16} {}: {what}", "level", level.name))?;
    }
    Ok(ExitCode::SUCCESS)
}
