//! Runs programs and keeps their output.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Result of a program.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Lines of stdout and stderr, in order of arrival.
    pub(crate) output: Vec<String>,
    /// Whether the program ended by itself, with success.
    pub(crate) well: bool,
}

/// Interval between checks whether a program may go on.
const TICK: Duration = Duration::from_millis(500);

/// Runs `command` until it ends, for at most `longest`.
pub(crate) fn run(command: &mut Command, longest: Duration) -> std::io::Result<Ended> {
    run_while(command, |elapsed, _| elapsed < longest)
}

/// Runs `command` until it ends or `go_on` returns `false`. `go_on` gets the time and the output so far.
pub(crate) fn run_while(
    command: &mut Command,
    mut go_on: impl FnMut(Duration, &[String]) -> bool,
) -> std::io::Result<Ended> {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (lines, heard) = channel();
    let readers: Vec<_> = [
        child.stdout.take().map(|pipe| listen(pipe, lines.clone())),
        child.stderr.take().map(|pipe| listen(pipe, lines)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut output = Vec::new();
    if !hear(&heard, &mut output, |output| go_on(begun.elapsed(), output)) {
        child.kill()?;
        child.wait()?;
        output.push(format!("not over after {} s: ended from outside", begun.elapsed().as_secs()));
        return Ok(Ended { output, well: false });
    }
    for reader in readers {
        // The threads have ended already, because the channel is closed.
        let _ = reader.join();
    }
    let status = child.wait()?;
    if !status.success() {
        output.push(format!("ended by {status}"));
    }
    Ok(Ended { output, well: status.success() })
}

fn listen(pipe: impl Read + Send + 'static, lines: Sender<String>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    })
}

/// Collects lines until both pipes are closed. Returns `false` if `go_on` ended it earlier.
fn hear(heard: &Receiver<String>, output: &mut Vec<String>, mut go_on: impl FnMut(&[String]) -> bool) -> bool {
    let mut asked = Instant::now();
    loop {
        match heard.recv_timeout(TICK.saturating_sub(asked.elapsed())) {
            Ok(line) => output.push(line),
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if asked.elapsed() >= TICK {
            if !go_on(output) {
                return false;
            }
            asked = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::run;

    fn shell(script: &str, longest: Duration) -> super::Ended {
        run(Command::new("sh").arg("-c").arg(script), longest).unwrap()
    }

    #[test]
    fn output_and_errors_are_both_kept() {
        let ended = shell("echo one; echo two >&2; printf three", Duration::from_secs(60));
        assert!(ended.well);
        let mut output = ended.output;
        output.sort();
        assert_eq!(output, ["one", "three", "two"]);
    }

    #[test]
    fn a_bad_end_is_told() {
        let ended = shell("echo before; exit 3", Duration::from_secs(60));
        assert!(!ended.well);
        assert_eq!(ended.output, ["before", "ended by exit status: 3"]);
    }

    #[test]
    fn a_hang_is_ended() {
        let ended = shell("echo begun; exec sleep 600", Duration::from_millis(600));
        assert!(!ended.well);
        assert!(ended.output.last().unwrap().starts_with("not over"), "{:?}", ended.output);
    }
}
