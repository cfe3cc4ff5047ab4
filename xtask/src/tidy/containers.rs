//! Checks that the three lists of servers agree: `docker-compose.yml`, the suite, and `containers/`.

use std::path::Path;

use super::problem::Problem;
use super::tree::{Tree, line_of};
use crate::images::compose;
use crate::result::Result;

const LIST: &str = "docker-compose.yml";

/// File with the images that the suite starts.
const PINNED: &str = "conformance/src/server/kind.rs";

pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let Some(list) = tree.file(Path::new(LIST)) else { return Ok(Vec::new()) };
    let pinned = tree.file(Path::new(PINNED)).map_or("", |file| file.text.as_str());
    let mut problems = Vec::new();
    let services = compose::of(&list.text);
    for service in &services {
        let line = line_of(&list.text, &format!("image: {}", service.image));
        let mut problem = |what: String| problems.push(Problem::at(&list.path, line, what));
        if !pinned.contains(&format!("\"{}\"", service.image)) {
            problem(format!("{PINNED} starts another image than {}", service.image));
        }
        if tree.file(&Path::new("containers").join(&service.name).join("Dockerfile")).is_none() {
            problem(format!("containers/{}/Dockerfile is missing, for who cannot pull", service.name));
        }
        let tag = service.image.rsplit_once(':').map_or("", |(_, tag)| tag);
        if !tag.contains(|c: char| c.is_ascii_digit()) {
            problem(format!("{} names no version", service.image));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::found;

    const LIST: (&str, &str) = ("docker-compose.yml", "services:\n  redis:\n    image: redis:8.0.6\n");
    const PINNED: (&str, &str) = ("conformance/src/server/kind.rs", "const A: &str = \"redis:8.0.6\";\n");
    const RECIPE: (&str, &str) = ("containers/redis/Dockerfile", "FROM scratch\n");

    #[test]
    fn a_server_that_stands_in_all_places_passes() {
        assert_eq!(found(check, &[LIST, PINNED, RECIPE]), [""; 0]);
    }

    #[test]
    fn another_version_and_a_missing_recipe_are_found() {
        let other = (PINNED.0, "const A: &str = \"redis:8.0\";\n");
        assert_eq!(found(check, &[LIST, other, RECIPE]).len(), 1);
        assert_eq!(
            found(check, &[LIST, PINNED]),
            ["docker-compose.yml:3: containers/redis/Dockerfile is missing, for who cannot pull"]
        );
    }

    #[test]
    fn an_image_without_a_version_is_found() {
        let list = (LIST.0, "services:\n  redis:\n    image: redis:latest\n");
        let pinned = (PINNED.0, "const A: &str = \"redis:latest\";\n");
        assert_eq!(found(check, &[list, pinned, RECIPE]), ["docker-compose.yml:3: redis:latest names no version"]);
    }
}
