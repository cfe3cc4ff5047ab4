//! Docker: whether it runs, and getting it to run where this program may.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::progress::{self, silent};
use crate::Result;

/// What building images takes, besides Docker's own: the firewall that it needs, and what makes the base image.
const PACKAGES: &[&str] = &["docker.io", "iptables", "debootstrap", "debian-archive-keyring", "ca-certificates"];

/// How long Docker may take to answer once it has been started.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where a daemon that this program starts says what it does.
const LOG: &str = "/var/log/dockerd.log";

const PID_FILE: &str = "/var/run/docker.pid";

/// Has Docker running: looks, then installs and starts it where that can be done without asking anybody.
pub(super) fn ready() -> Result<()> {
    let Err(why) = answers() else { return Ok(()) };
    if std::env::var_os("DOCKER_HOST").is_some() || !may_install() {
        return Err(advice(&why).into());
    }
    if !installed("docker") || !installed("dockerd") {
        install(&[])?;
    }
    start()
}

/// Whether Docker answers; why not.
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

/// Whether this is root on a system whose packages have the names that we know.
pub(super) fn may_install() -> bool {
    let root = silent(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let debian = system.lines().filter_map(|line| line.split_once('=')).any(|(key, value)| {
        matches!(key, "ID" | "ID_LIKE")
            && value.trim_matches('"').split(' ').any(|id| matches!(id, "debian" | "ubuntu"))
    });
    root && debian && installed("apt-get")
}

pub(super) fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    found || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(program).is_file())
}

/// Installs what images need, from the system's packages, and `more`.
pub(super) fn install(more: &[&str]) -> Result<()> {
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=120"]);
        command
    };
    progress::long("apt-get update", apt().arg("update"))?;
    let mut packages = PACKAGES.to_vec();
    packages.extend(more);
    // Newer releases have the client in a package of its own.
    if silent(Command::new("apt-cache").args(["show", "docker-cli"])).is_ok() {
        packages.push("docker-cli");
    }
    let install = format!("apt-get install {}", packages.join(" "));
    progress::long(&install, apt().args(["install", "-y", "--no-install-recommends"]).args(&packages))
}

fn start() -> Result<()> {
    if Path::new("/run/systemd/system").exists() {
        progress::long("systemctl start docker", Command::new("systemctl").args(["start", "docker"]))?;
        return wait(None);
    }
    // Its package may have started it just now.
    if runs() { wait(None) } else { wait(Some(spawn()?)) }
}

/// Whether there is a daemon, answering or not.
fn runs() -> bool {
    let pid = fs::read_to_string(PID_FILE).unwrap_or_default();
    let name = fs::read_to_string(format!("/proc/{}/comm", pid.trim())).unwrap_or_default();
    name.trim() == "dockerd"
}

/// The daemon, in a session of its own: it stays when this program is gone, however it ends.
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
        // One that ends because another was faster is no trouble.
        if (ended && !runs()) || begun.elapsed() > PATIENCE {
            let log = fs::read_to_string(LOG).unwrap_or_default();
            return Err(format!("dockerd does not come up: {why}\n{}", progress::tail(log.lines(), 20)).into());
        }
        // Between two attempts: nothing tells when a socket is there.
        thread::sleep(Duration::from_millis(100));
    }
}
