//! What cannot be read as a command: help and version, which are asked for, and mistakes.
//!
//! The words are clap's. With `--json` among what was typed a mistake is answered as every other failure is.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;

use super::exit;
use super::output::{Loudness, Output, harmless};
use crate::command::failure::Failure;

/// Help and version go to stdout with 0, mistakes to stderr with 2; a closed pipe is fine.
pub(super) fn refuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let text = error.render().to_string();
    let safe = in_one_line(&text, arguments);
    let shown = harmless(&safe);
    let printed = if shown == text { error.print() } else { write!(io::stderr().lock(), "{shown}") };
    let is_lost = printed.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe);
    match u8::try_from(error.exit_code()).unwrap_or(2) {
        0 if is_lost => ExitCode::FAILURE,
        code if code != 0 && wants_json(arguments) => {
            exit::answer(&Output::new(Loudness::Normal), failure(error.kind(), &safe, code))
        }
        code => ExitCode::from(code),
    }
}

/// Says whether `--json` stands among the flags.
fn wants_json(arguments: &[OsString]) -> bool {
    arguments.iter().skip(1).take_while(|argument| *argument != "--").any(|argument| argument == "--json")
}

/// Takes clap's text apart: the sentence, with what it lists in lines below, and the tip. What follows is the usage.
fn failure(kind: ErrorKind, text: &str, exit_code: u8) -> Failure {
    // The text is that of `--help`.
    let has_no_command = kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    let (sentence, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let sentence = sentence.strip_prefix("error: ").unwrap_or(sentence);
    let message = sentence.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let tips = rest.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    Failure {
        message: if has_no_command { "no command was given".to_owned() } else { message },
        causes: Vec::new(),
        hint: tips.map(str::to_owned).reduce(|one, other| format!("{one}; {other}")),
        exit_code,
    }
}

/// Joins the lines that an argument has in a text that quotes it. What was typed may be the name of a file
/// that a shell put in, and no name begins a line.
fn in_one_line(text: &str, arguments: &[OsString]) -> String {
    let mut text = text.to_owned();
    for argument in arguments {
        for line in argument.to_string_lossy().split('\n').skip(1).filter(|line| !line.is_empty()) {
            text = text.replace(&format!("\n{line}"), &format!("\\u{{a}}{line}"));
        }
    }
    text
}
