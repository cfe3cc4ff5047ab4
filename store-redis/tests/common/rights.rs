//! The least rights, as the README grants them.

const README: &str = include_str!("../../README.md");

/// User, password and namespace of the README's statements.
pub(crate) const USER: &str = "shop";
const PASSWORD: &str = "secret";
const NAMESPACE: &str = "sessions";

/// Returns the README's statement for a single server, or that for the nodes of a cluster, with another password and namespace.
pub(crate) fn statement(of_cluster: bool, password: &str, namespace: &str) -> String {
    let mut statements = README.lines().filter(|line| line.starts_with("ACL SETUSER"));
    let statement = statements.nth(usize::from(of_cluster)).expect("the README grants rights");
    let [secret, keys] = [format!(">{PASSWORD}"), format!("~{NAMESPACE}:*")];
    assert!(statement.contains(&format!(" {USER} on {secret} ")) && statement.contains(&keys), "{statement}");
    statement.replace(&secret, &format!(">{password}")).replace(&keys, &format!("~{namespace}:*"))
}

/// Returns the README's statement for a sentinel, with another password.
pub(crate) fn sentinel_statement(password: &str) -> String {
    let statement =
        README.lines().filter(|line| line.starts_with("ACL SETUSER")).nth(2).expect("the README grants rights");
    statement.replace(&format!(">{PASSWORD}"), &format!(">{password}"))
}

/// Returns the rules for commands of the README's statement.
pub(crate) fn rules(of_cluster: bool) -> Vec<String> {
    let statement = statement(of_cluster, PASSWORD, NAMESPACE);
    statement.split(' ').filter(|word| word.starts_with('+')).map(str::to_owned).collect()
}
