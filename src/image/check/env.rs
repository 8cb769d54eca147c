//! What `env` runs that stands in the first line of a script.
//!
//! A kernel gives the interpreter all that stands behind it as one word (`execve(2)`), so `env prog -u` looks for a
//! program with a space in its name, and `env VAR=x prog` sets one variable and goes on to the next word, which is the
//! script: that runs itself without end. `env -S` splits its word as a shell would (`env(1)` of coreutils, "-S/--split-string
//! syntax"), and reads what comes of it as if it had been there.

use std::collections::VecDeque;

use dlstore_model::escape::Escaped;

/// What `env` is told to run, and where it looks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The program; `None` when a variable is part of its name.
    pub(super) program: Option<Vec<u8>>,
    /// Where it is looked for, if that is changed; an empty list: where a C library looks without `PATH`.
    pub(super) path: Option<Vec<u8>>,
    /// The directory that is entered before.
    pub(super) directory: Option<Vec<u8>>,
}

/// A word as `env` gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Text(Vec<u8>),
    /// With variables in it, which are left out here.
    Variable(Vec<u8>),
    /// The script, which a kernel puts behind the others.
    Script,
}

/// Said where a word is split that nobody splits.
pub(super) const ONE_WORD: &str = "everything after env is passed as one argument; -S splits it";

/// Reads what stands behind `env` in a script's first line; else says what is wrong with it, as a sentence about the line.
pub(super) fn told(argument: &[u8]) -> Result<Told, String> {
    let is_spaced = argument.iter().any(|byte| matches!(byte, b' ' | b'\t'));
    let mut is_split = false;
    let mut words = VecDeque::from([Word::Script]);
    if !argument.is_empty() {
        words.push_front(Word::Text(argument.to_vec()));
    }
    let mut told = Told::default();
    let mut has_options = true;
    while let Some(word) = words.pop_front() {
        let word = match word {
            Word::Script => {
                let hint = if is_spaced && !is_split { format!(" ({ONE_WORD})") } else { String::new() };
                return Err(format!("makes env run the script itself, in an endless loop{hint}"));
            }
            Word::Variable(word) if word.contains(&b'=') && !word.starts_with(b"-") && !word.starts_with(b"PATH=") => {
                word
            }
            // What it stands for may be an option, a program, or where that is.
            Word::Variable(_) => return Ok(told),
            Word::Text(word) => word,
        };
        match word.as_slice() {
            b"--" if has_options => has_options = false,
            b"-" => (has_options, told.path) = (false, Some(Vec::new())),
            [b'-', ..] if has_options => {
                for (name, value) in options(&word, &mut words)? {
                    match (name, value) {
                        (b'i', _) => told.path = Some(Vec::new()),
                        (b'u', Some(Word::Text(name))) if name == b"PATH" => told.path = Some(Vec::new()),
                        (b'C', Some(Word::Text(directory))) => told.directory = Some(directory),
                        (b'C' | b'S', Some(Word::Variable(_))) => return Ok(told),
                        (b'S', Some(Word::Text(text))) => {
                            is_split = true;
                            split(&text)?.into_iter().rev().for_each(|word| words.push_front(word));
                        }
                        // It is split as any other.
                        (b'S', Some(Word::Script)) => words.push_front(Word::Script),
                        _ => {}
                    }
                }
            }
            word if word.contains(&b'=') => {
                has_options = false;
                if let Some(path) = word.strip_prefix(b"PATH=") {
                    told.path = Some(path.to_vec());
                }
            }
            word => {
                told.program = Some(word.to_vec());
                return Ok(told);
            }
        }
    }
    Err("gives env nothing to run".to_owned())
}

/// Says whether the word behind `env` asks it to split that: what only some know (`env(1)` of busybox has `-i`, `-0`, `-u`).
pub(super) fn is_split(argument: &[u8]) -> bool {
    let Some(rest) = argument.strip_prefix(b"-") else { return false };
    let short = rest.iter().find(|letter| !b"iv0".contains(letter));
    rest.starts_with(b"-s") || short == Some(&b'S')
}

/// Checks what stands behind busybox called by that name in a script's first line, which is the applet to run; else says
/// what is wrong with it, as a sentence about the script. Without one the script's own name says the applet.
pub(super) fn applet(argument: &[u8]) -> Result<(), String> {
    if argument == b"env" {
        return Err("makes env run the script itself, in an endless loop".to_owned());
    }
    if argument.iter().any(|byte| matches!(byte, b' ' | b'\t')) {
        let shown = Escaped::bytes(argument);
        return Err(format!("needs the busybox applet `{shown}` (everything after busybox is passed as one argument)"));
    }
    Ok(())
}

/// Options by their letter, with a value where they have one.
type Options = Vec<(u8, Option<Word>)>;

/// Reads a word of options; one that has no value in it takes the next word.
fn options(word: &[u8], words: &mut VecDeque<Word>) -> Result<Options, String> {
    // Names of one kind begin alike, and getopt_long(3) takes the beginning of a name.
    const LONG: [(&str, u8, bool); 12] = [
        ("argv0", b'a', true),
        ("block-signal", b's', false),
        ("chdir", b'C', true),
        ("debug", b'v', false),
        ("default-signal", b's', false),
        ("help", b'h', false),
        ("ignore-environment", b'i', false),
        ("ignore-signal", b's', false),
        ("list-signal-handling", b's', false),
        ("null", b'0', false),
        ("split-string", b'S', true),
        ("unset", b'u', true),
    ];
    let mut value = |own: Option<&[u8]>| own.map(|own| Word::Text(own.to_vec())).or_else(|| words.pop_front());
    let unknown = || Err(format!("passes env an unknown option: {}", Escaped::bytes(word)));
    if let Some(long) = word.strip_prefix(b"--") {
        let (name, own) = match long.iter().position(|byte| *byte == b'=') {
            Some(at) => (&long[..at], Some(&long[at + 1..])),
            None => (long, None),
        };
        let Some((_, letter, has_value)) = LONG.iter().find(|(known, ..)| known.as_bytes().starts_with(name)) else {
            return unknown();
        };
        let value = if *has_value { value(own) } else { None };
        return Ok(vec![(*letter, value)]);
    }
    let mut found = Vec::new();
    for (at, letter) in word[1..].iter().enumerate() {
        match letter {
            b'0' | b'i' | b'v' => found.push((*letter, None)),
            b'C' | b'S' | b'a' | b'u' => {
                let own = &word[at + 2..];
                found.push((*letter, value(Some(own).filter(|own| !own.is_empty()))));
                break;
            }
            _ => return unknown(),
        }
    }
    Ok(found)
}

/// Splits the text of `-S`.
fn split(text: &[u8]) -> Result<Vec<Word>, String> {
    let bad = |what: &str| Err(format!("has an invalid argument of env -S: {what}"));
    let mut words = Vec::new();
    // The word so far, and whether a variable is part of it.
    let mut word: Option<(Vec<u8>, bool)> = None;
    let mut quote: Option<u8> = None;
    let mut finish = |word: &mut Option<(Vec<u8>, bool)>| {
        words.extend(word.take().map(|(text, varies)| if varies { Word::Variable(text) } else { Word::Text(text) }));
    };
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let take = |word: &mut Option<(Vec<u8>, bool)>, byte| word.get_or_insert_default().0.push(byte);
        match (byte, quote) {
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (b'\'' | b'"', Some(open)) if open == byte => quote = None,
            (b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c', None) => finish(&mut word),
            (b'#', None) if word.is_none() => break,
            (b'\\', Some(b'\'')) => match bytes.next_if(|next| matches!(next, b'\\' | b'\'')) {
                Some(next) => take(&mut word, next),
                None => take(&mut word, byte),
            },
            (b'\\', _) => match bytes.next() {
                Some(next @ (b'"' | b'#' | b'$' | b'\'' | b'\\')) => take(&mut word, next),
                Some(b'_') if quote.is_some() => take(&mut word, b' '),
                Some(b'_') => finish(&mut word),
                Some(b'c') if quote.is_none() => break,
                Some(b'f') => take(&mut word, b'\x0c'),
                Some(b'n') => take(&mut word, b'\n'),
                Some(b'r') => take(&mut word, b'\r'),
                Some(b't') => take(&mut word, b'\t'),
                Some(b'v') => take(&mut word, b'\x0b'),
                _ => return bad("invalid backslash sequence"),
            },
            (b'$', None | Some(b'"')) => {
                if bytes.next() != Some(b'{') || !bytes.by_ref().any(|byte| byte == b'}') {
                    return bad("a variable must be written ${NAME}");
                }
                word.get_or_insert_default().1 = true;
            }
            (byte, _) => take(&mut word, byte),
        }
    }
    if quote.is_some() {
        return bad("unterminated quote");
    }
    finish(&mut word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_runs_what_its_manual_says() {
        for (argument, program, path, directory) in [
            ("python3", Some("python3"), None, None),
            ("python3 -u", Some("python3 -u"), None, None),
            ("-S python3 -u", Some("python3"), None, None),
            ("-Spython3 -u", Some("python3"), None, None),
            ("--split-string=python3 -u", Some("python3"), None, None),
            ("--split=python3", Some("python3"), None, None),
            ("-vS A=1 B=2 python3 C=3", Some("python3"), None, None),
            ("-S -u PYTHONPATH python3", Some("python3"), None, None),
            ("-S --unset=PYTHONPATH python3", Some("python3"), None, None),
            ("-S -i python3", Some("python3"), Some(""), None),
            ("-S - python3", Some("python3"), Some(""), None),
            ("-S -uPATH python3", Some("python3"), Some(""), None),
            ("-S PATH=/opt/bin:/bin python3", Some("python3"), Some("/opt/bin:/bin"), None),
            ("-S -i PATH=/opt python3", Some("python3"), Some("/opt"), None),
            ("-S -C /srv ./run", Some("./run"), None, Some("/srv")),
            ("-S -- python3", Some("python3"), None, None),
            ("-S -S 'python3 -u'", Some("python3"), None, None),
            (r#"-S "/opt/my prog" -x"#, Some("/opt/my prog"), None, None),
            (r"-S my\_prog", Some("my"), None, None),
            (r#"-S "my\_prog""#, Some("my prog"), None, None),
            (r"-S '\'a\\b\c'", Some(r"'a\b\c"), None, None),
            ("-S python3 # why", Some("python3"), None, None),
            (r"-S python3\c rest", Some("python3"), None, None),
            ("-S ${HOME}/run", None, None, None),
            ("-S ${OPTIONS} python3", None, None, None),
            ("-S PATH=${HOME}/bin run", None, None, None),
            ("-S A=${HOME} python3", Some("python3"), None, None),
        ] {
            let text = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
            let expected = Told { program: text(program), path: text(path), directory: text(directory) };
            assert_eq!(told(argument.as_bytes()), Ok(expected), "{argument}");
        }
    }

    #[test]
    fn what_env_cannot_run_is_said() {
        let again = "makes env run the script itself, in an endless loop";
        let split = format!("{again} ({ONE_WORD})");
        for (argument, expected) in [
            ("", again),
            ("-i", again),
            ("A=1", again),
            ("A=1 python3", &split),
            ("-u NAME python3", &split),
            ("-i python3", "passes env an unknown option: -i python3"),
            ("-S", again),
            ("-u", "gives env nothing to run"),
            ("-S A=1", again),
            ("-x", "passes env an unknown option: -x"),
            ("--nothing", "passes env an unknown option: --nothing"),
            ("-S 'python3", "has an invalid argument of env -S: unterminated quote"),
            ("-S $HOME/run", "has an invalid argument of env -S: a variable must be written ${NAME}"),
            (r"-S py\thon\3", "has an invalid argument of env -S: invalid backslash sequence"),
        ] {
            assert_eq!(told(argument.as_bytes()), Err(expected.to_owned()), "{argument}");
        }
    }
}
