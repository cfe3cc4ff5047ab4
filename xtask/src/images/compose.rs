//! Reads the servers and their official images from `docker-compose.yml`.

use std::path::Path;

use crate::result::Result;

/// A service of `docker-compose.yml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) image: String,
}

/// Reads the services of the workspace at `root`.
pub(crate) fn services(root: &Path) -> Result<Vec<Service>> {
    let path = root.join("docker-compose.yml");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(of(&text))
}

/// Parses as much YAML as that file uses: a service is indented by two spaces, its image by four.
pub(crate) fn of(text: &str) -> Vec<Service> {
    let mut name = None;
    let mut services = Vec::new();
    for line in text.lines() {
        let deep = line.len() - line.trim_start().len();
        let Some((key, value)) = line.trim().split_once(':').filter(|_| !line.trim().starts_with('#')) else {
            continue;
        };
        match (deep, key, value.trim()) {
            (2, key, "") => name = Some(key.to_owned()),
            (4, "image", image) => {
                services.extend(name.take().map(|name| Service { name, image: image.to_owned() }));
            }
            _ => {}
        }
    }
    services
}

#[cfg(test)]
mod tests {
    use super::{Service, of};

    #[test]
    fn services_and_their_images_are_found() {
        let text = "# words: more\nservices:\n  postgres:\n    image: postgres:18.1\n    environment:\n      A: b\n  \
                    redis:\n    # not this\n    image: redis:8\nvolumes:\n  data:\n";
        let service = |name: &str, image: &str| Service { name: name.into(), image: image.into() };
        assert_eq!(of(text), [service("postgres", "postgres:18.1"), service("redis", "redis:8")]);
    }
}
