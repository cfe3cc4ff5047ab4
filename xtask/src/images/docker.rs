//! Checks whether Docker runs, and installs and starts it where this program may.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::debian::{self, installed, may_install};
use crate::progress::{self, silent};
use crate::result::Result;

/// Packages for building images: Docker, the firewall that it needs, and the tools that make the base image.
const PACKAGES: &[&str] = &["docker.io", "iptables", "debootstrap", "debian-archive-keyring", "ca-certificates"];

/// Time within which Docker must answer once it has been started.
const PATIENCE: Duration = Duration::from_secs(90);

/// Log file of a daemon that this program starts.
const LOG: &str = "/var/log/dockerd.log";

const PID_FILE: &str = "/var/run/docker.pid";

/// Ensures that Docker runs. Installs and starts it if necessary, where that needs no permission.
pub(super) fn ready() -> Result<()> {
    let Err(why) = answers() else { return Ok(()) };
    if std::env::var_os("DOCKER_HOST").is_some() || !may_install() {
        return Err(advice(&why).into());
    }
    if !installed("docker") || !installed("dockerd") {
        install()?;
    }
    start()
}

/// Checks that Docker answers. The error says why it does not.
pub(super) fn answers() -> Result<(), String> {
    if !installed("docker") {
        return Err("it is not installed".into());
    }
    let mut command = Command::new("docker");
    silent(command.args(["version", "--format", "{{.Server.Version}}"])).map(drop)
}

fn advice(why: &str) -> String {
    format!(
        "Docker does not answer ({why}), and servers to test against run in its containers. \
         Start it (`systemctl start docker`, or the desktop application) and see that `docker version` works for this \
         user; as root on Debian or Ubuntu this command installs and starts it by itself. \
         Without Docker, a variable such as CONFORMANCE_POSTGRES_URL names a server that is there already, \
         and `cargo xtask test --embedded` runs what needs no server."
    )
}

/// Installs [`PACKAGES`].
pub(super) fn install() -> Result<()> {
    debian::update()?;
    let mut packages = PACKAGES.to_vec();
    // In newer releases the client has its own package.
    if debian::has_package("docker-cli") {
        packages.push("docker-cli");
    }
    debian::install(&packages)
}

fn start() -> Result<()> {
    if Path::new("/run/systemd/system").exists() {
        progress::long("systemctl start docker", Command::new("systemctl").args(["start", "docker"]))?;
        return wait(None);
    }
    // The package may have started it just now.
    if runs() { wait(None) } else { wait(Some(spawn()?)) }
}

/// Whether a daemon is running, even if it does not answer.
fn runs() -> bool {
    let pid = fs::read_to_string(PID_FILE).unwrap_or_default();
    let name = fs::read_to_string(format!("/proc/{}/comm", pid.trim())).unwrap_or_default();
    name.trim() == "dockerd"
}

/// Starts the daemon in its own session, so that it keeps running after this program, however that ends.
fn spawn() -> Result<Child> {
    println!("docker: starting dockerd, which stays; it writes to {LOG}");
    let log = File::create(LOG).map_err(|error| format!("{LOG}: {error}"))?;
    let mut command = Command::new("setsid");
    command.arg("dockerd").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command.spawn().map_err(|error| format!("dockerd cannot be started: {error}"))?)
}

fn wait(mut daemon: Option<Child>) -> Result<()> {
    let begun = Instant::now();
    loop {
        let Err(why) = answers() else {
            println!("docker: answers after {:.1} s", begun.elapsed().as_secs_f64());
            return Ok(());
        };
        let ended = match &mut daemon {
            Some(child) => child.try_wait()?.is_some(),
            None => false,
        };
        // A daemon that ends because another one was faster is no failure.
        if (ended && !runs()) || begun.elapsed() > PATIENCE {
            let log = fs::read_to_string(LOG).unwrap_or_default();
            return Err(format!("dockerd does not come up: {why}\n{}", progress::tail(log.lines(), 20)).into());
        }
        // Polls, because no event tells when the socket exists.
        thread::sleep(Duration::from_millis(100));
    }
}
