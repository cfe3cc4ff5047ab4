//! Checks the server, and creates and checks the collection, when a store is opened.

use mongodb::IndexModel;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::Result as Driven;
use mongodb::options::CollectionOptions;
use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::{ClockCheck, TIMED_OUT, check_layout, wrong};
use tokio::time::{Instant, timeout_at};

use crate::error::{self, NAMESPACE_NOT_FOUND, UNAUTHORIZED, at_open};
use crate::execute::Server;
use crate::schema::{self, LAYOUT, LAYOUTS};

/// Wire version of MongoDB 6.0, the oldest supported server.
const OLDEST: i32 = 17;

/// Number of attempts to create what other processes may be creating at the same time.
const TRIES: usize = 5;

/// Ensures that the collection and the indexes of `namespace` exist and fit. `options` are those of the sessions' collection.
pub(crate) async fn prepare(
    server: &Server,
    options: &CollectionOptions,
    namespace: &Namespace,
    create: bool,
) -> Result<()> {
    let opening = async {
        let clock = ClockCheck::begin();
        let hello = server.hello().await.map_err(|error| at_open(&error))?;
        if let Ok(time) = hello.get_datetime("localTime") {
            let _ = clock.end("MongoDB", time.timestamp_millis());
        }
        check_server(&hello)?;
        let setup = Setup { server, options, namespace };
        match setup.check().await? {
            State::Ready => return Ok(()),
            State::Lacking(what) if !create => return Err(setup.lacks(&what)),
            State::Lacking(_) => {}
        }
        let mut failed = None;
        for _ in 0..TRIES {
            // Another client may create the same at the same time, and make this attempt fail or needless.
            failed = setup.make().await.err();
            if failed.as_ref().is_some_and(error::is_final) {
                break;
            }
            if let State::Ready = setup.check().await? {
                return Ok(());
            }
        }
        Err(match failed {
            Some(error) if error::is(&error, UNAUTHORIZED) => Error::fixed(
                ErrorKind::Config,
                "the user may not create collections and indexes; \
                 run the script of MongoStore::schema as another user, and open the store with create=false",
            ),
            Some(error) => at_open(&error),
            None => setup.lacks("no collection or index that was just created"),
        })
    };
    timeout_at(Instant::now() + server.timeout, opening).await.map_err(|_| TIMED_OUT)?
}

/// Refuses a server that cannot keep the store's promises.
fn check_server(hello: &Document) -> Result<()> {
    if hello.get_i32("maxWireVersion").is_ok_and(|version| version < OLDEST) {
        return Err(Error::fixed(ErrorKind::Config, "the server is older than MongoDB 6.0; upgrade it"));
    }
    // The driver looks for the primary, unless it may connect to one server only.
    if !hello.get_bool("isWritablePrimary").unwrap_or(false) {
        return Err(Error::fixed(ErrorKind::Unavailable, "the server is not the primary and takes no writes"));
    }
    Ok(())
}

struct Setup<'a> {
    server: &'a Server,
    options: &'a CollectionOptions,
    namespace: &'a Namespace,
}

enum State {
    Ready,
    /// A part is missing, with its description.
    Lacking(String),
}

impl Setup<'_> {
    /// Checks that collection and indexes exist, were created by this store, and have a layout that this release knows.
    async fn check(&self) -> Result<State> {
        let namespace = self.namespace;
        match self.server.command(schema::describe(namespace)).await {
            Ok(description) => schema::unsuitable(namespace, &description).map_or(Ok(()), wrong)?,
            Err(error) if error::is(&error, UNAUTHORIZED) => {
                return Err(Error::fixed(
                    ErrorKind::Config,
                    "the user may not ask what kind of collection it is; grant it listCollections on the database",
                ));
            }
            Err(error) => return Err(at_open(&error)),
        }
        // The indexes are read before the layout. The layout is created first, so a collection found here already has a layout.
        let indexes = self.indexes().await.map_err(|error| at_open(&error))?;
        let layouts = self.server.database().collection_with_options::<RawDocumentBuf>(LAYOUTS, self.options.clone());
        let layout = layouts.find_one(doc! { "_id": namespace.as_str() }).await.map_err(|error| at_open(&error))?;
        let layout = layout.map(|document| document.get_i32("layout").ok());
        let indexes = match (layout, indexes) {
            (Some(None), _) => return wrong(format!("the layout of the collection `{namespace}` is not a number")),
            (None | Some(Some(LAYOUT)), None) => return Ok(State::Lacking(format!("no collection `{namespace}`"))),
            (layout, indexes) => {
                let layout = layout.flatten().map(i64::from);
                check_layout(format_args!("the collection `{namespace}`"), layout, LAYOUT.into())?;
                indexes.unwrap_or_default()
            }
        };
        schema::unsuitable_index(namespace, &indexes).map_or(Ok(()), wrong)?;
        Ok(match schema::missing(&indexes) {
            Some("expires_at") => {
                State::Lacking(format!("no index of `{namespace}` on expires_at with expireAfterSeconds: 0"))
            }
            Some(name) => State::Lacking(format!("no index of `{namespace}` on {name}")),
            None => State::Ready,
        })
    }

    /// Returns the indexes of the collection, or `None` if there is no collection.
    async fn indexes(&self) -> Driven<Option<Vec<IndexModel>>> {
        let mut cursor = match self.server.sessions.list_indexes().await {
            Ok(cursor) => cursor,
            Err(error) if error::is(&error, NAMESPACE_NOT_FOUND) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut indexes = Vec::new();
        while cursor.advance().await? {
            indexes.push(cursor.deserialize_current()?);
        }
        Ok(Some(indexes))
    }

    async fn make(&self) -> Driven<()> {
        for command in schema::create(self.namespace) {
            self.server.command(command).await?;
        }
        Ok(())
    }

    fn lacks(&self, what: &str) -> Error {
        let database = self.server.database().name().to_owned();
        let what = format!("the database `{database}` has {what}; create it with the script of MongoStore::schema");
        Error::new(ErrorKind::Config, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_and_a_replica_are_refused() {
        let hello = |wire: i32, primary: bool| doc! { "maxWireVersion": wire, "isWritablePrimary": primary };
        assert!(check_server(&hello(OLDEST, true)).is_ok());
        assert_eq!(check_server(&hello(OLDEST - 1, true)).unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(check_server(&hello(25, false)).unwrap_err().kind(), ErrorKind::Unavailable);
    }
}
