//! `dlstore needs`: what a program of one's own needs at run time, and which image has it.
//!
//! What the program names is read from its own headers. Where each library is, the store's facts and a
//! table of the built-in images say; nothing is run.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::Global;
use super::failure::one_line;
use super::output::Output;
use dlstore_formats::elf::{self, Elf};
use dlstore_formats::package::Format;
use dlstore_image::linker::provided::{Linkage, arch_of, has, images, linkage, loader_of, lowest};
use dlstore_ingest::facts;
use dlstore_ingest::folder::read_file;
use dlstore_model::arch::Arch;
use dlstore_model::escape::{self, Escaped};
use dlstore_store::Store;

/// What `needs` is told.
#[derive(Args)]
pub(super) struct NeedsArgs {
    /// Programs or libraries (ELF files)
    #[arg(required = true, value_name = "BINARY")]
    binaries: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A library that a program names.
struct Need {
    name: String,
    is_in_image: bool,
    packages: Vec<String>,
}

pub(super) fn run(global: &Global, out: &Output, arguments: &NeedsArgs) -> anyhow::Result<ExitCode> {
    let store = global.open_if_there().unwrap_or_else(|error| {
        out.note(&format!("packages are not looked for: {}", one_line(error.as_ref())));
        None
    });
    let mut programs = Vec::new();
    for path in &arguments.binaries {
        let file = read_file(path)?;
        let elf = file
            .elf
            .with_context(|| format!("{} is not an ELF file (a script needs its interpreter)", Escaped::path(path)))?;
        let arch = arch_of(&elf);
        let kind = linkage(&elf);
        let needs: Vec<Need> = elf
            .needed
            .iter()
            .map(|name| Need {
                name: escape::name(name),
                is_in_image: has(kind, name),
                packages: store.as_ref().map_or_else(Vec::new, |store| providers(store, &elf, name)),
            })
            .collect();
        let fitting = fitting(&elf, arch, kind);
        let oldest = lowest(&elf);
        let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_in_image).collect();
        let loader = elf.interpreter.as_ref().map(|name| escape::name(name));
        programs.push(json!({
            "path": escape::name(path.as_os_str().as_encoded_bytes()), "architecture": arch.map(|arch| arch.to_string()),
            "linkage": word(kind), "loader": loader, "images": fitting,
            "oldest": {"glibc": oldest.glibc, "libstdcxx": oldest.libstdcxx.map(libstdcxx)},
            "needs": needs.iter().map(|need| json!({
                "library": need.name, "in_image": need.is_in_image, "packages": need.packages,
            })).collect::<Vec<_>>(),
        }));
        if arguments.json {
            continue;
        }
        let machine = arch.map_or_else(|| "no architecture of ours".to_owned(), |arch| arch.to_string());
        out.result(&format!("{}: {machine}, {}", Escaped::path(path), word(kind)))?;
        if let Some(loader) = &loader {
            out.result(&format!("  loader  {loader}"))?;
        }
        for need in &needs {
            let place = match (need.is_in_image, need.packages.as_slice()) {
                (true, _) => "in the image".to_owned(),
                (false, []) => "in no image of ours and no package of the store".to_owned(),
                (false, packages) => format!("add package {}", packages.join(" or ")),
            };
            out.result(&format!("  needs   {:<24} {place}", need.name))?;
        }
        let libstdcxx = oldest.libstdcxx.map(|number| format!("{} or newer", libstdcxx(number)));
        let glibc = oldest.glibc.map(|version| format!("glibc {version} or newer"));
        for line in glibc.into_iter().chain(libstdcxx) {
            out.result(&format!("  runs on {line}"))?;
        }
        let images = if fitting.is_empty() { "none of ours".to_owned() } else { fitting.join(" ") };
        let also = if missing.is_empty() { "" } else { ", with what is missing added" };
        out.result(&format!("  image   {images}{also}"))?;
    }
    if arguments.json {
        out.json(json!({"programs": programs}))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn libstdcxx(number: u32) -> String {
    format!("libstdc++.so.6.0.{number}")
}

const fn word(linkage: Linkage) -> &'static str {
    match linkage {
        Linkage::Static => "static",
        Linkage::Glibc => "glibc",
        Linkage::Musl => "musl",
        Linkage::Other => "bound by another loader",
    }
}

/// Images whose loader is the one that the program names.
fn fitting(elf: &Elf, arch: Option<Arch>, kind: Linkage) -> Vec<&'static str> {
    let names_it = |image: &&str| match (&elf.interpreter, arch.and_then(|arch| loader_of(image, arch))) {
        (Some(wanted), Some(loader)) => loader.as_bytes() == wanted.as_slice(),
        _ => true,
    };
    images(kind).iter().copied().filter(|image| arch.is_some() && names_it(image)).collect()
}

/// Packages of the store that have a library for the program's machine.
fn providers(store: &Store, elf: &Elf, name: &[u8]) -> Vec<String> {
    let Ok(packages) = store.packages_with(name) else { return Vec::new() };
    let mut found: Vec<String> = packages
        .into_iter()
        .filter(|record| record.format != Format::Tar)
        .filter(|record| {
            let data = record.fact(facts::ELF).and_then(|digest| store.fact(&digest).ok().flatten());
            data.and_then(|data| elf::decode_facts(&data).ok()).is_some_and(|files| {
                files.iter().any(|(path, file)| {
                    (file.soname.as_deref() == Some(name) || path.name() == name)
                        && (file.machine, file.is_64) == (elf.machine, elf.is_64)
                })
            })
        })
        .map(|record| format!("{}:{}", record.format.name(), record.name))
        .collect();
    found.sort();
    found.dedup();
    found
}
