//! Runs commands that take long, and reports progress and errors.

use std::process::Command;
use std::time::Duration;

use crate::process::{self, Ended};
use crate::result::Result;

/// Interval between progress reports.
const BEAT: Duration = Duration::from_secs(15);

/// Time limit of a command, longer than any of them takes.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// Time limit of a command that only queries something.
const QUESTION: Duration = Duration::from_secs(30);

/// Runs a command that only queries something. Returns its output, or the last line of a failed command.
pub(crate) fn silent(command: &mut Command) -> Result<String, String> {
    let ended = process::run(command, QUESTION).map_err(|error| error.to_string())?;
    if ended.well { Ok(ended.output.join("\n")) } else { Err(complaint(&ended)) }
}

/// Runs a command and prints its progress from time to time.
pub(crate) fn long(what: &str, command: &mut Command) -> Result<()> {
    println!("{what} …");
    let ended = watched(command, |_, _| true)?;
    if ended.well {
        return Ok(());
    }
    Err(format!("{what}: failed\n{}", tail(ended.output.iter().map(String::as_str), 30)).into())
}

/// Runs a command and prints its progress. Ends it early if `go_on` returns `false`.
pub(crate) fn watched(command: &mut Command, mut go_on: impl FnMut(Duration, &[String]) -> bool) -> Result<Ended> {
    let mut next = BEAT;
    process::run_while(command, |elapsed, output| {
        if elapsed >= next {
            next += BEAT;
            let last = output.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty()).unwrap_or_default();
            println!("  {} s: {}", elapsed.as_secs(), last.chars().take(100).collect::<String>());
        }
        elapsed < LONGEST && go_on(elapsed, output)
    })
    .map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()).into())
}

/// Returns the last line of a failed command before its exit status.
pub(crate) fn complaint(ended: &Ended) -> String {
    let mut said = ended.output.iter().rev().map(|line| line.trim());
    let said = said.find(|line| !line.is_empty() && !line.starts_with("ended by exit status"));
    said.unwrap_or("it says nothing").to_owned()
}

/// Returns the last `count` lines, indented.
pub(crate) fn tail<'a>(lines: impl Iterator<Item = &'a str>, count: usize) -> String {
    let lines: Vec<&str> = lines.collect();
    let last = &lines[lines.len().saturating_sub(count)..];
    last.iter().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{long, silent, tail};

    #[test]
    fn a_command_that_fails_says_why() {
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo one; echo 'no such thing' >&2; exit 3"]);
        assert!(long("trying", &mut failing).unwrap_err().to_string().contains("no such thing"));
        assert_eq!(silent(Command::new("sh").args(["-c", "echo no >&2; exit 1"])).unwrap_err(), "no");
        assert_eq!(silent(Command::new("echo").arg("yes")).unwrap(), "yes");
    }

    #[test]
    fn the_end_of_a_log_is_short() {
        assert_eq!(tail("a\nb\nc".lines(), 2), "  b\n  c\n");
    }
}
