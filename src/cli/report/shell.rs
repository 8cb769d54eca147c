//! What shells and `man` read: completions and manual pages.
//!
//! Both are made of the words of the help, when they are asked for: none of them can be of another version.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::cli::args::Cli;
use crate::cli::output::Output;
use crate::command::error::Error;
use dlstore_model::likeness::closest;

/// Prints the completions for a shell.
pub(in crate::cli) fn completions(out: &Output, shell: Shell) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    generate(shell, &mut Cli::command(), "dlstore", &mut text);
    out.raw(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the manual page of the program, or of one of its commands: `compose`, `store gc`.
pub(in crate::cli) fn manual(out: &Output, words: &[String]) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.build();
    let mut page = &command;
    for word in words {
        page = page.find_subcommand(word).ok_or_else(|| {
            let like = closest(word, page.get_subcommands().map(clap::Command::get_name));
            let like = like.map(|like| format!("; did you mean `{like}`?")).unwrap_or_default();
            Error::Usage(format!("there is no command named `dlstore {}`{like}", words.join(" ")))
        })?;
    }
    let mut text = Vec::new();
    // A date would be that of the page's making.
    clap_mangen::Man::new(page.clone()).date("").render(&mut text)?;
    out.raw(&text)?;
    Ok(ExitCode::SUCCESS)
}
