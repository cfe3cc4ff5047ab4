//! `cargo xtask images`: the images of the servers that stores are tested against.

mod build;
pub(crate) mod compose;
mod docker;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) use compose::{Service, services};

use crate::progress;
use crate::result::Result;
use crate::workspace::Workspace;

/// Time after which a silent registry counts as out of reach.
const FIRST_WORD: Duration = Duration::from_secs(20);

/// Images to get.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Services of docker-compose.yml; all of them if none is named.
    names: Vec<String>,
    /// Build from packages even if there is an image, because packages may be newer.
    #[arg(long)]
    fresh: bool,
}

/// An image that Docker has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Image {
    /// The official image, by the name that the suite knows.
    Official(String),
    /// An image built from `containers/`.
    Built(String),
}

/// Gets the images of the named servers. Returns whether all of them are there.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let services = services(&workspace.root)?;
    let known = || services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = options.names.iter().find(|name| services.iter().all(|service| service.name != **name)) {
        return Err(format!("there is no server {unknown}; there are {}", known()).into());
    }
    let wanted = |service: &&Service| options.names.is_empty() || options.names.contains(&service.name);
    let mut images = Images::new(workspace)?;
    let mut all = true;
    for service in services.iter().filter(wanted) {
        let begun = Instant::now();
        let got = if options.fresh { images.build(&service.name) } else { images.get(service) };
        match got {
            Ok(Image::Official(image) | Image::Built(image)) => {
                println!("{}: {image} ({:.1} s)", service.name, begun.elapsed().as_secs_f64());
            }
            Err(error) => {
                println!("{}: FAILED: {error}", service.name);
                all = false;
            }
        }
    }
    Ok(all)
}

/// Gets images, one after the other. Docker is running while this value exists.
pub(crate) struct Images {
    containers: PathBuf,
    scratch: PathBuf,
    /// Whether the registry is out of reach. Then no further pull is tried.
    out_of_reach: bool,
    /// Lock file, so that two runs do not build the same image at once.
    _lock: File,
}

impl Images {
    /// Ensures that Docker runs, and waits for other runs that get images.
    pub(crate) fn new(workspace: &Workspace) -> Result<Self> {
        docker::ready()?;
        let target = &workspace.target;
        fs::create_dir_all(target)?;
        let lock = File::create(target.join("images.lock"))?;
        if lock.try_lock().is_err() {
            println!("images: waiting for another run that gets images");
            lock.lock()?;
        }
        let containers = workspace.root.join("containers");
        Ok(Self { containers, scratch: target.join("images"), out_of_reach: false, _lock: lock })
    }

    /// Returns the image of a server: an existing one, else pulled, else built.
    pub(crate) fn get(&mut self, service: &Service) -> Result<Image> {
        let Service { name, image: official } = service;
        if build::exists(official) {
            return Ok(Image::Official(official.clone()));
        }
        let built = build::tag(&self.containers, name)?;
        if build::exists(&built) {
            return Ok(Image::Built(built));
        }
        if !self.out_of_reach {
            println!("{name}: docker pull {official} …");
            match pull(official)? {
                Pulled::Yes => return Ok(Image::Official(official.clone())),
                Pulled::No { why, out_of_reach } => {
                    println!("{name}: it cannot be pulled ({why}), so it is built from packages");
                    self.out_of_reach = out_of_reach;
                }
            }
        }
        self.build(name)
    }

    fn build(&self, name: &str) -> Result<Image> {
        build::build(&self.containers, name, &self.scratch).map(Image::Built)
    }
}

enum Pulled {
    Yes,
    No { why: String, out_of_reach: bool },
}

fn pull(image: &str) -> Result<Pulled> {
    let mut command = Command::new("docker");
    // There is no limit once the registry has answered.
    let mut spoke = false;
    let ended = progress::watched(command.args(["pull", image]), |elapsed, output| {
        spoke |= !output.is_empty();
        spoke || elapsed < FIRST_WORD
    })?;
    if ended.well {
        return Ok(Pulled::Yes);
    }
    let why = progress::complaint(&ended);
    // A registry that answers about one image may still have the next.
    let answered = ["not found", "manifest unknown", "denied", "toomanyrequests"].iter().any(|word| why.contains(word));
    Ok(Pulled::No { why, out_of_reach: !answered })
}
