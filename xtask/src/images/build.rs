//! Builds images from packages, on a base made by `debootstrap`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::docker;
use crate::debian;
use crate::progress::{self, silent};
use crate::result::Result;

/// The machine's certificates, put into the base so that registries can be reached behind a proxy with its own certificate.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Arguments of `debootstrap` for the base image. They are part of its tag, so a change makes a new image.
const DEBOOTSTRAP: &[&str] = &["--variant=minbase", "--include=ca-certificates", "sid"];

/// Paths of a fresh system that no image needs: package lists, which become out of date, and folders that a container mounts.
const LEFT_OUT: &[&str] = &["./dev/*", "./proc/*", "./sys/*", "./var/lib/apt/lists/*", "./var/cache/apt/*"];

/// Returns the tag of the image for `containers/NAME`, by a hash of that folder and of the base's.
pub(super) fn tag(containers: &Path, name: &str) -> Result<String> {
    let mut hash = Sha256::new();
    for word in DEBOOTSTRAP {
        hash.update(word);
    }
    digest(&containers.join("base"), &mut hash)?;
    if name != "base" {
        digest(&containers.join(name), &mut hash)?;
    }
    let digest: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("conformance-{name}:{digest}"))
}

fn digest(folder: &Path, hash: &mut Sha256) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for part in [name.as_bytes(), &text] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
    }
    Ok(())
}

/// Whether Docker has this image.
pub(super) fn exists(image: &str) -> bool {
    silent(Command::new("docker").args(["image", "inspect", "--format", "{{.Id}}", image])).is_ok()
}

/// Builds `containers/NAME`, and the base first if it is missing.
pub(super) fn build(containers: &Path, name: &str, scratch: &Path) -> Result<String> {
    let (base, image) = (tag(containers, "base")?, tag(containers, name)?);
    if !exists(&base) {
        build_base(&containers.join("base"), &base, scratch)?;
    }
    let argument = format!("BASE={base}");
    docker_build(&image, &["--build-arg", &argument], &containers.join(name))?;
    Ok(image)
}

fn docker_build(image: &str, options: &[&str], context: &Path) -> Result<()> {
    let mut command = Command::new("docker");
    // Every version of Docker has this builder, and it accepts a base that exists only on this machine.
    command.env("DOCKER_BUILDKIT", "0").args(["build", "--force-rm", "-t", image]).args(options).arg(context);
    progress::long(&format!("docker build -t {image}"), &mut command)?;
    // Images of build stages are large. If this fails, they only cost space.
    let mut prune = Command::new("docker");
    let _ = silent(prune.args(["image", "prune", "--force", "--filter", "label=conformance.stage"]));
    Ok(())
}

fn build_base(recipe: &Path, image: &str, scratch: &Path) -> Result<()> {
    if !debian::installed("debootstrap") {
        if !debian::may_install() {
            return Err("building images takes debootstrap and root; see containers/README.md".into());
        }
        docker::install()?;
    }
    clear(scratch)?;
    let (root, context) = (scratch.join("root"), scratch.join("context"));
    fs::create_dir_all(&context)?;
    for entry in fs::read_dir(recipe)? {
        let entry = entry?;
        fs::copy(entry.path(), context.join(entry.file_name()))?;
    }
    fs::copy(CERTIFICATES, context.join("ca-certificates.crt")).map_err(|error| format!("{CERTIFICATES}: {error}"))?;
    let mut command = Command::new("debootstrap");
    let command = command.args(&DEBOOTSTRAP[..2]).arg(DEBOOTSTRAP[2]).arg(&root);
    progress::long(&format!("debootstrap {}", DEBOOTSTRAP.join(" ")), command)?;
    let mut command = Command::new("tar");
    command.arg("--one-file-system").args(LEFT_OUT.iter().map(|path| format!("--exclude={path}")));
    progress::long("tar", command.arg("-C").arg(&root).arg("-cf").arg(context.join("root.tar")).arg("."))?;
    docker_build(image, &[], &context)?;
    clear(scratch)
}

/// Removes the scratch folder of a base build. An interrupted build leaves mounts in it.
fn clear(scratch: &Path) -> Result<()> {
    for mount in ["root/proc", "root/sys", "root/dev"] {
        // Usually nothing is mounted there.
        let _ = silent(Command::new("umount").arg(scratch.join(mount)));
    }
    silent(Command::new("rm").args(["-rf", "--one-file-system"]).arg(scratch))
        .map_err(|why| format!("{}: {why}", scratch.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn a_tag_tells_what_the_image_was_made_from() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("base/Dockerfile", "FROM scratch\n");
        write("redis/Dockerfile", "RUN a\n");
        write("valkey/Dockerfile", "RUN a\n");
        let tags = || ["base", "redis", "valkey"].map(|name| tag(folder.path(), name).unwrap());
        let before = tags();
        assert!(before[1].starts_with("conformance-redis:"));
        assert_eq!(before, tags());

        write("redis/Dockerfile", "RUN b\n");
        let after = tags();
        assert_eq!((&before[0], &before[2]), (&after[0], &after[2]));
        assert_ne!(before[1], after[1]);

        write("base/apt.conf", "x");
        assert!(tags().iter().zip(&after).all(|(new, old)| new != old), "what stands on the base changes with it");
    }
}
