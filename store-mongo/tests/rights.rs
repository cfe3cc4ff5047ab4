//! Test of the rights that a user needs. The server under test has no roles of its own making, so the README's role is compared with
//! what is sent.

mod common;

use std::collections::BTreeSet;

use common::{Server, sent};
use session_conformance::testing::block_of;
use session_store_mongo::MongoStore;
use session_store_mongo::mongodb::bson::{Bson, Document};
use session_store_mongo::mongodb::options::ClientOptions;

/// A collection, or `""` for the whole database, and an action on it.
type Right = (String, String);

/// Returns the rights that the README's statements give to a user, for another collection.
fn granted(collection: &str) -> BTreeSet<Right> {
    let block = block_of(include_str!("../README.md"), "Least rights", "js")
        .replace("\"sessions\"", &format!("\"{collection}\""));
    let mut commands = block.split("db.runCommand(").skip(1).map(|command| -> Document {
        serde_json::from_str(command.trim_end().strip_suffix(");").expect("the end of a command")).expect("a command")
    });
    let (role, user) = (commands.next().expect("a role"), commands.next().expect("a user"));
    assert_eq!(user.get_array("roles").unwrap(), &[Bson::from(role.get_str("createRole").unwrap())]);
    let mut granted = BTreeSet::new();
    for privilege in role.get_array("privileges").unwrap() {
        let privilege = privilege.as_document().unwrap();
        let resource = privilege.get_document("resource").unwrap();
        assert_eq!(resource.get_str("db").unwrap(), "shop");
        for action in privilege.get_array("actions").unwrap() {
            granted.insert((resource.get_str("collection").unwrap().to_owned(), action.as_str().unwrap().to_owned()));
        }
    }
    granted
}

/// Returns the rights that a command needs, as MongoDB's manual has them (Privilege Actions).
fn needed(name: &str, command: &Document) -> Vec<Right> {
    let upserts = || {
        let updates = command.get_array("updates").unwrap().iter().filter_map(Bson::as_document);
        updates.into_iter().any(|update| update.get_bool("upsert").unwrap_or(false))
    };
    let (collection, actions) = match name {
        // Each user may send these.
        "hello" | "endSessions" => return Vec::new(),
        "listCollections" => ("", &["listCollections"][..]),
        _ => (
            command.get_str(name).unwrap(),
            match name {
                "find" => &["find"][..],
                "update" if upserts() => &["insert", "update"],
                "update" => &["update"],
                "delete" => &["remove"],
                "listIndexes" => &["listIndexes"],
                _ => panic!("nothing is known of {name}"),
            },
        ),
    };
    actions.iter().map(|action| (collection.to_owned(), (*action).to_owned())).collect()
}

#[tokio::test]
async fn the_readmes_role_allows_what_is_sent_and_nothing_else() {
    let server = Server::get();
    server.clean("test_rights").await;
    MongoStore::connect(&server.url_with("namespace=test_rights")).await.unwrap();
    let options = ClientOptions::parse(server.url()).await.unwrap();
    let sent = sent(options, "test_rights", false).await;
    let needed: BTreeSet<Right> = sent.iter().flat_map(|(name, command)| needed(name, command)).collect();
    assert_eq!(needed, granted("test_rights"));
    server.clean("test_rights").await;
}
