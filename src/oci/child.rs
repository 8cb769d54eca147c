//! Talking to a child process that may not answer: fed, listened to, and ended when it does not get on.
//!
//! Three things could be waited for without end: that it takes what it is handed, that it ends when it has
//! all of it, and that its words end, whose pipe a program may hold that it started and left behind. Each
//! has a limit. The child is ended by its id while it is still ours to wait for, so that the id is no
//! other's by then.
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::OciError;

/// How long the words of an engine are waited for when it has ended: a program that it started and left
/// behind may hold their pipe open.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What came of a talk.
pub(super) struct Talk {
    /// What came of feeding it.
    pub(super) outcome: Result<(), OciError>,
    /// How it ended; none: it was ended because it did not get on.
    pub(super) status: Option<ExitStatus>,
    /// What it wrote to its standard output.
    pub(super) out: String,
    /// What it wrote to its standard error.
    pub(super) err: String,
}

/// Feeds a child while reading what it says, so that neither waits for the other for ever.
pub(super) fn talk(
    child: &mut Child,
    patience: Duration,
    feed: impl FnOnce(&mut dyn Write) -> Result<(), OciError>,
) -> io::Result<Talk> {
    let (out, err) = (Words::listen(child.stdout.take()), Words::listen(child.stderr.take()));
    let pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut input = Input::new(pipe, patience)?;
    let outcome = feed(&mut input);
    // Ended before its input ends, so that it does not take a part for the whole. A child that
    // closed the pipe itself is on its way out and may say why.
    if input.is_stalled || outcome.as_ref().is_err_and(|error| !matches!(error, OciError::Stream(_))) {
        child.kill()?;
    }
    let is_stalled = input.is_stalled;
    drop(input);
    let ended = ended(child, patience)?;
    Ok(Talk { outcome, status: ended.filter(|_| !is_stalled), out: out.heard(), err: err.heard() })
}

/// Waits for a child's end; none when that takes too long, and then the child is ended.
pub(super) fn ended(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let ended = wait(child, patience)?;
    if ended.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(ended)
}

/// Waits for a child's end; none when that takes too long.
fn wait(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let (mut waited, mut pause) = (Duration::ZERO, Duration::from_millis(1));
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if waited >= patience {
            return Ok(None);
        }
        thread::sleep(pause);
        waited += pause;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// The input of a child, into which no write waits for longer than it may.
struct Input {
    pipe: ChildStdin,
    patience: Duration,
    is_stalled: bool,
}

impl Input {
    fn new(pipe: ChildStdin, patience: Duration) -> io::Result<Self> {
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
        Ok(Self { pipe, patience, is_stalled: false })
    }

    /// Waits until something can be written, or nobody reads any more.
    fn ready(&mut self) -> io::Result<()> {
        let patience = Timespec::try_from(self.patience).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.pipe, PollFlags::OUT)], Some(&patience)) {
            Ok(0) => {
                self.is_stalled = true;
                Err(io::ErrorKind::TimedOut.into())
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Write for Input {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.pipe.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready()?,
                outcome => return outcome,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}

/// What a child says, read by a thread of its own that nobody has to wait for.
struct Words {
    bytes: Arc<Mutex<Vec<u8>>>,
    end: Receiver<()>,
}

impl Words {
    fn listen(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (ended, end) = channel();
        let heard = Arc::clone(&bytes);
        thread::spawn(move || {
            let Some(mut pipe) = pipe else { return };
            let mut buffer = [0; 8 << 10];
            // The rest is read too, or the child would wait for it.
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                let room = MOST_WORDS.saturating_sub(heard.len());
                heard.extend_from_slice(&buffer[..length.min(room)]);
            }
            // Nobody may be listening any more.
            let _ = ended.send(());
        });
        Self { bytes, end }
    }

    fn heard(self) -> String {
        // Ended, or not in time: what there is counts.
        let _ = self.end.recv_timeout(LAST_WORDS);
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

/// The most that is kept of what a child says.
const MOST_WORDS: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_that_never_reads_is_ended_while_it_is_written_to() {
        let mut child = Command::new("sleep")
            .arg("1000")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let feed = |input: &mut dyn Write| input.write_all(&vec![0; 1 << 20]).map_err(OciError::Stream);
        let talk = talk(&mut child, Duration::from_secs(1), feed).unwrap();
        assert!(talk.status.is_none() && talk.outcome.is_err());
        assert!(child.try_wait().unwrap().is_some());
    }
}
