use anyhow::{Context, Result};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Document, doc};
use mongodb::options::{ReadConcern, WriteConcern};
use mongodb::{Client, Collection};

use super::now;
use crate::cas::{Cas, Key, LIFE};

pub(crate) struct Driver(Collection<Document>);

impl Driver {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let database = Client::with_uri_str(url).await?.database("bare");
        // The same consistency as in the store.
        let options = mongodb::options::CollectionOptions::builder()
            .read_concern(ReadConcern::majority())
            .write_concern(WriteConcern::majority())
            .build();
        Ok(Self(database.collection_with_options("sessions", options)))
    }
}

fn binary(bytes: Vec<u8>) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes }
}

fn id(key: &Key) -> Binary {
    binary(key.to_vec())
}

fn after(milliseconds: i64) -> DateTime {
    DateTime::from_millis(now() + milliseconds)
}

impl Cas for Driver {
    type Data = Vec<u8>;

    async fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> Result<()> {
        let session = doc! { "_id": id(key), "version": version, "expires_at": after(LIFE), "data": binary(data) };
        self.0.insert_one(session).await?;
        Ok(())
    }

    async fn load(&self, key: &Key) -> Result<Option<(i64, Vec<u8>)>> {
        let found = self.0.find_one(doc! { "_id": id(key), "expires_at": { "$gt": after(0) } }).await?;
        let Some(session) = found else { return Ok(None) };
        Ok(Some((session.get_i64("version")?, session.get_binary_generic("data").context("no data")?.clone())))
    }

    async fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> Result<bool> {
        let filter = doc! { "_id": id(key), "version": expected, "expires_at": { "$gt": after(0) } };
        let update = doc! { "$set": { "version": version, "expires_at": after(LIFE), "data": binary(data) } };
        Ok(self.0.update_one(filter, update).await?.matched_count == 1)
    }

    async fn touch(&self, key: &Key, expected: i64) -> Result<bool> {
        let filter = doc! { "_id": id(key), "version": expected, "expires_at": { "$gt": after(0) } };
        let touched = self.0.update_one(filter, doc! { "$max": { "expires_at": after(LIFE) } }).await?;
        Ok(touched.matched_count == 1)
    }
}
