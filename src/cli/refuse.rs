//! What cannot be read as a command: help and version, which are asked for, and mistakes.
//!
//! The words are clap's, but its tips are hints here as everywhere. With `--json` among what was typed a mistake is answered as every other failure is.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;

use super::exit;
use super::output::{Loudness, Output, harmless, unwritten};
use crate::command::failure::Failure;

/// Help and version go to stdout with 0, mistakes to stderr with 2; a closed pipe is fine.
pub(super) fn refuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let out = Output::new(Loudness::Normal);
    let text = error.render().to_string();
    let safe = in_one_line(&text, arguments);
    let hinted = with_hints(&safe, &safe);
    let shown = harmless(&hinted);
    let printed = if shown == text {
        error.print()
    } else if out.has_color() && safe == text && shown == hinted {
        write!(io::stderr().lock(), "{}", with_hints(&text, &error.render().ansi().to_string()))
    } else {
        write!(io::stderr().lock(), "{shown}")
    };
    match (u8::try_from(error.exit_code()).unwrap_or(2), printed) {
        (0, Err(lost)) if lost.kind() != io::ErrorKind::BrokenPipe => exit::end(&out, &*unwritten(lost), None, false),
        (code, _) if code != 0 && wants_json(arguments) => exit::answer(&out, failure(error.kind(), &hinted, code)),
        (code, _) => ExitCode::from(code),
    }
}

/// Writes clap's tips as hints of ours, into what is `drawn` of a text with the same lines. How a word that looks like a
/// flag is typed as a value is left out: it is said of every misspelt flag, and no command takes such values.
fn with_hints(text: &str, drawn: &str) -> String {
    if !text.lines().any(|line| line.trim_start().starts_with("tip: ")) {
        return drawn.to_owned();
    }
    let mut lines: Vec<String> = Vec::new();
    for (line, drawn) in text.lines().zip(drawn.lines()) {
        let after_nothing = lines.last().is_some_and(String::is_empty);
        match line.trim_start().strip_prefix("tip: ") {
            Some(tip) if tip.starts_with("to pass ") => {}
            Some(_) => lines.push(drawn.trim_start().replacen("tip:", "hint:", 1)),
            None if line.is_empty() && after_nothing => {}
            None => lines.push(drawn.to_owned()),
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Says whether `--json` stands among the flags.
fn wants_json(arguments: &[OsString]) -> bool {
    arguments.iter().skip(1).take_while(|argument| *argument != "--").any(|argument| argument == "--json")
}

/// Takes clap's text apart: the sentence, with what it lists in lines below, and the hints. What follows is the usage.
fn failure(kind: ErrorKind, text: &str, exit_code: u8) -> Failure {
    // The text is that of `--help`.
    let has_no_command = kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    let (sentence, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let sentence = sentence.strip_prefix("error: ").unwrap_or(sentence);
    let message = sentence.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let hints = rest.lines().filter_map(|line| line.strip_prefix("hint: "));
    Failure {
        message: if has_no_command { "no command was given".to_owned() } else { message },
        causes: Vec::new(),
        hint: hints.map(str::to_owned).reduce(|one, other| format!("{one}; {other}")),
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
