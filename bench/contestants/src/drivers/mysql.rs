use anyhow::Result;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};

use super::{CONNECTIONS, now};
use crate::cas::{Cas, Key, LIFE};

pub(crate) struct Driver(MySqlPool);

impl Driver {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let pool =
            MySqlPoolOptions::new().min_connections(CONNECTIONS).max_connections(CONNECTIONS).connect(url).await?;
        let create = "create table if not exists bare (`key` varbinary(32) primary key, version bigint not null, \
                      expires_at bigint not null, data longblob not null)";
        sqlx::query(create).execute(&pool).await?;
        Ok(Self(pool))
    }
}

impl Cas for Driver {
    type Data = Vec<u8>;

    async fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> Result<()> {
        let query = sqlx::query("insert into bare (`key`, version, expires_at, data) values (?, ?, ?, ?)");
        query.bind(&key[..]).bind(version).bind(now() + LIFE).bind(data).execute(&self.0).await?;
        Ok(())
    }

    async fn load(&self, key: &Key) -> Result<Option<(i64, Vec<u8>)>> {
        let query = sqlx::query_as("select version, data from bare where `key` = ? and expires_at > ?");
        Ok(query.bind(&key[..]).bind(now()).fetch_optional(&self.0).await?)
    }

    async fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> Result<bool> {
        let query = sqlx::query(
            "update bare set version = ?, expires_at = ?, data = ? where `key` = ? and version = ? and expires_at > ?",
        );
        let query = query.bind(version).bind(now() + LIFE).bind(data).bind(&key[..]).bind(expected).bind(now());
        Ok(query.execute(&self.0).await?.rows_affected() == 1)
    }

    async fn touch(&self, key: &Key, expected: i64) -> Result<bool> {
        let query = sqlx::query(
            "update bare set expires_at = greatest(expires_at, ?) where `key` = ? and version = ? and expires_at > ?",
        );
        let touched = query.bind(now() + LIFE).bind(&key[..]).bind(expected).bind(now()).execute(&self.0).await?;
        Ok(touched.rows_affected() == 1)
    }
}
